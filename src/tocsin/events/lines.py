"""What the words of every area are made of: the line of a timeline, and the phrases that several of them have. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal

from tocsin.events import vocabulary
from tocsin.events.base import Change, Event
from tocsin.events.vocabulary import Tone

Kind = Literal["comment", "change", "page", "system"]
# A source may send a title of a thousand characters; a line of a timeline names it.
TITLE = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline: a Lucide icon, a sentence with the names in it, a hue, and what stands below it.

    `object` is the end of the sentence where it says the same of several things in one act: “the alert”.
    """

    icon: str
    text: str
    tone: Tone
    kind: Kind
    detail: str = ""
    object: str = ""


@dataclass(frozen=True, slots=True)
class By:
    """Who did it, and the zone in which times are told."""

    name: str
    zone: tzinfo


# How each kind of event reads, and of those whose own fields are the facts, what is said for `reason`.
Words = Mapping[type[Event], Callable[[Any, By], Line]]
Reasons = Mapping[type[Event], Callable[[Any], str]]

_FIELDS: Mapping[str, str] = {
    "started_at": "start",
    "detected_at": "time of detection",
    "identified_at": "time of identification",
    "mitigated_at": "time of mitigation",
    "native_severity": "source’s word for it",
    "resolution_note": "resolution note",
    "is_private": "privacy",
    "is_active": "account’s state",
    "is_enabled": "switch",
    "is_catch_all": "catch-all",
    "escalation_policy_id": "policy",
    "close_after_hours": "time after which alerts are closed",
    "hold_down_minutes": "time for which alerts are held back",
    "remind_after_hours": "time to a reminder",
    "give_back_after_hours": "time after which alerts are given back",
}


def sentences(*parts: str) -> str:
    """Put parts that may be empty one after the other, with a full stop between them."""
    told = [part for part in parts if part]
    ended = [part if part.endswith((".", ":", "?", "!")) else f"{part}." for part in told[:-1]]
    return " ".join([*ended, *told[-1:]])


def listed(words: Sequence[str]) -> str:
    """Write `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def plain(word: str) -> str:
    """Spell out a word of the record."""
    return word.replace("_", " ")


def acknowledged(name: str, what: str, kind: Kind, detail: str = "") -> Line:
    """Say that somebody acknowledged something."""
    return Line("check", f"{name} acknowledged {what}", "green", kind, detail, what)


def whose(name: str) -> str:
    """Write a name as an owner’s."""
    return f"{name}’" if name.endswith("s") else f"{name}’s"


def channel(kind: str) -> str:
    """Name a channel at the beginning of a sentence."""
    if kind == "console":
        return "The page on the console"
    word = vocabulary.channel(kind)[0] or "message"
    return f"The {word}" if word == "message" else word[0].upper() + word[1:]


def by_channels(kinds: Iterable[str]) -> str:
    """Say ` by e-mail and webhook`; nothing without a channel."""
    words = [vocabulary.channel(kind)[0] for kind in dict.fromkeys(kinds)]
    return f" by {listed(words)}" if words else ""


def field(name: str) -> str:
    """Call a field of the record as people do."""
    return _FIELDS.get(name) or plain(name.removeprefix("fields/"))


def fields(changes: Sequence[Change]) -> str:
    """Name the fields that have changed."""
    names = [f"“{change.called}”" if change.called else f"the {field(change.field)}" for change in changes]
    return listed(names) if names else "nothing"


def changed(changes: Sequence[Change]) -> str:
    """Say what was before and what is now, a field a line."""
    return "\n".join(f"{c.called or field(c.field)}: {_value(c.old)} → {_value(c.new)}" for c in changes)


def given(changes: Sequence[Change]) -> str:
    """Say what something began with, a field a line."""
    return "\n".join(f"{c.called or field(c.field)}: {_value(c.new)}" for c in changes)


def _value(value: str | None) -> str:
    return "none" if value is None else value or "empty"


def time(kept: str | None, zone: tzinfo) -> str | None:
    """Write `21 Nov 2026, 14:32 CET`, with the seconds when there are any; what is no time stays as it is."""
    try:
        local = datetime.fromisoformat(kept or "").astimezone(zone)
    except ValueError:
        return kept
    seconds = f":{local:%S}" if local.second else ""
    return f"{local.day} {local:%b %Y, %H:%M}{seconds} {local:%Z}"
