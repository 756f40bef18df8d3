"""A receiver of webhooks on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def receiver(
    answer: bytes, path: str = "/hook", *, when: asyncio.Event | None = None
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer every request with these bytes, at once or when it is time; yields the address and what came.

    Waits for one request at its end.
    """
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split()[0])
        seen.append(head + await reader.readexactly(size))
        if when is not None:
            await when.wait()
        writer.write(answer)
        await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        done.set()

    done = asyncio.Event()
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}{path}", seen
        await done.wait()
    finally:
        listener.close()


def answering(status: int, body: bytes, content_type: str = "text/plain") -> bytes:
    """Write a whole answer."""
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
