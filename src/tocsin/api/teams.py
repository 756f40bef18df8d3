"""Teams: people who own something together, and what each may do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, get, patch, post, put
from litestar.params import JSONBody

from tocsin.api.base.body import Body, NoBody, ids_in
from tocsin.api.base.http import Cursor, Id, IfMatch, Limit, Listing, Time, answer, given, listing, read_if_match, when
from tocsin.api.shapes.people import RoleKey
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Team, User
from tocsin.identity.service.teams import LONGEST_DESCRIPTION, Members
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Invalid

Name = Annotated[str, msgspec.Meta(max_length=80)]
Description = Annotated[str, msgspec.Meta(max_length=LONGEST_DESCRIPTION)]
_MANY = 500


class MemberOut(msgspec.Struct):
    """A member. `role` says what they may do with what the team owns, beyond their role in the organisation."""

    id: str
    name: str
    role: str | None


class TeamOut(msgspec.Struct):
    """A team and its members by name. What only private teams own is hidden from everybody else."""

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


class CreateTeam(Body, kw_only=True):
    """A name that no other team has, and the first members: by their ids, or with roles."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Payments", "member_ids": ["usr_06b6fyrfa9xsgs9xe3vxkm3j3m"]}
    name: Name
    description: Description = ""
    is_private: bool = False
    member_ids: Annotated[list[str], msgspec.Meta(max_length=_MANY)] = msgspec.field(default_factory=list[str])
    members: Annotated[list[Member], msgspec.Meta(max_length=_MANY)] = msgspec.field(default_factory=list[Member])


class EditTeam(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Payments and refunds", "is_private": True}
    name: Name | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET
    is_private: bool | msgspec.UnsetType = msgspec.UNSET


class SetMembers(Body, kw_only=True):
    """All members of the team: `member_ids` leaves everybody the role that they have, `members` says it."""

    example: ClassVar[Mapping[str, Any]] = {
        "members": [{"user_id": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m", "role": "responder"}]
    }
    member_ids: Annotated[list[str], msgspec.Meta(max_length=_MANY)] | msgspec.UnsetType = msgspec.UNSET
    members: Annotated[list[Member], msgspec.Meta(max_length=_MANY)] | msgspec.UnsetType = msgspec.UNSET


def _with_roles(members: Sequence[Member]) -> dict[UUID, str | None]:
    ids = ids_in("members", USER_ID, [member.user_id for member in members])
    return {id: member.role for id, member in zip(ids, members, strict=True)}


def _write(team: Team, members: Sequence[tuple[User, str | None]]) -> TeamOut:
    return TeamOut(
        id=TEAM_ID.write(team.id),
        name=team.name,
        description=team.description,
        is_private=team.is_private,
        archived_at=when(team.archived_at),
        members=[MemberOut(USER_ID.write(user.id), user.name, role) for user, role in members],
        created_at=stamp(team.created_at),
        version=team.version,
    )


async def _answer(tx: Tx, team: Team, *, status: int = 200) -> Response[TeamOut]:
    shaped = _write(team, (await queries.members(tx, [team.id]))[team.id])
    return answer(shaped, version=shaped.version, status=status)


@get("/", needs=P.USER_VIEW)
async def list_teams(
    request: AppRequest, context: Ctx, who: Who, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[TeamOut]]:
    """List teams in the order in which they were added. Private ones are seen by their members."""
    after = read_place(cursor, UUID)
    async with context.begin() as tx:
        rows = await queries.teams(tx, who.access, after=after, limit=limit + 1)
        members = await queries.members(tx, [row.id for row in rows])
    return listing(request, rows, limit, lambda row: _write(row, members[row.id]), lambda row: row.id)


@post("/", needs=P.TEAM_MANAGE)
async def create_team(context: Ctx, who: Who, data: JSONBody[CreateTeam]) -> Response[TeamOut]:
    """Create a team."""
    members: Members = dict.fromkeys(ids_in("member_ids", USER_ID, data.member_ids)) | _with_roles(data.members)
    async with context.begin() as tx:
        team = await identity.create_team(
            tx, who, name=data.name, description=data.description, is_private=data.is_private, members=members
        )
        return await _answer(tx, team, status=201)


@get("/{id:str}", needs=P.USER_VIEW)
async def get_team(context: Ctx, who: Who, id: Id) -> Response[TeamOut]:
    """Show one team."""
    async with context.begin() as tx:
        return await _answer(tx, await queries.team(tx, who.access, TEAM_ID.read(id)))


@patch("/{id:str}", needs=P.TEAM_MANAGE)
async def edit_team(
    context: Ctx, who: Who, id: Id, data: JSONBody[EditTeam], if_match: IfMatch = None
) -> Response[TeamOut]:
    """Rename or describe a team, or make it private or open (JSON merge patch)."""
    changes = identity.TeamChanges(given(data.name), given(data.description), given(data.is_private))
    async with context.begin() as tx:
        team = await identity.update_team(tx, who, TEAM_ID.read(id), changes, if_version=read_if_match(if_match))
        return await _answer(tx, team)


@post("/{id:str}/actions/archive", status_code=200, needs=P.TEAM_MANAGE)
async def archive_team(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> Response[TeamOut]:
    """Offer the team for nothing new. What it owns stays its own."""
    async with context.begin() as tx:
        return await _answer(tx, await identity.archive_team(tx, who, TEAM_ID.read(id)))


@post("/{id:str}/actions/unarchive", status_code=200, needs=P.TEAM_MANAGE)
async def unarchive_team(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> Response[TeamOut]:
    """Offer the team again."""
    async with context.begin() as tx:
        return await _answer(tx, await identity.archive_team(tx, who, TEAM_ID.read(id), archived=False))


@put("/{id:str}/members", needs=P.TEAM_MANAGE)
async def set_team_members(
    context: Ctx, who: Who, id: Id, data: JSONBody[SetMembers], if_match: IfMatch = None
) -> Response[TeamOut]:
    """Make exactly these people the team's members."""
    team_id = TEAM_ID.read(id)
    if (data.members is msgspec.UNSET) == (data.member_ids is msgspec.UNSET):
        raise Invalid("members", "Give either `members` or `member_ids`.", code="required")
    async with context.begin() as tx:
        if isinstance(data.members, list):
            wanted = _with_roles(data.members)
        else:
            known = {user.id: role for user, role in (await queries.members(tx, [team_id]))[team_id]}
            wanted = {id: known.get(id) for id in ids_in("member_ids", USER_ID, given(data.member_ids) or [])}
        await identity.update_members(tx, who, team_id, wanted, if_version=read_if_match(if_match))
        return await _answer(tx, await queries.team(tx, who.access, team_id))


ROUTER = Router(
    "/teams",
    route_handlers=[list_teams, create_team, get_team, edit_team, archive_team, unarchive_team, set_team_members],
    tags=["people"],
)
