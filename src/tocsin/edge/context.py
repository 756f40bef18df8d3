"""The parts of the running program that handlers work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from tocsin.alerts.intake import Intake, Sources
from tocsin.db.engine import Database
from tocsin.edge.auth import NO_CREDENTIAL
from tocsin.edge.metrics import Metrics
from tocsin.events.live import Live
from tocsin.identity.model import Actor
from tocsin.kit.errors import Unauthenticated
from tocsin.notifications.channels.base import Channel
from tocsin.settings import Settings


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets that all processes of the installation share: one signs acknowledge links, one form tokens."""

    link: bytes
    form: bytes


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
    worker_is_alive: Callable[[], bool | None]
    stopping: Callable[[], bool]


# A request as our handlers see it: its user is the actor, its auth the session's cookie or nothing.
AppRequest = Request[Actor | None, str | None, State]


def provide_context(state: State) -> Context:
    """Hand the context to a handler."""
    return cast("Context", state.context)


def provide_who(request: AppRequest) -> Actor:
    """Hand the actor to a handler; raises `Unauthenticated` when nobody is signed in."""
    if request.user is None:
        raise Unauthenticated(NO_CREDENTIAL)
    return request.user


# What a handler declares to get them; they are our own objects, so there is nothing to validate or to document.
Ctx = NamedDependency[SkipValidation[Context]]
Who = NamedDependency[SkipValidation[Actor]]
