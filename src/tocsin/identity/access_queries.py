"""Reading what people were granted, with the person themselves and in the same statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from msgspec import convert
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Text,
    Uuid,
    and_,
    column,
    func,
    literal,
    not_,
    or_,
    select,
    table,
    true,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

from tocsin.db.arrays import among
from tocsin.db.engine import Tx
from tocsin.db.records import lock_records
from tocsin.identity.access import (
    ALL,
    BUILT_IN,
    MEMBERS,
    NOTHING,
    SCOPED,
    Access,
    P,
    Permission,
    Permissions,
    ResourceKind,
    Role,
    Thing,
    implied,
)
from tocsin.identity.model import AccessGrant, Actor, CustomRole, Team, TeamMember, User, role_of
from tocsin.kit.errors import Invalid, NotFound
from tocsin.kit.text import storable

_object = func.jsonb_build_object
_array = func.jsonb_build_array
_all = func.jsonb_agg


def _permissions(role: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """The permissions of a role that the organisation made; null for any other."""
    return select(CustomRole.permissions).where(CustomRole.key == role).scalar_subquery()


_IN_TEAMS = (
    select(_all(_array(TeamMember.team_id, TeamMember.role, _permissions(TeamMember.role))))
    .where(TeamMember.user_id == User.id)
    .correlate(User)
    .scalar_subquery()
)
# Also two levels deep these are of the person who is read, and not of everybody.
_MY_TEAMS = select(TeamMember.team_id).where(TeamMember.user_id == User.id).correlate(User)
# There can be 1,000 of them, of few roles: each role is looked at once.
_OF_ROLE = (
    select(AccessGrant.kind, AccessGrant.role, _all(AccessGrant.resource_id).label("ids"))
    .where(or_(AccessGrant.user_id == User.id, AccessGrant.team_id.in_(_MY_TEAMS)))
    .group_by(AccessGrant.kind, AccessGrant.role)
    .correlate(User)
    .subquery()
)
_GRANTS = select(
    _all(_array(_OF_ROLE.c.kind, _OF_ROLE.c.ids, _OF_ROLE.c.role, _permissions(_OF_ROLE.c.role)))
).scalar_subquery()
_PRIVATE_TEAMS = select(Team.id).where(Team.is_private, Team.id.not_in(_MY_TEAMS))
_CLOSED = select(_all(Team.id)).where(Team.is_private, Team.id.not_in(_MY_TEAMS)).scalar_subquery()
# Sources are few, and belong to a layer above; alerts are many, and belong to their sources.
_SOURCE = table("alert_source", column("id"), column("team_ids", ARRAY(Uuid())), column("is_private", Boolean()))
_IS_MINE = _SOURCE.c.team_ids.overlap(func.array(_MY_TEAMS.scalar_subquery()))
_OWN = select(_all(_SOURCE.c.id)).where(_IS_MINE).scalar_subquery()
_HIDDEN = (
    select(_all(_SOURCE.c.id))
    .where(
        or_(_SOURCE.c.is_private, _SOURCE.c.team_ids.overlap(func.array(_PRIVATE_TEAMS.scalar_subquery()))),
        not_(_IS_MINE),
    )
    .scalar_subquery()
)

# One value beside a `User`, read by `access_of`.
GRANTED = _object(
    *("role", _permissions(User.given_role), "teams", _IN_TEAMS, "grants", _GRANTS),
    *("closed", _CLOSED, "hidden", _HIDDEN, "own", _OWN),
).label("granted")


def access_of(user_id: UUID, role: str, granted: Mapping[str, Any]) -> Access:
    """Return what a person with this role in the organisation may do, from `GRANTED` as it was read with them."""
    grants: dict[Thing, Permissions] = {}
    for word, ids, given, own in granted["grants"] or ():
        kind, allowed = ResourceKind(word), permissions_of(given, own) & SCOPED
        for id in convert(ids, list[UUID]):
            thing = (kind, id)
            grants[thing] = grants[thing] | allowed if thing in grants else allowed
    return Access(
        organisation=permissions_of(role, granted["role"]),
        teams={UUID(id): MEMBERS | permissions_of(given, own) & SCOPED for id, given, own in granted["teams"] or ()},
        grants=grants,
        closed=frozenset(UUID(id) for id in granted["closed"] or ()),
        hidden_sources=frozenset(UUID(id) for id in granted["hidden"] or ()),
        own_sources=frozenset(UUID(id) for id in granted["own"] or ()),
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


async def anew(tx: Tx, who: Actor) -> Actor:
    """Return the actor with what they may do now: for whoever has waited for a lock that somebody else held."""
    if who.user_id is None:
        return who
    is_active = await tx.session.scalar(select(User.is_active).where(User.id == who.user_id))
    theirs = await access(tx, who.user_id) if is_active else NOTHING
    if who.access.only is not None:
        theirs = theirs.confined(who.access.only)
    elif who.access.within != ALL:
        theirs = theirs.narrowed(who.access.within)
    return replace(who, access=theirs)


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
    return or_(has_role(by_word), and_(_IS_TOLD_APART, User.given_role.in_(own)))


# As `role_of` reads what is stored.
_IS_TOLD_APART = and_(User.given_role.is_not(None), User.known_role == Role.STAKEHOLDER)


def has_role(keys: Collection[str]) -> ColumnElement[bool]:
    """Say in SQL that a `User` has one of these roles in the organisation."""
    words = [storable(key) for key in keys]
    return or_(and_(_IS_TOLD_APART, User.given_role.in_(words)), and_(not_(_IS_TOLD_APART), User.known_role.in_(words)))


async def roles(tx: Tx) -> list[CustomRole]:
    """Return the roles that the organisation has made, by name; at most `MOST_ROLES` can be."""
    return list((await tx.session.scalars(select(CustomRole).order_by(CustomRole.name))).all())


async def count_roles(tx: Tx) -> int:
    """Count the roles that the organisation has made."""
    return await tx.session.scalar(select(func.count()).select_from(CustomRole)) or 0


async def role(tx: Tx, key: str) -> CustomRole:
    """Return a role of the organisation's own; raises `NotFound`, also for a built-in one."""
    return _there((await tx.session.scalars(select(CustomRole).where(CustomRole.key == storable(key)))).one_or_none())


