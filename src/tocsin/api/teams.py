"""Teams: people who own something together, and what each may do with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from tocsin.api.base.body import Body, naming, writes
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.base.resource import Resource, by_words
from tocsin.api.shapes.people import RoleKey
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.identity import queries
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Actor, Team, User
from tocsin.identity.service import teams
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import IdKind


class MemberOut(msgspec.Struct):
    """A member. `role` says what they may do with what the team owns, beyond their role in the organisation."""

    id: str
    name: str
    role: str | None


class TeamOut(msgspec.Struct):
    """A team and its members by name. What a private one owns is hidden from who is in none of its owners."""

    id: str
    name: str
    description: str
    is_private: bool
    archived_at: Time | None
    members: list[MemberOut]
    created_at: Time
    version: int


class Member(msgspec.Struct, forbid_unknown_fields=True):
    """A person and their role in the team; null: no more than their role in the organisation."""

    user_id: str
    role: RoleKey | None = None


@writes(teams.TeamChanges, require=["name"])
class CreateTeam(Body, kw_only=True):
    """A name that no other team has, and the first members: by their ids, or with roles."""

    refs: ClassVar[Mapping[str, IdKind]] = {"member_ids": USER_ID}
    example: ClassVar[Mapping[str, Any]] = {"name": "Payments", "member_ids": ["usr_06b6fyrfa9xsgs9xe3vxkm3j3m"]}
    member_ids: Annotated[list[str], msgspec.Meta(max_length=teams.MOST_MEMBERS)] = msgspec.field(
        default_factory=list[str]
    )
    members: Annotated[list[Member], msgspec.Meta(max_length=teams.MOST_MEMBERS)] = msgspec.field(
        default_factory=list[Member]
    )


@writes(teams.TeamChanges)
class EditTeam(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Payments and refunds", "is_private": True}


class SetMembers(Body, kw_only=True):
    """All members of the team: `member_ids` leaves everybody the role that they have, `members` says it."""

    example: ClassVar[Mapping[str, Any]] = {
        "members": [{"user_id": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m", "role": "responder"}]
    }
    refs: ClassVar[Mapping[str, IdKind]] = {"member_ids": USER_ID}
    member_ids: Annotated[list[str], msgspec.Meta(max_length=teams.MOST_MEMBERS)] | msgspec.UnsetType = msgspec.UNSET
    members: Annotated[list[Member], msgspec.Meta(max_length=teams.MOST_MEMBERS)] | msgspec.UnsetType = msgspec.UNSET


def _with_roles(members: Sequence[Member]) -> dict[UUID, str | None]:
    found: dict[UUID, str | None] = {}
    for at, member in enumerate(members):
        with naming("members", at, "user_id"):
            found[USER_ID.read(member.user_id)] = member.role
    return found


def _write(team: Team, members: Sequence[tuple[User, str | None]]) -> TeamOut:
    named = [MemberOut(USER_ID.write(user.id), user.name, role) for user, role in members]
    return copied(TeamOut, team, TEAM_ID, members=named)


async def _write_all(tx: Tx, _context: Context, _who: Actor, rows: Sequence[Team]) -> list[TeamOut]:
    members = await queries.members(tx, [row.id for row in rows])
    return [_write(row, members[row.id]) for row in rows]


async def _create(tx: Tx, who: Actor, *, member_ids: Sequence[UUID], members: Sequence[Member], **fields: Any) -> Team:
    wanted: teams.Members = dict.fromkeys(member_ids) | _with_roles(members)
    return await teams.create_team(tx, who, members=wanted, **fields)


async def _set_members(
    tx: Tx,
    who: Actor,
    id: UUID,
    *,
    members: Sequence[Member] | None = None,
    member_ids: Collection[UUID] | None = None,
    if_version: int | None,
) -> Team:
    wanted = member_ids if members is None else _with_roles(members)
    if wanted is None or (members is not None and member_ids is not None):
        raise Invalid("members", "Give either `members` or `member_ids`.", code="required")
    return await teams.update_members(tx, who, id, wanted, if_version=if_version)


_Archived = Annotated[bool | None, QueryParameter(description="Only archived teams, or only those in use.")]
TEAMS = Resource("/teams", TEAM_ID, TeamOut, _write_all, view=P.USER_VIEW, manage=P.TEAM_MANAGE, tag="people")
ROUTER = TEAMS.router(
    TEAMS.list(
        queries.teams,
        "List teams in the order in which they were added. Private ones are seen by their members.",
        asks={**by_words("name and description"), "is_archived": (_Archived, None)},
    ),
    TEAMS.create(CreateTeam, _create, "Create a team."),
    TEAMS.get(queries.team, "Show one team."),
    TEAMS.edit(
        EditTeam,
        teams.TeamChanges,
        teams.update_team,
        "Rename or describe a team, or make it private or open (JSON merge patch).",
    ),
    TEAMS.action("archive", teams.archive_team, "Offer the team for nothing new. What it owns stays its own."),
    TEAMS.action("unarchive", teams.unarchive_team, "Offer the team again."),
    TEAMS.replace(
        "members", SetMembers, _set_members, "Make exactly these people the team's members.", name="set_team_members"
    ),
)
