"""People: who has an account and can be reached, and inviting somebody."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.response import Stream

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Actor, User
from tocsin.notifications import people_queries
from tocsin.notifications import queries as contact
from tocsin.notifications.health import Reach
from tocsin.notifications.people_queries import Filters, Place, Sort
from tocsin.oncall import list_queries
from tocsin.web.base import exporting, forms, lists, pages, portions
from tocsin.web.base.forms import Form
from tocsin.web.base.lists import Asked, Choice, Column, Group, Kind, Listing, ListOf
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts.roles import known_roles
from tocsin.web.people import dialogs
from tocsin.web.people.exchanges import label_of
from tocsin.web.people.person import link_url

PEOPLE = ListOf(
    place="/people",
    one="person",
    many="people",
    search="Name, e-mail",
    columns=(
        Column("ttl", "Name"),
        Column("role", "Role", priority=2),
        Column("teams", "Teams", priority=3),
        Column("reach", "Reached by"),
    ),
    filters=(
        lists.Filter("role", "Role"),
        lists.Filter("team", "Team"),
        lists.Filter("state", "State", Kind.ONE, (Choice("active", "Active"), Choice("off", "Deactivated"))),
        lists.Filter(
            "reach",
            "Reached",
            choices=(
                Choice(Reach.WELL, "A contact method works", glyph="h-ok", tone="green"),
                Choice(Reach.FAILING, "All contact methods fail", glyph="h-fail", tone="red"),
                Choice(Reach.NONE, "No contact method works here", glyph="h-warn", tone="amber"),
            ),
        ),
    ),
    orders=(Choice("name", "By name"), Choice("newest", "Newest first")),
    exports=True,
)
_SORTS: Mapping[str, Sort] = {"name": "name", "newest": "-created_at"}
_Place = tuple[str, UUID]
_PORTION = 500


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person in the list. `methods` are the ways that work, or fail all; `is_paged`: pages are for them at all."""

    id: str
    name: str
    email: str
    role_name: str
    is_active: bool
    teams: Sequence[str]
    reach: Reach
    methods: str
    is_paged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleScreen(ShellScreen):
    """A page of those who have an account; `invite_url` is a link that was just made, shown this once."""

    template: ClassVar = "people/people.html"
    listing: Listing
    groups: list[Group[PersonRow]]
    may_invite: bool
    invite_url: str

    @property
    def shows_secret(self) -> bool:
        return bool(self.invite_url)


