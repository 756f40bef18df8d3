"""What may happen to an alert in each of its states, and what it stamps. No clock, no database, no logging.

People change one alert at a time, as a row that they hold; signals change thousands at once, by statements that are
written from the same tables (`statements`). So a state, a way or a stamp is told of here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from tocsin.alerts.model import Alert, AlertStatus
from tocsin.kit.errors import Conflict
from tocsin.oncall.model import RunState

TRIGGERED, ACKNOWLEDGED, RESOLVED = AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED, AlertStatus.RESOLVED


class Act(StrEnum):
    """What can happen to an alert, whoever does it."""

    # Its source says that the problem is still there.
    REPEAT = "repeat"
    ACKNOWLEDGE = "acknowledge"
    # It is given back, by whoever has it or because nothing has happened for long, and is routed anew.
    GIVE_BACK = "give_back"
    RESOLVE = "resolve"
    # A policy asks people for it: it is new, it came back, or it got worse.
    PAGE = "page"
    # The next step of its escalation is asked for now.
    ESCALATE = "escalate"


class By(StrEnum):
    """Whose act it is: a signal of its source, which many come with, or somebody's, Tocsin's own included."""

    SIGNAL = "signal"
    HAND = "hand"


BY: Mapping[Act, frozenset[By]] = {
    Act.REPEAT: frozenset({By.SIGNAL}),
    Act.ACKNOWLEDGE: frozenset(By),
    Act.GIVE_BACK: frozenset({By.HAND}),
    Act.RESOLVE: frozenset(By),
    Act.PAGE: frozenset(By),
    Act.ESCALATE: frozenset({By.HAND}),
}

# For each act, the states in which it may happen, and the one that follows. What is resolved stays so: the same key
# opens a new alert afterwards. Where an act finds what it would bring about, it changes nothing.
_AFTER: Mapping[Act, Mapping[AlertStatus, AlertStatus]] = {
    Act.REPEAT: {TRIGGERED: TRIGGERED, ACKNOWLEDGED: ACKNOWLEDGED},
    Act.ACKNOWLEDGE: {TRIGGERED: ACKNOWLEDGED, ACKNOWLEDGED: ACKNOWLEDGED},
    Act.GIVE_BACK: {TRIGGERED: TRIGGERED, ACKNOWLEDGED: TRIGGERED},
    Act.RESOLVE: {TRIGGERED: RESOLVED, ACKNOWLEDGED: RESOLVED, RESOLVED: RESOLVED},
    Act.PAGE: {TRIGGERED: TRIGGERED},
    # What runs for an acknowledged alert is a reminder to its owner, and that goes no further.
    Act.ESCALATE: {TRIGGERED: TRIGGERED},
}


class Stamp(StrEnum):
    """What a move writes into a column: its instant, who acts by name or by account, or nothing."""

    NOW = "now"
    NAME = "name"
    PERSON = "person"
    NOTHING = "nothing"


# What each move writes beside the status and `updated_at`; every other column stays as it is.
STAMPS: Mapping[Act, Mapping[str, Stamp]] = {
    Act.ACKNOWLEDGE: {
        "acknowledged_at": Stamp.NOW,
        "acknowledged_by": Stamp.NAME,
        "acknowledged_by_id": Stamp.PERSON,
        "reminded_at": Stamp.NOTHING,
    },
    Act.GIVE_BACK: {
        "acknowledged_at": Stamp.NOTHING,
        "acknowledged_by": Stamp.NOTHING,
        "acknowledged_by_id": Stamp.NOTHING,
        "reminded_at": Stamp.NOTHING,
        "routed_at": Stamp.NOTHING,
        "route_id": Stamp.NOTHING,
        # Whoever gives it back wants it paged, however soon it came again.
        "held_until": Stamp.NOW,
    },
    Act.RESOLVE: {"resolved_at": Stamp.NOW, "resolved_by": Stamp.NAME},
}

# What becomes of an escalation that is going on for an alert when the alert moves.
RUNS_END: Mapping[Act, RunState] = {
    Act.ACKNOWLEDGE: RunState.ANSWERED,
    Act.GIVE_BACK: RunState.CANCELLED,
    Act.RESOLVE: RunState.CANCELLED,
}


def after(status: AlertStatus, act: Act) -> AlertStatus | None:
    """Say what an alert is after this act; None when it cannot happen then."""
    return _AFTER[act].get(status)


def moved_by(act: Act) -> tuple[AlertStatus, ...]:
    """Return the states that this act leads out of."""
    return tuple(status for status, to in _AFTER[act].items() if to is not status)


def brings(act: Act) -> AlertStatus:
    """Return the one state that this act leads to, wherever it leads out of."""
    (to,) = {_AFTER[act][status] for status in moved_by(act)}
    return to


def may(status: str, act: Act) -> bool:
    """Say whether this can happen to an alert of this status."""
    return after(AlertStatus(status), act) is not None


def must(alert: Alert, act: Act) -> None:
    """Raise `Conflict` where this cannot happen to the alert now."""
    if not may(alert.status, act):
        raise cannot(act)


def cannot(act: Act) -> Conflict:
    """Say why this does not happen now."""
    code, words = _CANNOT[act]
    return Conflict(words, code=code)


def move(alert: Alert, act: Act, *, at: datetime, name: str = "", person_id: UUID | None = None) -> bool:
    """Let it happen, and stamp it; returns whether anything changed. Raises `Conflict` where it cannot."""
    must(alert, act)
    to = _AFTER[act][AlertStatus(alert.status)]
    if to == alert.status:
        return False
    alert.status, alert.updated_at = to, at
    values = {Stamp.NOW: at, Stamp.NAME: name, Stamp.PERSON: person_id, Stamp.NOTHING: None}
    for column, stamp in STAMPS[act].items():
        setattr(alert, column, values[stamp])
    return True


# What people are told who want what cannot happen. What signals want then is passed over.
_CANNOT: Mapping[Act, tuple[str, str]] = {
    Act.ACKNOWLEDGE: ("alert.resolved", "This alert is resolved, so there is nothing left to acknowledge."),
    Act.GIVE_BACK: ("alert.resolved", "This alert is resolved."),
    Act.ESCALATE: ("alert.not_escalating", "Nobody is being paged for this alert now."),
}
