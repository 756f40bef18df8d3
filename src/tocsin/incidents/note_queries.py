"""Every query about notes: what they say now, and what they said before."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, select

from tocsin.db.engine import Tx
from tocsin.db.records import lock_record
from tocsin.identity.access import Access
from tocsin.incidents import queries
from tocsin.incidents.model import Incident
from tocsin.incidents.note_model import Note, NoteRevision
from tocsin.incidents.queries import Ref
from tocsin.kit.errors import NotFound


@dataclass(frozen=True, slots=True)
class WrittenNote:
    """A note and its newest text."""

    note: Note
    text: NoteRevision


_IS_NEWEST = (NoteRevision.note_id == Note.id) & (NoteRevision.number == Note.version)


async def notes(tx: Tx, access: Access, ref: Ref, *, after: UUID | None = None, limit: int = 100) -> list[WrittenNote]:
    """Return the notes of an incident in the order in which they were written; raises `NotFound` for the incident."""
    incident = await queries.get(tx, access, ref)
    query = select(Note, NoteRevision).join(NoteRevision, _IS_NEWEST).where(Note.incident_id == incident.id)
    if after is not None:
        query = query.where(Note.id > after)
    rows = await tx.session.execute(query.order_by(Note.id).limit(limit))
    return [WrittenNote(note, text) for note, text in rows]


async def note(tx: Tx, access: Access, ref: Ref, note_id: UUID) -> tuple[Incident, WrittenNote]:
    """Return an incident and one of its notes; raises `NotFound`, also for one that is deleted."""
    incident = await queries.get(tx, access, ref)
    query = select(Note, NoteRevision).join(NoteRevision, _IS_NEWEST)
    row = (await tx.session.execute(query.where(Note.id == note_id, Note.incident_id == incident.id))).one_or_none()
    if row is None:
        raise _missing()
    return incident, WrittenNote(*row)


async def lock(tx: Tx, access: Access, ref: Ref, note_id: UUID) -> tuple[Incident, Note]:
    """Return an incident and one of its notes as it is now, also one that is deleted, and keep others from changing it.

    Raises `NotFound`. The incident is not locked: what is written into it changes nothing of it.
    """
    incident = await queries.get(tx, access, ref)
    row = await lock_record(tx, Note, note_id, "note")
    if row.incident_id != incident.id:
        raise _missing()
    return incident, row


def _missing() -> NotFound:
    return NotFound("There is no such note.")


async def count(tx: Tx, incident_id: UUID) -> int:
    """Return how many notes an incident has."""
    query = select(func.count()).where(Note.incident_id == incident_id, Note.deleted_at.is_(None))
    return (await tx.session.execute(query)).scalar_one()


async def revisions_of(tx: Tx, note: Note, *, before: int | None = None, limit: int = 100) -> list[NoteRevision]:
    """Return the texts of a note, the newest first, older than number `before`; none of one that is deleted."""
    query = select(NoteRevision).where(NoteRevision.note_id == note.id)
    if before is not None:
        query = query.where(NoteRevision.number < before)
    return list((await tx.session.scalars(query.order_by(NoteRevision.number.desc()).limit(limit))).all())


async def delete_revisions(tx: Tx, note: Note) -> None:
    """Take out every text of a note that is locked."""
    gone = delete(NoteRevision).where(NoteRevision.note_id == note.id)
    await tx.session.execute(gone.execution_options(synchronize_session="fetch"))
