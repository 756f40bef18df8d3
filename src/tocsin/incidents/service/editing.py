"""Changing what an incident says and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack, cast

from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.incidents import (
    IncidentAcknowledged,
    IncidentDrillChanged,
    IncidentSeverityChanged,
    IncidentStatusChanged,
    IncidentUpdated,
)
from tocsin.events.log import emit
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.identity.service.owners import AS_THEY_ARE, Owners, must_still_see, new_owners
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.fields import FIELDS, Corrected, differing, said, write
from tocsin.incidents.model import OPEN, Incident, Status
from tocsin.incidents.queries import Ref
from tocsin.incidents.service.conflicts import left_alone, must_be_unchanged
from tocsin.incidents.service.filling_in import AS_IT_IS, Filled, must_pass, new_fields
from tocsin.kit.changes import Copy


@dataclass(frozen=True, slots=True, init=False)
class IncidentChanges:
    """What to change about an incident: what is written into it, its type and custom fields, which teams own it."""

    written: Corrected
    owners: Owners
    filled: Filled

    def __init__(
        self, *, owners: Owners = AS_THEY_ARE, filled: Filled = AS_IT_IS, **written: Unpack[Corrected]
    ) -> None:
        object.__setattr__(self, "written", written)
        object.__setattr__(self, "owners", owners)
        object.__setattr__(self, "filled", filled)


async def update(tx: Tx, who: Actor, ref: Ref, changes: IncidentChanges, *, if_version: Copy = None) -> Incident:
    """Change what an incident says, who owns it, or how bad it is; also when it is over, to set the record right.

    Whoever says who owns it goes on seeing it. To correct the note needs the right to resolve.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    for name in changes.written:
        who.must(FIELDS[name].needs, on=incident)
    owners = await new_owners(tx, who, incident, changes.owners)
    filled = await new_fields(tx, who, incident, changes.filled)
    wanted = [*differing(incident, changes.written), *owners.told, *filled.told]
    left = await left_alone(tx, incident, if_version, wanted)
    written = {name: value for name, value in changes.written.items() if name not in left}
    before, severity, was_drill = said(incident), incident.severity, incident.is_drill
    write(tx, incident, cast("Corrected", written))
    told = [Change(name, before[name], new) for name, new in said(incident).items() if new != before[name]]
    told += [*owners.give(incident, left), *filled.give(incident, left)]
    if told:
        lifecycle.touch(incident, at=tx.now)
        await emit(tx, IncidentUpdated(actor=who.ref, incident_id=incident.id, version=incident.version, changes=told))
        await tx.session.flush()
        must_still_see(await queries.by_id(tx, who.access.reach, [incident.id]))
    if incident.severity != severity:
        lifecycle.touch(incident, at=tx.now)
        judged = IncidentSeverityChanged(
            actor=who.ref,
            incident_id=incident.id,
            version=incident.version,
            old=severity,
            new=incident.severity,
        )
        await emit(tx, judged)
    if incident.is_drill != was_drill:
        lifecycle.touch(incident, at=tx.now)
        drill = IncidentDrillChanged(
            actor=who.ref, incident_id=incident.id, version=incident.version, is_drill=incident.is_drill
        )
        await emit(tx, drill)
    return incident


async def update_status(tx: Tx, who: Actor, ref: Ref, to: Status, *, if_version: Copy = None) -> Incident:
    """Move between open states; `Invalid` or `Conflict` say which verb leads to, or out of, an end state.

    Raises `Invalid` with each field that its type requires for that state and that is missing.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    await must_be_unchanged(tx, incident, if_version, ["status"] if incident.status != to else [])
    old, was_acknowledged = incident.status, incident.acknowledged_at is not None
    if to in OPEN:
        await must_pass(tx, incident, to)
    if lifecycle.move(incident, to, at=tx.now):
        if not was_acknowledged:
            taken_on = IncidentAcknowledged(
                actor=who.ref,
                incident_id=incident.id,
                version=incident.version,
                user_id=who.user_id,
                user_name=who.name,
            )
            await emit(tx, taken_on)
        moved = IncidentStatusChanged(actor=who.ref, incident_id=incident.id, version=incident.version, old=old, new=to)
        await emit(tx, moved)
    return incident
