"""Which alerts belong to an incident."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.incidents import AlertLinked, AlertUnlinked, IncidentUpdated
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, priorities, queries
from tocsin.incidents.model import Incident, IncidentRole, ResponderSource, ResponderState
from tocsin.incidents.queries import Ref
from tocsin.incidents.service import leading
from tocsin.incidents.service.people import add_joined, add_paged, note_taken_on
from tocsin.kit.errors import Conflict, Invalid, NotFound
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall_queries

# How many things one request may name.
MANY = 100


@dataclass(frozen=True, slots=True)
class Linked:
    """An incident and the alerts that were to be linked to it, in the order in which they were named."""

    incident: Incident
    alerts: Sequence[Alert]


async def link_alerts(tx: Tx, who: Actor, ref: Ref, alert_ids: Sequence[UUID]) -> Linked:
    """Link alerts to an open incident; those linked already stay.

    One that belongs to another incident is a `Conflict` and links none. So is an incident that is over: what is linked
    to it nobody would look at any more.

    An alert that is not there is an `Invalid` of `alert_ids`.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    if not 1 <= len(alert_ids) <= MANY:
        raise Invalid("alert_ids", f"Name between 1 and {MANY} alerts.", code="count")
    try:
        named = await alert_queries.lock_many(tx, who.access.reach, alert_ids)
    except NotFound as problem:
        raise Invalid("alert_ids", problem.message, code="unknown") from None
    wanted = [alert for alert in named if alert.incident_id != incident.id]
    if wanted:
        _must_be_open(incident)
    await must_be_free(tx, who, wanted)
    await link(tx, who, incident, wanted)
    now = {alert.id: alert for alert in await alert_queries.lock_many(tx, who.access.reach, alert_ids)}
    return Linked(incident, [now[id] for id in dict.fromkeys(alert_ids)])


@dataclass(frozen=True, slots=True)
class LinkedWhereFree:
    """What came of each of several alerts: linked now, or there before, or in another incident and left there."""

    incident: Incident
    new: Sequence[Alert]
    there: Sequence[Alert]
    elsewhere: Sequence[tuple[Alert, Conflict]]


async def link_free_alerts(tx: Tx, who: Actor, ref: Ref, alert_ids: Sequence[UUID]) -> LinkedWhereFree:
    """Link those of these alerts that are in no incident, as `link_alerts`; the others stay where they are."""
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    named = await alert_queries.lock_many(tx, who.access.reach, alert_ids)
    elsewhere = [alert for alert in named if alert.incident_id not in (None, incident.id)]
    there = [alert for alert in named if alert.incident_id == incident.id]
    free = [alert for alert in named if alert.incident_id is None]
    if free:
        _must_be_open(incident)
    await link(tx, who, incident, free)
    return LinkedWhereFree(incident, free, there, [(alert, await _taken(tx, who, alert)) for alert in elsewhere])


async def unlink_alert(tx: Tx, who: Actor, ref: Ref, alert_id: UUID) -> Incident:
    """Take an alert out of the incident; one that is not in it stays where it is."""
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    alert = (await alert_queries.lock_many(tx, who.access.reach, [alert_id]))[0]
    if alert.incident_id == incident.id:
        await unlink(tx, who, incident, [alert])
    return incident


def _must_be_open(incident: Incident) -> None:
    if not lifecycle.is_open(incident):
        raise Conflict(
            f"{incident.reference} is {incident.status}, so an alert that is linked to it would be out of sight. "
            "Reopen it first, or declare a new incident from the alert.",
            code="incident.not_open",
        )


async def link(tx: Tx, who: Actor, incident: Incident, wanted: Sequence[Alert]) -> None:
    """Link these alerts to an open incident; who was paged for one becomes a responder, and who has it takes it on."""
    if not wanted:
        return
    ids = [alert.id for alert in wanted]
    await alerts.link(tx, ids, incident.id)
    linked = [
        AlertLinked(actor=who.ref, incident_id=incident.id, alert_id=alert.id, alert_title=alert.title)
        for alert in wanted
    ]
    await emit(tx, *linked)
    await _grow_urgent(tx, who, incident, wanted)
    known = {person.responder.user_id: person.responder.state for person in await queries.responders(tx, incident.id)}
    paged = await oncall_queries.people_paged_for(tx, ids)
    await add_paged(tx, incident, [id for id in paged if id not in known], ResponderSource.LINKED_ALERT)
    owners = await identity.keep_active(tx, [a.acknowledged_by_id for a in wanted if a.acknowledged_by_id])
    for person in owners.values():
        if known.get(person.id, ResponderState.PAGED) != ResponderState.PAGED:
            continue
        # Whoever was paged keeps that as the source; the others took the alert on unasked.
        await add_joined(tx, who, incident, person.id, person.name, ResponderSource.SELF)
    # Whoever declares is a joined responder already, and may be the one who acknowledged the alert.
    able = await leading.able_to(tx, incident, IncidentRole.LEAD, owners)
    for person in owners.values():
        place = await queries.responder(tx, incident.id, person.id)
        if place is not None and place.state == ResponderState.JOINED:
            await note_taken_on(tx, who.ref, incident, person.id, person.name, may_lead=person.id in able)


async def _grow_urgent(tx: Tx, who: Actor, incident: Incident, linked: Sequence[Alert]) -> None:
    """Let an incident of little urgency be as urgent as what is linked to it, and have the priority of that."""
    if incident.urgency == Urgency.HIGH or all(alert.urgency == Urgency.LOW for alert in linked):
        return
    incident.urgency = Urgency.HIGH
    priorities.settle(incident, priorities.USUAL)
    lifecycle.touch(incident, at=tx.now)
    change = Change("urgency", Urgency.LOW, Urgency.HIGH)
    await emit(tx, IncidentUpdated(actor=who.ref, incident_id=incident.id, version=incident.version, changes=[change]))


async def unlink(tx: Tx, who: Actor, incident: Incident, wanted: Sequence[Alert]) -> None:
    if not wanted:
        return
    await alerts.link(tx, [alert.id for alert in wanted], None)
    gone = [
        AlertUnlinked(actor=who.ref, incident_id=incident.id, alert_id=alert.id, alert_title=alert.title)
        for alert in wanted
    ]
    await emit(tx, *gone)


async def must_be_free(tx: Tx, who: Actor, wanted: Iterable[Alert]) -> None:
    """Raise `Conflict` when one of these alerts belongs to an incident, and name both."""
    for alert in wanted:
        if alert.incident_id is not None:
            raise await _taken(tx, who, alert)


async def _taken(tx: Tx, who: Actor, alert: Alert) -> Conflict:
    """Return what is to be said of an alert that belongs to an incident."""
    seen = await queries.by_id(tx, who.access, [alert.incident_id] if alert.incident_id is not None else [])
    owner = next(iter(seen.values())).reference if seen else "another incident"
    return Conflict(
        f"The alert “{alert.title}” belongs to {owner} already.",
        code="alert.linked",
        hint=f"Work in {owner}, or unlink the alert there first." if seen else "You may not see that one.",
    )
