"""What can happen to an alert."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Change, Event


class AlertTriggered(Event, frozen=True, kw_only=True):
    """The first signal for a key with no open alert. A repeat is an event only when it says something new."""

    name: ClassVar[str] = "alert.triggered"
    title: str
    severity: int
    urgency: str
    source_name: str
    native_severity: str = ""


class AlertUpdated(Event, frozen=True, kw_only=True):
    """A repeat brought another `title`, `severity` (SEV1 to SEV5), `native_severity` or `urgency`."""

    name: ClassVar[str] = "alert.updated"
    changes: list[Change]


class AlertRouted(Event, frozen=True, kw_only=True):
    """A route held and says which policy is paged; `policy_name` is empty when the route pages nobody.

    `match` is “first” or “catch_all”, `passed_over` names the routes whose condition is broken. When `alert_status` is
    no longer “triggered”, nobody is paged whatever the route says. `reason` puts all of it into sentences.
    """

    name: ClassVar[str] = "alert.routed"
    route_id: UUID
    route_name: str
    policy_id: UUID | None
    policy_name: str
    reason: str
    match: str = ""
    passed_over: tuple[str, ...] = ()
    alert_status: str = "triggered"


class AlertNotRouted(Event, frozen=True, kw_only=True):
    """No route held: nobody was paged, and `reason` says what was tried."""

    name: ClassVar[str] = "alert.not_routed"
    reason: str


class AlertHeld(Event, frozen=True, kw_only=True):
    """It came again soon after its end, and its source holds such alerts back: it is routed at `until`, if still open.

    `last_number` is the alert before it, `over_for` how many seconds that had been over.
    """

    name: ClassVar[str] = "alert.held"
    until: datetime
    last_number: int
    over_for: int
    hold_down_minutes: int


class AlertAcknowledged(Event, frozen=True, kw_only=True):
    """Somebody took it on; its escalation has ended."""

    name: ClassVar[str] = "alert.acknowledged"
    reason: str = ""


class AlertUnacknowledged(Event, frozen=True, kw_only=True):
    """Whoever had it gave it back; it is triggered again."""

    name: ClassVar[str] = "alert.unacknowledged"
    reason: str = ""


class AlertReminded(Event, frozen=True, kw_only=True):
    """Nothing has happened since it was acknowledged, so its owner is asked whether they are still on it."""

    name: ClassVar[str] = "alert.reminded"
    user_id: UUID
    user_name: str
    reason: str


class AlertResolved(Event, frozen=True, kw_only=True):
    """It is over. Final: the same key afterwards opens a new alert."""

    name: ClassVar[str] = "alert.resolved"
    reason: str = ""
    # RFC 3339; when it was over by its source's own time, where the reason speaks of that.
    over_at: str = ""
