"""The border between the site, which stands at `/`, and an installation below a path such as `/tocsin`.

A proxy may take the path off before it passes a request on, or leave it: it is taken off here where it still stands,
so both ways work alike, and so does the bare port. What an answer tells in its headers gets the path back: where to
go, which page is next, where a cookie is good for. What it tells in its body is made by `kit.addresses.at`.

The scope's `root_path` is left alone: the framework looks for it anywhere in a path, and would find `/in` in `/links`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.kit.addresses import at, within

# A path of this site, and not another host as in `//example.org`.
_LOCATION = re.compile(r"^/(?!/)")
_LINKS = re.compile(r"(?<=<)/(?!/)")
_COOKIE_PATH = re.compile(r"(;\s*path=)(/[^;]*)", re.IGNORECASE)
# Figures are for the bare port, and a proxy that takes the path off is told to refuse them. At `/tocsin/tocsin/metrics`
# it would see another address and pass `/tocsin/metrics` on: so nothing is there.
_FOR_MACHINES_INSIDE = re.compile(r"/+metrics/*")


class Below:
    """ASGI middleware around everything, for an installation below a path; one at a host of its own has none."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app = app
        self._root = root
        self._told: Mapping[bytes, Callable[[str], str]] = {
            b"location": lambda value: _LOCATION.sub(at(root, "/"), value),
            b"link": lambda value: _LINKS.sub(at(root, "/"), value),
            b"set-cookie": lambda value: _COOKIE_PATH.sub(self._cookie_path, value),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Not in place: what stands around us may have more to say about the request.
        inside: Any = dict(scope)
        place = within(self._root, scope["path"])
        if place is not None and not _FOR_MACHINES_INSIDE.fullmatch(place):
            inside |= {"path": place, "raw_path": quote(place).encode()}

        async def send_outside(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [self._outside(*header) for header in message.get("headers", ())]
            await send(message)

        await self._app(inside, receive, send_outside)

    def _outside(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        tell = self._told.get(name.lower())
        return (name, tell(value.decode("latin-1")).encode("latin-1")) if tell else (name, value)

    def _cookie_path(self, found: re.Match[str]) -> str:
        """Return the path of a cookie. One for all of the site is also for its address without the last slash."""
        return found[1] + at(self._root, found[2].rstrip("/"))
