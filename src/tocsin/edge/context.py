"""The parts of the running program that handlers work with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.types import ASGIApp, Receive, Scope, Send

from tocsin.alerts.intake import Intake, Sources
from tocsin.db.engine import Database, Tx
from tocsin.edge.metrics import Metrics
from tocsin.edge.readers import Readers
from tocsin.edge.wrong_tokens import WrongTokens
from tocsin.events.live import Live
from tocsin.identity.model import Actor
from tocsin.kit.errors import Unauthenticated
from tocsin.notifications.channels.base import Channel
from tocsin.settings import Settings


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets that all processes of the installation share for as long as they run: for form tokens, device cookies."""

    form: bytes
    device: bytes


@dataclass(slots=True)
class Context:
    """Everything a handler may need; put together once, in `app.py`."""

    settings: Settings
    db: Database
    intake: Intake
    sources: Sources
    live: Live
    channels: Mapping[str, Channel]
    keys: Keys
    metrics: Metrics
    readers: Readers
    wrong_tokens: WrongTokens
    # Lane → seconds since this process could last ask for work in it; None when it runs no jobs.
    lanes_silent_for: Callable[[], Mapping[str, float] | None]
    stopping: Callable[[], bool]
    # What this process has found to be so once and for all, and need not ask again.
    seen: set[str] = field(default_factory=set[str])
    # The transaction that holds one request together, where there is one.
    within: Tx | None = None

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Tx]:
        """Open a transaction, or a part of the one that holds this request together (see `hold`).

        A part that raises is undone by itself; what the others did stays.
        """
        if self.within is None:
            async with self.db.begin() as tx:
                yield tx
        else:
            async with self.within.session.begin_nested():
                yield self.within


# A request as our handlers see it: its user is the actor, its auth the session's cookie or nothing.
AppRequest = Request[Actor | None, str | None, State]

NO_CREDENTIAL = "Sign in, or send a token: `Authorization: Bearer tcs_…`."
_CONTEXT = "tocsin.context"


class InContext:
    """ASGI middleware: gives every request the context of one installation, which the site itself does not know."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: Any = scope
        raw.setdefault("state", {})[_CONTEXT] = self._context
        await self._app(scope, receive, send)


def context_of(scope: Scope) -> Context:
    """Return the context that came with this request, or the one that holds it together (see `hold`)."""
    return cast("Context", scope["state"][_CONTEXT])


def hold(scope: Scope, context: Context, tx: Tx) -> None:
    """Have everything that the handler of this request does through `Context.begin` commit with this transaction."""
    scope["state"][_CONTEXT] = replace(context, within=tx)


def provide_context(request: AppRequest) -> Context:
    """Hand the context to a handler."""
    return context_of(request.scope)


def provide_who(request: AppRequest) -> Actor:
    """Hand the actor to a handler; raises `Unauthenticated` when nobody is signed in."""
    if request.user is None:
        raise Unauthenticated(NO_CREDENTIAL)
    return request.user


def ip_of(request: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the network address that the request came from, empty where there is none."""
    return request.client.host if request.client else ""


# What a handler declares to get them; they are our own objects, so there is nothing to validate or to document.
Ctx = NamedDependency[SkipValidation[Context]]
Who = NamedDependency[SkipValidation[Actor]]
