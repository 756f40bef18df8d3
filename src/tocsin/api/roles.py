"""Roles: those that are built in, and those that the organisation made for itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, ClassVar

import msgspec

from tocsin.api.base.body import Body, writes
from tocsin.api.base.http import Time
from tocsin.api.base.resource import Called, ForAll, Order, Resource, by_words, plainly
from tocsin.db.engine import Tx
from tocsin.edge.cursors import read_place
from tocsin.events.vocabulary import BUILT_IN_ROLES
from tocsin.identity import access_queries as queries
from tocsin.identity.access import BUILT_IN, P, Permission
from tocsin.identity.access_queries import permissions_of
from tocsin.identity.model import CustomRole
from tocsin.identity.service import roles
from tocsin.kit.clock import stamp
from tocsin.kit.search import has_words

Permissions = Annotated[list[Permission], msgspec.Meta(max_length=len(Permission))]


class RoleOut(msgspec.Struct):
    """A role and all that it allows, what it brings along included. Built-in ones have no times and no version."""

    key: str
    name: str
    description: str
    is_built_in: bool
    permissions: list[Permission]
    created_at: Time | None
    version: int | None


@writes(roles.RoleChanges, require=["name"])
class CreateRole(Body, kw_only=True):
    """A name that no other role has, and what it allows. The key is made of the name, and stays."""

    example: ClassVar[Mapping[str, Any]] = {
        "name": "Night desk",
        "permissions": ["incident.view", "alert.view", "incident.declare", "incident.page"],
    }
    permissions: Permissions


@writes(roles.RoleChanges)
class EditRole(Body, kw_only=True):
    """A merge patch: only the fields that are there change; `permissions` are all of them."""

    example: ClassVar[Mapping[str, Any]] = {"permissions": ["incident.view", "alert.view"]}
    permissions: Permissions | msgspec.UnsetType = msgspec.UNSET


def _built_in() -> list[RoleOut]:
    return [RoleOut(key, *BUILT_IN_ROLES[key], True, sorted(held), None, None) for key, held in BUILT_IN.items()]


def _write(role: CustomRole | RoleOut) -> RoleOut:
    if isinstance(role, RoleOut):
        return role
    return RoleOut(
        key=role.key,
        name=role.name,
        description=role.description,
        is_built_in=False,
        permissions=sorted(permissions_of(role.key, role.permissions)),
        created_at=stamp(role.created_at),
        version=role.version,
    )


async def _roles(tx: Tx, *, after: str | None, limit: int, words: Collection[str]) -> Sequence[CustomRole | RoleOut]:
    known = [*_built_in(), *await queries.roles(tx)]
    everything = [role for role in known if has_words(words, role.name, role.description)]
    keys = [role.key for role in everything]
    begin = keys.index(after) + 1 if after in keys else 0
    return everything[begin : begin + limit]


async def _role(tx: Tx, key: str) -> CustomRole | RoleOut:
    known = next((role for role in _built_in() if role.key == key), None)
    return known or await queries.role(tx, key)


ROLES = Resource(
    "/roles",
    Called("role"),
    RoleOut,
    plainly(_write),
    view=P.USER_VIEW,
    manage=P.ACCESS_MANAGE,
    tag="access",
    order=Order(attrgetter("key"), lambda cursor: read_place(cursor, str)),
    item="key",
)
ROUTER = ROLES.router(
    ROLES.list(
        ForAll(_roles),
        "List all roles: the built-in ones, and then the organisation's own by name (100 at most).",
        asks=by_words("name and description"),
    ),
    ROLES.create(CreateRole, roles.create_role, "Make a role that may do no more than one may oneself."),
    ROLES.get(ForAll(_role), "Show one role, by its key."),
    ROLES.edit(
        EditRole,
        roles.RoleChanges,
        roles.update_role,
        "Change a role of one's own (JSON merge patch), and what everybody who has it may do from now on.",
    ),
    ROLES.delete(roles.delete_role, "Delete a role that nobody has; 409 says who does."),
)
