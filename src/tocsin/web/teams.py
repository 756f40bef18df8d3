"""Teams: the list, and one team with its members and what it owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from litestar import get
from litestar.params import FromPath

from tocsin.alerts import source_queries
from tocsin.alerts.model import SOURCE_ID
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Actor, Team, User
from tocsin.identity.service import teams
from tocsin.incidents import queries as incidents
from tocsin.incidents.model import INCIDENT_ID, OPEN, Incident
from tocsin.kit.changes import limits_of
from tocsin.kit.errors import NotFound
from tocsin.web.base import lists, pages, portions
from tocsin.web.base.actions import Action, Actions, Made
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Listing, ListOf, View
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.base.screens import DialogScreen, ShellScreen
from tocsin.web.parts.dialogs import Dialog, Opened, Question
from tocsin.web.parts.picking import Picker
from tocsin.web.parts.roles import known_roles
from tocsin.web.parts.targets import Choice

# How many things that a team owns its page names.
_OWNED_SHOWN = 50
TEAMS = ListOf(
    place="/teams",
    one="team",
    many="teams",
    search="Name, what it looks after",
    columns=(Column("ttl", "Team"), Column("members", "Members")),
    views=(View("use", "In use"), View("archived", "Archived")),
)


@dataclass(frozen=True, slots=True)
class TeamRow:
    """One team in the list."""

    id: str
    name: str
    description: str
    is_private: bool
    is_archived: bool
    members: list[str]


@dataclass(frozen=True, slots=True)
class MemberView:
    """One member, with the name and the key of their role in the team, if they have one."""

    id: str
    name: str
    role: str
    role_name: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class TeamView:
    """One team as its page shows and edits it."""

    id: str
    name: str
    description: str
    is_private: bool
    is_archived: bool
    version: int
    members: list[MemberView]


@dataclass(frozen=True, slots=True)
class Owned:
    """An incident or a source that the team owns."""

    path: str
    ref: str
    title: str
    severity: int
    status: str
    is_private: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamsScreen(ShellScreen):
    """A page of the teams that are in use, or of those that are archived."""

    template: ClassVar = "teams/teams.html"
    listing: Listing
    groups: list[lists.Group[TeamRow]]
    may_make: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamScreen(ShellScreen):
    """One team; of what it owns the open incidents and the alert sources that the reader sees, `most_owned` of each."""

    template: ClassVar = "teams/team.html"
    team: TeamView
    incidents: list[Owned]
    sources: list[Owned]
    most_owned: int
    may_edit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamFormScreen(DialogScreen):
    """What a team says of itself; None for one that is to be."""

    template: ClassVar = "teams/form.html"
    team: Team | None
    limits: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMembersScreen(DialogScreen):
    """Taking people in, with one of `roles` in the team."""

    template: ClassVar = "teams/add_members.html"
    name: str
    people: Picker
    roles: list[Choice]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRoleScreen(DialogScreen):
    """The role of a member in the team."""

    template: ClassVar = "teams/member_role.html"
    name: str
    id: str
    member: str
    role: str
    roles: list[Choice]


@get("/teams", needs=P.USER_VIEW)
async def team_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the teams in the order in which they were added, 50 at a time; with `?tab=archived` the archived ones."""
    return await _show_list(request, context, who)


async def _show_list(
    request: AppRequest, context: Context, who: Actor, _: str = "", refused: Refused | None = None
) -> pages.Page:
    asked = Asked.by(TEAMS, request)
    archived, most = asked.view == "archived", lists.MOST_COUNTED
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)

        async def read(place: UUID | None, backwards: bool, limit: int) -> list[Team]:
            return await queries.teams(
                tx,
                who.access,
                after=place,
                backwards=backwards,
                limit=limit,
                is_archived=archived,
                words=asked.words,
            )

        found = await portions.read(asked, UUID, lambda team: team.id, read)
        members = await queries.members(tx, [team.id for team in found.rows])
        counts = {
            "use": await queries.count_teams(tx, who.access, is_archived=False, most=most),
            "archived": await queries.count_teams(tx, who.access, is_archived=True, most=most),
        }
        total = await queries.count_teams(tx, who.access, asked.words, is_archived=archived, most=most)
    rows = [_row(team, [person.name for person, _ in members[team.id]]) for team in found.rows]
    screen = TeamsScreen(
        shell,
        listing=lists.listing_of(
            asked, found, tabs=lists.tabs_of(asked, counts) if archived or counts["archived"] else (), total=total
        ),
        groups=lists.one_group(rows),
        may_make=who.may(P.TEAM_MANAGE),
        refused=refused,
    )
    return pages.render(screen)


