"""Grants: what one person, or whoever is in one team, may do with one incident or alert source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from tocsin.api.base.body import Body, naming
from tocsin.api.base.http import Time, reference
from tocsin.api.base.resource import AskedBy, Resource, plainly
from tocsin.api.shapes.people import RoleKey
from tocsin.db.engine import Tx
from tocsin.edge.rights import Right
from tocsin.identity.access import ResourceKind, Thing, thing_named
from tocsin.identity.model import GRANT_ID, TEAM_ID, USER_ID, AccessGrant, Actor
from tocsin.incidents import queries as incidents
from tocsin.incidents import service
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import IdKind, ids_of

ResourceId = Annotated[str, msgspec.Meta(max_length=40, description="`inc_…`, `INC-7` or `src_…`.")]
_FOR = "For this incident or alert source."


class GrantOut(msgspec.Struct):
    """One of `user_id` and `team_id` says who; `role` what they may do with the thing."""

    id: str
    role: str
    kind: ResourceKind
    resource_id: str
    user_id: str | None
    team_id: str | None
    created_at: Time


class CreateGrant(Body, kw_only=True):
    """One of `user_id` and `team_id`, and the thing. A second grant for both takes the place of the first."""

    example: ClassVar[Mapping[str, Any]] = {
        "user_id": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m",
        "role": "stakeholder",
        "resource_id": "inc_06b6fyrfa9xsgs9xe3vxkm3j3m",
    }
    refs: ClassVar[Mapping[str, IdKind]] = {"user_id": USER_ID, "team_id": TEAM_ID}
    user_id: str | None = None
    team_id: str | None = None
    role: RoleKey
    resource_id: ResourceId


def _write(row: AccessGrant) -> GrantOut:
    kind = ResourceKind(row.kind)
    return GrantOut(
        id=GRANT_ID.write(row.id),
        role=row.role,
        kind=kind,
        resource_id=ids_of(kind).write(row.resource_id),
        user_id=USER_ID.write_or_none(row.user_id),
        team_id=TEAM_ID.write_or_none(row.team_id),
        created_at=stamp(row.created_at),
    )


async def _thing(tx: Tx, who: Actor, text: str) -> Thing:
    with naming("resource_id"):
        if (thing := thing_named(text)) is None and "_" not in text:
            # The number of an incident, as people say it.
            thing = ResourceKind.INCIDENT, (await incidents.get(tx, who.access, reference(text))).id
    if thing is None:
        raise Invalid("resource_id", "Name an incident (`inc_…`) or an alert source (`src_…`).", code="unknown")
    return thing


def _holder(user_id: UUID | None, team_id: UUID | None) -> service.Holder:
    if user_id is not None and team_id is None:
        return service.Holder("user", user_id)
    if team_id is not None and user_id is None:
        return service.Holder("team", team_id)
    raise Invalid("user_id", "Give either `user_id` or `team_id`.", code="required")


async def _grants(tx: Tx, who: Actor, *, resource_id: str | None, **place: Any) -> list[AccessGrant]:
    thing = await _thing(tx, who, resource_id) if resource_id is not None else None
    return await service.list_grants(tx, who, thing, **place)


async def _create(
    tx: Tx, who: Actor, *, resource_id: str, role: str, user_id: UUID | None, team_id: UUID | None
) -> AccessGrant:
    kind, id = await _thing(tx, who, resource_id)
    return await service.grant(tx, who, kind=kind, resource_id=id, role=role, holder=_holder(user_id, team_id))


GRANTS = Resource("/access_grants", GRANT_ID, GrantOut, plainly(_write), view=Right.SIGNED_IN, tag="access")
ROUTER = GRANTS.router(
    GRANTS.list(
        AskedBy(_grants),
        "List grants, the oldest first: those for one thing, or all of them for who manages access.",
        asks={"resource_id": (Annotated[str | None, QueryParameter(description=_FOR)], None)},
    ),
    GRANTS.create(
        CreateGrant,
        _create,
        "Let a person or a team do something with one thing; for whoever may edit it, and no more than they may.",
    ),
    GRANTS.delete(service.revoke_grant, "Take a grant back."),
)
