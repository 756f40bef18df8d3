"""One action item: adding it from the list, changing it, ticking it off, deleting it.

Each leads back to where it was done: the list, or the page of its incident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from litestar import post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events.vocabulary import ACTION_KINDS, ACTION_PRIORITIES, ACTION_STATUSES
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import action_item_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.action_item_queries import Listed
from tocsin.incidents.action_items import ActionItemFields
from tocsin.incidents.model import ACTION_ITEM_ID, INCIDENT_ID, ActionItem
from tocsin.kit.changes import limits_of
from tocsin.kit.errors import Invalid
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form
from tocsin.web.base.screens import DialogScreen
from tocsin.web.parts.action_items import changed, written
from tocsin.web.parts.dialogs import Dialog, Opened, Question
from tocsin.web.parts.picking import Option, Picker
from tocsin.web.parts.targets import Choice

_LIST = "/action-items"
_KINDS = [(name, word.label) for name, word in ACTION_KINDS.items()]
_PRIORITIES = [(name, name) for name in ACTION_PRIORITIES]
_STATUSES = [(name, word.label) for name, word in ACTION_STATUSES.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionItemScreen(DialogScreen):
    """The form of an action item; `item` is None for one that is to be, which may belong to one of `incidents`."""

    template: ClassVar = "action_items/form.html"
    action: str
    item: ActionItem | None
    ref: str
    incidents: Picker | None
    people: Picker
    kinds: Sequence[Choice]
    priorities: Sequence[Choice]
    statuses: Sequence[Choice]
    limits: Mapping[str, int]


async def _new_item(opened: Opened) -> ActionItemScreen:
    """Show the form of an action item that is to be."""
    opened.who.must_somewhere(P.INCIDENT_EDIT)
    return ActionItemScreen(
        opened.shell,
        action=_LIST,
        item=None,
        ref="",
        incidents=await opened.picker("incidents", "incident"),
        people=await opened.picker("people", "assignee_id"),
        back=_LIST,
        refused=opened.refused,
        **_choices(),
    )


async def _edit_item(opened: Opened) -> ActionItemScreen:
    """Show the form of an action item."""
    found = await _changed(opened)
    item, ref = found.item, found.incident.reference
    known = await identity.users_by_id(opened.tx, [item.assignee_id] if item.assignee_id is not None else [])
    chosen = [Option(USER_ID.write(person.id), person.name) for person in known.values()]
    return ActionItemScreen(
        opened.shell,
        action=f"{_LIST}/{ACTION_ITEM_ID.write(item.id)}",
        item=item,
        ref=ref,
        incidents=None,
        people=await opened.picker("people", "assignee_id", chosen),
        back=_tab(ref),
        seen=str(item.version),
        refused=opened.refused,
        **_choices(),
    )


async def _ask_to_delete(opened: Opened) -> Question:
    """Ask before an action item is deleted."""
    found = await _changed(opened)
    ref, id = found.incident.reference, ACTION_ITEM_ID.write(found.item.id)
    return Question(
        opened.shell,
        title="Delete this action item",
        text=f"“{found.item.description}” is in no list any more; the timeline of {ref} keeps what it was. To say that "
        "nobody will do it, set its state to Dropped instead.",
        label="Delete",
        form="delete-action-item-form",
        action=f"{_LIST}/{id}/delete",
        crumbs=[(_LIST, "Action items"), (_tab(ref), ref)],
        back=_tab(ref),
        refused=opened.refused,
    )


async def _changed(opened: Opened) -> Listed:
    found = await action_item_queries.get(opened.tx, opened.who.access, opened.id)
    opened.who.must(P.INCIDENT_EDIT, on=found.incident)
    return found


def _choices() -> dict[str, Any]:
    limits = limits_of(ActionItemFields)
    return {"kinds": _KINDS, "priorities": _PRIORITIES, "statuses": _STATUSES, "limits": limits}


def _tab(ref: str) -> str:
    return f"{INCIDENT_ID.page(ref)}/action-items"


NEW = Dialog(f"{_LIST}/new", _new_item, P.INCIDENT_EDIT)
EDIT = Dialog(f"{_LIST}/{{id:str}}/edit", _edit_item, P.INCIDENT_EDIT, ids=ACTION_ITEM_ID)
DELETE = Dialog(f"{_LIST}/{{id:str}}/delete", _ask_to_delete, P.INCIDENT_EDIT, ids=ACTION_ITEM_ID)


@post("/action-items", needs=P.INCIDENT_EDIT)
async def add_action_item(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Form fields: incident (INC-7), description, assignee_id, due_date, priority, kind, form_id."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "new-action-item", partial(_add, who, form))
    if refused is not None:
        return await NEW.show(request, context, who, "", refused)
    return pages.go(_back(request, context), "Action item added.")


async def _add(who: Actor, form: Form, tx: Tx) -> None:
    if not form.text("incident").strip():
        raise Invalid("incident", "Choose the incident because of which it is to be done.", code="required")
    if await forms.once(tx, who, form, "new-action-item", repr(sorted(form.lists.items()))):
        await incidents.create_action_item(tx, who, form.text("incident").strip(), **written(form))


@post("/action-items/{id:str}", needs=P.INCIDENT_EDIT)
async def edit_action_item(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Form fields: description, assignee_id, due_date, priority, kind (each empty: none), status, version."""
    form, item_id = await forms.read(request), ACTION_ITEM_ID.read(id)
    refused = await forms.attempt(context, form, "edit-action-item", partial(_edit, who, item_id, form))
    if refused is not None:
        return await EDIT.show(request, context, who, id, refused)
    return pages.go(_back(request, context), "Action item saved.")


async def _edit(who: Actor, id: UUID, form: Form, tx: Tx) -> None:
    await incidents.update_action_item(tx, who, id, changed(form), if_version=form.version())


@post("/action-items/{id:str}/complete", needs=P.INCIDENT_EDIT)
async def complete_action_item(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Tick it off. No fields."""
    async with context.db.begin() as tx:
        found = await incidents.complete_action_item(tx, who, ACTION_ITEM_ID.read(id))
    return pages.go(_back(request, context), f"Done: {found.item.description}.")


@post("/action-items/{id:str}/reopen", needs=P.INCIDENT_EDIT)
async def reopen_action_item(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Say that it is to be done after all. No fields."""
    async with context.db.begin() as tx:
        found = await incidents.reopen_action_item(tx, who, ACTION_ITEM_ID.read(id))
    return pages.go(_back(request, context), f"Open again: {found.item.description}.")


@post("/action-items/{id:str}/delete", needs=P.INCIDENT_EDIT)
async def delete_action_item(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Delete it. No fields."""
    async with context.db.begin() as tx:
        await incidents.delete_action_item(tx, who, ACTION_ITEM_ID.read(id))
    return pages.go(_back(request, context), "Action item deleted.")


def _back(request: AppRequest, context: Context) -> str:
    """Return the list or the page of the incident that it was done on; without a script a dialog is a page between."""
    place = pages.where_from(request, context, _LIST)
    return _LIST if place.startswith((f"{_LIST}/", "/search")) else place


HANDLERS = [
    *(dialog.handler for dialog in (NEW, EDIT, DELETE)),
    add_action_item,
    edit_action_item,
    complete_action_item,
    reopen_action_item,
    delete_action_item,
]
