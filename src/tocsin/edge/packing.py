"""Answers are packed (gzip) on their way to the browser, unless they show a secret.

Whoever can have a page asked for again and again, with words of their own on it, and sees how long each packed answer
is, reads a secret that stands on it letter by letter (BREACH): a guess that is right packs better. So no answer is
packed in which a secret is twice the same:

- The form token is masked anew for each answer (`edge.csrf`).
- What shows any other secret, such as the address of a source, says `Cache-Control: no-transform` (`AS_IT_IS`), which
  keeps us from packing it, and proxies on the way that know the word.
- A page whose own address is a secret is never packed, nor is an answer of the API to anything but GET.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.edge.middleware import is_secret_address

# What an answer says that shows a secret.
AS_IT_IS = {"cache-control": "no-store, no-transform"}
_PAGE, _DOCUMENT = b"text/html", b"application/json"
# A smaller one fits into the first packets in any case.
_LEAST = 1024
# docs/performance.md has what the levels cost and bring.
LEVEL = 5
_GZIP = 31
_NOT_TAKEN = re.compile(r"q=0(\.0*)?\s*$")


def as_it_is(answer: Response[Any]) -> Response[Any]:
    """`after_request` of a router whose answers show secrets."""
    answer.headers.update(AS_IT_IS)
    return answer


def takes_gzip(accepted: str) -> bool:
    """Say whether an `Accept-Encoding` has gzip in it, and not only to refuse it."""
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        if name.strip() == "gzip":
            return not _NOT_TAKEN.search(weight)
    return False


def pack(body: bytes, level: int = LEVEL) -> bytes:
    """Return the body as gzip; of the same body always the same, as no time is written into it."""
    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP, 9)
    return packer.compress(body) + packer.flush()


class Packing:
    """ASGI middleware: packs pages and JSON documents that are sent in one piece. Streams and files pass through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_secret_address(scope["path"]):
            await self._app(scope, receive, send)
            return
        takes = takes_gzip(dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1"))
        held: Any = None

        async def send_packed(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _may_be_packed(
                scope["method"], dict(message.get("headers", ()))
            ):
                held = message
                return
            if held is not None:
                start, held = held, None
                body: Any = message
                start["headers"] = [*start["headers"], (b"vary", b"accept-encoding")]
                if takes and not body.get("more_body") and len(body.get("body", b"")) >= _LEAST:
                    body["body"] = pack(body["body"])
                    start["headers"] = _headers(start["headers"], len(body["body"]))
                await send(start)
            await send(message)

        await self._app(scope, receive, send_packed)


def _may_be_packed(method: str, headers: Mapping[bytes, bytes]) -> bool:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip()
    is_plain = b"content-encoding" not in headers and b"no-transform" not in headers.get(b"cache-control", b"")
    return is_plain and (kind == _PAGE or (kind == _DOCUMENT and method == "GET"))


def _headers(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*kept, (b"content-length", b"%d" % length), (b"content-encoding", b"gzip")]
