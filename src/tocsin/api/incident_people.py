"""Who is on an incident: responders and roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from tocsin.api.base.body import Body
from tocsin.api.base.http import Time, moment, when
from tocsin.api.base.resource import Order, plainly
from tocsin.api.shapes.incident import INCIDENTS
from tocsin.api.shapes.people import Person
from tocsin.db.engine import Tx
from tocsin.edge.cursors import AwareTime, read_place
from tocsin.identity.access import Access
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import lifecycle, queries, service
from tocsin.incidents.model import Incident, IncidentRole, ResponderSource, Standing
from tocsin.incidents.queries import NamedResponder
from tocsin.kit.ids import IdKind

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
    refs: ClassVar[Mapping[str, IdKind]] = dict.fromkeys(IncidentRole, USER_ID)
    commander: str | msgspec.UnsetType | None = msgspec.UNSET
    lead: str | msgspec.UnsetType | None = msgspec.UNSET
    communicator: str | msgspec.UnsetType | None = msgspec.UNSET


async def _responders(
    tx: Tx, access: Access, ref: str, *, after: queries.ResponderPlace | None, limit: int
) -> list[tuple[Incident, NamedResponder]]:
    incident = await queries.get(tx, access, ref)
    return [(incident, row) for row in await queries.responders(tx, incident.id, after=after, limit=limit)]


def _write(row: tuple[Incident, NamedResponder]) -> ResponderOut:
    incident, named = row
    responder = named.responder
    return ResponderOut(
        user=Person(USER_ID.write(responder.user_id), named.name),
        state=named.standing,
        source=ResponderSource(responder.source),
        roles=lifecycle.roles_of(incident, responder.user_id),
        paged_at=when(responder.paged_at),
        joined_at=when(responder.joined_at),
        left_at=when(responder.left_at),
    )


def _place(cursor: str | None) -> queries.ResponderPlace | None:
    place = read_place(cursor, _Place)
    return None if place is None else queries.ResponderPlace(place[0], moment("cursor", place[1]), *place[2:])


async def _set_roles(tx: Tx, who: Actor, ref: str, *, if_version: int | None, **roles: UUID | None) -> Incident:
    wanted = {IncidentRole(role): user_id for role, user_id in roles.items()}
    return await service.assign_roles(tx, who, ref, wanted, if_version=if_version)


ROUTER = INCIDENTS.router(
    INCIDENTS.list_of(
        "responders",
        _responders,
        ResponderOut,
        plainly(_write),
        "List the people on the incident, those who joined first.",
        name="list_responders",
        order=Order(lambda row: astuple(queries.ResponderPlace.of(row[1])), _place),
    ),
    INCIDENTS.action(
        "join",
        service.join,
        "Become a responder. Joining is an acknowledgement too.",
        more_paths=["/{id:str}/responders/actions/join"],
    ),
    INCIDENTS.action(
        "leave",
        service.leave,
        "Stop being a responder; whoever has a role hands it over first (409).",
        more_paths=["/{id:str}/responders/actions/leave"],
    ),
    INCIDENTS.replace(
        "roles",
        SetRoles,
        _set_roles,
        "Give roles to people, who join by this, or take them away.",
        name="set_incident_roles",
    ),
)
