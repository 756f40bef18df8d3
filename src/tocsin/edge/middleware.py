"""Around every request: a request id, the security headers, a log line and its time."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.edge.metrics import Metrics
from tocsin.kit.clock import monotonic
from tocsin.kit.ids import new_id

log = structlog.stdlib.get_logger("tocsin.http")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
# As nginx writes it; nobody hears it.
_LEFT = 499
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
# The token of an acknowledge link is a credential, so it does not go into the log; nor does one in a mistyped address.
_SECRET_PATH = re.compile(r"/(p|in/+[^/]+|set-up|link)/+[^/]+", re.IGNORECASE)
# Where the address of the page is a secret, whatever is answered there. Of it the browser may tell the scheme and the
# host, never the path: not to others, and not to us, as it would then stand in the log of a proxy once more with each
# request that follows. `no-referrer` would tell no more to others, and makes the browser send our own forms with
# `Origin: null`, which over plain http, without `Sec-Fetch-Site`, cannot be told from another site's.
_SECRET_ADDRESS = re.compile(r"/+(p|set-up|link)(/|$)", re.IGNORECASE)


def trace_id(scope: MutableMapping[str, Any]) -> str:
    """Return the id of this request, which stands in the log and in error answers."""
    return str(scope.get("tocsin.trace_id", ""))


def loggable(path: str) -> str:
    """Return the path without the secret it may carry."""
    return _SECRET_PATH.sub(lambda found: f"/{found[1]}/…", path)


def referrer_policy(path: str) -> bytes:
    """Return how much of its address the page at this path lets the browser hand on."""
    return b"strict-origin" if is_secret_address(path) else b"same-origin"


def is_secret_address(path: str) -> bool:
    """Say whether the address of a page is all that it takes to act on it."""
    return _SECRET_ADDRESS.match(path) is not None


class Surroundings:
    """ASGI middleware for pages and API (machine intake has its own, leaner way)."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = monotonic()
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        id = given.decode() if _REQUEST_ID.fullmatch(given) else new_id().hex
        raw: MutableMapping[str, Any] = scope  # type: ignore[assignment]
        raw["tocsin.trace_id"] = id
        status = 0
        has_left = False

        async def receive_until_it_leaves() -> Any:
            nonlocal has_left
            message = await receive()
            has_left = has_left or message["type"] == "http.disconnect"
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                names = {name.lower() for name, _ in headers}
                headers += [(name, value) for name, value in _HEADERS if name not in names]
                headers.append((b"referrer-policy", referrer_policy(scope["path"])))
                if b"content-security-policy" not in names:
                    headers.append((b"content-security-policy", CONTENT_SECURITY_POLICY.encode()))
                headers.append((b"x-request-id", id.encode()))
                message["headers"] = headers
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=id):
            try:
                await self._app(scope, receive_until_it_leaves, send_with_headers)
            finally:
                # Whoever leaves in the middle of its request has broken nothing on our side.
                status = _LEFT if has_left and status >= HTTPStatus.INTERNAL_SERVER_ERROR else status
                seconds = monotonic() - began
                path = scope["path"]
                surface = "api" if path.startswith("/api/") else "web"
                self._metrics.http_seconds.labels(surface, str(status)).observe(seconds)
                log.info(
                    "request", method=scope["method"], path=loggable(path), status=status, ms=round(seconds * 1000, 1)
                )
