"""Roles: those that are built in, and those that the organisation made for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from tocsin.api.base.body import Body
from tocsin.api.base.http import Cursor, IfMatch, Limit, Listing, Time, answer, listing, read_if_match
from tocsin.api.base.resource import fields_of
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.events.vocabulary import BUILT_IN_ROLES
from tocsin.identity import access_queries as queries
from tocsin.identity import service as identity
from tocsin.identity.access import BUILT_IN, P, Permission
from tocsin.identity.access_queries import permissions_of
from tocsin.identity.model import CustomRole
from tocsin.identity.service.roles import LONGEST_DESCRIPTION
from tocsin.kit.clock import stamp

Name = Annotated[str, msgspec.Meta(max_length=80)]
Description = Annotated[str, msgspec.Meta(max_length=LONGEST_DESCRIPTION)]
_MANY = len(Permission)


class RoleOut(msgspec.Struct):
    """A role and all that it allows, what it brings along included. Built-in ones have no times and no version."""

    key: str
    name: str
    description: str
    is_built_in: bool
    permissions: list[Permission]
    created_at: Time | None
    version: int | None


class CreateRole(Body, kw_only=True):
    """A name that no other role has, and what it allows. The key is made of the name, and stays."""

    example: ClassVar[Mapping[str, Any]] = {
        "name": "Night desk",
        "permissions": ["incident.view", "alert.view", "incident.declare", "incident.page"],
    }
    name: Name
    description: Description = ""
    permissions: Annotated[list[Permission], msgspec.Meta(max_length=_MANY)]


class EditRole(Body, kw_only=True):
    """A merge patch: only the fields that are there change; `permissions` are all of them."""

    example: ClassVar[Mapping[str, Any]] = {"permissions": ["incident.view", "alert.view"]}
    name: Name | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET
    permissions: Annotated[list[Permission], msgspec.Meta(max_length=_MANY)] | msgspec.UnsetType = msgspec.UNSET


def _built_in() -> list[RoleOut]:
    return [RoleOut(key, *BUILT_IN_ROLES[key], True, sorted(held), None, None) for key, held in BUILT_IN.items()]


def _write(role: CustomRole) -> RoleOut:
    return RoleOut(
        key=role.key,
        name=role.name,
        description=role.description,
        is_built_in=False,
        permissions=sorted(permissions_of(role.key, role.permissions)),
        created_at=stamp(role.created_at),
        version=role.version,
    )


@get("/", needs=P.USER_VIEW)
async def list_roles(
    request: AppRequest, context: Ctx, who: Who, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[RoleOut]]:
    """List all roles: the built-in ones, and then the organisation's own by name (100 at most)."""
    after = read_place(cursor, str)
    async with context.begin() as tx:
        everything = _built_in() + [_write(role) for role in await queries.roles(tx)]
    keys = [role.key for role in everything]
    begin = keys.index(after) + 1 if after in keys else 0
    return listing(request, everything[begin : begin + limit + 1], limit, lambda role: role, lambda role: role.key)


@post("/", needs=P.ACCESS_MANAGE)
async def create_role(context: Ctx, who: Who, data: JSONBody[CreateRole]) -> Response[RoleOut]:
    """Make a role that may do no more than one may oneself."""
    async with context.begin() as tx:
        role = await identity.create_role(
            tx, who, name=data.name, description=data.description, permissions=data.permissions
        )
    return answer(_write(role), version=role.version, status=201)


@get("/{key:str}", needs=P.USER_VIEW)
async def get_role(context: Ctx, who: Who, key: FromPath[str]) -> Response[RoleOut]:
    """Show one role, by its key."""
    async with context.begin() as tx:
        known = next((role for role in _built_in() if role.key == key), None)
        role = known or _write(await queries.role(tx, key))
    return answer(role, version=role.version)


@patch("/{key:str}", needs=P.ACCESS_MANAGE)
async def edit_role(
    context: Ctx, who: Who, key: FromPath[str], data: JSONBody[EditRole], if_match: IfMatch = None
) -> Response[RoleOut]:
    """Change a role of one's own (JSON merge patch), and what everybody who has it may do from now on."""
    changes = identity.RoleChanges(**fields_of(data))
    async with context.begin() as tx:
        role = await identity.update_role(tx, who, key, changes, if_version=read_if_match(if_match))
    return answer(_write(role), version=role.version)


@delete("/{key:str}", needs=P.ACCESS_MANAGE)
async def delete_role(context: Ctx, who: Who, key: FromPath[str]) -> None:
    """Delete a role that nobody has; 409 says who does."""
    async with context.begin() as tx:
        await identity.delete_role(tx, who, key)


ROUTER = Router("/roles", route_handlers=[list_roles, create_role, get_role, edit_role, delete_role], tags=["access"])
