"""Reading the whole body of a request off the wire, up to a limit."""

from __future__ import annotations

from litestar.types import Receive

from tocsin.kit.errors import TooLarge


class Disconnected(Exception):
    """The sender went away before its body was complete."""


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the body; raises `TooLarge`, and `Disconnected` when it breaks off: a part of it is nothing."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(limit: int) -> TooLarge:
    """Say how large a body may be."""
    return TooLarge(f"The body is larger than {limit:,} bytes.")
