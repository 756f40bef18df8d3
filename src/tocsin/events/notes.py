"""What can happen to the notes of an incident, and how it reads. What a note says is not in the log; its title is."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Event
from tocsin.events.lines import TITLE, By, Line, Words
from tocsin.kit.text import truncate


class NoteAdded(Event, frozen=True, kw_only=True):
    """Somebody wrote a note."""

    name: ClassVar[str] = "incident.note_added"
    note_id: UUID
    title: str


class NoteEdited(Event, frozen=True, kw_only=True):
    """A note says something else: its text of this number, with this title."""

    name: ClassVar[str] = "incident.note_edited"
    note_id: UUID
    title: str
    revision: int


class NoteDeleted(Event, frozen=True, kw_only=True):
    """A note of this title, with all that it said, is no longer there."""

    name: ClassVar[str] = "incident.note_deleted"
    note_id: UUID
    title: str


def _added(event: NoteAdded, by: By) -> Line:
    return Line("file-text", f"{by.name} wrote the note “{truncate(event.title, TITLE)}”", "slate", "change")


def _edited(event: NoteEdited, by: By) -> Line:
    return Line("file-text", f"{by.name} edited the note “{truncate(event.title, TITLE)}”", "slate", "change")


def _deleted(event: NoteDeleted, by: By) -> Line:
    return Line("trash-2", f"{by.name} deleted the note “{truncate(event.title, TITLE)}”", "slate", "change")


WORDS: Words = {NoteAdded: _added, NoteEdited: _edited, NoteDeleted: _deleted}
