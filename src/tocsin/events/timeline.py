"""What people and the clock add to the story of an incident: key events, marks and response targets; how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Event
from tocsin.events.lines import By, Line, Words, time


class KeyEventAdded(Event, frozen=True, kw_only=True):
    """Somebody wrote a milestone into the timeline. Its text is kept, edited and erased as that of a comment is.

    `occurred_at` is when it happened, as it was said at first; empty: when it was written.
    """

    name: ClassVar[str] = "incident.key_event_added"
    is_key: ClassVar[bool] = True
    comment_id: UUID
    revision: int = 1
    occurred_at: str = ""


class KeyEventMoved(Event, frozen=True, kw_only=True):
    """Its author set right when a key event or a comment happened; empty: when it was written."""

    name: ClassVar[str] = "incident.key_event_moved"
    comment_id: UUID
    old: str
    new: str


class EntryMarked(Event, frozen=True, kw_only=True):
    """Somebody said of an entry of the record that it is a key event, or (`leads` false) that it is none."""

    name: ClassVar[str] = "incident.entry_marked"
    event_id: UUID
    leads: bool


class TargetNear(Event, frozen=True, kw_only=True):
    """Of the time that is meant for a stage, or until the next update, a fifth is left."""

    name: ClassVar[str] = "incident.target_near"
    goal: str
    due_at: str


class TargetMissed(Event, frozen=True, kw_only=True):
    """The time that is meant for a stage, or until the next update, is over."""

    name: ClassVar[str] = "incident.target_missed"
    is_key: ClassVar[bool] = True
    goal: str
    due_at: str


_GOALS: Mapping[str, str] = {
    "acknowledge": "to acknowledge it",
    "update": "for the next update",
    "mitigate": "to mitigate it",
    "resolve": "to resolve it",
}


def _key_event_added(_event: KeyEventAdded, by: By) -> Line:
    return Line("flag", f"{by.name} added a key event", "violet", "comment")


def _key_event_moved(event: KeyEventMoved, by: By) -> Line:
    old, new = (time(at, by.zone) if at else "when it was written" for at in (event.old, event.new))
    return Line("clock", f"{by.name} changed when a key event happened", "slate", "change", f"{old} → {new}")


def _entry_marked(event: EntryMarked, by: By) -> Line:
    what = "marked an entry as a key event" if event.leads else "took the mark of a key event from an entry"
    return Line("flag", f"{by.name} {what}", "slate", "system")


def _target_near(event: TargetNear, by: By) -> Line:
    text = f"The time {_GOALS.get(event.goal, event.goal)} ends at {time(event.due_at, by.zone)}"
    return Line("timer", text, "amber", "system")


def _target_missed(event: TargetMissed, by: By) -> Line:
    text = f"The time {_GOALS.get(event.goal, event.goal)} was over at {time(event.due_at, by.zone)}"
    return Line("timer", text, "red", "system")


WORDS: Words = {
    KeyEventAdded: _key_event_added,
    KeyEventMoved: _key_event_moved,
    EntryMarked: _entry_marked,
    TargetNear: _target_near,
    TargetMissed: _target_missed,
}
