"""Saying of an entry of the record that it is a key event, or that it is none."""

from __future__ import annotations

from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.log import emit
from tocsin.events.timeline import EntryMarked
from tocsin.events.words import KEY
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import queries, timeline_queries
from tocsin.incidents.model import TimelineMark
from tocsin.incidents.queries import Ref
from tocsin.incidents.timeline_queries import Recorded


async def mark_entry(tx: Tx, who: Actor, ref: Ref, event_id: UUID, *, is_key: bool) -> Recorded:
    """Let an entry lead in the timeline, or lead no more; also when the incident is over. Said again, it is nothing.

    The entry stays as it was written; that somebody marked it is an entry of its own. Raises `NotFound`.
    """
    # Two who mark the same entry at once come one after the other.
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    entry = await timeline_queries.entry(tx, incident.id, event_id)
    mark = await timeline_queries.mark(tx, incident.id, entry.position)
    was_key = mark.is_key if mark is not None else entry.name in KEY
    if was_key is not is_key:
        if mark is None:
            mark = TimelineMark(incident_id=incident.id, position=entry.position)
            tx.session.add(mark)
        mark.is_key = is_key
        await emit(tx, EntryMarked(actor=who.ref, incident_id=incident.id, event_id=event_id, leads=is_key))
    return await timeline_queries.recorded(tx, entry)
