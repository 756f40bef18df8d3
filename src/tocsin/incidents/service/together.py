"""One act for several incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.db.engine import Tx
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import queries
from tocsin.incidents.model import Incident, IncidentRole, Status
from tocsin.incidents.service.editing import IncidentChanges, update, update_status
from tocsin.incidents.service.ending import resolve_locked
from tocsin.incidents.service.people import give_role
from tocsin.kit.errors import Invalid, NotFound, Problem

# So many at once are one transaction that others wait for; each of them is several changes.
MOST_TOGETHER = 50


@dataclass(frozen=True, slots=True)
class GiveRole:
    """Give a role to a person, who joins by this."""

    needs: ClassVar = P.INCIDENT_EDIT
    role: IncidentRole
    user_id: UUID

    async def to(self, tx: Tx, who: Actor, incident: Incident) -> None:
        who.must(self.needs, on=incident)
        await give_role(tx, who, incident, self.role, self.user_id, field="user_id")


@dataclass(frozen=True, slots=True)
class ChangeSeverity:
    """Judge them to be worse or better."""

    needs: ClassVar = P.INCIDENT_EDIT
    severity: int

    async def to(self, tx: Tx, who: Actor, incident: Incident) -> None:
        await update(tx, who, incident.id, IncidentChanges(severity=self.severity))


@dataclass(frozen=True, slots=True)
class MoveTo:
    """Move them to an open status."""

    needs: ClassVar = P.INCIDENT_EDIT
    status: Status

    async def to(self, tx: Tx, who: Actor, incident: Incident) -> None:
        await update_status(tx, who, incident.id, self.status)


@dataclass(frozen=True, slots=True)
class Resolve:
    """Resolve them, all with the same note."""

    needs: ClassVar = P.INCIDENT_RESOLVE
    note: str

    async def to(self, tx: Tx, who: Actor, incident: Incident) -> None:
        who.must(self.needs, on=incident)
        await resolve_locked(tx, who, incident, self.note)


Change = GiveRole | ChangeSeverity | MoveTo | Resolve


@dataclass(frozen=True, slots=True)
class Changed:
    """An incident as it is now, and whether this made it so."""

    incident: Incident
    is_new: bool


async def change_all(tx: Tx, who: Actor, change: Change, refs: Sequence[str]) -> list[Changed | Problem]:
    """Do the same to each of these incidents; returns what became of each, in the order of what they are called.

    One that it cannot be done to stays as it is and does not stop the rest. What is wrong with the change itself, as
    with a note that says nothing, is raised: `Invalid`, where that is why it could be done to none. All are locked
    first in the order of their ids, and then their open alerts, where these change with them.
    """
    who.must_somewhere(change.needs)
    known = await queries.ids_called(tx, who.access.reach, refs)
    await queries.lock_many(tx, known.values())
    # Somebody may have made one private while this waited for it.
    there = await queries.by_id(tx, who.access.reach, known.values())
    if isinstance(change, GiveRole | Resolve):
        await alert_queries.lock_known(tx, await queries.open_alert_ids(tx, there))
    became = {id: await _alone(tx, who, change, incident) for id, incident in there.items()}
    found = [became.get(known[ref], _none(ref)) if ref in known else _none(ref) for ref in refs]
    if found and isinstance(found[0], Invalid) and all(isinstance(each, Invalid) for each in found):
        raise found[0]
    return found


async def _alone(tx: Tx, who: Actor, change: Change, incident: Incident) -> Changed | Problem:
    before = incident.version
    try:
        async with tx.session.begin_nested():
            await change.to(tx, who, incident)
    except Problem as problem:
        return problem
    return Changed(incident, incident.version != before)


def _none(ref: str) -> NotFound:
    return NotFound(f"There is no incident “{ref[:60]}”.")
