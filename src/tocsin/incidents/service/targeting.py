"""Response targets: what they are for each severity, and saying once in time how incidents stand to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict, cast
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events import vocabulary
from tocsin.events.base import SYSTEM, Change, Subject
from tocsin.events.configuration import ConfigurationChanged
from tocsin.events.log import emit
from tocsin.events.since import left_alone
from tocsin.events.timeline import TargetMissed, TargetNear
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import Actor
from tocsin.incidents import checks, queries, target_queries
from tocsin.incidents.model import ResponseTarget
from tocsin.incidents.targets import LONGEST, Clock, ClockState, goals
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Invalid

_PORTION = 100


class TargetChanges(TypedDict, total=False):
    """Minutes until each stage, 1 to 129,600 (90 days); None is no target, and what is not there stays as it is."""

    acknowledge_minutes: int | None
    update_minutes: int | None
    mitigate_minutes: int | None
    resolve_minutes: int | None


async def update_targets(
    tx: Tx, who: Actor, severity: int, changes: TargetChanges, *, if_version: Copy = None
) -> ResponseTarget:
    """Say how fast incidents of a severity are to be worked on. Open ones are measured by it from now on.

    Raises `Invalid` for what is out of range, `Stale` when somebody else has changed the same.
    """
    who.must(P.USER_MANAGE)
    checks.severity(severity)
    wanted = cast("Mapping[str, int | None]", changes)
    for name, minutes in wanted.items():
        if minutes is not None and not 1 <= minutes <= LONGEST:
            raise Invalid(name, f"Give between 1 and {LONGEST:,} minutes, or nothing for no target.", code="range")
    row = await target_queries.lock_target(tx, severity)
    about = Subject("response_target", UUID(int=severity))
    told = [
        Change(name, _in_words(getattr(row, name)), _in_words(minutes))
        for name, minutes in wanted.items()
        if getattr(row, name) != minutes
    ]
    left = await left_alone(tx, about, row.version, if_version, told, "these targets")
    told = [each for each in told if each.field not in left]
    if told:
        for each in told:
            setattr(row, each.field, wanted[each.field])
        row.version += 1
        await tx.session.flush()
        changed = ConfigurationChanged(
            actor=who.ref,
            kind=about.kind,
            id=about.id,
            title=vocabulary.severity(severity),
            version=row.version,
            changes=told,
        )
        await emit(tx, changed)
    return row


def _in_words(minutes: int | None) -> str:
    return f"{minutes} min" if minutes is not None else ""


async def targets_to_tell(tx: Tx, *, after: UUID | None) -> tuple[list[UUID], UUID | None]:
    """Return which of a portion of the open incidents have a target that is near or missed and was not told yet.

    And the last that it looked at, None when there are no more.
    """
    known = await target_queries.targets(tx)
    severities = [severity for severity, target in known.items() if any(goals(target).values())]
    found = await target_queries.open_incidents(tx, severities, after=after, limit=_PORTION)
    told = await target_queries.told(tx, [incident.id for incident in found])
    waiting: list[UUID] = []
    for incident in found:
        due = [clock for clock in await target_queries.clocks_of(tx, incident) if _is_due(clock)]
        if any((incident.id, *_said(clock)) not in told for clock in due):
            waiting.append(incident.id)
    return waiting, found[-1].id if len(found) == _PORTION else None


async def tell_targets(tx: Tx, incident_id: UUID) -> None:
    """Say of an incident which targets are near and which were missed, each once."""
    incident = await queries.lock(tx, EVERYTHING, incident_id)
    for clock in await target_queries.clocks_of(tx, incident):
        if _is_due(clock) and await target_queries.note_told(tx, incident.id, *_said(clock)):
            kind = TargetMissed if clock.state is ClockState.OVERDUE else TargetNear
            said = kind(actor=SYSTEM, incident_id=incident.id, goal=clock.goal, due_at=clock.due_at.isoformat())
            await emit(tx, said)


def _is_due(clock: Clock) -> bool:
    return clock.state in (ClockState.NEAR, ClockState.OVERDUE)


def _said(clock: Clock) -> tuple[str, datetime, bool]:
    """Return what is said of a target once: which it is, when it is due, and whether it was missed."""
    return clock.goal.value, clock.due_at, clock.state is ClockState.OVERDUE
