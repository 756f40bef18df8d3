"""`Idempotency-Key`: the second request with a key is answered with what the first one was answered.

Applies to every POST of the API that carries the header. The key belongs to the person; method, path, body and what
the credential allows must be the same, so that nobody reads by a narrower token what a wider one was answered. A
request that breaks off before its end is none. Three transactions:

1. The claim commits by itself before the request runs, so two at once never both run.
2. All that the request does and the answer to keep commit together. A process that is killed has either done nothing,
   and after a minute the next one may try, or its answer is there to be repeated. Whoever took so long that another
   one took the claim over finds it gone, and does nothing.
3. Only after a failure: nothing was done. An answer below 500 is kept as well, anything else gives the key back.

A handler that commits elsewhere says so by `COMMITS_ELSEWHERE`: its key is spent with the claim until it answers, it
runs in no transaction, and its answer is kept afterwards, or its key given back. Answers are kept for 24 hours, without
the fields that are shown only once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.api.base.receiving import Disconnected, read_body
from tocsin.db.engine import Tx
from tocsin.edge.context import Context, context_of, hold
from tocsin.edge.middleware import trace_id
from tocsin.edge.problems import PROBLEM_JSON, as_problem, body_of, headers_of
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.kit.errors import Conflict, Gone, Invalid, Problem

MAX_BODY = 1024 * 1024
LONGEST_KEY = 200
REPLAYED = "idempotent-replayed"
_HEADER = b"idempotency-key"
_KEPT = frozenset({"content-type", "location", "etag"})
_FORGOTTEN = "The first request with this Idempotency-Key was carried out, and what it made has been erased since."
# What a handler puts into its `opt` to keep these fields of its answer out of the store.
SECRET_FIELDS = "secret_fields"  # noqa: S105
# What a handler puts there when not all that it does is in the transaction of `Context.begin`.
COMMITS_ELSEWHERE = "commits_elsewhere"


class Idempotency:
    """ASGI middleware for the API's router; whoever asks is known already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: Any = scope
        user: Actor | None = raw.get("user")
        # Who is nobody learns that first, whatever else is wrong with the request.
        if user is None or user.user_id is None or not _has_key(scope):
            await self._app(scope, receive, send)
            return
        try:
            messages = await self._answer(scope, receive, user)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001  Whatever it is becomes a problem.
            # Answered here, so that what stands around the API (headers, log, figures) sees the answer.
            messages = _told(*_problem(scope, as_problem(error)))
        for message in messages:
            await send(message)

    async def _answer(self, scope: Scope, receive: Receive, who: Actor) -> list[Message]:
        caller, key = who.must_be_someone(), _key_of(scope)
        body = await read_body(receive, MAX_BODY)
        context = context_of(scope)
        elsewhere = bool(_opt(scope, COMMITS_ELSEWHERE))
        async with context.db.begin() as tx:
            stored = await identity.claim_idempotency(tx, caller, key, _digest(scope, who, body))
            claim = _Claim(context, caller, key, tx.now, is_spent=elsewhere)
            if stored is None and elsewhere:
                await claim.keep(tx, *_problem(scope, _no_answer()))
        if stored is not None and stored.is_forgotten:
            return _told(*_problem(scope, Gone(_FORGOTTEN, code="idempotency.forgotten")))
        if stored is not None:
            return _told(stored.status, {**stored.headers, REPLAYED: "true"}, stored.body)
        answer = _Answer(_opt(scope, SECRET_FIELDS) or ())
        if elsewhere:
            await self._app(scope, _replay(body, receive), answer.take)
            await claim.end(answer)
        else:
            await self._within_one(scope, _replay(body, receive), claim, answer)
        return answer.messages

    async def _within_one(self, scope: Scope, receive: Receive, claim: _Claim, answer: _Answer) -> None:
        """Run the handler and keep its answer in one transaction."""
        try:
            async with claim.context.db.begin() as tx:
                hold(scope, claim.context, tx)
                await self._app(scope, receive, answer.take)
                if answer.status >= 400:
                    raise _Refused
                if not await claim.keep(tx, *answer.kept):
                    raise _taken_over()
        except _Refused:
            await claim.end(answer)
        except Exception:
            await claim.end(None)
            raise


