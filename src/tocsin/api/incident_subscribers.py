"""Who follows an incident without responding."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, post
from litestar.params import JSONBody

from tocsin.api.base.body import Body, fields_of
from tocsin.api.base.http import Id, Time, reference
from tocsin.api.base.resource import Order, Resource, plainly
from tocsin.api.shapes.incident import INCIDENTS
from tocsin.api.shapes.incidents import IncidentOut
from tocsin.api.shapes.owners import TeamRef
from tocsin.api.shapes.people import Person
from tocsin.api.shapes.refs import INCIDENT
from tocsin.edge.context import Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID
from tocsin.incidents import subscriber_queries
from tocsin.incidents.service import subscribing
from tocsin.incidents.subscriber_queries import Named
from tocsin.incidents.subscribers import MOST_SUBSCRIBERS, SUBSCRIBER_ID, SubscriberSource
from tocsin.kit.clock import stamp
from tocsin.kit.ids import IdKind


class SubscriberOut(msgspec.Struct):
    """A person or a team (the other one is null) who follows the incident, and how they came to.

    `mentioned`: named in a comment by `added_by`.
    """

    id: str
    user: Person | None
    team: TeamRef | None
    source: SubscriberSource
    added_by: str
    created_at: Time


class AddSubscribers(Body, kw_only=True):
    """Who is to follow. All of them see the incident, or nobody is added (422 `sees_not`)."""

    example: ClassVar[Mapping[str, Any]] = {"user_ids": ["usr_06b6fyrfa9xsgs9xe3vxkm3j3m"], "team_ids": []}
    refs: ClassVar[Mapping[str, IdKind]] = {"user_ids": USER_ID, "team_ids": TEAM_ID}
    user_ids: Annotated[list[str], msgspec.Meta(max_length=MOST_SUBSCRIBERS)] = msgspec.field(default_factory=list[str])
    team_ids: Annotated[list[str], msgspec.Meta(max_length=MOST_SUBSCRIBERS)] = msgspec.field(default_factory=list[str])


def _write(named: Named) -> SubscriberOut:
    row = named.row
    return SubscriberOut(
        id=SUBSCRIBER_ID.write(row.id),
        user=Person(USER_ID.write(row.user_id), named.name) if row.user_id is not None else None,
        team=TeamRef(TEAM_ID.write(row.team_id), named.name) if row.team_id is not None else None,
        source=SubscriberSource(row.source),
        added_by=row.added_by_name,
        created_at=stamp(row.created_at),
    )


def _id_at(cursor: str | None) -> UUID | None:
    return read_place(cursor, UUID)


@post("/{id:str}/subscribers", needs=P.INCIDENT_EDIT, status_code=200)
async def add_subscribers(context: Ctx, who: Who, id: Id, data: JSONBody[AddSubscribers]) -> Response[IncidentOut]:
    """Have people and teams follow the incident. They are told of what happens, and get no right by it."""
    async with context.begin() as tx:
        incident = await subscribing.subscribe(tx, who, reference(id), **fields_of(data))
        return await INCIDENTS.answer(tx, context, who, incident)


SUBSCRIBERS = Resource(
    "/incidents/{id:str}/subscribers",
    SUBSCRIBER_ID,
    SubscriberOut,
    plainly(_write),
    view=P.INCIDENT_VIEW,
    tag="incidents",
    order=Order(attrgetter("row.id"), _id_at),
    below=INCIDENT,
    item="subscriber_id",
)
_ROWS = SUBSCRIBERS.router(
    SUBSCRIBERS.list(
        subscriber_queries.subscribers,
        "List who follows the incident, those first who began first. Teams that the caller does not see are left out.",
    ),
    SUBSCRIBERS.delete(
        subscribing.remove_subscriber,
        "Take somebody off: oneself, or anybody for whoever may edit the incident.",
        name="remove_subscriber",
    ),
)
_ACTIONS = INCIDENTS.router(
    INCIDENTS.action("follow", subscribing.follow, "Follow the incident oneself.", needs=P.INCIDENT_VIEW),
    INCIDENTS.action("unfollow", subscribing.unfollow, "Follow the incident no more.", needs=P.INCIDENT_VIEW),
    add_subscribers,
)
ROUTER = Router("/", route_handlers=[_ROWS, _ACTIONS])
