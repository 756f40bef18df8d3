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
from tocsin.web.base import lists, pages, portions
from tocsin.web.base.actions import Action, Actions, Made
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Listing, ListOf
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.base.screens import DialogScreen, ShellScreen
from tocsin.web.parts.dialogs import Dialog, Opened, Question
from tocsin.web.parts.picking import Option, Picker, picker
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
    """A page of the roles, each with how many of all permissions it has."""

    template: ClassVar = "access/roles.html"
    listing: Listing
    groups: list[lists.Group[RoleRow]]
    of: int
    may_make: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRoleScreen(DialogScreen):
    """A role that is to be, and all permissions that there are, each with its meaning."""

    template: ClassVar = "access/new_role.html"
    permissions: list[Choice]
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
    """Who owns a thing and who was granted it, at most `most`; `owners` are of the teams that one can choose."""

    template: ClassVar = "access/sharing.html"
    id: str
    thing: Incident | AlertSource
    place: str
    called: str
    owners: Picker
    has_teams: bool
    grants: list[GrantView]
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantScreen(DialogScreen):
    """Granting a thing to somebody, or to a team, with one of `roles`."""

    template: ClassVar = "access/grant.html"
    called: str
    place: str
    holders: Picker
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
    found = await portions.read(asked, int, rows.index, portions.within(rows, rows.index))
    screen = RolesScreen(
        shell,
        listing=lists.listing_of(asked, found, total=len(rows)),
        groups=lists.one_group(found.rows),
        of=len(_PERMISSIONS),
        may_make=who.may(P.ACCESS_MANAGE),
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
        # Beyond what it names, the page offers every team.
        who.must(P.USER_VIEW)
        owners = await identity_queries.teams_by_id(tx, who.access, shared.thing.team_ids)
        teams = await identity_queries.teams_by_id(
            tx, who.access, [row.team_id for row in shared.grants if row.team_id]
        )
        granted = await identity_queries.users_by_id(tx, [row.user_id for row in shared.grants if row.user_id])
        roles = await known_roles(tx)
        chosen = [Option(TEAM_ID.write(id), team.name) for id, team in owners.items()]
        offered = await picker(tx, who, "teams", in_sheet=False, name="team_ids", refused=refused, chosen=chosen)
    names = {each.id: each.name for each in (*teams.values(), *granted.values())}
    called = {role.key: role.name for role in roles}
    screen = SharingScreen(
        shell,
        id=id,
        thing=shared.thing,
        place=shared.path,
        called=shared.called,
        owners=offered,
        has_teams=bool(offered.options),
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


async def _new_role(opened: Opened) -> NewRoleScreen:
    """Show the form of a role that is to be."""
    opened.who.must(P.ACCESS_MANAGE)
    limits = limits_of(identity.RoleChanges)
    return NewRoleScreen(opened.shell, permissions=_PERMISSIONS, limits=limits, back="/roles", refused=opened.refused)


async def _ask_to_delete(opened: Opened) -> Question:
    """Ask before a role is deleted."""
    opened.who.must(P.ACCESS_MANAGE)
    role = await queries.role(opened.tx, opened.id)
    place = f"/roles/{role.key}"
    return Question(
        opened.shell,
        title=f"Delete {role.name}",
        text="A role that somebody has cannot be deleted; give them another one first.",
        label="Delete role",
        form="delete-role-form",
        action=f"{place}/delete",
        crumbs=[("/roles", "Roles"), (place, role.name)],
        back=place,
        refused=opened.refused,
    )


async def _grant_access(opened: Opened) -> GrantScreen:
    """Show the form for granting a thing to somebody."""
    shared = await incidents.read_sharing(opened.tx, opened.who, _thing(opened.id), limit=1)
    opened.who.must(P.USER_VIEW)
    return GrantScreen(
        opened.shell,
        called=shared.called,
        place=shared.path,
        holders=await opened.picker("holders", "holder"),
        roles=[role.choice for role in await known_roles(opened.tx)],
        back=f"/access/{opened.id}",
        refused=opened.refused,
    )


async def _ask_to_take_back(opened: Opened) -> Question:
    """Ask before a grant is taken back."""
    shared = await incidents.read_sharing(opened.tx, opened.who, _thing(opened.id), limit=_SHOWN)
    grant_id = GRANT_ID.read(opened.named["grant_id"])
    grant = next((row for row in shared.grants if row.id == grant_id), None)
    if grant is None:
        raise NotFound("This grant is gone already.")
    people = await identity_queries.users_by_id(opened.tx, [grant.user_id] if grant.user_id else [])
    teams = await identity_queries.teams_by_id(opened.tx, opened.who.access, [grant.team_id] if grant.team_id else [])
    holder = next((each.name for each in (*people.values(), *teams.values())), "them")
    id, place = GRANT_ID.write(grant_id), f"/access/{opened.id}"
    return Question(
        opened.shell,
        title=f"Take it back from {holder}",
        text="They see it from then on only if it is theirs in another way: by a team, by their role, or because they "
        "were asked about it.",
        label="Take back",
        form=f"revoke-{id}-form",
        action=f"{place}/revoke",
        fields={"grant_id": id},
        crumbs=[(shared.path, shared.called), (place, "Access")],
        back=place,
        refused=opened.refused,
    )


# No key of a role has such a letter.
_NEW_ROLE = Dialog("/roles/_new", _new_role, P.ACCESS_MANAGE)
_DELETE_ROLE = Dialog("/roles/{id:str}/delete", _ask_to_delete, P.ACCESS_MANAGE)
_GRANT = Dialog("/access/{id:str}/grant", _grant_access, Right.SIGNED_IN)
_TAKE_BACK = Dialog("/access/{id:str}/grants/{grant_id:str}/revoke", _ask_to_take_back, Right.SIGNED_IN)
HANDLERS = [
    *(dialog.handler for dialog in (_NEW_ROLE, _DELETE_ROLE, _GRANT, _TAKE_BACK)),
    role_list,
    *Actions("/roles", _NEW_ROLE.show, needs=P.ACCESS_MANAGE).handlers(
        Action("", _create_role, "Role created.", form="new-role", once=True)
    ),
    role_page,
    *Actions("/roles/{id:str}", _show_role, needs=P.ACCESS_MANAGE).handlers(
        Action("", _edit_role, "Role saved. It holds from everybody’s next request on.", form="edit-role"),
        Action(
            "delete", _delete_role, "Role deleted.", form="delete-role-form", leads_to="/roles", show=_DELETE_ROLE.show
        ),
    ),
    sharing_page,
    *Actions("/access/{id:str}", _show_sharing, needs=Right.SIGNED_IN).handlers(
        Action("owners", _set_owners, "Saved."),
        Action("grant", _grant, "Granted.", show=_GRANT.show),
        Action("revoke", _revoke, "Taken back.", form="revoke-{grant_id}-form", show=_TAKE_BACK.show),
    ),
]
NAV = (Entry("/roles", "shield", "Roles", Group.ORGANISATION, 40, P.USER_VIEW, words="What people may do"),)
