"""Reading the whole body of a request off the wire, up to a limit."""

from __future__ import annotations

import zlib

from litestar.types import Receive

from tocsin.kit.errors import TooLarge, Unreadable, WrongType

# zlib's words for how much of a header to expect: gzip or zlib, found out by itself, and none.
_EITHER, _NONE = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS


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


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo the content encoding of a body: gzip or deflate.

    Raises `WrongType` for another encoding, `Unreadable` for a body that is not in it or breaks off, and `TooLarge`
    as soon as more than `limit` bytes have come out.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        raise WrongType(
            f"Send the body as it is, or with Content-Encoding gzip or deflate; “{name[:40]}” cannot be read here."
        )
    try:
        return _inflate(body, _EITHER, limit)
    except zlib.error:
        pass
    try:
        # Some send deflate without the header that the standard asks for.
        return _inflate(body, _NONE if name == "deflate" else _EITHER, limit)
    except zlib.error:
        raise Unreadable(f"The body is not {name}, as its Content-Encoding says.", code="request.encoding") from None


def _inflate(body: bytes, bits: int, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while body:
        # A gzip file may hold several members, one behind the other.
        reader = zlib.decompressobj(bits)
        parts.append(reader.decompress(body, limit - size + 1))
        size += len(parts[-1])
        if size > limit:
            raise too_large(limit)
        if not reader.eof:
            raise zlib.error("It breaks off.")
        body = reader.unused_data
    return b"".join(parts)


def too_large(limit: int) -> TooLarge:
    """Say how large a body may be."""
    return TooLarge(f"The body is larger than {limit:,} bytes.")
