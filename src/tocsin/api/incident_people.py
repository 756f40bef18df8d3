"""Who is on an incident: responders and roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post, put
from litestar.params import JSONBody

from tocsin.api.base.body import Body, NoBody, naming
from tocsin.api.base.http import (
    Cursor,
    Id,
    IfMatch,
    Limit,
    Listing,
    Time,
    answer,
    listing,
    moment,
    read_if_match,
    reference,
    when,
)
from tocsin.api.shapes.incidents import IncidentOut, shape
from tocsin.api.shapes.people import Person
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import AwareTime, read_place
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID
from tocsin.incidents import lifecycle, queries, service
from tocsin.incidents.model import IncidentRole, ResponderSource, Standing

_Place = tuple[bool, AwareTime | None, str, UUID]


class ResponderOut(msgspec.Struct):
    """One person on the incident, how they came to be there, and where they stand.

    `unreachable`: nothing could be sent to them; `released`: they are not asked any more.
    """

    user: Person
    state: Standing
    source: ResponderSource
    roles: list[IncidentRole]
    paged_at: Time | None
    joined_at: Time | None
    left_at: Time | None


class SetRoles(Body, kw_only=True):
    """Who has each role. A role that is left out stays as it is; null takes it away."""

    example: ClassVar[Mapping[str, Any]] = {"lead": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m", "communicator": None}
    commander: str | msgspec.UnsetType | None = msgspec.UNSET
    lead: str | msgspec.UnsetType | None = msgspec.UNSET
    communicator: str | msgspec.UnsetType | None = msgspec.UNSET


@get("/{id:str}/responders", needs=P.INCIDENT_VIEW)
async def list_responders(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[ResponderOut]]:
    """List the people on the incident, those who joined first."""
    place = read_place(cursor, _Place)
    after = None if place is None else queries.ResponderPlace(place[0], moment("cursor", place[1]), *place[2:])
    async with context.begin() as tx:
        incident = await queries.get(tx, who.access, reference(id))
        rows = await queries.responders(tx, incident.id, after=after, limit=limit + 1)

    def write(row: queries.NamedResponder) -> ResponderOut:
        return ResponderOut(
            user=Person(USER_ID.write(row.responder.user_id), row.name),
            state=row.standing,
            source=ResponderSource(row.responder.source),
            roles=lifecycle.roles_of(incident, row.responder.user_id),
            paged_at=when(row.responder.paged_at),
            joined_at=when(row.responder.joined_at),
            left_at=when(row.responder.left_at),
        )

    return listing(request, rows, limit, write, lambda row: astuple(queries.ResponderPlace.of(row)))


@post(["/{id:str}/actions/join", "/{id:str}/responders/actions/join"], status_code=200, needs=P.INCIDENT_EDIT)
async def join_incident(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> Response[IncidentOut]:
    """Become a responder. Joining is an acknowledgement too."""
    async with context.begin() as tx:
        shaped = await shape(tx, context, who, await service.join(tx, who, reference(id)))
    return answer(shaped, version=shaped.version)


@post(["/{id:str}/actions/leave", "/{id:str}/responders/actions/leave"], status_code=200, needs=P.INCIDENT_EDIT)
async def leave_incident(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> Response[IncidentOut]:
    """Stop being a responder; whoever has a role hands it over first (409)."""
    async with context.begin() as tx:
        shaped = await shape(tx, context, who, await service.leave(tx, who, reference(id)))
    return answer(shaped, version=shaped.version)


@put("/{id:str}/roles", needs=P.INCIDENT_EDIT)
async def set_incident_roles(
    context: Ctx, who: Who, id: Id, data: JSONBody[SetRoles], if_match: IfMatch = None
) -> Response[IncidentOut]:
    """Give roles to people, who join by this, or take them away."""
    async with context.begin() as tx:
        incident = await service.assign_roles(tx, who, reference(id), _roles(data), if_version=read_if_match(if_match))
        shaped = await shape(tx, context, who, incident)
    return answer(shaped, version=shaped.version)


def _roles(data: SetRoles) -> dict[IncidentRole, UUID | None]:
    named = {
        IncidentRole.COMMANDER: data.commander,
        IncidentRole.LEAD: data.lead,
        IncidentRole.COMMUNICATOR: data.communicator,
    }
    wanted: dict[IncidentRole, UUID | None] = {}
    for role, user_id in named.items():
        if not isinstance(user_id, msgspec.UnsetType):
            with naming(role):
                wanted[role] = USER_ID.read(user_id) if user_id is not None else None
    return wanted


ROUTER = Router(
    "/incidents",
    route_handlers=[list_responders, join_incident, leave_incident, set_incident_roles],
    tags=["incidents"],
)
