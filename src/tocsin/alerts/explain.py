"""Why somebody was paged for an alert, or why nobody was: the record of it, told in order and in one sentence.

Pure; reads what the log holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.events.log import LoggedEvent
from tocsin.events.words import Line, describe


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: datetime
    name: str
    actor: str
    line: Line


@dataclass(frozen=True, slots=True)
class Explanation:
    """The sentence and the steps behind it, the oldest first."""

    summary: str
    steps: tuple[Step, ...]


def explain(events: Sequence[LoggedEvent]) -> Explanation:
    """Tell what happened; `events` are those of one alert, the oldest first."""
    steps = tuple(Step(e.at, e.name, e.actor_name, describe(e.name, e.actor_name, e.data)) for e in events)
    return Explanation(_summary(_since_given_back(events)), steps)


def _since_given_back(events: Sequence[LoggedEvent]) -> Sequence[LoggedEvent]:
    """Leave out what no longer counts: an alert that was given back is as open as on its first day."""
    again = [place for place, event in enumerate(events) if event.name == "alert.unacknowledged"]
    return events[again[-1] + 1 :] if again else events


def _summary(events: Sequence[LoggedEvent]) -> str:
    paged = [event for event in events if event.name == "page.started"]
    if not paged:
        return _why_nobody(events)
    names = _listed(list(dict.fromkeys(str(event.data.get("user_name", "")) for event in paged)))
    return f"{names} {'was' if ' and ' not in names else 'were'} paged{_outcome(events, paged[0].at)}"


def _outcome(events: Sequence[LoggedEvent], began: datetime) -> str:
    answered = _first(events, "page.acknowledged", "alert.acknowledged")
    resolved = _last(events, "alert.resolved")
    exhausted = _last(events, "escalation.exhausted")
    if answered is not None:
        who = str(answered.data.get("user_name") or answered.actor_name)
        return f", and {who} answered after {_spoken(answered.at - began)}."
    if resolved is not None:
        return f", and nobody had answered when {resolved.actor_name} resolved the alert."
    if exhausted is not None:
        return f", and nobody answered: {_clause(str(exhausted.data.get('reason', '')))}"
    return "; nobody has answered yet."


def _why_nobody(events: Sequence[LoggedEvent]) -> str:
    not_routed = _last(events, "alert.not_routed")
    exhausted = _last(events, "escalation.exhausted")
    routed = _last(events, "alert.routed")
    if exhausted is not None:
        return f"Nobody was paged because {_clause(str(exhausted.data.get('reason', '')))}"
    if routed is not None and not routed.data.get("policy_name"):
        return f"Nobody was paged because the route “{routed.data.get('route_name', '')}” only records alerts."
    if routed is not None:
        before = _last(events, "alert.resolved", "alert.acknowledged")
        done = f"{before.actor_name} had {before.name.partition('.')[2]} the alert before" if before else "it had ended"
        return f"Nobody was paged because {done}."
    if not_routed is not None:
        reason = str(not_routed.data.get("reason", ""))
        return f"Nobody was paged because {_clause(reason)}"
    if (resolved := _last(events, "alert.resolved")) is not None:
        return f"Nobody was paged because {resolved.actor_name} resolved the alert before it was routed."
    return "Nobody was paged because the alert has not been routed yet."


def _first(events: Iterable[LoggedEvent], *names: str) -> LoggedEvent | None:
    return next((event for event in events if event.name in names), None)


def _last(events: Sequence[LoggedEvent], *names: str) -> LoggedEvent | None:
    return _first(reversed(events), *names)


def _clause(sentence: str) -> str:
    """Fit a sentence behind “because”: a first word of its own keeps its capital only when it is a name."""
    text = sentence.strip()
    if not text:
        return "no reason was recorded."
    head = text.partition(" ")[0]
    if head in _PLAIN_WORDS:
        text = text[0].lower() + text[1:]
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


_PLAIN_WORDS = frozenset({"All", "An", "Every", "Its", "It", "No", "Nobody", "The", "There", "This", "Step"})


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _spoken(time: timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
