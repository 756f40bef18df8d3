"""Access: the roles of the organisation, and who owns one thing and is granted it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from litestar import get
from litestar.params import FromPath

from tocsin.alerts.model import AlertSource
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import access_queries as queries
from tocsin.identity import queries as identity_queries
from tocsin.identity import service as identity
from tocsin.identity.access import BUILT_IN, MEANINGS, P, Permissions, Thing, thing_named
from tocsin.identity.access_queries import permissions_of
from tocsin.identity.model import GRANT_ID, TEAM_ID, USER_ID, Actor
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.kit.changes import limits_of
from tocsin.kit.errors import NotFound
from tocsin.kit.search import has_words
from tocsin.web.base import lists, pages
from tocsin.web.base.actions import Action, Actions, Made
from tocsin.web.base.forms import MOST_CHOICES, Form, Refused
from tocsin.web.base.lists import Asked, Column, Listing, ListOf
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts.roles import BUILT_IN_ROLES, known_roles
from tocsin.web.parts.targets import Choice

# How many grants of one thing are shown.
_SHOWN = 200
ROLES = ListOf(
    place="/roles",
    one="role",
    many="roles",
    search="Name, whom it is for",
    columns=(Column("ttl", "Role"), Column("kind", "Kind", priority=2), Column("allows", "Allows")),
)
_PERMISSIONS: list[Choice] = [(permission.value, text) for permission, text in MEANINGS.items()]


@dataclass(frozen=True, slots=True)
class RoleRow:
    """One role in the list, by its key, with how much of all that there is it allows."""

    id: str
    name: str
    description: str
    is_built_in: bool
    allowed: int


@dataclass(frozen=True, slots=True)
class RoleView:
    """One role as its page shows and edits it. `uses` says where it is in use."""

    key: str
    name: str
    description: str
    is_built_in: bool
    permissions: Sequence[str]
    version: int
    uses: list[str]


@dataclass(frozen=True, slots=True)
class GrantView:
    """Who was granted the thing, and with what role."""

    id: str
    holder: str
    path: str
    is_team: bool
    role_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesScreen(ShellScreen):
    """A page of the roles, and all permissions that there are, each with its meaning."""

    template: ClassVar = "access/roles.html"
    listing: Listing
    groups: list[lists.Group[RoleRow]]
    permissions: list[Choice]
    may_make: bool
    limits: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleScreen(ShellScreen):
    """One role, and all permissions that there are."""

    template: ClassVar = "access/role.html"
    role: RoleView
    permissions: list[Choice]
    may_edit: bool
    limits: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingScreen(ShellScreen):
    """Who owns a thing and who was granted it, at most `most`; `teams` and `holders` are whom one can choose."""

    template: ClassVar = "access/sharing.html"
    id: str
    thing: Incident | AlertSource
    place: str
    called: str
    owners: list[Choice]
    teams: list[Choice]
    holders: list[tuple[str, list[Choice]]]
    grants: list[GrantView]
    most: int
    roles: list[Choice]


@get("/roles", needs=P.USER_VIEW)
async def role_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the built-in roles and the organisation's own."""
    return await _show_list(request, context, who)


async def _show_list(
    request: AppRequest, context: Context, who: Actor, _: str = "", refused: Refused | None = None
) -> pages.Page:
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        own = await queries.roles(tx)
    known = [
        *(_built_in_row(key, held) for key, held in BUILT_IN.items()),
        *(
            RoleRow(role.key, role.name, role.description, False, len(permissions_of(role.key, role.permissions)))
            for role in own
        ),
    ]
    asked = Asked.by(ROLES, request)
    rows = [role for role in known if has_words(asked.words, role.name, role.description)]
    found = await lists.portion(asked, int, rows.index, lists.within(rows, rows.index))
    screen = RolesScreen(
        shell,
        listing=lists.listing_of(asked, found, total=len(rows)),
        groups=lists.one_group(found.rows),
        permissions=_PERMISSIONS,
        may_make=who.may(P.ACCESS_MANAGE),
        limits=limits_of(identity.RoleChanges),
        refused=refused,
    )
    return pages.render(screen)


def _built_in_row(key: str, held: Permissions) -> RoleRow:
    known = BUILT_IN_ROLES[key]
    return RoleRow(key, known.name, known.words.capitalize(), True, len(held))


async def _create_role(tx: Tx, who: Actor, _: str, form: Form) -> Made:
    """Make a role. Form fields: name, description, permissions (repeated), form_id."""
    return Made(f"/roles/{(await identity.create_role(tx, who, **_said(form))).key}")


def _said(form: Form) -> identity.RoleChanges:
    return {
        "name": form.text("name"),
        "description": form.text("description"),
        "permissions": form.texts("permissions"),
    }