def _row(team: Team, members: list[str]) -> TeamRow:
    return TeamRow(
        TEAM_ID.write(team.id), team.name, team.description, team.is_private, team.archived_at is not None, members
    )


async def _create(tx: Tx, who: Actor, _: str, form: Form) -> Made:
    """Make a team. Form fields: name, description, is_private, form_id."""
    return Made(TEAM_ID.page((await teams.create_team(tx, who, **form.written(teams.TeamChanges))).id))


@get("/teams/{id:str}", needs=P.USER_VIEW)
async def team_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show one team: who is in it, and what of what it owns the reader may see."""
    return await _show(request, context, who, id)


async def _show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    who.must(P.USER_VIEW)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        team = await queries.team(tx, who.access, TEAM_ID.read(id))
        members = (await queries.members(tx, [team.id]))[team.id]
        roles = await known_roles(tx)
        screen = TeamScreen(
            shell,
            team=_view(team, members, {role.key: role.name for role in roles}),
            incidents=[
                _incident(each)
                for each in await incidents.listed(
                    tx, who.access, incidents.Filters(statuses=OPEN, team_ids=[team.id]), limit=_OWNED_SHOWN
                )
            ],
            sources=[
                Owned(SOURCE_ID.page(each.id), "", each.name, 0, "", each.is_private)
                for each in await source_queries.owned_by(tx, who.access, team.id, limit=_OWNED_SHOWN)
            ],
            most_owned=_OWNED_SHOWN,
            may_edit=who.may(P.TEAM_MANAGE, on=team),
            refused=refused,
        )
    return pages.render(screen)


def _view(team: Team, members: Sequence[tuple[User, str | None]], roles: dict[str, str]) -> TeamView:
    return TeamView(
        id=TEAM_ID.write(team.id),
        name=team.name,
        description=team.description,
        is_private=team.is_private,
        is_archived=team.archived_at is not None,
        version=team.version,
        members=[
            MemberView(
                USER_ID.write(person.id),
                person.name,
                role or "",
                roles.get(role, role) if role else "",
                person.is_active,
            )
            for person, role in members
        ],
    )


def _incident(each: Incident) -> Owned:
    path = INCIDENT_ID.page(each.reference)
    return Owned(path, each.reference, each.title, each.severity, each.status, each.is_private)


async def _edit(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Form fields: name, description, is_private, version."""
    changes = form.written(teams.TeamChanges)
    await teams.update_team(tx, who, id, changes, if_version=form.version())


