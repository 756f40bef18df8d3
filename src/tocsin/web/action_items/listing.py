"""The list of action items: mine, those of my teams, the overdue ones, and all there are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import ClassVar
from uuid import UUID

from litestar import get
from litestar.response import Stream

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events.vocabulary import ACTION_KINDS, ACTION_PRIORITIES, ACTION_STATUSES
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import action_item_queries, queries
from tocsin.incidents.action_item_queries import Filters, Listed, Place
from tocsin.incidents.model import TO_DO, ActionKind, ActionStatus, Priority
from tocsin.kit.search import NARROWED
from tocsin.web.base import exporting, lists, pages, portions
from tocsin.web.base.forms import Refused
from tocsin.web.base.lists import Act, Asked, Choice, Column, Group, Kind, Listing, ListOf, View
from tocsin.web.base.screens import Shell, ShellScreen
from tocsin.web.parts.action_items import ItemRow, item_rows

_PORTION = 500
# Due date and id of the item at which a page ends.
_Place = tuple[date, UUID]
ACTION_ITEMS = ListOf(
    place="/action-items",
    one="action item",
    many="action items",
    search="Words, INC-7",
    columns=(
        Column("ttl", "Action item"),
        Column("for", "Kind", priority=4),
        Column("inc", "From", priority=2),
        Column("owner", "Owner", priority=3),
        Column("until", "Due"),
        Column("stand", "State", priority=2),
    ),
    views=(View("mine", "Mine"), View("teams", "My teams’"), View("overdue", "Overdue"), View("all", "All")),
    filters=(
        lists.Filter("status", "State", choices=[Choice(name, word.label) for name, word in ACTION_STATUSES.items()]),
        lists.Filter("kind", "Kind", choices=[Choice(name, word.label) for name, word in ACTION_KINDS.items()]),
        lists.Filter("priority", "Priority", choices=[Choice(name, name) for name in ACTION_PRIORITIES]),
        lists.Filter("owner", "Owner", Kind.TEXT, example="Name"),
        lists.Filter("nobody", "Unassigned", Kind.SWITCH),
        lists.Filter("incident", "Incident", Kind.TEXT, example="INC-7"),
    ),
    exports=True,
)
_ACTS = (
    Act("done", "Done", "circle-check", key="d"),
    Act("due", "Move the date", "calendar-clock", dialog=True),
    Act("assign", "Give to", "user-check", dialog=True),
    Act("status", "State", "circle-dot", choices=[Choice(name, word.label) for name, word in ACTION_STATUSES.items()]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionItemsScreen(ShellScreen):
    """A page of the list. `may_edit` says whether there may be incidents to which the reader can add."""

    template: ClassVar = "action_items/action_items.html"
    listing: Listing
    groups: list[Group[ItemRow]]
    may_edit: bool


@get("/action-items", needs=P.INCIDENT_VIEW)
async def action_item_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show action items by their due dates, 50 at a time."""
    return await show_list(request, context, who, Asked.by(ACTION_ITEMS, request))


async def show_list(
    request: AppRequest, context: Context, who: Actor, asked: Asked, refused: Refused | None = None
) -> pages.Page:
    """Show a page of the list, also after an act that was refused."""
    who.must_look(P.INCIDENT_VIEW)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        screen = await _screen(tx, shell, who, asked, refused)
    return pages.render(screen)


async def _screen(tx: Tx, shell: Shell, who: Actor, asked: Asked, refused: Refused | None) -> ActionItemsScreen:
    today = shell.now.date()
    narrowed = await _wanted(tx, who, asked, today)

    async def read(place: _Place | None, backwards: bool, limit: int) -> list[Listed]:
        after = Place(*place) if place is not None else None
        return await action_item_queries.listed(
            tx, who.access, narrowed, q=asked.q, after=after, backwards=backwards, limit=limit
        )

    found = await portions.read(asked, _Place, _place_of, read)
    rows = await item_rows(tx, found.rows, today)
    may_edit = who.access.may_somewhere(P.INCIDENT_EDIT)
    most = lists.MOST_COUNTED_OF_ALL if asked.view == "all" else lists.MOST_COUNTED
    late = await action_item_queries.count(tx, who.access, Filters(overdue_on=today), most=lists.MOST_COUNTED)
    return ActionItemsScreen(
        shell,
        listing=lists.listing_of(
            asked,
            found,
            tabs=lists.tabs_of(asked, {"mine": shell.badges["action_items"], "overdue": late}),
            acts=_ACTS if may_edit else (),
            total=await action_item_queries.count(tx, who.access, narrowed, q=asked.q, most=most),
            most=most,
            narrowed=NARROWED
            if await action_item_queries.is_searched_in_part(tx, who.access, narrowed, asked.q)
            else "",
        ),
        groups=_by_due_date(rows) if asked.view != "all" else lists.one_group(rows),
        may_edit=may_edit,
        live=("incidents",),
        refresh_url=asked.here,
        refused=refused,
    )


