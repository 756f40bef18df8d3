"""A real SMTP server on loopback, mailers that hand messages to it, and a message."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

from tocsin.net.resolver import Resolve
from tocsin.net.smtp import Mailer, Security, SmtpSettings


class Post:
    """A mail server with a memory; each answer may be set beforehand."""

    def __init__(self) -> None:
        self.mail: list[Envelope] = []
        self.sessions: set[int] = set()
        self.at_rcpt = "250 OK"
        self.at_data: str | bytes = "250 queued as 4711"
        self.port = 0
        self.answers_after = 0.0
        self.transports: list[asyncio.Transport] = []

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.at_rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.at_rcpt

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str | bytes:  # noqa: N802
        await asyncio.sleep(self.answers_after)
        self.sessions.add(id(session))
        if self.at_data[:3] in ("250", b"250"):
            self.mail.append(envelope)
        return self.at_data

    def drop_connections(self) -> None:
        """Close every connection without a word, as a restarted server does."""
        for transport in self.transports:
            # The TLS transport of Python 3.11.2 cannot be aborted once it is closed.
            if not transport.is_closing():
                transport.abort()

    def read(self) -> list[EmailMessage]:
        """Return what arrived."""
        found = [message_from_bytes(bytes(e.content or b""), policy=policy.default) for e in self.mail]
        return [message for message in found if isinstance(message, EmailMessage)]


@asynccontextmanager
async def post_office(*, listener_tls: ssl.SSLContext | None = None, **options: object) -> AsyncIterator[Post]:
    post = Post()
    loop = asyncio.get_running_loop()

    class Remembering(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            post.transports.append(transport)  # type: ignore[arg-type]
            super().connection_made(transport)

    listener = await loop.create_server(
        lambda: Remembering(post, hostname="mx.example.org", loop=loop, **options),  # type: ignore[arg-type]
        "127.0.0.1",
        0,
        ssl=listener_tls,
    )
    post.port = listener.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        listener.close()
        post.drop_connections()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def mailer_to(
    port: int, *, tls: ssl.SSLContext | None = None, resolve: Resolve | None = None, **changes: object
) -> AsyncIterator[Mailer]:
    settings = {"host": "127.0.0.1", "sender": "Tocsin <tocsin@example.org>", "security": Security.NONE}
    mailer = Mailer(SmtpSettings(port=port, **(settings | changes)), tls=tls, resolve=resolve)  # type: ignore[arg-type]
    try:
        yield mailer
    finally:
        await mailer.aclose()


def letter(id: str = "<dlv_1@example.org>", to: str = "ada@example.net") -> EmailMessage:
    message = EmailMessage()
    message["To"] = to
    message["Subject"] = "Checkout is down — again"
    message["Message-ID"] = id
    message.set_content("Text\n.\nwith a lone dot\n")
    return message
