"""How an incident ends, and how it begins again."""

from __future__ import annotations

from datetime import datetime

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.db.engine import Tx
from tocsin.events.facts import IncidentOver
from tocsin.events.incidents import (
    IncidentCancelled,
    IncidentClosed,
    IncidentDuplicated,
    IncidentReopened,
    IncidentResolved,
    IncidentUpdated,
)
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import Actor, User
from tocsin.incidents import checks, lifecycle, queries
from tocsin.incidents.auto_closing import plan_to_close
from tocsin.incidents.fields import Corrected, differing, write
from tocsin.incidents.model import CancelReason, Incident, ResponderSource, Status
from tocsin.incidents.queries import Ref
from tocsin.incidents.service import leading
from tocsin.incidents.service.conflicts import left_alone, must_be_unchanged
from tocsin.incidents.service.filling_in import must_pass
from tocsin.incidents.service.linking import link, unlink
from tocsin.incidents.service.people import add_joined
from tocsin.kit.changes import UNSET, Copy, UnsetType
from tocsin.kit.errors import Conflict, Invalid, NotFound
from tocsin.oncall import service as oncall
from tocsin.oncall.model import RunState

REASON_LIMIT = 1_000


async def resolve(
    tx: Tx,
    who: Actor,
    ref: Ref,
    note: str,
    *,
    mitigated_at: datetime | UnsetType | None = UNSET,
    if_version: Copy = None,
) -> Incident:
    """Resolve the incident and, with it, the alerts that are linked to it; nobody is paged for it any more.

    Idempotent; another note than the first is a `Conflict`, as it is corrected and not given twice. `note` is required,
    1 to 10,000 characters. `mitigated_at` is when the impact ended, where that is said with it. Raises `Invalid` with
    each field that its type requires before that (`gates`), as closing and cancelling do.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_RESOLVE, on=incident)
    await resolve_locked(tx, who, incident, note, mitigated_at=mitigated_at, if_version=if_version)
    return incident


async def resolve_locked(
    tx: Tx,
    who: Actor,
    incident: Incident,
    note: str,
    *,
    mitigated_at: datetime | UnsetType | None = UNSET,
    if_version: Copy = None,
) -> None:
    """Do it to an incident that the caller has locked, and that the actor may resolve."""
    if incident.status == Status.RESOLVED:
        lifecycle.must_be_its_note(incident, note)
        return
    await must_be_unchanged(tx, incident, if_version)
    if not isinstance(mitigated_at, UnsetType):
        await _set_impact_end(tx, who, incident, mitigated_at, if_version)
    await must_pass(tx, incident, Status.RESOLVED, note=note)
    old, was_acknowledged = incident.status, incident.acknowledged_at is not None
    lifecycle.resolve(incident, note, at=tx.now)
    await _after_resolving(tx, who, incident, old, was_acknowledged)


async def _set_impact_end(tx: Tx, who: Actor, incident: Incident, at: datetime | None, copy: Copy) -> None:
    written: Corrected = {"mitigated_at": at}
    told = differing(incident, written)
    if told and not await left_alone(tx, incident, copy, told):
        write(tx, incident, written)
        lifecycle.touch(incident, at=tx.now)
        await emit(tx, IncidentUpdated(actor=who.ref, incident_id=incident.id, version=incident.version, changes=told))


async def close(tx: Tx, who: Actor, ref: Ref, note: str = "", *, if_version: Copy = None) -> Incident:
    """Declare that nothing more is to be done; an open incident is resolved with the note on the way.

    Idempotent; of one that is resolved already, another note than it has is a `Conflict`.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_RESOLVE, on=incident)
    if incident.status in (Status.RESOLVED, Status.CLOSED):
        lifecycle.must_be_its_note(incident, note)
    if incident.status == Status.CLOSED:
        return incident
    await must_be_unchanged(tx, incident, if_version)
    old, was_open = incident.status, lifecycle.is_open(incident)
    was_acknowledged = incident.acknowledged_at is not None
    await must_pass(tx, incident, Status.CLOSED, note=note)
    lifecycle.close(incident, note, at=tx.now)
    if was_open:
        await _after_resolving(tx, who, incident, old, was_acknowledged)
        old = Status.RESOLVED
    await emit(tx, IncidentClosed(actor=who.ref, incident_id=incident.id, version=incident.version, old=old))
    return incident


