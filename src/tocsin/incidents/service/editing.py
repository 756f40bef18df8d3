"""Changing what an incident says and where it stands."""

from __future__ import annotations

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


async def update(
    tx: Tx,
    who: Actor,
    ref: Ref,
    *,
    title: str | None = None,
    summary: str | None = None,
    started_at: datetime | None = None,
    severity: int | None = None,
    resolution_note: str | None = None,
    owners: Owners = AS_THEY_ARE,
    if_version: int | None = None,
) -> Incident:
    """Change title, summary, severity or the time it started; None leaves a field as it is.

    `owners` says which teams own it, and whether it is for them only; whoever says so goes on seeing it.
    The note of an incident that is resolved or closed can be corrected, which needs the right to resolve it.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    if resolution_note is not None:
        who.must(P.INCIDENT_RESOLVE, on=incident)
    lifecycle.must_be_current(incident, if_version)
    changes: list[Change] = []
    if title is not None and (new := checks.title(title)) != incident.title:
        changes.append(Change("title", incident.title, new))
        incident.title = new
    if summary is not None and (new := checks.summary(summary)) != incident.summary:
        changes.append(Change("summary", incident.summary, new))
        incident.summary = new
    if (start := checks.started_at(tx, started_at, incident)) is not None and start != incident.started_at:
        changes.append(Change("started_at", incident.started_at.isoformat(), start.isoformat()))
        incident.started_at = start
    if resolution_note is not None:
        old = incident.resolution_note
        lifecycle.correct_note(incident, resolution_note)
        if incident.resolution_note != old:
            changes.append(Change("resolution_note", old, incident.resolution_note))
    changes += await set_owners(tx, who, incident, owners)
    if changes:
        lifecycle.touch(incident, at=tx.now)
        await emit(tx, IncidentUpdated(actor=who.ref, incident_id=incident.id, changes=changes))
        await tx.session.flush()
        must_still_see(await queries.by_id(tx, who.access.reach, [incident.id]))
    if severity is not None:
        await _judge(tx, who, incident, severity)
    return incident


async def change_severity(tx: Tx, who: Actor, ref: Ref, severity: int, *, if_version: int | None = None) -> Incident:
    """Judge the incident to be worse or better, 1 (critical) to 5 (info); also afterwards, to set the record right."""
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    lifecycle.must_be_current(incident, if_version)
    await _judge(tx, who, incident, severity)
    return incident


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
