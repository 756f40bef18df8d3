"""Long texts that belong to an incident: reading, writing, editing and deleting them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from tocsin.api.base.body import Body, writes
from tocsin.api.base.http import Time
from tocsin.api.base.resource import IF_MATCH, AskedBy, Order, Resource, plainly
from tocsin.api.shapes.actors import ActorOut, write_who
from tocsin.api.shapes.refs import INCIDENT
from tocsin.db.engine import Tx
from tocsin.edge.cursors import read_place, read_position
from tocsin.identity.access import Access, P
from tocsin.incidents import note_queries
from tocsin.incidents.note_model import NOTE_ID, NoteRevision
from tocsin.incidents.note_queries import WrittenNote
from tocsin.incidents.service import notes
from tocsin.incidents.service.notes import NoteChanges
from tocsin.kit.clock import stamp


class NoteOut(msgspec.Struct):
    """A note as it reads now (Markdown), who began it, and who wrote what it says now."""

    id: str
    title: str
    body: str
    created_at: Time
    author: ActorOut
    edited_at: Time
    edited_by: ActorOut
    version: int


class NoteRevisionOut(msgspec.Struct):
    """One text that a note had (Markdown), who wrote it and when. The largest number is what it says now."""

    revision: int
    at: Time
    author: ActorOut
    title: str
    body: str


@writes(NoteChanges, require=["title", "body"])
class AddNote(Body, kw_only=True):
    """A title, and what the note says (Markdown)."""

    example: ClassVar[Mapping[str, Any]] = {"title": "Handover to Asia", "body": "## Where we are\n\nReads are back."}


@writes(NoteChanges)
class EditNote(Body, kw_only=True):
    """What the note says from now on."""

    example: ClassVar[Mapping[str, Any]] = {"body": "## Where we are\n\nReads and writes are back."}


def _write(written: WrittenNote) -> NoteOut:
    note, text = written.note, written.text
    return NoteOut(
        id=NOTE_ID.write(note.id),
        title=text.title,
        body=text.body,
        created_at=stamp(note.created_at),
        author=write_who(note.author_kind, note.author_id, note.author_name),
        edited_at=stamp(text.written_at),
        edited_by=write_who(text.author_kind, text.author_id, text.author_name),
        version=note.version,
    )


def _write_revision(text: NoteRevision) -> NoteRevisionOut:
    author = write_who(text.author_kind, text.author_id, text.author_name)
    return NoteRevisionOut(text.number, stamp(text.written_at), author, text.title, text.body)


async def _one(tx: Tx, access: Access, ref: str, id: UUID) -> WrittenNote:
    _, found = await note_queries.note(tx, access, ref, id)
    return found


NOTES = Resource(
    "/incidents/{id:str}/notes",
    NOTE_ID,
    NoteOut,
    plainly(_write),
    view=P.INCIDENT_VIEW,
    manage=P.INCIDENT_COMMENT,
    tag="incidents",
    order=Order(attrgetter("note.id"), lambda cursor: read_place(cursor, UUID)),
    below=INCIDENT,
    item="note_id",
)
ROUTER = NOTES.router(
    NOTES.list(note_queries.notes, "List the notes of an incident in the order in which they were begun."),
    NOTES.create(
        AddNote, notes.add_note, "Write a note, at most 100; also when the incident is over.", name="add_note"
    ),
    NOTES.get(_one, "Show one note."),
    NOTES.edit(
        EditNote,
        NoteChanges,
        notes.edit_note,
        "Let a note say something else: its author, and whoever may edit the incident. What it said before is kept.",
    ),
    NOTES.delete(
        notes.delete_note,
        "Take out for good what a note says and said before; the record keeps its title.",
        asks=IF_MATCH,
    ),
    NOTES.list_of(
        "revisions",
        AskedBy(notes.read_note_revisions),
        NoteRevisionOut,
        plainly(_write_revision),
        "List every text that a note had, the newest first: for its author, and for whoever may edit the incident.",
        name="list_note_revisions",
        order=Order(attrgetter("number"), read_position, to="before"),
    ),
)
