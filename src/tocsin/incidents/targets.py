"""How fast incidents of a severity are to be answered, told of, mitigated and resolved, and how one stands to it. Pure.

A target is so many minutes: from the beginning of the round (declared, or reopened) until the stage is reached, and
for updates from one to the next. It is near when four fifths of the time are over, and missed when all of it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tocsin.incidents import lifecycle
from tocsin.incidents.model import Incident, ResponseTarget, Status

# What is left when a target is near, as a part of its whole time.
_NEAR = 5
LONGEST = 60 * 24 * 90


class Goal(StrEnum):
    """What a target is about, in this order."""

    ACKNOWLEDGE = "acknowledge"
    UPDATE = "update"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"


class ClockState(StrEnum):
    """How it stands: met and missed are the end of it, except that the next update can be due again."""

    RUNNING = "running"
    NEAR = "near"
    OVERDUE = "overdue"
    MET = "met"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Clock:
    """One target of an incident: when it is due, when it was reached, if it was, and how it stands."""

    goal: Goal
    minutes: int
    due_at: datetime
    met_at: datetime | None
    state: ClockState


def clocks(
    incident: Incident, target: ResponseTarget | None, updated_at: datetime | None, now: datetime
) -> list[Clock]:
    """Return how a round of an incident stands to the targets of its severity; none of one that was cancelled.

    `updated_at` is when people last said something of it. Once it is over, no update is due any more.
    """
    if target is None or incident.status == Status.CANCELLED:
        return []
    begins = incident.reopened_at or incident.declared_at
    found: list[Clock] = []
    for goal, minutes in goals(target).items():
        if minutes is None:
            continue
        whole = timedelta(minutes=minutes)
        if goal is Goal.UPDATE:
            if not lifecycle.is_open(incident):
                continue
            since = max(begins, updated_at or begins)
            found.append(_clock(goal, minutes, since + whole, None, now))
        else:
            found.append(_clock(goal, minutes, begins + whole, _MET[goal](incident), now))
    return found


def goals(target: ResponseTarget) -> Mapping[Goal, int | None]:
    """Return the minutes of each target; None where there is none."""
    return {goal: getattr(target, f"{goal}_minutes") for goal in Goal}


def _clock(goal: Goal, minutes: int, due_at: datetime, met_at: datetime | None, now: datetime) -> Clock:
    if met_at is not None:
        state = ClockState.MET if met_at <= due_at else ClockState.MISSED
    elif now >= due_at:
        state = ClockState.OVERDUE
    elif now >= due_at - timedelta(minutes=minutes) / _NEAR:
        state = ClockState.NEAR
    else:
        state = ClockState.RUNNING
    return Clock(goal, minutes, due_at, met_at, state)


def _mitigated(incident: Incident) -> datetime | None:
    ends = [at for at in (incident.mitigated_at, incident.resolved_at, incident.closed_at) if at is not None]
    return min(ends, default=None)


_MET: Mapping[Goal, Callable[[Incident], datetime | None]] = {
    # Who ended it without anybody having taken it on has answered by that.
    Goal.ACKNOWLEDGE: lambda incident: incident.acknowledged_at,
    Goal.MITIGATE: _mitigated,
    Goal.RESOLVE: lambda incident: incident.resolved_at or incident.closed_at,
}
