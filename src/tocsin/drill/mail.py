"""A mail server with a memory: it asks for a login, and refuses every one for as long as it is told to."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.policy import default

from tocsin.drill.listening import LoopbackServer
from tocsin.drill.sink import Page, Sink
from tocsin.kit import clock

USER, PASSWORD = "drill", "drill"
_REPEATED = "may have received this page before"


class MailSink(LoopbackServer):
    """What a mail server for drills does with the little of SMTP that a mailer says (RFC 5321, AUTH PLAIN)."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        self._port = 0
        self.refuses_logins = False

    async def start(self) -> None:
        self._port = await self.open_port()

    @property
    def settings(self) -> dict[str, str]:
        """The settings that make a process send its mail here."""
        assert self._port
        return {
            "TOCSIN_SMTP_HOST": "127.0.0.1",
            "TOCSIN_SMTP_PORT": str(self._port),
            "TOCSIN_SMTP_TLS": "none",
            "TOCSIN_SMTP_USERNAME": USER,
            "TOCSIN_SMTP_PASSWORD": PASSWORD,
            "TOCSIN_SMTP_FROM": "Tocsin <tocsin@example.org>",
        }

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._say(writer, "220 drill ESMTP")
            while line := (await reader.readline()).decode("latin-1").strip():
                if line.upper() == "DATA":
                    await self._say(writer, "354 go ahead")
                    self._remember(await reader.readuntil(b"\r\n.\r\n"))
                    await self._say(writer, "250 taken")
                else:
                    await self._say(writer, self._answer(line.upper()))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, line: str) -> None:
        writer.write(f"{line}\r\n".encode())
        await writer.drain()

    def _answer(self, line: str) -> str:
        if line.startswith("EHLO"):
            return "250-drill\r\n250 AUTH PLAIN"
        if not line.startswith("AUTH"):
            return "250 good"
        if self.refuses_logins:
            self._sink.refused["mail"] += 1
            return "535 5.7.8 not now"
        return "235 welcome"

    def _remember(self, raw: bytes) -> None:
        message = message_from_bytes(raw, policy=default)
        text = message.get_body(("plain",))
        repeated = text is not None and _REPEATED in str(text.get_content()).replace("\n", " ")
        title = str(message["Subject"]).partition("] ")[2]
        person = str(message["To"].addresses[0].username)
        if message["X-Tocsin-Kind"] == "page":
            self._sink.remember(Page(str(message["X-Tocsin-Delivery"]), title, person, repeated, clock.monotonic()))