@get("/roles/{id:str}", needs=P.USER_VIEW)
async def role_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show one role, by its key: what it allows and where it is in use."""
    return await _show_role(request, context, who, id)


async def _show_role(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        uses = await queries.uses_of_role(tx, id)
        if id in BUILT_IN:
            row = _built_in_row(id, BUILT_IN[id])
            view = RoleView(id, row.name, row.description, True, sorted(BUILT_IN[id]), 0, uses)
        else:
            role = await queries.role(tx, id)
            held = sorted(permissions_of(role.key, role.permissions))
            view = RoleView(role.key, role.name, role.description, False, held, role.version, uses)
    screen = RoleScreen(
        shell,
        role=view,
        permissions=_PERMISSIONS,
        may_edit=who.may(P.ACCESS_MANAGE) and not view.is_built_in,
        limits=limits_of(identity.RoleChanges),
        refused=refused,
    )
    return pages.render(screen)


async def _edit_role(tx: Tx, who: Actor, key: str, form: Form) -> None:
    """Form fields: name, description, permissions (repeated), version."""
    await identity.update_role(tx, who, key, _said(form), if_version=form.version())


async def _delete_role(tx: Tx, who: Actor, key: str, form: Form) -> None:
    """Delete a role that nobody has. No fields."""
    await identity.delete_role(tx, who, key)


@get("/access/{id:str}", needs=Right.SIGNED_IN)
async def sharing_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show who owns an incident or an alert source, whether it is private, and who was granted it."""
    return await _show_sharing(request, context, who, id)


async def _show_sharing(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        shared = await incidents.read_sharing(tx, who, _thing(id), limit=_SHOWN)
        # Beyond what it names, the page offers everybody.
        who.must(P.USER_VIEW)
        people = await identity_queries.users(tx, limit=MOST_CHOICES, active_only=True)
        offered = await identity_queries.teams(tx, who.access, limit=MOST_CHOICES, is_archived=False)
        owners = await identity_queries.teams_by_id(tx, who.access, shared.thing.team_ids)
        teams = await identity_queries.teams_by_id(
            tx, who.access, [row.team_id for row in shared.grants if row.team_id]
        )
        granted = await identity_queries.users_by_id(tx, [row.user_id for row in shared.grants if row.user_id])
        roles = await known_roles(tx)
    names = {each.id: each.name for each in (*teams.values(), *granted.values())}
    called = {role.key: role.name for role in roles}
    screen = SharingScreen(
        shell,
        id=id,
        thing=shared.thing,
        place=shared.path,
        called=shared.called,
        owners=[(TEAM_ID.write(id), team.name) for id, team in owners.items()],
        teams=[(TEAM_ID.write(id), team.name) for id, team in ({team.id: team for team in offered} | owners).items()],
        holders=[
            ("People", [(f"user:{USER_ID.write(each.id)}", each.name) for each in people]),
            ("Teams", [(f"team:{TEAM_ID.write(each.id)}", each.name) for each in offered]),
        ],
        grants=[
            GrantView(
                GRANT_ID.write(row.id),
                names[row.team_id or row.user_id or row.id],
                TEAM_ID.page(row.team_id) if row.team_id else USER_ID.page(row.user_id or row.id),
                row.team_id is not None,
                called.get(row.role, row.role),
            )
            for row in shared.grants
        ],
        most=_SHOWN,
        roles=[role.choice for role in roles],
        refused=refused,
    )
    return pages.render(screen)


def _thing(id: str) -> Thing:
    if (thing := thing_named(id)) is None:
        raise NotFound("There is no such thing here.")
    return thing


async def _set_owners(tx: Tx, who: Actor, id: str, form: Form) -> None:
    """Say who owns it. Form fields: team_ids (repeated), is_private, version."""
    teams = form.ids("team_ids", TEAM_ID) if form.texts("team_ids") else []
    owners = identity.Owners(teams, form.text("is_private") == "1")
    await incidents.change_owners(tx, who, _thing(id), owners, if_version=form.version())


async def _grant(tx: Tx, who: Actor, id: str, form: Form) -> None:
    """Grant it. Form fields: holder (`user:usr_…` or `team:tem_…`), role."""
    kind, resource_id = _thing(id)
    word, _, ref = form.text("holder").partition(":")
    holder = Form({"holder": [ref]})
    to = (
        incidents.Holder("team", holder.id("holder", TEAM_ID))
        if word == "team"
        else incidents.Holder("user", holder.id("holder", USER_ID))
    )
    await incidents.grant(tx, who, kind=kind, resource_id=resource_id, role=form.text("role"), holder=to)


async def _revoke(tx: Tx, who: Actor, id: str, form: Form) -> None:
    """Take a grant back. Form field: grant_id."""
    await incidents.revoke_grant(tx, who, form.id("grant_id", GRANT_ID))


HANDLERS = [
    role_list,
    *Actions("/roles", _show_list, needs=P.ACCESS_MANAGE).handlers(
        Action("", _create_role, "Role created.", form="new-role", once=True)
    ),
    role_page,
    *Actions("/roles/{id:str}", _show_role, needs=P.ACCESS_MANAGE).handlers(
        Action("", _edit_role, "Role saved. It holds from everybody’s next request on.", form="edit-role"),
        Action("delete", _delete_role, "Role deleted.", form="delete-role-form", leads_to="/roles"),
    ),
    sharing_page,
    *Actions("/access/{id:str}", _show_sharing, needs=Right.SIGNED_IN).handlers(
        Action("owners", _set_owners, "Saved."),
        Action("grant", _grant, "Granted."),
        Action("revoke", _revoke, "Taken back.", form="revoke-{grant_id}-form"),
    ),
]
NAV = (Entry("/roles", "shield", "Roles", Group.ORGANISATION, 40, P.USER_VIEW, words="What people may do"),)
