"""Grants: what one person, or whoever is in one team, may do with one incident or alert source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.params import JSONBody, QueryParameter

from tocsin.api.base.body import Body, naming
from tocsin.api.base.http import Cursor, Id, Limit, Listing, Time, answer, listing
from tocsin.api.shapes.people import RoleKey
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.edge.rights import Right
from tocsin.identity.access import ResourceKind, Thing, thing_named
from tocsin.identity.model import GRANT_ID, TEAM_ID, USER_ID, AccessGrant
from tocsin.incidents import service
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import ids_of

ResourceId = Annotated[str, msgspec.Meta(max_length=40, description="`inc_…` or `src_…`.")]


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


def _thing(text: str) -> Thing:
    with naming("resource_id"):
        thing = thing_named(text)
    if thing is None:
        raise Invalid("resource_id", "Name an incident (`inc_…`) or an alert source (`src_…`).", code="unknown")
    return thing


def _holder(data: CreateGrant) -> service.Holder:
    if data.user_id is not None and data.team_id is None:
        with naming("user_id"):
            return service.Holder("user", USER_ID.read(data.user_id))
    if data.team_id is not None and data.user_id is None:
        with naming("team_id"):
            return service.Holder("team", TEAM_ID.read(data.team_id))
    raise Invalid("user_id", "Give either `user_id` or `team_id`.", code="required")


@get("/", needs=Right.SIGNED_IN)
async def list_access_grants(
    request: AppRequest,
    context: Ctx,
    who: Who,
    resource_id: Annotated[str | None, QueryParameter(description="For this incident or alert source.")] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[GrantOut]]:
    """List grants, the oldest first: those for one thing, or all of them for who manages access."""
    after = read_place(cursor, UUID)
    async with context.begin() as tx:
        thing = _thing(resource_id) if resource_id is not None else None
        rows = await service.list_grants(tx, who, thing, after=after, limit=limit + 1)
    return listing(request, rows, limit, _write, lambda row: row.id)


@post("/", needs=Right.SIGNED_IN)
async def create_access_grant(context: Ctx, who: Who, data: JSONBody[CreateGrant]) -> Response[GrantOut]:
    """Let a person or a team do something with one thing; for whoever may edit it, and no more than they may."""
    kind, id = _thing(data.resource_id)
    async with context.begin() as tx:
        row = await service.grant(tx, who, kind=kind, resource_id=id, role=data.role, holder=_holder(data))
    return answer(_write(row), status=201)


@delete("/{id:str}", needs=Right.SIGNED_IN)
async def delete_access_grant(context: Ctx, who: Who, id: Id) -> None:
    """Take a grant back."""
    async with context.begin() as tx:
        await service.revoke_grant(tx, who, GRANT_ID.read(id))


ROUTER = Router(
    "/access_grants",
    route_handlers=[list_access_grants, create_access_grant, delete_access_grant],
    tags=["access"],
)
