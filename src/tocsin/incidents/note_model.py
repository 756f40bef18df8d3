"""Long texts that belong to an incident: what is kept of a note, and of each text that it had."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.kit.ids import IdKind
from tocsin.kit.record import Record

NOTE_ID = IdKind("note", "nte")


class Note(Record):
    """A long text of an incident. What it says stands in its revisions; a note that is deleted has none.

    `version` is the number of the newest text, and one more once that is deleted.
    """

    __tablename__ = "note"
    __table_args__ = (
        CheckConstraint("(deleted_at IS NULL) = (deleted_by_name IS NULL)", name="deleted"),
        Index("note_incident_id_idx", "incident_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    # As the record keeps who did something: their kind, id, and name at the time.
    author_kind: Mapped[str]
    author_id: Mapped[UUID | None]
    author_name: Mapped[str]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    deleted_by_name: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")


class NoteRevision(Record):
    """One text of a note: its title, its body (Markdown), who wrote it and when. The only place where it is kept."""

    __tablename__ = "note_revision"

    note_id: Mapped[UUID] = mapped_column(ForeignKey("note.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    title: Mapped[str]
    body: Mapped[str]
    written_at: Mapped[datetime]
    author_kind: Mapped[str]
    author_id: Mapped[UUID | None]
    author_name: Mapped[str]