async def _after_resolving(tx: Tx, who: Actor, incident: Incident, old: str, was_acknowledged: bool) -> None:
    count = await _resolve_alerts(tx, who, incident, IncidentOver(incident.reference, "resolved"))
    await _stop_paging(tx, who, incident, IncidentOver(incident.reference, "resolved"))
    resolved = IncidentResolved(
        actor=who.ref,
        incident_id=incident.id,
        version=incident.version,
        old=old,
        note=incident.resolution_note,
        alerts_resolved=count,
        was_acknowledged=was_acknowledged,
    )
    await emit(tx, resolved)
    await plan_to_close(tx, incident)


async def cancel(
    tx: Tx,
    who: Actor,
    ref: Ref,
    reason: CancelReason,
    *,
    note: str = "",
    duplicate_of: Ref | None = None,
    if_version: Copy = None,
) -> Incident:
    """Declare that it was no incident. Idempotent; to say another reason afterwards is a `Conflict`.

    The alerts of a false alarm resolve with it, those of a duplicate move to the incident that goes on, and so do the
    people who have joined. Where that is over, and for any other reason, the open alerts are in no incident any more,
    so that they stay in sight.
    """
    who.must_somewhere(P.INCIDENT_RESOLVE)
    incident, other = await _lock_with_other(tx, who, ref, duplicate_of)
    who.must(P.INCIDENT_RESOLVE, on=incident)
    if incident.status == Status.CANCELLED:
        _must_be_said_before(incident, reason, note, other)
        return incident
    await must_be_unchanged(tx, incident, if_version)
    if other is not None and other.status == Status.CANCELLED:
        raise Conflict(f"{other.reference} is cancelled itself. Name the incident that goes on.")
    old = incident.status
    said = checks.text("note", note, REASON_LIMIT, required=False)
    await must_pass(tx, incident, Status.CANCELLED)
    lifecycle.cancel(incident, reason, duplicate_of_id=other.id if other else None, at=tx.now)
    incident.cancel_note = said
    if reason is CancelReason.FALSE_ALARM:
        await _resolve_alerts(tx, who, incident, IncidentOver(incident.reference, "false_alarm"))
    else:
        await _let_go(tx, who, incident, other)
    # Before any message is locked, as it has to be.
    goes_over = await _who_goes_over(tx, incident) if other is not None and lifecycle.is_open(other) else []
    await _stop_paging(tx, who, incident, IncidentOver(incident.reference, "cancelled"))
    cancelled = IncidentCancelled(
        actor=who.ref,
        incident_id=incident.id,
        version=incident.version,
        old=old,
        reason=reason,
        note=said,
        duplicate_of=other.reference if other else "",
    )
    await emit(tx, cancelled)
    if other is not None:
        await _tell_survivor(tx, who, incident, other)
        for person in goes_over:
            await add_joined(tx, who, other, person.id, person.name, ResponderSource.SELF)
    return incident


async def _who_goes_over(tx: Tx, incident: Incident) -> list[User]:
    """Return who has joined a duplicate and is to be on the incident that goes on; they keep their accounts."""
    joined = await queries.joined_people(tx, incident.id)
    active = await identity.keep_active(tx, [person.id for person in joined])
    return [person for person in joined if person.id in active]


def _must_be_said_before(incident: Incident, reason: CancelReason, note: str, other: Incident | None) -> None:
    """Raise `Conflict` when somebody would say something else of an incident that is cancelled already."""
    is_same = incident.cancel_reason == reason and incident.duplicate_of_id == (other.id if other else None)
    new = checks.text("note", note, REASON_LIMIT, required=False)
    if not is_same or (incident.cancel_note is not None and new not in ("", incident.cancel_note)):
        raise Conflict(
            f"{incident.reference} is cancelled already, and something else was said of it. Nothing was saved.",
            code="incident.cancelled",
            hint="Write a comment, or reopen it and cancel it anew.",
        )


