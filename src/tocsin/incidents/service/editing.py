"""Changing what an incident says and where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.incidents import (
    IncidentAcknowledged,
    IncidentSeverityChanged,
    IncidentStatusChanged,
    IncidentUpdated,
)
from tocsin.events.log import emit
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.identity.service.owners import AS_THEY_ARE, Owners, must_still_see, set_owners
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import Incident, Status
from tocsin.incidents.queries import Ref
from tocsin.incidents.service import checks
from tocsin.kit.changes import UNSET, UnsetType


@dataclass(frozen=True, slots=True)
class IncidentChanges:
    """What to change about an incident.

    `severity` goes from 1 (critical) to 5 (info). `owners` says which teams own it, and whether it is for them only.
    `resolution_note` corrects the note of one that is resolved or closed.
    """

    title: str | UnsetType = UNSET
    summary: str | UnsetType = UNSET
    started_at: datetime | UnsetType = UNSET
    severity: int | UnsetType = UNSET
    tags: Iterable[str] | UnsetType = UNSET
    resolution_note: str | UnsetType = UNSET
    owners: Owners = AS_THEY_ARE


async def update(tx: Tx, who: Actor, ref: Ref, changes: IncidentChanges, *, if_version: int | None = None) -> Incident:
    """Change what an incident says, who owns it, or how bad it is; also when it is over, to set the record right.

    Whoever says who owns it goes on seeing it. To correct the note needs the right to resolve.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    if changes.resolution_note is not UNSET:
        who.must(P.INCIDENT_RESOLVE, on=incident)
    lifecycle.must_be_current(incident, if_version)
    told = _apply(tx, incident, changes) + await set_owners(tx, who, incident, changes.owners)
    if told:
        lifecycle.touch(incident, at=tx.now)
        await emit(tx, IncidentUpdated(actor=who.ref, incident_id=incident.id, changes=told))
        await tx.session.flush()
        must_still_see(await queries.by_id(tx, who.access.reach, [incident.id]))
    if changes.severity is not UNSET:
        await _judge(tx, who, incident, changes.severity)
    return incident


def _apply(tx: Tx, incident: Incident, changes: IncidentChanges) -> list[Change]:
    """Change what is written about the incident, and return what is new of it."""
    before = _written(incident)
    if changes.title is not UNSET:
        incident.title = checks.title(changes.title)
    if changes.summary is not UNSET:
        incident.summary = checks.summary(changes.summary)
    if changes.started_at is not UNSET:
        incident.started_at = checks.started_at(tx, changes.started_at, incident)
    if changes.tags is not UNSET:
        incident.tags = checks.tags(changes.tags)
    if changes.resolution_note is not UNSET:
        lifecycle.correct_note(incident, changes.resolution_note)
    after = _written(incident)
    return [Change(field, _told(old), _told(after[field])) for field, old in before.items() if old != after[field]]


def _written(incident: Incident) -> dict[str, str | datetime]:
    return {
        "title": incident.title,
        "summary": incident.summary,
        "started_at": incident.started_at,
        "tags": ", ".join(incident.tags),
        "resolution_note": incident.resolution_note,
    }


def _told(value: str | datetime) -> str:
    return value if isinstance(value, str) else value.isoformat()


async def _judge(tx: Tx, who: Actor, incident: Incident, severity: int) -> None:
    old, new = incident.severity, checks.severity(severity)
    if new != old:
        incident.severity = new
        lifecycle.touch(incident, at=tx.now)
        await emit(tx, IncidentSeverityChanged(actor=who.ref, incident_id=incident.id, old=old, new=new))


async def update_status(tx: Tx, who: Actor, ref: Ref, to: Status, *, if_version: int | None = None) -> Incident:
    """Move between open states; `Invalid` or `Conflict` say which verb leads to, or out of, an end state."""
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    lifecycle.must_be_current(incident, if_version)
    old, was_acknowledged = incident.status, incident.acknowledged_at is not None
    if lifecycle.move(incident, to, at=tx.now):
        if not was_acknowledged:
            taken_on = IncidentAcknowledged(
                actor=who.ref, incident_id=incident.id, user_id=who.user_id, user_name=who.name
            )
            await emit(tx, taken_on)
        await emit(tx, IncidentStatusChanged(actor=who.ref, incident_id=incident.id, old=old, new=to))
    return incident
