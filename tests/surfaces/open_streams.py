"""Live streams that are open, read from the application itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.processes import PATIENCE
from tests.world import World
from tocsin.edge.auth import COOKIE
from tocsin.events.live import read_cursor
from tocsin.identity import service as identity
from tocsin.identity.model import User


class Stream:
    """One open stream, read from the ASGI application itself: the test client would wait for its end."""

    def __init__(self) -> None:
        self.parts: asyncio.Queue[str] = asyncio.Queue()
        self.headers: dict[str, str] = {}
        # How it begins.
        self.first = ""
        self.status = 0
        self.gone = asyncio.Event()
        self.answered = asyncio.Event()
        self.over = asyncio.Event()
        # Cleared for a reader that takes nothing any more.
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            self.answered.set()
        elif message.get("body"):
            await self.parts.put(message["body"].decode())
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.over.set()

    async def receive(self) -> Any:
        if not self.parts.qsize() and not self.status:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE):
            while (part := await self.parts.get()).startswith(":"):
                pass
        return part

    async def told(self) -> str:
        """Wait for a message about something that has happened."""
        while not (message := await self.next()).startswith("id: "):
            pass
        return message

    async def after(self, place: str) -> str:
        """Wait for a message about something that stands behind this place in the log."""
        while at(cursor_of(message := await self.told())) <= at(place):
            pass
        return message


def data_of(message: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.split("data: ")[1])
    return found


def cursor_of(message: str) -> str:
    return message.split("\n")[0].removeprefix("id: ")


def at(cursor: str) -> tuple[int, int]:
    found = read_cursor(cursor)
    assert found is not None, cursor
    return found


async def newest(world: World) -> str:
    """The place of what was written last, as a page that is read now gets it."""
    last = "SELECT transaction::text || '-' || position FROM event ORDER BY position DESC LIMIT 1"
    return str(await world.db.pool.fetchval(last))


async def cookie_of(world: World, person: User) -> dict[str, str]:
    """Sign somebody in; returns the header that says so."""
    async with world.db.begin() as tx:
        cookie = await identity.open_session(tx, person, ip="", user_agent="", how="password", days=14)
    return {"cookie": f"{COOKIE}={cookie}"}


@asynccontextmanager
async def stream(world: World, person: User, path: str, **headers: str) -> AsyncIterator[Stream]:
    """Open a stream as this person, in a session of its own, until the block ends."""
    async with opened_with(world, path, **await cookie_of(world, person), **headers) as opened:
        opened.first = await opened.next()
        yield opened


@asynccontextmanager
async def opened_with(world: World, path: str, **headers: str) -> AsyncIterator[Stream]:
    """Ask for a stream with these headers, whatever the answer is."""
    given = {"host": "127.0.0.1:8700", **headers}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8700), "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }  # fmt: skip
    opened = Stream()
    app: Any = world.app.asgi()
    running = asyncio.create_task(app(scope, opened.receive, opened.send))
    try:
        yield opened
    finally:
        opened.gone.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(running, return_exceptions=True)
