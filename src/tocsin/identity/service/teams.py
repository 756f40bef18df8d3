"""Teams: making and changing them, who belongs to them, and what each may do with what the team owns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, TypedDict, Unpack, cast
from uuid import UUID

from msgspec import Meta

from tocsin.db.engine import Tx
from tocsin.events.base import Change, Subject, yes_or_no
from tocsin.events.configuration import UserLostRights
from tocsin.events.log import emit
from tocsin.events.since import must_be_unchanged
from tocsin.identity import queries
from tocsin.identity.access import MEMBERS, SCOPED, P, loses_roles
from tocsin.identity.access_queries import accesses, anew, hold_role
from tocsin.identity.accounts import LONGEST_NAME
from tocsin.identity.configuring import Configuration
from tocsin.identity.model import Actor, Team, User
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Denied, Invalid

MOST_MEMBERS = 500
# Members and the key of the role of each in the team; None: no more than their role in the organisation.
Members = Mapping[UUID, str | None]


class TeamChanges(TypedDict, total=False):
    """What to change about a team; what is not there stays as it is."""

    name: Annotated[str, Meta(max_length=LONGEST_NAME)]
    description: Annotated[str, Meta(max_length=2000)]
    is_private: bool


_TEAMS = Configuration(Team, TeamChanges)


async def create_team(tx: Tx, who: Actor, *, members: Members | None = None, **written: Unpack[TeamChanges]) -> Team:
    """Create a team with its first members; raises `Invalid` for a name that is taken or an unknown person."""
    who.must(P.TEAM_MANAGE)
    wanted = members or {}
    if len(wanted) > MOST_MEMBERS:
        raise _too_many()
    people = await _people(tx, wanted, ())
    await _must_allow(tx, who, wanted.values(), frozenset())
    team = await _TEAMS.create(tx, who, written)
    await queries.add_members(tx, team.id, {id: wanted[id] for id in people})
    return team


async def update_team(tx: Tx, who: Actor, team_id: UUID, changes: TeamChanges, *, if_version: Copy = None) -> Team:
    """Rename or describe a team, or make it private or open: what it owns is hidden or shown by that at once."""
    who, team = await _lock(tx, who, team_id)
    return await _TEAMS.change(tx, who, team, changes, if_version=if_version)


async def archive_team(tx: Tx, who: Actor, team_id: UUID) -> Team:
    """Offer a team for nothing new. What it owns stays its own, and its members see it. Idempotent."""
    return await _set_archived(tx, who, team_id, archived=True)


async def unarchive_team(tx: Tx, who: Actor, team_id: UUID) -> Team:
    """Offer a team again. Idempotent."""
    return await _set_archived(tx, who, team_id, archived=False)


async def _set_archived(tx: Tx, who: Actor, team_id: UUID, *, archived: bool) -> Team:
    who, team = await _lock(tx, who, team_id)
    if (team.archived_at is not None) == archived:
        return team
    team.archived_at = tx.now if archived else None
    change = Change(field="archived", old=yes_or_no(not archived), new=yes_or_no(archived))
    return await _TEAMS.change(tx, who, team, {}, change)


async def update_members(
    tx: Tx, who: Actor, team_id: UUID, members: Members | Collection[UUID], *, if_version: Copy = None
) -> Team:
    """Make exactly these people the team's members, each with a role in it or none; without roles, each keeps theirs.

    Nobody gives or takes a role in a team that may do more there than they may themselves. Who may act on fewer
    incidents by it has no role in the others any more (`user.lost_rights`). Unchanged: nothing happens.
    """
    who, team = await _lock(tx, who, team_id)
    await must_be_unchanged(tx, Subject("team", team.id), team.version, if_version, ["members"], "this team")
    before = await _members(tx, team_id)
    known = {id: role for id, (_, role) in before.items()}
    if not isinstance(members, Mapping):
        members = {id: known.get(id) for id in members}
    return await _replace(tx, who, team, before, cast("Members", members))


async def add_members(tx: Tx, who: Actor, team_id: UUID, members: Members) -> Team:
    """Take these people into the team with a role in it or none, or give those that are in it another one.

    As `update_members` for these, and whoever else is a member stays it.
    """
    who, team = await _lock(tx, who, team_id)
    before = await _members(tx, team_id)
    return await _replace(tx, who, team, before, {id: role for id, (_, role) in before.items()} | dict(members))


async def remove_member(tx: Tx, who: Actor, team_id: UUID, user_id: UUID) -> Team:
    """Put somebody out of the team. Idempotent; as `update_members` without them."""
    who, team = await _lock(tx, who, team_id)
    before = await _members(tx, team_id)
    return await _replace(tx, who, team, before, {id: role for id, (_, role) in before.items() if id != user_id})


async def _members(tx: Tx, team_id: UUID) -> dict[UUID, tuple[User, str | None]]:
    return {person.id: (person, role) for person, role in (await queries.members(tx, [team_id]))[team_id]}


async def _replace(
    tx: Tx, who: Actor, team: Team, before: Mapping[UUID, tuple[User, str | None]], wanted: Members
) -> Team:
    known = {id: role for id, (_, role) in before.items()}
    # One that has more, from before there was a limit, can be made smaller step by step.
    if len(wanted) > max(MOST_MEMBERS, len(known)):
        raise _too_many()
    people = await _people(tx, wanted, known.keys())
    changed = {id for id in known.keys() | wanted.keys() if known.get(id, "") != wanted.get(id, "")}
    if not changed:
        return team
    touched = [role for roles in (known, wanted) for id, role in roles.items() if id in changed]
    await _must_allow(tx, who, touched, who.access.of_team(team.id))
    could = await accesses(tx, changed)
    await queries.remove_members(tx, team.id, changed)
    await queries.add_members(tx, team.id, {id: role for id, role in wanted.items() if id in changed})
    change = Change(field="members", old=_names(before.values()), new=_names((people[id], wanted[id]) for id in wanted))
    await _TEAMS.change(tx, who, team, {}, change)
    can = await accesses(tx, changed)
    everybody = people | {id: person for id, (person, _) in before.items()}
    lost = [id for id in sorted(changed) if loses_roles(could[id].of_team(team.id), can[id].of_team(team.id))]
    await emit(tx, *(UserLostRights(actor=who.ref, user_id=id, user_name=everybody[id].name) for id in lost))
    return team


async def _lock(tx: Tx, who: Actor, team_id: UUID) -> tuple[Actor, Team]:
    who.must_somewhere(P.TEAM_MANAGE)
    team = await queries.lock_team(tx, who.access, team_id)
    # Whoever was waited for may have put the actor out of it.
    who = await anew(tx, who)
    who.must(P.TEAM_MANAGE, on=team)
    return who, team


async def _must_allow(tx: Tx, who: Actor, roles: Iterable[str | None], in_team: Collection[P]) -> None:
    """Raise `Denied` for a role that may do more with what a team owns than the actor may themselves."""
    may = who.access.organisation | frozenset(in_team) | MEMBERS
    for role in {role for role in roles if role is not None}:
        if not (await hold_role(tx, role, field="members") & SCOPED) <= may:
            raise Denied(f"The role {role} may do more in a team than you may. Ask an administrator.")


async def _people(tx: Tx, ids: Iterable[UUID], members: Collection[UUID]) -> dict[UUID, User]:
    wanted = set(ids)
    found = await queries.users_by_id(tx, wanted)
    if wanted - found.keys():
        raise Invalid("member_ids", "One of these people does not exist.")
    gone = [person.name for person in _by_name(found.values()) if not (person.is_active or person.id in members)]
    if gone:
        raise Invalid("member_ids", f"The account of {gone[0]} is switched off.", code="inactive")
    return found


def _by_name(people: Iterable[User]) -> list[User]:
    return sorted(people, key=lambda person: (person.name, person.id))


def _names(members: Iterable[tuple[User, str | None]]) -> str:
    ordered = sorted(members, key=lambda member: (member[0].name, member[0].id))
    return ", ".join(person.name + (f" ({role})" if role is not None else "") for person, role in ordered)


def _too_many() -> Invalid:
    return Invalid("members", f"At most {MOST_MEMBERS} people can be in a team.", code="count")
