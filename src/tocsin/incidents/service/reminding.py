"""Reminding people of action items: who is to do one, and who answers for the incident when it is a week late.

When is planned with each change (`incidents/reminding.py`). To take a reminder off the plan and to queue its message is
one transaction, so nobody is reminded twice, and one that is done, or somebody else's by then, is taken back.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.access_queries import accesses
from tocsin.incidents import action_item_queries, lifecycle, queries, reminding
from tocsin.incidents.action_items import is_to_do
from tocsin.incidents.model import ACTION_ITEM_ID, INCIDENT_ID, ActionItem, Incident
from tocsin.incidents.reminding import Whom
from tocsin.kit.errors import NotFound
from tocsin.notifications.reminding import remind


async def remind_of_one(tx: Tx) -> bool:
    """Remind whoever is to be reminded of one action item by now; says whether there was one."""
    item = await action_item_queries.lock_to_remind(tx, tx.now)
    if item is None:
        return False
    zone = await identity.zone_of(tx, item.assignee_id)
    whom = reminding.take(item, zone, now=tx.now)
    incident = await queries.get(tx, EVERYTHING, item.incident_id)
    today = tx.now.astimezone(zone).date()
    for each in sorted(whom):
        for user_id in await _who(tx, item, incident, each):
            await remind(
                tx,
                user_id,
                ACTION_ITEM_ID.name,
                item.id,
                mark=_mark(item, each),
                content=_content(item, incident, each, today),
                incident_id=incident.id,
            )
    return True


async def still_to_remind(tx: Tx, item_id: UUID, user_id: UUID) -> Collection[str]:
    """Return of what this person is to be reminded about an action item, if it is not done yet."""
    try:
        found = await action_item_queries.get(tx, EVERYTHING, item_id)
    except NotFound:
        return ()
    if not is_to_do(found.item):
        return ()
    return {_mark(found.item, each) for each in Whom if user_id in await _who(tx, found.item, found.incident, each)}


def _mark(item: ActionItem, whom: Whom) -> str:
    return f"{whom} {item.due_date}"


async def _who(tx: Tx, item: ActionItem, incident: Incident, whom: Whom) -> list[UUID]:
    """Return who this is: people who can sign in and see the incident."""
    if whom is Whom.ASSIGNEE:
        return await _there(tx, incident, [item.assignee_id] if item.assignee_id is not None else [])
    lead = lifecycle.effective_lead(incident)
    answers = await _there(tx, incident, [lead] if lead is not None else []) or await _team_leads(tx, incident)
    return [id for id in answers if id != item.assignee_id]


async def _team_leads(tx: Tx, incident: Incident) -> list[UUID]:
    """Return who leads the teams that own it: who may manage them."""
    members = await identity.members(tx, incident.team_ids)
    theirs = await accesses(tx, {person.id for those in members.values() for person, _ in those})
    leads = {
        person.id
        for team_id, those in members.items()
        for person, role in those
        if role is not None and P.TEAM_MANAGE in theirs[person.id].teams.get(team_id, ())
    }
    return await _there(tx, incident, sorted(leads))


async def _there(tx: Tx, incident: Incident, ids: Collection[UUID]) -> list[UUID]:
    known = await identity.users_by_id(tx, ids)
    theirs = await accesses(tx, ids)
    return [
        id for id in ids if known[id].is_active and incident.id in await queries.by_id(tx, theirs[id], [incident.id])
    ]


def _content(item: ActionItem, incident: Incident, whom: Whom, today: date) -> dict[str, Any]:
    """Write what a reminder says, in the fields that a page has."""
    return {
        "title": reminding.sentence(item, incident.reference, today),
        "body": "",
        "severity": incident.severity,
        "urgency": "low",
        "source": "Tocsin",
        "labels": {},
        "reason": "It is given to you" if whom is Whom.ASSIGNEE else f"You answer for {incident.reference}",
        "status": "",
        "incident_number": incident.reference,
        "place": f"{INCIDENT_ID.page(incident.reference)}/action-items",
    }
