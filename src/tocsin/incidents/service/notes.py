"""Writing long texts that belong to an incident, writing them anew, and taking them out for good.

The log says that somebody wrote, edited or deleted a note of which title; what it says stands in its revisions and
nowhere else, so what is deleted is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypedDict, cast
from uuid import UUID

from msgspec import Meta

from tocsin.db.engine import Tx
from tocsin.events.log import emit
from tocsin.events.notes import NoteAdded, NoteDeleted, NoteEdited
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.identity.service import forget_answers
from tocsin.incidents import checks, note_queries, noting, queries
from tocsin.incidents.model import Incident
from tocsin.incidents.note_model import NOTE_ID, Note, NoteRevision
from tocsin.incidents.note_queries import WrittenNote
from tocsin.incidents.queries import Ref
from tocsin.kit.changes import Copy, Seen, version_of
from tocsin.kit.errors import Conflict, Invalid, NotFound
from tocsin.kit.ids import new_id
from tocsin.kit.text import clean, is_blank, storable

TITLE_LIMIT = 200
BODY_LIMIT = 50_000
MOST_NOTES = 100
# Who comes back after more texts than that is told of the newest.
_MOST_SINCE = 50


class NoteChanges(TypedDict, total=False):
    """What a note says from now on; what is not there stays as it is."""

    title: Annotated[str, Meta(max_length=TITLE_LIMIT)]
    body: Annotated[str, Meta(max_length=BODY_LIMIT, description="Markdown.")]


async def add_note(tx: Tx, who: Actor, ref: Ref, *, title: str, body: str) -> WrittenNote:
    """Write a note (title of 1 to 200 characters, Markdown of 1 to 50,000); also when the incident is over.

    Raises `Conflict` beyond 100 notes.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_COMMENT, on=incident)
    said = _checked({"title": title, "body": body})
    if await note_queries.count(tx, incident.id) >= MOST_NOTES:
        raise Conflict(f"{incident.reference} has {MOST_NOTES} notes. Delete one first.", code="incident.notes")
    note = Note(
        id=new_id(),
        incident_id=incident.id,
        author_kind=who.ref.kind,
        author_id=who.ref.id,
        author_name=who.ref.name,
        created_at=tx.now,
        version=1,
    )
    tx.session.add(note)
    text = await _say(tx, who, note, said["title"], said["body"])
    await emit(tx, NoteAdded(actor=who.ref, incident_id=incident.id, note_id=note.id, title=text.title))
    return WrittenNote(note, text)


async def edit_note(
    tx: Tx, who: Actor, ref: Ref, note_id: UUID, changes: NoteChanges, *, if_version: Copy = None
) -> WrittenNote:
    """Let a note say something else; what it said before is kept. The same text is no edit.

    Raises `Conflict` when somebody has deleted it, and `Stale` when somebody else has changed the same; see
    `noting.settled`.
    """
    incident, note = await note_queries.lock(tx, who.access.reach, ref, note_id)
    noting.must_change(who, incident, note)
    noting.must_be_there(note)
    wanted = _checked(changes)
    since = await _since(tx, note, if_version)
    title, body = noting.settled(since[0], wanted, if_version, since)
    if (title, body) == (since[0].title, since[0].body):
        return WrittenNote(note, since[0])
    note.version += 1
    text = await _say(tx, who, note, title, body)
    edited = NoteEdited(actor=who.ref, incident_id=incident.id, note_id=note.id, title=text.title, revision=text.number)
    await emit(tx, edited)
    return WrittenNote(note, text)


async def delete_note(tx: Tx, who: Actor, ref: Ref, note_id: UUID, *, if_version: Copy = None) -> None:
    """Take out all that a note says and said, for good; the record keeps its title. A second time raises `NotFound`.

    An old copy is refused only where the caller asks for an exact version.
    """
    incident, note = await note_queries.lock(tx, who.access.reach, ref, note_id)
    noting.must_change(who, incident, note)
    if note.deleted_at is not None:
        raise NotFound("There is no such note.")
    since = await _since(tx, note, if_version)
    if if_version is not None and not isinstance(if_version, Seen):
        noting.settled(since[0], {}, if_version, since)
    await note_queries.delete_revisions(tx, note)
    # The answer to whoever wrote it holds the text as well.
    await forget_answers(tx, NOTE_ID.write(note.id).partition("_")[2])
    note.version += 1
    note.deleted_at, note.deleted_by_name = tx.now, who.ref.name
    await emit(tx, NoteDeleted(actor=who.ref, incident_id=incident.id, note_id=note.id, title=since[0].title))


async def read_note(tx: Tx, who: Actor, ref: Ref, note_id: UUID) -> tuple[Incident, WrittenNote, list[NoteRevision]]:
    """Return a note, and to those who may read that, the last hundred texts that it had, the newest first."""
    incident, written = await note_queries.note(tx, who.access, ref, note_id)
    if not noting.may_change(who, incident, written.note):
        return incident, written, [written.text]
    return incident, written, await note_queries.revisions_of(tx, written.note)


async def read_note_revisions(
    tx: Tx, who: Actor, ref: Ref, note_id: UUID, *, before: int | None = None, limit: int = 100
) -> list[NoteRevision]:
    """Return the texts that a note had, the newest first; raises `Denied` for who may not read the earlier ones."""
    incident, written = await note_queries.note(tx, who.access, ref, note_id)
    noting.must_change(who, incident, written.note)
    return await note_queries.revisions_of(tx, written.note, before=before, limit=limit)


async def _since(tx: Tx, note: Note, copy: Copy) -> list[NoteRevision]:
    """Return the newest text of a note that is locked, and those behind it back to the one that was seen."""
    seen = copy.version if isinstance(copy, Seen) else version_of(copy)
    many = 1 if seen is None else max(1, min(note.version - seen + 1, _MOST_SINCE))
    return await note_queries.revisions_of(tx, note, limit=many)


def _checked(said: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    if "title" in said:
        found["title"] = _title(cast("str", said["title"]))
    if "body" in said:
        found["body"] = checks.text("body", cast("str", said["body"]), BODY_LIMIT)
    return found


def _title(title: str) -> str:
    one_line = " ".join(clean(storable(title)).split())
    if is_blank(one_line):
        raise Invalid("title", "Give the note a title.", code="required")
    if len(one_line) > TITLE_LIMIT:
        raise Invalid("title", f"The title is longer than {TITLE_LIMIT} characters.", code="too_long")
    return one_line


async def _say(tx: Tx, who: Actor, note: Note, title: str, body: str) -> NoteRevision:
    await tx.session.flush()
    text = NoteRevision(
        note_id=note.id,
        number=note.version,
        title=title,
        body=body,
        written_at=tx.now,
        author_kind=who.ref.kind,
        author_id=who.ref.id,
        author_name=who.ref.name,
    )
    tx.session.add(text)
    return text
