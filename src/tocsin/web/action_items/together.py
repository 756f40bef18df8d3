"""What is done to several action items of the list at once, the dialogs that ask for more, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events.vocabulary import ACTION_STATUSES
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import action_item_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.action_items import ActionItemChanges
from tocsin.incidents.model import ACTION_ITEM_ID, ActionStatus
from tocsin.incidents.service.action_items import MOST_TOGETHER
from tocsin.kit.errors import Invalid, NotFound, Problem
from tocsin.web.action_items.listing import ACTION_ITEMS, show_list
from tocsin.web.base import became, forms, pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked
from tocsin.web.base.screens import DialogScreen
from tocsin.web.parts.action_items import ItemRow, day_in, item_rows
from tocsin.web.parts.picking import Picker, picker

_DIALOGS = ("due", "assign")


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkItemsScreen(DialogScreen):
    """Giving several action items to somebody, or another due date: `act` says which. `query` is their list."""

    template: ClassVar = "action_items/bulk.html"
    act: str
    chosen: Sequence[ItemRow]
    query: str
    people: Picker | None


@post("/action-items/bulk", needs=P.INCIDENT_EDIT)
async def change_action_items(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Do the same to all action items that are selected, and say what happened to which.

    Form fields: act (done, status:<where it stands>; due and assign lead to their dialogs), id (repeated), list (the
    query of the list).
    """
    form = await forms.read(request)
    asked = Asked.again(ACTION_ITEMS, form.text("list"))
    if form.text("act") in _DIALOGS and form.texts("id"):
        place = f"/action-items/bulk/{form.text('act')}"
        return pages.go(pages.address(place, id=_shown(form), list=asked.query))
    told: list[str] = []

    async def work(tx: Tx) -> None:
        told.append(await _do(tx, who, _moved(form), form))

    refused = await forms.attempt(context, form, "bulk", work)
    return pages.go(asked.url(), told[0]) if refused is None else await show_list(request, context, who, asked, refused)


@get("/action-items/bulk/{act:str}", needs=P.INCIDENT_EDIT)
async def ask_for_more(request: AppRequest, context: Ctx, who: Who, act: FromPath[str]) -> pages.Page:
    """Show the dialog of an act for several: for each `id`, out of the list that `list` is the query of."""
    ids = [str(id) for id in request.query_params.getall("id", [])][:MOST_TOGETHER]
    return await _show(request, context, who, act, ids, str(request.query_params.get("list", "")))


@post("/action-items/bulk/{act:str}", needs=P.INCIDENT_EDIT)
async def do_what_was_asked(request: AppRequest, context: Ctx, who: Who, act: FromPath[str]) -> pages.Page:
    """Do it. Form fields: id (repeated), list; assignee_id (empty: nobody), or due_date (empty: none)."""
    form = await forms.read(request)
    _must_be_known(act)
    told: list[str] = []

    async def work(tx: Tx) -> None:
        told.append(await _do(tx, who, _given(act, form), form))

    refused = await forms.attempt(context, form, f"bulk-{act}", work)
    if refused is not None:
        return await _show(request, context, who, act, _shown(form), form.text("list"), refused)
    return pages.go(Asked.again(ACTION_ITEMS, form.text("list")).url(), told[0])


async def _show(
    request: AppRequest,
    context: Context,
    who: Actor,
    act: str,
    ids: Sequence[str],
    query: str,
    refused: Refused | None = None,
) -> pages.Page:
    _must_be_known(act)
    asked = Asked.again(ACTION_ITEMS, query)
    who.must_somewhere(P.INCIDENT_EDIT)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        found = await action_item_queries.by_id(tx, who.access, ACTION_ITEM_ID.read_all(ids))
        if not found:
            return pages.go(asked.url(), "Choose at least one.")
        people = None
        if act == "assign":
            people = await picker(tx, who, "people", in_sheet=shell.in_sheet, name="assignee_id", refused=refused)
        chosen = await item_rows(tx, found, shell.now.date())
    screen = BulkItemsScreen(
        shell, act=act, chosen=chosen, query=asked.query, people=people, back=asked.url(), refused=refused
    )
    return pages.render(screen)


def _must_be_known(act: str) -> None:
    if act not in _DIALOGS:
        raise NotFound("There is no such act.")


def _shown(form: Form) -> list[str]:
    """Return of what was selected as much as a dialog is shown for; what it does is judged when it is sent."""
    return list(dict.fromkeys(form.texts("id")))[:MOST_TOGETHER]


def _moved(form: Form) -> ActionItemChanges:
    """Read an act that needs no dialog."""
    verb, _, value = form.text("act").partition(":")
    if verb == "done":
        return {"status": ActionStatus.DONE}
    if verb == "status" and value in set(ActionStatus):
        return {"status": ActionStatus(value)}
    raise Invalid("act", "Choose what to do.")


def _given(act: str, form: Form) -> ActionItemChanges:
    """Read what a dialog said."""
    if act == "due":
        return {"due_date": day_in(form)}
    return {"assignee_id": form.optional_id("assignee_id", USER_ID)}


async def _do(tx: Tx, who: Actor, changes: ActionItemChanges, form: Form) -> str:
    """Do it, and say what became of which."""
    ids = [_read(text) for text in form.chosen("id", MOST_TOGETHER)]
    found = await incidents.change_action_items(tx, who, changes, ids)
    done = [each for each in found if isinstance(each, incidents.ChangedItem)]
    new = [f"“{each.listed.item.description}”" for each in done if each.is_new]
    same = [f"“{each.listed.item.description}”" for each in done if not each.is_new]
    parts = [f"{await _words(tx, changes)}: {became.listed(new)}."] if new else []
    parts += [f"As it was before: {became.listed(same)}."] if same else []
    not_done = [
        (ACTION_ITEM_ID.write(id), each) for id, each in zip(ids, found, strict=True) if isinstance(each, Problem)
    ]
    return " ".join([*parts, *became.refused(not_done)])


def _read(text: str) -> UUID:
    return Form({"id": [text]}).id("id", ACTION_ITEM_ID)


async def _words(tx: Tx, changes: ActionItemChanges) -> str:
    match changes:
        case {"status": status}:
            return f"{ACTION_STATUSES[status].label} now"
        case {"due_date": None}:
            return "Due at no time now"
        case {"due_date": due}:
            return f"Due on {due:%d %b %Y} now"
        case {"assignee_id": UUID() as assignee_id}:
            (person,) = (await identity.users_by_id(tx, [assignee_id])).values()
            return f"Given to {person.name}"
        case _:
            return "Nobody’s now"


HANDLERS = [change_action_items, ask_for_more, do_what_was_asked]
