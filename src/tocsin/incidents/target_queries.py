"""Every query about response targets: which there are, how incidents stand to them, and what was said of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.events import vocabulary
from tocsin.events.incidents import CommentAdded, IncidentSeverityChanged, IncidentStatusChanged, IncidentUpdated
from tocsin.events.log import LoggedEvent
from tocsin.events.timeline import KeyEventAdded
from tocsin.incidents.model import OPEN, Incident, ResponseTarget, TargetTold
from tocsin.incidents.targets import Clock, clocks, goals

# What people say of an incident: to those who follow it, it is news.
_UPDATES = tuple(
    kind.name for kind in (CommentAdded, KeyEventAdded, IncidentStatusChanged, IncidentSeverityChanged, IncidentUpdated)
)


async def targets(tx: Tx) -> dict[int, ResponseTarget]:
    """Return the targets by severity; one without any is not there."""
    found = await tx.session.scalars(select(ResponseTarget).order_by(ResponseTarget.severity))
    return {target.severity: target for target in found.all()}


async def of_each_severity(tx: Tx) -> list[ResponseTarget]:
    """Return the targets of all five severities, the worst first; also of one that has none."""
    known = await targets(tx)
    return [known.get(severity) or ResponseTarget(severity=severity, version=0) for severity in vocabulary.SEVERITIES]


async def lock_target(tx: Tx, severity: int) -> ResponseTarget:
    """Return the targets of a severity, to be changed; the first time, it has none."""
    fresh = insert(ResponseTarget).values(severity=severity, version=0)
    held = fresh.on_conflict_do_update(index_elements=["severity"], set_={"severity": severity})
    query = held.returning(ResponseTarget).execution_options(populate_existing=True)
    return (await tx.session.scalars(query)).one()


async def clocks_of(tx: Tx, incident: Incident) -> list[Clock]:
    """Return how an incident stands to the targets of its severity."""
    target = await tx.session.get(ResponseTarget, incident.severity)
    if target is None or not any(goals(target).values()):
        return []
    said_at = await updated_at(tx, incident.id) if target.update_minutes is not None else None
    return clocks(incident, target, said_at, tx.now)


async def updated_at(tx: Tx, incident_id: UUID) -> datetime | None:
    """Return when people last said something of an incident; None when they have not since it was declared."""
    query = select(LoggedEvent.at).where(
        LoggedEvent.incident_id == incident_id, LoggedEvent.name.in_(_UPDATES), LoggedEvent.actor_kind == "user"
    )
    return await tx.session.scalar(query.order_by(LoggedEvent.position.desc()).limit(1))


async def open_incidents(tx: Tx, severities: Collection[int], *, after: UUID | None, limit: int) -> Sequence[Incident]:
    """Return the open incidents of these severities in the order of their ids, those after the id `after`."""
    query = select(Incident).where(Incident.status.in_(OPEN), Incident.severity.in_(severities))
    if after is not None:
        query = query.where(Incident.id > after)
    return (await tx.session.scalars(query.order_by(Incident.id).limit(limit))).all()


async def told(tx: Tx, incident_ids: Collection[UUID]) -> set[tuple[UUID, str, datetime, bool]]:
    """Return what was said of the targets of these incidents: of which, due when, and whether it was missed then."""
    query = select(TargetTold.incident_id, TargetTold.goal, TargetTold.due_at, TargetTold.is_missed)
    found = await tx.session.execute(query.where(TargetTold.incident_id.in_(incident_ids)))
    return {(id, goal, due_at, is_missed) for id, goal, due_at, is_missed in found.all()}


async def note_told(tx: Tx, incident_id: UUID, goal: str, due_at: datetime, is_missed: bool) -> bool:
    """Note that it is said now how a target stands; False when that was said before."""
    said = insert(TargetTold).values(incident_id=incident_id, goal=goal, due_at=due_at, is_missed=is_missed)
    found = await tx.session.execute(said.on_conflict_do_nothing().returning(TargetTold.goal))
    return found.one_or_none() is not None
