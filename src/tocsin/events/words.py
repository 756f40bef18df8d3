"""How an event reads, for the timeline of an incident and for the panel that explains an alert. Pure; no database.

Each area exports the words of its events beside them; here they are joined. Texts are plain: whoever shows them escapes
them. What a comment says is not in the log: whoever shows one puts its present text in the place of `detail`, which is
Markdown then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any

import msgspec

from tocsin.events import (
    action_items,
    alerts,
    configuration,
    following,
    incidents,
    lines,
    notes,
    oncall,
    related_incidents,
    timeline,
)
from tocsin.events.base import BY_PAGE_LINK, ActorRef, Event
from tocsin.events.lines import By, Line, Reasons, Words
from tocsin.events.reasons import said
from tocsin.kit.text import clean

_AREAS = (action_items, alerts, configuration, following, incidents, notes, oncall, related_incidents, timeline)


def joined(areas: Iterable[Words]) -> Words:
    """Put the words of all areas together; raises `ValueError` where two of them word the same event."""
    found: dict[type[Event], Any] = {}
    for area in areas:
        if twice := found.keys() & area.keys():
            raise ValueError(f"worded twice: {', '.join(sorted(kind.name for kind in twice))}")
        found.update(area)
    return found


WORDS: Words = joined(area.WORDS for area in _AREAS)
_REASONS: Reasons = {**alerts.REASONS, **oncall.REASONS}
CLASSES: Mapping[str, type[Event]] = {kind.name: kind for kind in WORDS}
# What people wrote: each brings a comment.
COMMENTS: tuple[str, ...] = (incidents.CommentAdded.name, timeline.KeyEventAdded.name)
KEY: tuple[str, ...] = tuple(sorted(kind.name for kind in CLASSES.values() if kind.is_key))
ALL_BUT_COMMENTS: tuple[str, ...] = tuple(sorted(set(CLASSES) - set(COMMENTS)))


def describe(name: str, actor_name: str, data: Mapping[str, Any], zone: tzinfo = UTC) -> Line:
    """Say what happened in one line.

    `data` is what the log keeps of the event; times in it are told in this zone. An event that this version does not
    know, or that was written by one with other fields, still gets a line: its name, spelled out.
    """
    event = _read(name, actor_name, data)
    if event is None:
        return _unknown(name, actor_name)
    line = WORDS[type(event)](event, By(actor_name, zone))
    return replace(line, text=clean(line.text + by_what(data)))


def by_what(data: Mapping[str, Any]) -> str:
    """Say by what somebody acted who was not signed in; nothing for all others."""
    return " (by page link)" if data.get("via") == BY_PAGE_LINK else ""


def reason(name: str, data: Mapping[str, Any]) -> str:
    """Say why it happened: what a person wrote, or 0.1.0, else the fact in words. Nothing where it has no reason."""
    if written := str(data.get("reason") or ""):
        return written
    event = _read(name, "", data)
    if event is None:
        return ""
    of_kind = _REASONS.get(type(event))
    return of_kind(event) if of_kind is not None else said(getattr(event, "why", None))


def told(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of an event as others read it: `reason` is a sentence."""
    return {**data, "reason": reason(name, data)} if data.get("reason") == "" else dict(data)


def failed_often(data: Mapping[str, Any], *, times: int, within: str) -> Line:
    """Say in one line that so many attempts of one message failed; `data` is of the last `page.attempt_failed`."""
    text = f"{lines.channel(str(data.get('channel', '')))} to {data.get('user_name', '')} failed {times} times"
    return Line("triangle-alert", text, "orange", "page", f"Within {within}. Last: {data.get('error', '')}")


def says(name: str, data: Mapping[str, Any]) -> tuple[Mapping[str, str | None], Mapping[str, str | None]]:
    """Return what the record says was in the fields that it changed, where it does, and what is in them since."""
    event = _read(name, "", data)
    return (event.said(), event.says()) if event is not None else ({}, {})


def _read(name: str, actor_name: str, data: Mapping[str, Any]) -> Event | None:
    kind = CLASSES.get(name)
    if kind is None:
        return None
    actor = ActorRef(kind="", name=actor_name)
    # A fact that only a newer version knows is left out, and the rest is told.
    for known in (data, {**data, "why": None}):
        try:
            return msgspec.convert({**known, "actor": actor}, type=kind, strict=False)
        except msgspec.ValidationError:
            continue
    return None


def _unknown(name: str, actor_name: str) -> Line:
    spelled = name.replace(".", " ").replace("_", " ").strip() or "something happened"
    return Line("circle-dot", f"{actor_name}: {spelled}" if actor_name else spelled.capitalize(), "slate", "system")
