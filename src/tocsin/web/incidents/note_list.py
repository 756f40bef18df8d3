"""The notes of an incident, as the tab of its page lists them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.db.engine import Tx
from tocsin.identity.model import Actor
from tocsin.incidents import note_queries
from tocsin.incidents.model import Incident
from tocsin.incidents.note_model import NOTE_ID


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A note, and who wrote what it says now."""

    id: str
    title: str
    author_name: str
    written_at: datetime
    is_edited: bool


async def note_rows(tx: Tx, who: Actor, incident: Incident) -> list[NoteRow]:
    """Return all notes of an incident that is seen, in the order in which they were begun."""
    return [
        NoteRow(
            NOTE_ID.write(each.note.id),
            each.text.title,
            each.text.author_name,
            each.text.written_at,
            each.text.number > 1,
        )
        for each in await note_queries.notes(tx, who.access, incident.id)
    ]


async def count_notes(tx: Tx, _who: Actor, incident: Incident) -> int:
    """Return how many there are."""
    return await note_queries.count(tx, incident.id)
