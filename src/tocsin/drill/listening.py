"""Servers on loopback for as long as a drill lasts; what they say to whoever calls is their subclasses' matter."""

from __future__ import annotations

import asyncio


class LoopbackServer:
    """Listens on any number of ports and forgets every connection when it is stopped."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open_port(self) -> int:
        """Listen on one more port; each is an origin of its own to whoever calls."""
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the ports and whatever still stands open."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError
