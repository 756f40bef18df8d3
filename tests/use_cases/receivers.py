"""Receivers of what leaves the machine: a real HTTP server on loopback, a client that may call it, and names for it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path

from tocsin.net.http import OutboundHttp

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))
Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads whole requests and hands each to the handler; remembers all of them."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.tasks: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                size = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                request = head + await reader.readexactly(size)
                self.requests.append(request)
                await self.handler(request, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def say(text: str, body: bytes = b"", *, close: bool = False) -> Handler:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(text.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        await writer.drain()
        if close:
            writer.close()

    return answer


OK = say("HTTP/1.1 200 OK\nContent-Length: 2", b"ok")


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(handler)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls, backlog=1000)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await asyncio.gather(*server.tasks)


@asynccontextmanager
async def client(**options: object) -> AsyncIterator[OutboundHttp]:
    http = OutboundHttp(options.pop("allow", LOOPBACK), **options)  # type: ignore[arg-type]
    try:
        yield http
    finally:
        await http.aclose()


@asynccontextmanager
async def raw_server(
    *acts: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Serve on a port whatever the acts do, one act for each connection and the last for all that follow."""
    left = list(acts)
    tasks: list[asyncio.Task[None]] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await (left.pop(0) if len(left) > 1 else left[0])(reader, writer)
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    listener = await asyncio.start_server(lambda r, w: tasks.append(asyncio.create_task(act(r, w))), "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Names:
    """A resolver with a memory, which gives the next answer each time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def make_certificate(folder: Path, name: str, subject: str = "") -> tuple[Path, Path]:
    """Make a certificate for the name, signed by itself, and its key. Who trusts several tells them by `subject`."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += f" -subj /CN={subject or name} -addext subjectAltName=DNS:{name} -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return certificate, key


_AUTHORITY = """
[ca]
default_ca = ours
[ours]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def make_expired_certificate(folder: Path, name: str, subject: str = "") -> tuple[Path, Path]:
    """Make a certificate for the name that was good for one day in 2020, and its key."""
    certificate, key, asked = folder / "expired.pem", folder / "expired-key.pem", folder / "asked.pem"
    (folder / "index.txt").touch()
    (folder / "ca.conf").write_text(_AUTHORITY.format(folder=folder))
    ask = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    ask += f" -subj /CN={subject or name} -addext subjectAltName=DNS:{name} -keyout {key} -out {asked}"
    sign = f"openssl ca -batch -selfsign -config {folder}/ca.conf -keyfile {key} -in {asked} -out {certificate} -notext"
    for command in (ask, f"{sign} -startdate 20200101000000Z -enddate 20200102000000Z"):
        subprocess.run(command.split(), check=True, capture_output=True)
    return certificate, key