async def _add_members(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Take people in. Form fields: user_id (repeated), role (empty: no more than in the organisation)."""
    people = form.ids("user_id", USER_ID)
    await teams.add_members(tx, who, id, dict.fromkeys(people, form.text("role") or None))


async def _set_role(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Give a member another role in the team. Form fields: user_id, role (empty: none)."""
    member = form.id("user_id", USER_ID)
    await teams.add_members(tx, who, id, {member: form.text("role") or None})


async def _remove_member(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Put a member out. Form field: user_id."""
    await teams.remove_member(tx, who, id, form.id("user_id", USER_ID))


async def _archive(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Offer it for nothing new. No fields."""
    await teams.archive_team(tx, who, id)


async def _unarchive(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Offer it again. No fields."""
    await teams.unarchive_team(tx, who, id)


async def _new_team(opened: Opened) -> TeamFormScreen:
    """Show the form of a team that is to be."""
    opened.who.must(P.TEAM_MANAGE)
    return TeamFormScreen(
        opened.shell, team=None, limits=limits_of(teams.TeamChanges), back="/teams", refused=opened.refused
    )


async def _edit_team(opened: Opened) -> TeamFormScreen:
    """Show the form of what a team says of itself."""
    team = await _managed(opened)
    limits = limits_of(teams.TeamChanges)
    return TeamFormScreen(opened.shell, team=team, limits=limits, **_about(opened, team))


async def _add_people(opened: Opened) -> AddMembersScreen:
    """Show the form for taking people in."""
    team = await _managed(opened)
    people, roles = await opened.picker("colleagues", "user_id"), await _roles(opened.tx)
    return AddMembersScreen(opened.shell, name=team.name, people=people, roles=roles, **_about(opened, team))


async def _member_role(opened: Opened) -> MemberRoleScreen:
    """Show the form for the role of a member."""
    team = await _managed(opened)
    person, role = await _member(opened, team)
    return MemberRoleScreen(
        opened.shell,
        name=team.name,
        id=USER_ID.write(person.id),
        member=person.name,
        role=role or "",
        roles=await _roles(opened.tx),
        **_about(opened, team),
    )


async def _ask_to_remove(opened: Opened) -> Question:
    """Ask before a member is put out."""
    team = await _managed(opened)
    person, _ = await _member(opened, team)
    id, place = USER_ID.write(person.id), TEAM_ID.page(team.id)
    return Question(
        opened.shell,
        title=f"Remove {person.name}",
        text=f"{person.name} no longer sees what only this team owns, and hands over the roles they have in its "
        "incidents if they may not keep them.",
        label="Remove",
        form=f"remove-{id}-form",
        action=f"{place}/members/remove",
        fields={"user_id": id},
        crumbs=[("/teams", "Teams"), (place, team.name)],
        **_about(opened, team),
    )


async def _ask_to_archive(opened: Opened) -> Question:
    """Ask before a team is archived."""
    team = await _managed(opened)
    place = TEAM_ID.page(team.id)
    return Question(
        opened.shell,
        title=f"Archive {team.name}",
        text="It is offered for nothing new. What it owns stays its own, its members go on seeing it, and it can be "
        "restored.",
        label="Archive team",
        form="archive-form",
        action=f"{place}/archive",
        crumbs=[("/teams", "Teams"), (place, team.name)],
        **_about(opened, team),
    )


async def _managed(opened: Opened) -> Team:
    # Beyond the team itself, what is asked about it shows people.
    opened.who.must(P.USER_VIEW)
    team = await queries.team(opened.tx, opened.who.access, opened.id)
    opened.who.must(P.TEAM_MANAGE, on=team)
    return team


async def _member(opened: Opened, team: Team) -> tuple[User, str | None]:
    id = USER_ID.read(opened.named["user_id"])
    members = (await queries.members(opened.tx, [team.id]))[team.id]
    found = next((member for member in members if member[0].id == id), None)
    if found is None:
        raise NotFound("Nobody of that kind is in the team.")
    return found


async def _roles(tx: Tx) -> list[Choice]:
    return [("", "No more than their role in the organisation"), *(role.choice for role in await known_roles(tx))]


def _about(opened: Opened, team: Team) -> dict[str, Any]:
    return {"back": TEAM_ID.page(team.id), "seen": str(team.version), "refused": opened.refused}


_NEW = Dialog("/teams/new", _new_team, P.TEAM_MANAGE)
_EDIT = Dialog("/teams/{id:str}/edit", _edit_team, P.TEAM_MANAGE, ids=TEAM_ID)
_ADD = Dialog("/teams/{id:str}/members/new", _add_people, P.TEAM_MANAGE, ids=TEAM_ID)
_ROLE = Dialog("/teams/{id:str}/members/{user_id:str}/role", _member_role, P.TEAM_MANAGE, ids=TEAM_ID)
_REMOVE = Dialog("/teams/{id:str}/members/{user_id:str}/remove", _ask_to_remove, P.TEAM_MANAGE, ids=TEAM_ID)
_ARCHIVE = Dialog("/teams/{id:str}/archive", _ask_to_archive, P.TEAM_MANAGE, ids=TEAM_ID)
HANDLERS = [
    team_list,
    *(dialog.handler for dialog in (_NEW, _EDIT, _ADD, _ROLE, _REMOVE, _ARCHIVE)),
    *Actions("/teams", _NEW.show, needs=P.TEAM_MANAGE).handlers(
        Action("", _create, "Team created. Add its people.", form="new-team", once=True)
    ),
    team_page,
    *Actions("/teams/{id:str}", _show, needs=P.TEAM_MANAGE, ids=TEAM_ID).handlers(
        Action("", _edit, "Team saved.", form="edit-team", show=_EDIT.show),
        Action("members", _add_members, "Added.", form="add-members", show=_ADD.show),
        Action("members/role", _set_role, "Role saved.", form="role-{user_id}", show=_ROLE.show),
        Action(
            "members/remove", _remove_member, "No longer a member.", form="remove-{user_id}-form", show=_REMOVE.show
        ),
        Action(
            "archive",
            _archive,
            "Team archived. What it owns stays its own.",
            form="archive-form",
            show=_ARCHIVE.show,
        ),
        Action("unarchive", _unarchive, "Team restored.", form="unarchive"),
    ),
]
NAV = (
    Entry("/teams", "users-round", "Teams", Group.ORGANISATION, 30, P.USER_VIEW, "g w", words="Who belongs together"),
)
