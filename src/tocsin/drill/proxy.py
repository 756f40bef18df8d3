"""A way to PostgreSQL that can fall silent: connections stay open, and nothing comes through any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tocsin.db.embedded.config import PORT


class Proxy:
    """Listens on TCP and leads to the server's Unix socket."""

    def __init__(self, upstream: Path, database: str) -> None:
        self._upstream = upstream
        self._database = database
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        # Connections of earlier ages are silent; nobody connects while the way is closed.
        self._age = 0
        self._silent_from_server: set[int] = set()
        self.connected = 0
        # The connections, by their numbers, that whoever made them has not ended yet.
        self.held = set[int]()
        self.closed = False

    @property
    def dsn(self) -> str:
        assert self._server is not None
        return f"postgresql://tocsin@127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{self._database}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._open:
            writer.transport.abort()

    def swallow(self) -> None:
        """Let nothing through any more on the connections there are; new ones work."""
        self._age += 1

    def swallow_answers(self) -> None:
        """Let what we send through, and nothing of what comes back, on the connections there are."""
        self._silent_from_server.add(self._age)
        self._age += 1

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        self.held.add(self.connected)
        task = asyncio.ensure_future(self._join(reader, writer, self.connected))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        age = self._age
        self._open.add(writer)
        if self.closed:
            await asyncio.Event().wait()
        upstream_reader, upstream = await asyncio.open_unix_connection(self._upstream)
        self._open.add(upstream)
        there = asyncio.ensure_future(self._pass(reader, upstream, age, to_server=True))
        there.add_done_callback(lambda _: self.held.discard(number))
        back = asyncio.ensure_future(self._pass(upstream_reader, writer, age, to_server=False))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.ALL_COMPLETED)
        finally:
            there.cancel()
            back.cancel()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, age: int, *, to_server: bool
    ) -> None:
        # What is swallowed is read and thrown away, so that the sender's kernel sees it arrive. Nor does an end come
        # through on a silent connection.
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if age == self._age or (to_server and age in self._silent_from_server):
                    writer.write(data)
                    await writer.drain()
            if age == self._age:
                writer.close()


@contextlib.asynccontextmanager
async def proxied(dsn: str) -> AsyncGenerator[Proxy]:
    """A proxy in front of the database that this DSN reaches by a Unix socket."""
    parts = urlsplit(dsn)
    (directory,) = parse_qs(parts.query)["host"]
    proxy = Proxy(Path(directory, f".s.PGSQL.{PORT}"), parts.path.strip("/"))
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