@get("/people", needs=P.USER_VIEW)
async def people_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show everybody who has an account, 50 at a time."""
    return await _show_list(request, context, who)


async def _show_list(request: AppRequest, context: Context, who: Actor, *, invite_url: str = "") -> pages.Page:
    who.must(P.USER_VIEW)
    asked = Asked.by(PEOPLE, request)
    wanted, channels = _wanted(asked), context.channels
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)

        async def read(place: _Place | None, backwards: bool, limit: int) -> list[tuple[User, Reach]]:
            after = Place(*place) if place is not None else None
            return await people_queries.listed(
                tx,
                who.access,
                channels,
                wanted,
                sort=_SORTS[asked.order],
                after=after,
                backwards=backwards,
                limit=limit,
            )

        found = await portions.read(asked, _Place, lambda row: (row[0].name, row[0].id), read)
        roles = await known_roles(tx)
        rows = await _rows(tx, context, who, found.rows, {role.key: role.name for role in roles})
        teams = await queries.teams(tx, who.access, limit=forms.MOST_CHOICES, is_archived=False)
        total = await people_queries.count(tx, who.access, channels, wanted, most=lists.MOST_COUNTED)
    choices = {
        "role": [Choice(role.key, role.name) for role in roles],
        "team": [Choice(TEAM_ID.write(team.id), team.name) for team in teams],
    }
    chips = [chip for chip in lists.chips_of(asked, choices) if chip.filter.name != "team" or teams]
    screen = PeopleScreen(
        shell,
        listing=lists.listing_of(asked, found, chips=chips, total=total),
        groups=lists.one_group(rows),
        may_invite=who.may(P.USER_MANAGE),
        invite_url=invite_url,
    )
    return pages.render(screen)


def _wanted(asked: Asked) -> Filters:
    """Return what narrows the list to what somebody asked for."""
    return Filters(
        q=asked.q,
        roles=asked.all("role"),
        team_ids=asked.ids("team", TEAM_ID),
        is_active={"active": True, "off": False}.get(asked.one("state")),
        reach=[word for word in Reach if word in asked.all("reach")],
    )


async def _rows(
    tx: Tx, context: Context, who: Actor, found: Sequence[tuple[User, Reach]], role_names: Mapping[str, str]
) -> list[PersonRow]:
    ids = [person.id for person, _ in found]
    teams = await queries.teams_of(tx, who.access, ids)
    kinds = await contact.kinds_of_methods(tx, ids, context.channels)
    paged = await list_queries.may_be_paged(tx, ids)
    return [
        PersonRow(
            id=USER_ID.write(person.id),
            name=person.name,
            email=person.email,
            role_name=role_names.get(person.role, person.role),
            is_active=person.is_active,
            teams=[team.name for team in teams[person.id]],
            reach=reach if person.is_active else Reach.NONE,
            methods=_methods(context, reach, kinds[person.id]),
            is_paged=person.id in paged,
        )
        for person, reach in found
    ]


def _methods(context: Context, reach: Reach, kinds: Sequence[tuple[str, bool]]) -> str:
    """Say by what somebody is reached: what works, or what there is where all of it fails."""
    those = [kind for kind, fails in kinds if fails == (reach is Reach.FAILING)]
    return ", ".join(dict.fromkeys(label_of(context, kind) for kind in those))


@get("/people/export.csv", needs=P.USER_VIEW)
async def export_people(request: AppRequest, context: Ctx, who: Who) -> Stream:
    """Write what a list of people shows as a table for a spreadsheet, all of it, in the order of the list."""
    who.must(P.USER_VIEW)
    asked = Asked.by(PEOPLE, request)
    wanted, channels, sort = _wanted(asked), context.channels, _SORTS[asked.order]

    async def portions() -> AsyncGenerator[Sequence[PersonRow]]:
        after = None
        while True:
            async with context.db.look() as tx:
                found = await people_queries.listed(
                    tx, who.access, channels, wanted, sort=sort, after=after, limit=_PORTION
                )
                names = {role.key: role.name for role in await known_roles(tx)}
                rows = await _rows(tx, context, who, found, names)
            yield rows
            if len(rows) < _PORTION:
                return
            after = Place(found[-1][0].name, found[-1][0].id)

    return exporting.exported(
        "people",
        {
            "Name": lambda row: row.name,
            "E-mail": lambda row: row.email,
            "Role": lambda row: row.role_name,
            "Teams": lambda row: "; ".join(row.teams),
            "Active": lambda row: "yes" if row.is_active else "no",
            "Reached by": lambda row: row.methods if row.reach is not Reach.NONE else "",
            "All of these fail": lambda row: "yes" if row.reach is Reach.FAILING else "no",
        },
        portions(),
    )


@post("/people", needs=P.USER_MANAGE)
async def invite(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Make an account and show the link that signs its person in, once. Form fields: name, email, role, form_id."""
    form = await forms.read(request)
    made: list[str] = []
    refused = await forms.attempt(context, form, "invite", partial(_invite, who, form, made))
    if refused is not None:
        return await dialogs.INVITE.show(request, context, who, "", refused)
    return await _show_list(request, context, who, invite_url=link_url(context, made[0]))


async def _invite(who: Actor, form: Form, made: list[str], tx: Tx) -> None:
    email, name, role = form.text("email"), form.text("name"), form.text("role")
    # Only the answer to the second of two equal forms is seen, and the first one's link cannot be read again.
    is_new = await forms.once(tx, who, form, "invite", email)
    made.append(await identity.invite(tx, who, email=email, name=name, role=role, again=not is_new))


HANDLERS = [people_list, export_people, invite]
