"""What those who were paged for an incident, or for an alert of it, are told: who came, and that it is over."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events import log
from tocsin.events.incidents import (
    IncidentAcknowledged,
    IncidentCancelled,
    IncidentResolved,
    ResponderJoined,
)
from tocsin.events.log import LoggedEvent
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import ActorKind
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import CancelReason, Incident, Status
from tocsin.notifications import telling
from tocsin.notifications.model import SubjectKind
from tocsin.notifications.news import Standing, Subject
from tocsin.oncall import queries as oncall_queries

_CAME = (IncidentAcknowledged.name, ResponderJoined.name)
_EVER = datetime.min.replace(tzinfo=UTC)


async def note_news(tx: Tx, incident_id: UUID) -> None:
    """Let everybody who was paged for an incident or for one of its alerts be told how it stands."""
    incident = await queries.get(tx, EVERYTHING, incident_id)
    linked = await queries.linked_alert_ids(tx, incident_id)
    paged = await oncall_queries.people_paged_for(tx, linked, incident_id=incident_id)
    await telling.note(tx, SubjectKind.INCIDENT, incident_id, round=incident.round, user_ids=paged)


async def read_news(tx: Tx, incident_id: UUID) -> Subject | None:
    """Say how an incident stands in its present round and who brought it there; None while nobody has come."""
    incident = await queries.get(tx, EVERYTHING, incident_id)
    began_at = incident.reopened_at or incident.declared_at
    names, standing = _what_counts(incident)
    found = await log.newest_first(tx, incident_id=incident_id, names=names, limit=1)
    if not found or found[0].at < began_at:
        return None
    event = found[0]
    how, by, by_id = _said(event)
    return Subject(
        kind=SubjectKind.INCIDENT,
        id=incident.id,
        round=incident.round,
        title=incident.headline,
        severity=incident.severity,
        status=incident.status,
        standing=standing,
        how=how,
        by=by,
        by_id=by_id,
        by_source=event.actor_kind == ActorKind.SOURCE,
        at=event.at,
        began_at=began_at,
        # Pages about an alert may be older than the incident that was declared for it.
        since=incident.reopened_at or _EVER,
        alert_ids=await queries.linked_alert_ids(tx, incident_id),
        reference=incident.reference,
        note=event.data.get("note") or "",
    )


def _what_counts(incident: Incident) -> tuple[tuple[str, ...], Standing]:
    if lifecycle.is_open(incident):
        return _CAME, Standing.TAKEN
    ended = IncidentCancelled.name if incident.status == Status.CANCELLED else IncidentResolved.name
    return (ended,), Standing.OVER


def _said(event: LoggedEvent) -> tuple[str, str, UUID | None]:
    """Return what was done, by whom, and their id; somebody who was given a role has come, whoever gave it."""
    match event.name:
        case ResponderJoined.name:
            return "joined", event.data["user_name"], UUID(event.data["user_id"])
        case IncidentCancelled.name:
            is_false = event.data["reason"] == CancelReason.FALSE_ALARM
            return "called a false alarm" if is_false else "cancelled", event.actor_name, event.actor_id
        case IncidentResolved.name:
            return "resolved", event.actor_name, event.actor_id
        case _:
            # Somebody else may have brought them in with an alert that they had.
            id = event.data.get("user_id")
            return "took", event.data.get("user_name") or event.actor_name, UUID(id) if id else event.actor_id
