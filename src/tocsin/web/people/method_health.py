"""How it stands with a contact method, as its person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tocsin.notifications.health import Condition, MethodState

_SAID: Mapping[MethodState, tuple[str, str, str]] = {
    MethodState.UNAVAILABLE: ("red", "h-fail", "This installation cannot send on this channel: it is not set up"),
    MethodState.UNUSED: ("slate", "h-unknown", "Nothing has been sent to it yet"),
    MethodState.ACCEPTED: ("green", "h-ok", "Works: handed over; whether it arrived is not reported"),
    MethodState.CONFIRMED: ("green", "h-ok", "Works: its receiver said that it arrived"),
    MethodState.SLOW: ("amber", "h-warn", "Works, but answers late"),
    MethodState.FAILING: ("red", "h-fail", "Fails"),
    MethodState.UNKNOWN: ("amber", "h-warn", "Whether the last message arrived is not known"),
}


@dataclass(frozen=True, slots=True)
class HealthView:
    """One line: a hue and a sign, what is so, since when or when last, and what the other side said."""

    hue: str
    glyph: str
    words: str
    when: str
    at: datetime | None
    error: str


def read_health(known: Condition) -> HealthView:
    """Put it into words."""
    hue, glyph, words = _SAID[known.state]
    if known.state is MethodState.SLOW and known.answers_after is not None:
        words = f"Works, but answered only after {known.answers_after} s"
    if known.state is MethodState.FAILING:
        return HealthView(hue, glyph, words, "since", known.failing_since, known.error or "")
    return HealthView(hue, glyph, words, "last", known.accepted_at, "")
