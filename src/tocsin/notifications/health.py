"""How it stands with a contact method, from what is known of its messages. Rules only; no clock, no database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class MethodState(StrEnum):
    """What became of the latest messages to one address.

    unavailable: this installation cannot send on its channel. unused: nothing has gone out to this address yet.
    accepted: the other side took the last one, and whether it arrived is not reported. confirmed: it said that it
    arrived. slow: it works, but answers late. failing: the last attempts failed. unknown: the last one was given up,
    and may have arrived all the same.
    """

    UNAVAILABLE = "unavailable"
    UNUSED = "unused"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    SLOW = "slow"
    FAILING = "failing"
    UNKNOWN = "unknown"


class Reach(StrEnum):
    """Whether somebody can be reached.

    none: there is no contact method that can be sent on here. failing: there is, but the last attempts on each of them
    failed. well: nothing speaks against at least one of them.
    """

    NONE = "none"
    FAILING = "failing"
    WELL = "well"


def best_of(reaches: Collection[Reach]) -> Reach:
    """Return how well one of several people can be reached."""
    if Reach.WELL in reaches:
        return Reach.WELL
    return Reach.FAILING if Reach.FAILING in reaches else Reach.NONE


@dataclass(frozen=True, slots=True)
class Condition:
    """How it stands with one contact method; `error` is what the other side said last, `answers_after` in seconds."""

    state: MethodState
    accepted_at: datetime | None = None
    confirmed_at: datetime | None = None
    failing_since: datetime | None = None
    error: str | None = None
    answers_after: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of one contact method: when messages were taken, confirmed or lost from sight, and its health."""

    accepted_at: datetime | None = None
    confirmed_at: datetime | None = None
    unknown_at: datetime | None = None
    failing_since: datetime | None = None
    error: str | None = None
    answers_after: int | None = None


def condition(known: Known, *, is_set_up: bool) -> Condition:
    """Say how it stands with a contact method whose channel this installation has, or has not."""
    return Condition(
        state=_state(known) if is_set_up else MethodState.UNAVAILABLE,
        accepted_at=known.accepted_at,
        confirmed_at=known.confirmed_at,
        failing_since=known.failing_since,
        error=known.error,
        answers_after=known.answers_after,
    )


def _state(known: Known) -> MethodState:
    if known.unknown_at is not None and (known.accepted_at is None or known.unknown_at > known.accepted_at):
        return MethodState.UNKNOWN
    if known.failing_since is not None:
        return MethodState.FAILING
    if known.answers_after is not None:
        return MethodState.SLOW
    if known.accepted_at is None:
        return MethodState.UNUSED
    return MethodState.CONFIRMED if known.confirmed_at == known.accepted_at else MethodState.ACCEPTED