async def lock_role(tx: Tx, key: str) -> CustomRole:
    """Return a role for changing, and let nobody be given it meanwhile; raises `NotFound`, also for a built-in one."""
    query = select(CustomRole).where(CustomRole.key == storable(key)).with_for_update()
    return _there((await tx.session.scalars(query.execution_options(populate_existing=True))).one_or_none())


def _there(found: CustomRole | None) -> CustomRole:
    if found is None:
        raise NotFound("There is no such role of your own. Those that are built in stay as they are.")
    return found


async def people_with_role(tx: Tx, key: str) -> list[User]:
    """Return the active people who have this role: in the organisation, in a team or by a grant."""
    in_team = select(TeamMember.user_id).where(TeamMember.role == key)
    granted = select(AccessGrant).where(AccessGrant.role == key).subquery()
    by_team = select(TeamMember.user_id).join(granted, granted.c.team_id == TeamMember.team_id)
    in_organisation = and_(User.given_role == key, User.known_role == Role.STAKEHOLDER)
    somewhere = union(in_team, by_team, select(granted.c.user_id).where(granted.c.user_id.is_not(None)))
    query = select(User).where(or_(in_organisation, User.id.in_(somewhere)), User.is_active)
    return list((await tx.session.scalars(query.order_by(User.id))).all())


async def people_of_grant(tx: Tx, held: AccessGrant) -> list[User]:
    """Return the active people whom a grant lets do something: its person, or whoever is in its team."""
    members = select(TeamMember.user_id).where(TeamMember.team_id == held.team_id)
    query = select(User).where(or_(User.id == held.user_id, User.id.in_(members)), User.is_active)
    return list((await tx.session.scalars(query.order_by(User.id))).all())


async def uses_of_role(tx: Tx, key: str) -> list[str]:
    """Say where a role is in use, each with a count; nothing when nobody has it."""
    key = storable(key)
    places = (
        ("people", "person", select(func.count()).where(User.given_role == key)),
        ("members of teams", "member of a team", select(func.count()).where(TeamMember.role == key)),
        ("grants", "grant", select(func.count()).where(AccessGrant.role == key)),
    )
    found = [(many, one, await tx.session.scalar(count) or 0) for many, one, count in places]
    return [f"{number} {one if number == 1 else many}" for many, one, number in found if number]


def visible_teams(access: Access) -> ColumnElement[bool]:
    """Say in SQL that a team may be seen: a private one by its members and by those who manage teams."""
    if P.TEAM_MANAGE in access.organisation or P.PRIVATE_VIEW in access.organisation:
        return true()
    return or_(not_(Team.is_private), among(Team.id, list(access.teams)))


async def grants(
    tx: Tx, only: ColumnElement[bool], *, thing: Thing | None = None, after: UUID | None = None, limit: int = 100
) -> list[AccessGrant]:
    """Return those of the grants, or of those for one thing, for which `only` holds, the oldest first."""
    query = select(AccessGrant).where(only).order_by(AccessGrant.id).limit(limit)
    if thing is not None:
        query = query.where(AccessGrant.kind == thing[0], AccessGrant.resource_id == thing[1])
    if after is not None:
        query = query.where(AccessGrant.id > after)
    return list((await tx.session.scalars(query)).all())


async def lock_grant(tx: Tx, grant_id: UUID, only: ColumnElement[bool]) -> AccessGrant:
    """Return a grant for changing; raises `NotFound`, also for one for which `only` does not hold."""
    return (await lock_records(tx, AccessGrant, [grant_id], "grant", only))[0]
