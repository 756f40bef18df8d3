"""The record of an incident as a reader is told of it: comments as they read now, no incident that they may not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.db.engine import Tx
from tocsin.events.incidents import IncidentCancelled, IncidentDuplicated
from tocsin.events.related_incidents import IncidentRelated, IncidentUnrelated
from tocsin.identity.access import Access
from tocsin.incidents import queries
from tocsin.incidents.comment_queries import Happened, WrittenComment, comment_of, written_in

# The fields of an event that name another incident, and what else they say of it.
_NAMES: Mapping[str, tuple[str, ...]] = {
    IncidentCancelled.name: ("duplicate_of",),
    IncidentDuplicated.name: ("reference", "title"),
    IncidentRelated.name: ("reference", "title"),
    IncidentUnrelated.name: ("reference", "title"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What one event says to a reader, and the comment that it brought."""

    data: Mapping[str, Any]
    comment: WrittenComment | None = None


async def retell(tx: Tx, access: Access, events: Sequence[Happened]) -> list[Told]:
    """Return what these events say to somebody who may read the incident that they are of, in their order."""
    written = await written_in(tx, events)
    named = {reference for event in events if (reference := _named(event))}
    hidden = named - await queries.seen_references(tx, access, named)
    return [
        Told(
            unnamed(event.name, event.data) if _named(event) in hidden else event.data,
            written.get(comment_of(event.name, event.data)),
        )
        for event in events
    ]


def unnamed(name: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an event says without the other incident that it names."""
    return {**data, **dict.fromkeys(_NAMES.get(name, ()), "")}


def asks_the_store(event: Happened) -> bool:
    """Say whether what the event says to a reader stands elsewhere than in the event."""
    return comment_of(event.name, event.data) is not None or bool(_named(event))


def _named(event: Happened) -> str:
    """Return the reference of the other incident that an event names, if it does."""
    fields = _NAMES.get(event.name, ())
    return event.data.get(fields[0]) or "" if fields else ""
