"""How an incident ends, and how it begins again."""

from __future__ import annotations

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.db.engine import Tx
from tocsin.events.incidents import IncidentCancelled, IncidentClosed, IncidentReopened, IncidentResolved
from tocsin.events.log import emit
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import CancelReason, Incident, Status
from tocsin.incidents.queries import Ref
from tocsin.incidents.service import checks
from tocsin.incidents.service.linking import link, unlink
from tocsin.kit.errors import Conflict, Invalid, NotFound
from tocsin.oncall import service as oncall
from tocsin.oncall.model import RunState

REASON_LIMIT = 1_000


async def resolve(tx: Tx, who: Actor, ref: Ref, note: str, *, if_version: int | None = None) -> Incident:
    """Resolve the incident and, with it, the alerts that are linked to it; nobody is paged for it any more.

    Idempotent: the first note stays. `note` is required, 1 to 10,000 characters.
    """
    who.must("incident.resolve")
    incident = await queries.lock(tx, ref)
    if incident.status == Status.RESOLVED:
        return incident
    lifecycle.must_be_current(incident, if_version)
    old = incident.status
    lifecycle.resolve(incident, note, at=tx.now)
    await _after_resolving(tx, who, incident, old)
    return incident


async def close(tx: Tx, who: Actor, ref: Ref, note: str = "", *, if_version: int | None = None) -> Incident:
    """Declare that nothing more is to be done; an open incident is resolved with the note on the way. Idempotent."""
    who.must("incident.resolve")
    incident = await queries.lock(tx, ref)
    if incident.status == Status.CLOSED:
        return incident
    lifecycle.must_be_current(incident, if_version)
    old, was_open = incident.status, lifecycle.is_open(incident)
    lifecycle.close(incident, note, at=tx.now)
    if was_open:
        await _after_resolving(tx, who, incident, old)
        old = Status.RESOLVED
    await emit(tx, IncidentClosed(actor=who.ref, incident_id=incident.id, old=old))
    return incident


async def _after_resolving(tx: Tx, who: Actor, incident: Incident, old: str) -> None:
    count = await _resolve_alerts(tx, who, incident, f"{incident.reference} was resolved")
    await _stop_paging(tx, incident, f"{incident.reference} was resolved.")
    resolved = IncidentResolved(
        actor=who.ref, incident_id=incident.id, old=old, note=incident.resolution_note, alerts_resolved=count
    )
    await emit(tx, resolved)


async def cancel(
    tx: Tx,
    who: Actor,
    ref: Ref,
    reason: CancelReason,
    *,
    note: str = "",
    duplicate_of: Ref | None = None,
    if_version: int | None = None,
) -> Incident:
    """Declare that it was no incident. Idempotent: the first reason stays.

    The alerts of a false alarm resolve with it, those of a duplicate move to the incident that goes on. Where that is
    over, and for any other reason, the open ones are in no incident any more, so that they stay in sight.
    """
    who.must("incident.resolve")
    incident, other = await _lock_with_other(tx, ref, duplicate_of)
    if incident.status == Status.CANCELLED:
        return incident
    lifecycle.must_be_current(incident, if_version)
    if other is not None and other.status == Status.CANCELLED:
        raise Conflict(f"{other.reference} is cancelled itself. Name the incident that goes on.")
    old = incident.status
    said = checks.text("note", note, REASON_LIMIT, required=False)
    lifecycle.cancel(incident, reason, duplicate_of_id=other.id if other else None, at=tx.now)
    if reason is CancelReason.FALSE_ALARM:
        await _resolve_alerts(tx, who, incident, f"{incident.reference} was a false alarm")
    else:
        await _let_go(tx, who, incident, other)
    await _stop_paging(tx, incident, f"{incident.reference} was cancelled.")
    cancelled = IncidentCancelled(
        actor=who.ref,
        incident_id=incident.id,
        old=old,
        reason=reason,
        note=said,
        duplicate_of=other.reference if other else "",
    )
    await emit(tx, cancelled)
    return incident


async def _let_go(tx: Tx, who: Actor, incident: Incident, other: Incident | None) -> None:
    """Hand all alerts to the other incident if it is open; else only let go of the open ones."""
    goes_on = other is not None and lifecycle.is_open(other)
    ids = await queries.linked_alert_ids(tx, incident.id, open_only=not goes_on)
    gone = await alert_queries.lock_many(tx, ids)
    await unlink(tx, who, incident, gone)
    if other is not None and goes_on:
        await link(tx, who, other, gone)


async def _lock_with_other(tx: Tx, ref: Ref, other: Ref | None) -> tuple[Incident, Incident | None]:
    if other is None:
        return await queries.lock(tx, ref), None
    here = (await queries.get(tx, ref)).id
    try:
        there = (await queries.get(tx, other)).id
    except NotFound as problem:
        raise Invalid("duplicate_of", problem.message, code="unknown") from None
    locked = await queries.lock_many(tx, [here, there])
    return locked[here], locked[there]


async def reopen(tx: Tx, who: Actor, ref: Ref, reason: str, *, if_version: int | None = None) -> Incident:
    """Begin another round of an incident that was not over after all; alerts that were resolved stay so.

    Idempotent. The time and the note of the round that ended are kept in the record.
    """
    who.must("incident.resolve")
    incident = await queries.lock(tx, ref)
    if lifecycle.is_open(incident):
        return incident
    lifecycle.must_be_current(incident, if_version)
    why = checks.text("reason", reason, REASON_LIMIT)
    reopened = IncidentReopened(
        actor=who.ref,
        incident_id=incident.id,
        old=incident.status,
        reason=why,
        round=incident.round + 1,
        resolved_at=incident.resolved_at.isoformat() if incident.resolved_at else "",
        resolution_note=incident.resolution_note,
    )
    lifecycle.reopen(incident, at=tx.now)
    await emit(tx, reopened)
    return incident


async def _resolve_alerts(tx: Tx, who: Actor, incident: Incident, reason: str) -> int:
    open_ids = await queries.linked_alert_ids(tx, incident.id, open_only=True)
    return await alerts.resolve_many(tx, who, open_ids, reason=reason) if open_ids else 0


async def _stop_paging(tx: Tx, incident: Incident, reason: str) -> None:
    await oncall.end_runs(tx, incident_id=incident.id, state=RunState.CANCELLED, reason=reason)
