"""`Idempotency-Key`: the second request with a key is answered with what the first one was answered.

Applies to every POST of the API that carries the header. The key belongs to the caller; method, path and body must be
the same. The claim commits by itself before the request runs, so two at once never both run. An answer below 500 is
kept for 24 hours; a failure on our side gives the key back. Fields that are shown only once are not kept.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast
from uuid import UUID

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.edge.context import Context
from tocsin.edge.middleware import trace_id
from tocsin.edge.problems import PROBLEM_JSON, body_of, headers_of
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.kit.errors import Invalid, Problem, TooLarge

MAX_BODY = 1024 * 1024
LONGEST_KEY = 200
REPLAYED = "idempotent-replayed"
_KEPT = frozenset({"content-type", "location", "etag"})
# What a handler puts into its `opt` to keep these fields of its answer out of the store.
SECRET_FIELDS = "secret_fields"  # noqa: S105


class Idempotency:
    """ASGI middleware for the API's router; whoever asks is known already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except Problem as problem:
            # Answered here, so that what stands around the API (headers, log, figures) sees the answer.
            body = msgspec.json.encode(body_of(problem, trace_id=trace_id(cast("Any", scope))))
            await _send(send, problem.status, {"content-type": PROBLEM_JSON, **headers_of(problem)}, body)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: Any = scope
        user: Actor | None = raw.get("user")
        # Who is nobody learns that first, whatever else is wrong with the request.
        key = _key_of(scope) if user is not None else None
        if key is None or user is None or user.user_id is None:
            await self._app(scope, receive, send)
            return
        context: Context = scope["litestar_app"].state.context
        body = await _read(receive)
        async with context.db.begin() as tx:
            stored = await identity.claim_idempotency(tx, user.user_id, key, _digest(scope, body))
        if stored is not None:
            await _send(send, stored.status, {**stored.headers, REPLAYED: "true"}, stored.body)
            return
        await self._run(context, user.user_id, key, scope, body, receive, send)

    async def _run(
        self, context: Context, caller: UUID, key: str, scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> None:
        answer = _Answer()
        try:
            await self._app(scope, _replay(body, receive), answer.take)
        except Exception:
            async with context.db.begin() as tx:
                await identity.forget_idempotency(tx, caller, key)
            raise
        async with context.db.begin() as tx:
            if answer.status >= 500:
                await identity.forget_idempotency(tx, caller, key)
            else:
                kept = {name: value for name, value in answer.headers().items() if name in _KEPT}
                told = _without_secrets(scope, answer.body)
                await identity.complete_idempotency(tx, caller, key, answer.status, kept, told)
        for message in answer.messages:
            await send(message)


class _Answer:
    """What the handler sent, held back until it is kept."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.status = 500
        self.body = b""

    async def take(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for message in self.messages:
            if message["type"] == "http.response.start":
                pairs = message.get("headers", [])
                found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}
        return found


def _key_of(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    raw = dict(scope["headers"]).get(b"idempotency-key")
    if raw is None:
        return None
    key = raw.decode("latin-1").strip()
    if not key or len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Invalid("", f"An Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters.")
    return key


def _digest(scope: Scope, body: bytes) -> bytes:
    raw: Any = scope
    return hashlib.sha256(f"{raw['method']} {raw['path']}\n".encode() + body).digest()


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            raise TooLarge(f"The body is larger than {MAX_BODY:,} bytes.")
        parts.append(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Any:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _without_secrets(scope: Scope, body: bytes) -> bytes:
    raw: Any = scope
    fields: tuple[str, ...] = raw["route_handler"].opt.get(SECRET_FIELDS, ())
    if not fields:
        return body
    answer: Any = msgspec.json.decode(body)
    for name in fields:
        if name in answer:
            answer[name] = None
    return msgspec.json.encode(answer)


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": False})