async def _tell_survivor(tx: Tx, who: Actor, incident: Incident, other: Incident, *, again: bool = False) -> None:
    """Let the incident that goes on say which one was its duplicate."""
    noted = IncidentDuplicated(
        actor=who.ref, incident_id=other.id, reference=incident.reference, title=incident.title, again=again
    )
    await emit(tx, noted)


async def _let_go(tx: Tx, who: Actor, incident: Incident, other: Incident | None) -> None:
    """Hand all alerts to the other incident if it is open; else only let go of the open ones."""
    goes_on = other is not None and lifecycle.is_open(other)
    ids = await queries.linked_alert_ids(tx, incident.id, open_only=not goes_on)
    # They are in it, whether or not the actor sees each.
    gone = await alert_queries.lock_many(tx, EVERYTHING, ids)
    await unlink(tx, who, incident, gone)
    if other is not None and goes_on:
        await link(tx, who, other, gone)


async def _lock_with_other(tx: Tx, who: Actor, ref: Ref, other: Ref | None) -> tuple[Incident, Incident | None]:
    if other is None:
        return await queries.lock(tx, who.access.reach, ref), None
    here = (await queries.get(tx, who.access.reach, ref)).id
    try:
        there = (await queries.get(tx, who.access.reach, other)).id
    except NotFound as problem:
        raise Invalid("duplicate_of", problem.message, code="unknown") from None
    locked = await queries.lock_many(tx, [here, there])
    return locked[here], locked[there]


async def reopen(tx: Tx, who: Actor, ref: Ref, reason: str, *, if_version: Copy = None) -> Incident:
    """Begin another round of an incident that was not over after all; alerts that were resolved stay so.

    Idempotent. The times and the note of the round that ended are kept in the record. Roles of people who may not act
    any more are given up, and somebody leads it: whoever it falls to, else the actor.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_RESOLVE, on=incident)
    why = checks.text("reason", reason, REASON_LIMIT)
    if lifecycle.is_open(incident):
        _must_be_why(incident, why)
        return incident
    await must_be_unchanged(tx, incident, if_version)
    reopened = IncidentReopened(
        actor=who.ref,
        incident_id=incident.id,
        version=incident.version + 1,
        old=incident.status,
        reason=why,
        round=incident.round + 1,
        resolved_at=_kept(incident.resolved_at),
        resolution_note=incident.resolution_note,
        acknowledged_at=_kept(incident.acknowledged_at),
        identified_at=_kept(incident.identified_at),
        mitigated_at=_kept(incident.mitigated_at),
        closed_at=_kept(incident.closed_at),
        cancelled_at=_kept(incident.cancelled_at),
    )
    survivor = (
        await queries.get(tx, EVERYTHING, incident.duplicate_of_id) if incident.duplicate_of_id is not None else None
    )
    lifecycle.reopen(incident, at=tx.now)
    incident.reopen_reason = why
    await emit(tx, reopened)
    if survivor is not None:
        await _tell_survivor(tx, who, incident, survivor, again=True)
    await leading.renew(tx, who, incident)
    return incident


def _kept(at: datetime | None) -> str:
    return at.isoformat() if at is not None else ""


def _must_be_why(incident: Incident, why: str) -> None:
    """Raise `Conflict` when an incident is open, and not because it was reopened for this reason."""
    if incident.reopened_at is None or incident.reopen_reason not in (why, None):
        raise Conflict(
            f"{incident.reference} is open already. Nothing was saved.",
            code="incident.open",
            hint="Write what is new as a comment.",
        )


async def _resolve_alerts(tx: Tx, who: Actor, incident: Incident, why: IncidentOver) -> int:
    open_ids = await queries.linked_alert_ids(tx, incident.id, open_only=True)
    return await alerts.resolve_many(tx, who, open_ids, why=why) if open_ids else 0


async def _stop_paging(tx: Tx, who: Actor, incident: Incident, why: IncidentOver) -> None:
    await oncall.end_runs(tx, incident_id=incident.id, state=RunState.CANCELLED, why=why, who=who)
