"""How an action item looks in answers, and how several are put together with few queries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec

from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.shapes.actors import ActorOut, write_who
from tocsin.api.shapes.people import Person
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.edge.cursors import read_place
from tocsin.identity import queries as identity
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents.action_item_queries import Listed, Place
from tocsin.incidents.action_items import is_overdue
from tocsin.incidents.model import (
    ACTION_ITEM_ID,
    INCIDENT_ID,
    ActionKind,
    ActionStatus,
    Priority,
)
from tocsin.kit.addresses import at


class IncidentRef(msgspec.Struct):
    """An incident in few words."""

    id: str
    number: str
    title: str
    severity: int


class ActionItemOut(msgspec.Struct):
    """Something to be done because of an incident.

    `due_date` is the last day on which it is in time; `is_overdue` says that this is over where the reader is, and that
    it is still to be done. `ended_at` is when it was done or dropped.
    """

    id: str
    incident: IncidentRef
    description: str
    kind: ActionKind | None
    priority: Priority | None
    status: ActionStatus
    assignee: Person | None
    due_date: date | None
    is_overdue: bool
    created_by: ActorOut
    created_at: Time
    updated_at: Time
    ended_at: Time | None
    version: int
    url: str


async def shape_items(tx: Tx, context: Context, who: Actor, rows: Sequence[Listed]) -> list[ActionItemOut]:
    """Write several action items, in their order."""
    people = await identity.users_by_id(tx, {id for row in rows if (id := row.item.assignee_id) is not None})
    today = tx.now.astimezone(await identity.zone_of(tx, who.user_id)).date()
    return [
        copied(
            ActionItemOut,
            row.item,
            ACTION_ITEM_ID,
            incident=IncidentRef(
                INCIDENT_ID.write(row.incident.id), row.incident.reference, row.incident.title, row.incident.severity
            ),
            assignee=Person(USER_ID.write(id), people[id].name) if (id := row.item.assignee_id) is not None else None,
            is_overdue=is_overdue(row.item, today),
            created_by=write_who(row.item.created_by_kind, row.item.created_by_id, row.item.created_by_name),
            url=at(context.settings.base_url, f"{INCIDENT_ID.page(row.incident.reference)}/action-items"),
        )
        for row in rows
    ]


def place_of(row: Listed) -> tuple[date, UUID]:
    """Return where an action item stands in a list, as a cursor says it."""
    place = Place.of(row)
    return place.due, place.id


def place_at(cursor: str | None) -> Place | None:
    """Read where the page before ended; raises `Invalid`."""
    found = read_place(cursor, tuple[date, UUID])
    return Place(*found) if found is not None else None
