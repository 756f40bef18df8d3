"""Reading what people were granted, with the person themselves and in the same statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Text, Uuid, and_, column, func, literal, not_, or_, select, table
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

from tocsin.db.engine import Tx
from tocsin.identity.access import (
    BUILT_IN,
    MEMBERS,
    NOTHING,
    SCOPED,
    Access,
    Permission,
    Permissions,
    ResourceKind,
    Role,
    Thing,
    implied,
)
from tocsin.identity.model import AccessGrant, CustomRole, Team, TeamMember, User, role_of
from tocsin.kit.errors import Invalid
from tocsin.kit.text import storable

_object = func.jsonb_build_object
_array = func.jsonb_build_array
_all = func.jsonb_agg


def _permissions(role: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """The permissions of a role that the organisation made; null for any other."""
    return select(CustomRole.permissions).where(CustomRole.key == role).scalar_subquery()


_IN_TEAMS = (
    select(_all(_array(TeamMember.team_id, TeamMember.role, _permissions(TeamMember.role))))
    .where(TeamMember.user_id == User.id)
    .scalar_subquery()
)
_MY_TEAMS = select(TeamMember.team_id).where(TeamMember.user_id == User.id)
_GRANTS = (
    select(_all(_array(AccessGrant.kind, AccessGrant.resource_id, AccessGrant.role, _permissions(AccessGrant.role))))
    .where(or_(AccessGrant.user_id == User.id, AccessGrant.team_id.in_(_MY_TEAMS)))
    .scalar_subquery()
)
_PRIVATE_TEAMS = select(Team.id).where(Team.is_private, Team.id.not_in(_MY_TEAMS))
_CLOSED = select(_all(Team.id)).where(Team.is_private, Team.id.not_in(_MY_TEAMS)).scalar_subquery()
# Sources are few, and belong to a layer above; alerts are many, and belong to their sources.
_SOURCE = table("alert_source", column("id"), column("team_ids", ARRAY(Uuid())), column("is_private", Boolean()))
_HIDDEN = (
    select(_all(_SOURCE.c.id))
    .where(
        or_(_SOURCE.c.is_private, _SOURCE.c.team_ids.overlap(func.array(_PRIVATE_TEAMS.scalar_subquery()))),
        not_(_SOURCE.c.team_ids.overlap(func.array(_MY_TEAMS.scalar_subquery()))),
    )
    .scalar_subquery()
)

# One value beside a `User`, read by `access_of`.
GRANTED = _object(
    "role", _permissions(User.given_role), "teams", _IN_TEAMS, "grants", _GRANTS, "closed", _CLOSED, "hidden", _HIDDEN
).label("granted")


def access_of(user_id: UUID, role: str, granted: Mapping[str, Any]) -> Access:
    """Return what a person with this role in the organisation may do, from `GRANTED` as it was read with them."""
    grants: dict[Thing, Permissions] = {}
    for kind, id, given, own in granted["grants"] or ():
        thing = (ResourceKind(kind), UUID(id))
        grants[thing] = grants.get(thing, frozenset()) | permissions_of(given, own) & SCOPED
    return Access(
        organisation=permissions_of(role, granted["role"]),
        teams={UUID(id): MEMBERS | permissions_of(given, own) & SCOPED for id, given, own in granted["teams"] or ()},
        grants=grants,
        closed=frozenset(UUID(id) for id in granted["closed"] or ()),
        hidden_sources=frozenset(UUID(id) for id in granted["hidden"] or ()),
        user_id=user_id,
    )


def permissions_of(role: str | None, own: Iterable[str] | None) -> Permissions:
    """Return what a role allows: a built-in one as it is written in `access`, another one as the organisation says.

    A word that this version does not know, from a newer one beside it, allows nothing.
    """
    if role is not None and role in BUILT_IN:
        return BUILT_IN[role]
    known = set(Permission)
    return implied(Permission(word) for word in own or () if word in known)


async def accesses(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, Access]:
    """Return what each of these people may do now; whether their accounts are on is another question."""
    wanted = set(ids)
    if not wanted:
        return {}
    query = select(User.id, User.known_role, User.given_role, GRANTED).where(User.id.in_(wanted))
    rows = await tx.session.execute(query)
    return {id: access_of(id, role_of(known, given), granted) for id, known, given, granted in rows}


async def access(tx: Tx, user_id: UUID) -> Access:
    """Return what a person may do now; nothing for somebody unknown."""
    return (await accesses(tx, [user_id])).get(user_id, NOTHING)


async def hold_role(tx: Tx, key: str, *, field: str = "role") -> Permissions:
    """Return what a role allows, and keep it from going until the commit; raises `Invalid` when there is none."""
    if key in BUILT_IN:
        return BUILT_IN[key]
    query = select(CustomRole).where(CustomRole.key == storable(key)).with_for_update(read=True, key_share=True)
    role = (await tx.session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    if role is None:
        raise Invalid(field, f"There is no role “{key[:60]}”.", code="unknown")
    return permissions_of(role.key, role.permissions)


def has_permission(permission: Permission) -> ColumnElement[bool]:
    """Say in SQL that the role of a `User` in the organisation allows this."""
    by_word = [role for role, held in BUILT_IN.items() if permission in held]
    bringing = [each.value for each in Permission if permission in implied([each])]
    own = select(CustomRole.key).where(
        CustomRole.permissions.op("&&", is_comparison=True)(literal(bringing, ARRAY(Text())))
    )
    is_told_apart = and_(User.given_role.is_not(None), User.known_role == Role.STAKEHOLDER)
    return or_(
        and_(is_told_apart, or_(User.given_role.in_(by_word), User.given_role.in_(own))),
        and_(not_(is_told_apart), User.known_role.in_(by_word)),
    )
