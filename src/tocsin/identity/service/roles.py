"""Roles that an organisation makes for itself, beside those that are there from the beginning."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, TypedDict, Unpack

from msgspec import Meta

from tocsin.db.engine import Tx
from tocsin.events.configuration import UserLostRights
from tocsin.events.log import emit
from tocsin.events.vocabulary import BUILT_IN_ROLES
from tocsin.identity.access import BUILT_IN, P, Permission, Permissions, implied, loses_roles
from tocsin.identity.access_queries import anew, count_roles, lock_role, people_with_role, permissions_of, uses_of_role
from tocsin.identity.accounts import LONGEST_NAME, clean_name
from tocsin.identity.configuring import Configuration
from tocsin.identity.model import Actor, CustomRole
from tocsin.identity.permission import must_not_exceed
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Conflict, Invalid

# A few are looked through with each request; more than this nobody could tell apart.
MOST_ROLES = 100


class RoleChanges(TypedDict, total=False):
    """What to change about a role; what is not there stays as it is. `permissions` are all that it is to have."""

    name: Annotated[str, Meta(max_length=LONGEST_NAME)]
    description: Annotated[str, Meta(max_length=500)]
    permissions: Iterable[str]


async def create_role(tx: Tx, who: Actor, **written: Unpack[RoleChanges]) -> CustomRole:
    """Make a role; its key comes from its name and stays. Raises `Invalid` for a name that is taken.

    Nobody makes a role that may do more than they may themselves.
    """
    who.must(P.ACCESS_MANAGE)
    must_not_exceed(who, implied(clean_permissions(written.get("permissions", ()))))
    if await count_roles(tx) >= MOST_ROLES:
        raise Conflict(f"There are {MOST_ROLES} roles already. Delete one that nobody has.", code="role.many")
    return await _ROLES.create(tx, who, written, key=_key_of(_clean_title(written.get("name", ""))))


async def update_role(tx: Tx, who: Actor, key: str, changes: RoleChanges, *, if_version: Copy = None) -> CustomRole:
    """Change a role, and so what everybody who has it may do from their next request on.

    Whoever may no longer edit incidents by this leads none (`user.lost_rights`). Raises `NotFound` for a built-in role.
    """
    who.must(P.ACCESS_MANAGE)
    role = await lock_role(tx, key)
    who = await anew(tx, who)
    who.must(P.ACCESS_MANAGE)
    before = permissions_of(role.key, role.permissions)
    must_not_exceed(who, before)
    if "permissions" in changes:
        must_not_exceed(who, implied(clean_permissions(changes["permissions"])))
    await _ROLES.change(tx, who, role, changes, if_version=if_version)
    if loses_roles(before, permissions_of(role.key, role.permissions)):
        people = await people_with_role(tx, key)
        await emit(tx, *(UserLostRights(actor=who.ref, user_id=each.id, user_name=each.name) for each in people))
    return role


async def delete_role(tx: Tx, who: Actor, key: str) -> None:
    """Remove a role that nobody has; raises `Conflict` and says how many do, in the organisation, a team or a grant."""
    who.must(P.ACCESS_MANAGE)
    role = await lock_role(tx, key)
    must_not_exceed(who, permissions_of(role.key, role.permissions))
    uses = await uses_of_role(tx, key)
    if uses:
        raise Conflict(f"“{role.name}” is in use: {', '.join(uses)}. Give them another role first.", code="role.in_use")
    await _ROLES.delete(tx, who, role)


def clean_permissions(words: Iterable[str]) -> Permissions:
    """Return the permissions; raises `Invalid` for a word that is none. One's own account everybody may keep."""
    known = set(Permission)
    wanted = set(words)
    if unknown := sorted(wanted - known):
        raise Invalid(
            "permissions", f"There is no permission “{unknown[0][:60]}”. Choose from {', '.join(sorted(known))}."
        )
    return frozenset(Permission(word) for word in wanted) | {P.SELF_EDIT}


def _clean_title(name: str) -> str:
    """Return a name as it is kept; raises `Invalid` for that of a built-in role."""
    title = clean_name(name)
    if title.casefold() in {*BUILT_IN_ROLES, *(built_in.casefold() for built_in, _ in BUILT_IN_ROLES.values())}:
        raise _taken()
    return title


def _key_of(title: str) -> str:
    key = re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")[:60]
    if not key:
        raise Invalid("name", "Use a name with letters or digits of the Latin alphabet.", code="invalid")
    if key in BUILT_IN:
        raise _taken()
    return key


def _taken() -> Invalid:
    return Invalid("name", "There is a role of this name already.", code="taken")


_ROLES = Configuration(
    CustomRole,
    RoleChanges,
    {"name": _clean_title, "permissions": lambda words: sorted(clean_permissions(words))},
)
