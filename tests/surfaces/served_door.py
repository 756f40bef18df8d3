"""An application behind the door, served on a real socket, and peers who write to it byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from tocsin.edge import protocol
from tocsin.edge.door import Door, Limits, Proxies

PATIENCE = 150


class Echo:
    """An application with a memory: what it was asked, what is under way, and whose answers nobody waits for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.given_up = 0
        self.under_way = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.under_way += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.under_way -= 1

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        if scope["path"] == "/later":
            await self.go.wait()
        while scope["path"] != "/early":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.given_up += 1
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.asked.append((scope["method"], scope["path"], body))
        self.headers.append(scope["headers"])
        if scope["path"] == "/held":
            await self.go.wait()
        if scope["path"] == "/stream":
            await self._stream(receive, send)
            return
        said = b"x" * 8_000_000 if scope["path"] == "/large" else b"ok"
        length = [(b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": said})

    async def _stream(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        self.given_up += 1


class Site:
    """A served application, its door, and the connections of this test."""

    def __init__(self, app: Echo, door: Door, port: int, server: uvicorn.Server) -> None:
        self.app = app
        self.door = door
        self.port = port
        self.server = server
        self.why: list[str] = []
        self.peers: list[Peer] = []
        door.measure = self.why.append

    async def connect(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self.peers.append(peer)
        return peer

    async def ask(self, raw: bytes) -> Answer:
        peer = await self.connect()
        await peer.say(raw)
        try:
            return await peer.hear()
        finally:
            await peer.leave()

    async def until(self, claim: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not claim():  # noqa: ASYNC110 (it may be about a socket)
                await asyncio.sleep(0.005)


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["connection"] == "close"
        return json.loads(self.body)["code"]


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, raw: bytes) -> None:
        # Whoever is refused in the middle of a sentence has its connection cut in the end.
        with contextlib.suppress(ConnectionError):
            self.writer.write(raw)
            await self.writer.drain()

    async def hear(self) -> Answer:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(lines[0].split(" ")[1]), headers, body)

    async def is_left(self) -> bool:
        """Wait for the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
        return True

    async def leave(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


GET = b"GET / HTTP/1.1\r\nHost: tocsin\r\n\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: tocsin\r\n"
POST = b"POST / HTTP/1.1\r\nHost: tocsin\r\n"


@contextlib.asynccontextmanager
async def serving(connections: int = 100, per_address: int = 100, proxies: str = "") -> AsyncIterator[Site]:
    app = Echo()
    door = Door(Limits(connections, per_address, Proxies.read(proxies)))
    config = uvicorn.Config(
        app, http=protocol.at(door), ws="none", lifespan="off", log_config=None, server_header=False, date_header=False
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        await server.startup([listener])
        site = Site(app, door, listener.getsockname()[1], server)
        try:
            yield site
        finally:
            app.go.set()
            for peer in site.peers:
                await peer.leave()
            for each in server.servers:
                each.close()
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            async with asyncio.timeout(PATIENCE):
                while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
    # Whatever was tried, nothing is left of it.
    assert app.under_way == 0
    assert len(door) == 0
