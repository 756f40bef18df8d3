"""Why somebody was paged for an alert, or why nobody was: the record of it, told in order and in one sentence.

Pure; reads what the log holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from tocsin.alerts.headline import summary
from tocsin.events.facts import paged_by
from tocsin.events.lines import Line
from tocsin.events.log import Chain, LoggedEvent
from tocsin.events.reasons import said
from tocsin.events.words import describe, failed_often
from tocsin.kit.text import spoken


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `is_said` when another step says the same in better words.

    The failed attempts of one message are one step: so many `times`, until `last_at`.
    """

    at: datetime
    name: str
    actor: str
    line: Line
    is_said: bool = False
    times: int = 1
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The sentence and the steps behind it, the oldest first; each of them says its reason once.

    Of a very long story, `left_out` events between its beginning and its end are not told; a step says so there.
    """

    summary: str
    steps: tuple[Entry, ...]
    left_out: int = 0

    @property
    def told(self) -> list[Entry]:
        """Return the steps that say something new: one act is often several events."""
        return [step for step in self.steps if not step.is_said]


# What says how an alert stands is told however long its story is.
TURNS = (
    "alert.routed",
    "alert.not_routed",
    "alert.held",
    "alert.acknowledged",
    "alert.unacknowledged",
    "alert.resolved",
    "escalation.started",
    "escalation.unreached",
    "escalation.exhausted",
    "page.acknowledged",
    "page.sent",
    "page.delivered",
)
LEFT_OUT = "left_out"
_ATTEMPT_FAILED = "page.attempt_failed"


def explain(chain: Chain, zone: tzinfo = UTC) -> Explanation:
    """Tell what happened to one alert. Times in it are told in this zone."""
    return Explanation(summary(chain.events), tuple(_entries(chain, zone)), chain.left_out)


def _entries(chain: Chain, zone: tzinfo) -> Iterable[Entry]:
    # One use case is one transaction, and all its events have the same time.
    acts: dict[datetime, list[LoggedEvent]] = {}
    for event in chain.events:
        acts.setdefault(event.at, []).append(event)
    runs = {event.data.get("run_id"): event for event in chain.events if event.name == "escalation.started"}
    attempts = _attempts(chain.events)
    for event in chain.events:
        act = acts[event.at]
        failed = attempts.get(event.data.get("delivery_id"), []) if event.name == _ATTEMPT_FAILED else []
        if len(failed) < 2:
            line = _line(event, act, runs.get(event.data.get("run_id")), zone)
            yield Entry(event.at, event.name, event.actor_name, line, _is_said(event, act, line))
        elif event is failed[0]:
            yield _folded(failed)
        if chain.left_out and event.position == chain.after:
            yield _gap(chain.left_out, event.at)


def _attempts(events: Iterable[LoggedEvent]) -> Mapping[object, list[LoggedEvent]]:
    """Return the failed attempts of each message."""
    found: dict[object, list[LoggedEvent]] = {}
    for event in events:
        if event.name == _ATTEMPT_FAILED:
            found.setdefault(event.data.get("delivery_id"), []).append(event)
    return found


def _folded(failed: Sequence[LoggedEvent]) -> Entry:
    """Tell the failed attempts of one message in one step, with what the other side said last."""
    first, last = failed[0], failed[-1]
    # Not every attempt stands in the record, but all between two that failed did.
    times = max(len(failed), int(last.data.get("attempt", 0)) - int(first.data.get("attempt", 0)) + 1)
    line = failed_often(last.data, times=times, within=spoken(last.at - first.at))
    return Entry(first.at, first.name, first.actor_name, line, times=times, last_at=last.at)


def _gap(left_out: int, at: datetime) -> Entry:
    text = "One event after this is left out" if left_out == 1 else f"{left_out:,} events after this are left out"
    detail = "What happened to the alert itself is told below all the same, and so is the end of the story."
    return Entry(at, LEFT_OUT, "", Line("circle-dot", text, "slate", "system", detail))


def _line(event: LoggedEvent, act: Sequence[LoggedEvent], run: LoggedEvent | None, zone: tzinfo) -> Line:
    """Leave out of a line what its reader knows already: what the alert is, and what has been said before.

    `run` is the beginning of the escalation that the event belongs to.
    """
    data = event.data
    if event.name == "page.started" and run is not None:
        # The reason is written for the person who gets the page. An alert pages by a policy, or the last resort.
        policy, step, round = str(run.data.get("policy_name", "")), data.get("step", 0), data.get("round", 0)
        direct, fallback = bool(data.get("is_direct")), bool(data.get("is_fallback"))
        data = {**data, "reason": said(paged_by(policy, step=step, round=round, direct=direct, fallback=fallback))}
    line = describe(event.name, event.actor_name, data, zone)
    detail = line.detail
    match event.name:
        case "alert.routed" if not data.get("policy_name"):
            line = replace(line, text=f"The route “{data.get('route_name', '')}” only records alerts")
        case "escalation.started" if _is_routed(act):
            detail = ""
        case "escalation.ended" if _names(act) & _ENDINGS:
            detail = ""
        case "alert.acknowledged" if "incident.declared" in _names(act):
            detail = ""
        case "incident.declared":
            detail = ""
        case _:
            pass
    return replace(line, detail=detail)


# What ends an escalation says itself that it is over.
_ENDINGS = frozenset({"alert.acknowledged", "alert.resolved", "page.acknowledged"})


def _is_said(event: LoggedEvent, act: Sequence[LoggedEvent], line: Line) -> bool:
    match event.name:
        case "escalation.started":
            return _is_routed(act) or "alert.reminded" in _names(act)
        case "escalation.ended":
            return bool(_names(act) & _ENDINGS)
        case "incident.alert_linked":
            return "incident.declared" in _names(act)
        case "page.acknowledged":
            return not event.data.get("channel") and _also(act, "alert.acknowledged", event)
        case "alert.acknowledged":
            by_channel = [other for other in act if other.data.get("channel")]
            return not line.detail and _also(by_channel, "page.acknowledged", event)
        case _:
            return False


def _is_routed(act: Iterable[LoggedEvent]) -> bool:
    """Say whether a route began what the act began: its line names the policy and the reason."""
    return "alert.routed" in _names(act)


def _names(act: Iterable[LoggedEvent]) -> set[str]:
    return {event.name for event in act}


def _also(act: Iterable[LoggedEvent], name: str, event: LoggedEvent) -> bool:
    return any(other.name == name and other.actor_name == event.actor_name for other in act)