def _place_of(listed: Listed) -> _Place:
    place = Place.of(listed)
    return place.due, place.id


def _by_due_date(rows: Sequence[ItemRow]) -> list[Group[ItemRow]]:
    found = [(when, list(those)) for when, those in groupby(rows, key=lambda row: row.when)]
    return [Group(when, those, len(those)) for when, those in found]


async def _wanted(tx: Tx, who: Actor, asked: Asked, today: date) -> Filters:
    """Return what narrows the list to what somebody asked for."""
    of_view = () if asked.view == "all" else TO_DO
    chosen = [status for status in ActionStatus if status in asked.all("status")]
    people = await identity.users_called(tx, asked.one("owner")) if asked.one("owner") else []
    called = [asked.one("incident")] if asked.one("incident") else []
    mine = [who.must_be_someone()] if asked.view == "mine" else []
    return Filters(
        statuses=[status for status in chosen if not of_view or status in of_view] or of_view,
        kinds=[kind for kind in ActionKind if kind in asked.all("kind")],
        priorities=[priority for priority in Priority if priority in asked.all("priority")],
        # Nobody has the id that stands for no one.
        assignee_ids=mine or people or ([UUID(int=0)] if asked.one("owner") else []),
        is_unassigned=bool(asked.one("nobody")) and not mine,
        incident_ids=list((await queries.ids_called(tx, who.access, called)).values()) if called else None,
        team_ids=list(who.access.teams) if asked.view == "teams" else None,
        overdue_on=today if asked.view == "overdue" else None,
    )


@get("/action-items/export.csv", needs=P.INCIDENT_VIEW)
async def export_action_items(request: AppRequest, context: Ctx, who: Who) -> Stream:
    """Write what a list of action items shows as a table for a spreadsheet, all of it, by due date."""
    who.must_look(P.INCIDENT_VIEW)
    asked = Asked.by(ACTION_ITEMS, request)
    names: dict[UUID, str] = {}

    async def portions() -> AsyncGenerator[Sequence[Listed]]:
        after = None
        while True:
            async with context.db.look() as tx:
                today = tx.now.astimezone(await identity.zone_of(tx, who.user_id)).date()
                narrowed = await _wanted(tx, who, asked, today)
                rows = await action_item_queries.listed(
                    tx, who.access, narrowed, q=asked.q, after=after, limit=_PORTION
                )
                people = await identity.users_by_id(tx, {id for row in rows if (id := row.item.assignee_id)})
            names.update({id: person.name for id, person in people.items()})
            yield rows
            if len(rows) < _PORTION:
                return
            after = Place.of(rows[-1])

    return exporting.exported(
        "action-items",
        {
            "Incident": lambda row: row.incident.reference,
            "Action item": lambda row: row.item.description,
            "Kind": lambda row: ACTION_KINDS[row.item.kind].label if row.item.kind else None,
            "Priority": lambda row: row.item.priority,
            "State": lambda row: ACTION_STATUSES[row.item.status].label,
            "Owner": lambda row: names.get(row.item.assignee_id) if row.item.assignee_id else None,
            "Due": lambda row: row.item.due_date.isoformat() if row.item.due_date else None,
            "Created by": lambda row: row.item.created_by_name,
            "Created": lambda row: row.item.created_at,
            "Ended": lambda row: row.item.ended_at,
        },
        portions(),
    )


HANDLERS = [action_item_list, export_action_items]
