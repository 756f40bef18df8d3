"""When a resolved incident closes by itself: so many days after it was resolved, as its type says."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.incidents import type_queries
from tocsin.incidents.model import Incident
from tocsin.jobs import queue
from tocsin.jobs.kinds import JobKind, Payload


class ToClose(Payload, frozen=True):
    """The incident, and the round that was resolved."""

    incident_id: UUID
    round: int


AUTO_CLOSE = JobKind("incidents.auto_close", ToClose, lane="bulk")


async def plan_to_close(tx: Tx, incident: Incident) -> None:
    """Have an incident that was just resolved close by itself, if its type says so."""
    days = (await type_queries.versions_of(tx, [incident]))[incident.id].version.auto_close_days
    if days is not None:
        due = tx.now + timedelta(days=days)
        await queue.enqueue(tx, AUTO_CLOSE.job(ToClose(incident.id, incident.round), due=due))