@dataclass(frozen=True, slots=True)
class _Claim:
    """The key of one caller from one moment on."""

    context: Context
    caller: UUID
    key: str
    at: datetime
    # Whether the key answers for itself until there is another answer, because the work commits elsewhere.
    is_spent: bool

    async def keep(self, tx: Tx, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Keep the answer with what this transaction does; False when another one has taken the claim over."""
        return await identity.complete_idempotency(tx, self.caller, self.key, status, headers, body, claimed_at=self.at)

    async def end(self, answer: _Answer | None) -> None:
        """Keep an answer that is not in the transaction of its work, or give the key back after a failure."""
        async with self.context.db.begin() as tx:
            if answer is not None and answer.status < 500:
                await self.keep(tx, *answer.kept)
            else:
                await identity.forget_idempotency(tx, self.caller, self.key, claimed_at=self.at, answered=self.is_spent)


class _Refused(Exception):
    """The handler answered with an error, so nothing that it did stays."""


def _taken_over() -> Conflict:
    return Conflict(
        "This took so long that a repetition with the same Idempotency-Key took its place. Send it again to see its "
        "answer.",
        code="idempotency.in_progress",
    )


def _no_answer() -> Conflict:
    return Conflict(
        "The first request with this Idempotency-Key is still running, or its answer was lost.",
        code="idempotency.no_answer",
        hint="Look at what it was to change. Use a new key to do it again.",
    )


class _Answer:
    """What the handler sent, held back until it is kept."""

    def __init__(self, secret_fields: tuple[str, ...]) -> None:
        self.messages: list[Message] = []
        self.status = 500
        self._body = b""
        self._secret_fields = secret_fields

    async def take(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    @property
    def kept(self) -> tuple[int, dict[str, str], bytes]:
        """What a repetition gets as well: the status, some headers, the body without its secrets."""
        return self.status, self._headers(), _without(self._secret_fields, self._body)

    def _headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for message in self.messages:
            if message["type"] == "http.response.start":
                pairs = [(name.decode("latin-1").lower(), value) for name, value in message.get("headers", [])]
                found = {name: value.decode("latin-1") for name, value in pairs if name in _KEPT}
        return found


def _has_key(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and _HEADER in dict(scope["headers"])


def _key_of(scope: Scope) -> str:
    key = dict(scope["headers"])[_HEADER].decode("latin-1").strip()
    if not key or len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Invalid("", f"An Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters.")
    return key


def _digest(scope: Scope, who: Actor, body: bytes) -> bytes:
    raw: Any = scope
    # What is kept was for whoever may do and see this; less of it, and it is another request.
    access = who.access
    given = sorted(
        (str(key), *sorted(held)) for held_by in (access.teams, access.grants) for key, held in held_by.items()
    )
    may = " ".join([*sorted(access.organisation), *sorted(access.within), repr(given)])
    return hashlib.sha256(f"{may}\n{raw['method']} {raw['path']}\n".encode() + body).digest()


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Any:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _opt(scope: Scope, name: str) -> Any:
    raw: Any = scope
    return raw["route_handler"].opt.get(name)


def _without(fields: tuple[str, ...], body: bytes) -> bytes:
    if not fields:
        return body
    answer: Any = msgspec.json.decode(body)
    for name in fields:
        if name in answer:
            answer[name] = None
    return msgspec.json.encode(answer)


def _problem(scope: Scope, problem: Problem) -> tuple[int, dict[str, str], bytes]:
    raw: Any = scope
    body = msgspec.json.encode(body_of(problem, trace_id=trace_id(raw)))
    return problem.status, {"content-type": PROBLEM_JSON, **headers_of(problem)}, body


def _told(status: int, headers: Mapping[str, str], body: bytes) -> list[Message]:
    """Write an answer as ASGI messages."""
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    return [
        {"type": "http.response.start", "status": status, "headers": pairs},
        {"type": "http.response.body", "body": body, "more_body": False},
    ]
