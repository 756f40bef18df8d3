"""What can happen to an alert, and how it reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from tocsin.events import vocabulary
from tocsin.events.base import Change, Event
from tocsin.events.facts import RouteTook, Why
from tocsin.events.lines import TITLE, By, Line, Reasons, Words, acknowledged, changed, fields, sentences, time
from tocsin.events.reasons import because, passed_over, said, too_late
from tocsin.kit.text import spoken, truncate


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
    no longer “triggered”, nobody is paged whatever the route says. Only 0.1.0 has written a `reason`.
    """

    name: ClassVar[str] = "alert.routed"
    route_id: UUID
    route_name: str
    policy_id: UUID | None
    policy_name: str
    reason: str = ""
    match: str = ""
    passed_over: tuple[str, ...] = ()
    alert_status: str = "triggered"


class AlertNotRouted(Event, frozen=True, kw_only=True):
    """No route held: nobody was paged, and `why` says what was tried; 0.1.0 wrote a sentence into `reason`."""

    name: ClassVar[str] = "alert.not_routed"
    reason: str = ""
    why: Why | None = None


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
    """Somebody took it on; its escalation has ended. `reason` is what they wrote, as in what follows."""

    name: ClassVar[str] = "alert.acknowledged"
    reason: str = ""
    why: Why | None = None


class AlertUnacknowledged(Event, frozen=True, kw_only=True):
    """Whoever had it gave it back; it is triggered again."""

    name: ClassVar[str] = "alert.unacknowledged"
    reason: str = ""
    why: Why | None = None


class AlertReminded(Event, frozen=True, kw_only=True):
    """Nothing has happened since it was acknowledged, so its owner is asked whether they are still on it."""

    name: ClassVar[str] = "alert.reminded"
    user_id: UUID
    user_name: str
    reason: str = ""
    why: Why | None = None


class AlertResolved(Event, frozen=True, kw_only=True):
    """It is over. Final: the same key afterwards opens a new alert."""

    name: ClassVar[str] = "alert.resolved"
    reason: str = ""
    why: Why | None = None
    # RFC 3339; when it was over by its source's own time, where the reason speaks of that.
    over_at: str = ""


def _triggered(event: AlertTriggered, _: By) -> Line:
    native = f" (“{event.native_severity}” at the source)" if event.native_severity else ""
    detail = f"{vocabulary.severity(event.severity)}{native}, {event.urgency} urgency"
    return Line("bell", f"{event.source_name} triggered “{truncate(event.title, TITLE)}”", "red", "system", detail)


def _updated(event: AlertUpdated, by: By) -> Line:
    return Line("pencil", f"{by.name} changed {fields(event.changes)}", "slate", "system", changed(event.changes))


def _routed(event: AlertRouted, _: By) -> Line:
    detail = _why_this_route(event)
    if not event.policy_name:
        text = f"Nobody was paged because the route “{event.route_name}” only records alerts"
    elif event.alert_status == "triggered":
        text = f"The route “{event.route_name}” pages {event.policy_name}"
    else:
        text = f"The route “{event.route_name}” would have paged {event.policy_name}"
        detail = sentences(detail, too_late(event.alert_status))
    return Line("route", text, "slate", "system", detail)


def _why_this_route(event: AlertRouted) -> str:
    """Say it behind the name of the route, and what else there is to know in the text of the line."""
    match event.match:
        case "first":
            took = "It is the first route that matched."
        case "catch_all":
            took = "No other route matched."
        case _:
            return event.reason
    return sentences(took, passed_over(event.passed_over))


def _reason_of_route(event: AlertRouted) -> str:
    took = said(RouteTook(event.route_name, event.match, event.passed_over))
    if event.policy_id is None:
        return f"{took} It pages nobody; the alert is only recorded."
    return took if event.alert_status == "triggered" else f"{took} {too_late(event.alert_status)}"


def _not_routed(event: AlertNotRouted, _: By) -> Line:
    return Line("triangle-alert", "Nobody was paged", "red", "system", because(event))


def _held(event: AlertHeld, _: By) -> Line:
    over_for, hold_down = timedelta(seconds=event.over_for), timedelta(minutes=event.hold_down_minutes)
    last = vocabulary.called_alert(event.last_number)
    detail = (
        f"{last} had been over for {spoken(over_for)}, and the source holds back what comes again within "
        f"{spoken(hold_down)}. If it is still open then, it is routed and pages."
    )
    return Line("bell-off", "Held back, as it came again so soon", "slate", "system", detail)


def _acknowledged(event: AlertAcknowledged, by: By) -> Line:
    return acknowledged(by.name, "the alert", "change", because(event))


def _unacknowledged(event: AlertUnacknowledged, by: By) -> Line:
    return Line("rotate-ccw", f"{by.name} gave the alert back", "amber", "change", because(event))


def _reminded(event: AlertReminded, _: By) -> Line:
    text = f"{event.user_name} was reminded of the alert"
    return Line("clock", text, "amber", "page", because(event))


def _resolved(event: AlertResolved, by: By) -> Line:
    at = f" at {time(event.over_at, by.zone)}" if event.over_at else ""
    detail = f"{because(event)}{at}"
    return Line("circle-check", f"{by.name} resolved the alert", "green", "change", detail)


WORDS: Words = {
    AlertTriggered: _triggered,
    AlertUpdated: _updated,
    AlertRouted: _routed,
    AlertNotRouted: _not_routed,
    AlertHeld: _held,
    AlertAcknowledged: _acknowledged,
    AlertUnacknowledged: _unacknowledged,
    AlertReminded: _reminded,
    AlertResolved: _resolved,
}
REASONS: Reasons = {AlertRouted: _reason_of_route}
