"""Teams: people who own something together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post, put
from litestar.params import JSONBody

from tocsin.api.body import Body, ids_in
from tocsin.api.http import Cursor, Id, Limit, Listing, Time, answer, listing
from tocsin.api.incident_shape import Person
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.model import Team, User
from tocsin.kit.clock import stamp
from tocsin.kit.ids import parse, public

Members = Annotated[list[str], msgspec.Meta(max_length=500)]


class TeamOut(msgspec.Struct):
    """A team and its members by name."""

    id: str
    name: str
    description: str
    members: list[Person]
    created_at: Time


class CreateTeam(Body, kw_only=True):
    """A name that no other team has, and the first members."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Payments", "member_ids": ["usr_06b6fyrfa9xsgs9xe3vxkm3j3m"]}
    name: Annotated[str, msgspec.Meta(max_length=80)]
    description: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    member_ids: Members = msgspec.field(default_factory=list[str])


class SetMembers(Body, kw_only=True):
    """All members of the team."""

    example: ClassVar[Mapping[str, Any]] = {"member_ids": ["usr_06b6fyrfa9xsgs9xe3vxkm3j3m"]}
    member_ids: Members


def _members(ids: Sequence[str]) -> list[UUID]:
    return ids_in("member_ids", "usr", ids)


def _write(team: Team, members: Sequence[User]) -> TeamOut:
    people = [Person(public("usr", user.id), user.name) for user in members]
    return TeamOut(public("tem", team.id), team.name, team.description, people, stamp(team.created_at))


@get("/")
async def list_teams(
    request: AppRequest, context: Ctx, who: Who, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[TeamOut]]:
    """List teams in the order in which they were added."""
    who.must(P.USER_VIEW)
    after = read_place(cursor, UUID)
    async with context.begin() as tx:
        rows = await queries.teams(tx, after=after, limit=limit + 1)
        members = await queries.members(tx, [row.id for row in rows])
    return listing(request, rows, limit, lambda row: _write(row, members[row.id]), lambda row: row.id)


@post("/")
async def create_team(context: Ctx, who: Who, data: JSONBody[CreateTeam]) -> Response[TeamOut]:
    """Create a team."""
    async with context.begin() as tx:
        team = await identity.create_team(
            tx, who, name=data.name, description=data.description, member_ids=_members(data.member_ids)
        )
        members = (await queries.members(tx, [team.id]))[team.id]
    return answer(_write(team, members), status=201)


@get("/{id:str}")
async def get_team(context: Ctx, who: Who, id: Id) -> TeamOut:
    """Show one team."""
    who.must(P.USER_VIEW)
    async with context.begin() as tx:
        team = await queries.team(tx, parse("tem", id))
        return _write(team, (await queries.members(tx, [team.id]))[team.id])


@put("/{id:str}/members")
async def set_team_members(context: Ctx, who: Who, id: Id, data: JSONBody[SetMembers]) -> TeamOut:
    """Make exactly these people the team's members."""
    team_id = parse("tem", id)
    async with context.begin() as tx:
        members = await identity.update_members(tx, who, team_id, _members(data.member_ids))
        return _write(await queries.team(tx, team_id), members)


ROUTER = Router("/teams", route_handlers=[list_teams, create_team, get_team, set_team_members], tags=["people"])
