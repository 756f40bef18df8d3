"""Action items as pages show them: in the list, on the page of their incident, in the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TypeVar

from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity.model import USER_ID
from tocsin.incidents.action_item_queries import Listed
from tocsin.incidents.action_items import ActionItemChanges, NewActionItem, is_overdue, is_to_do
from tocsin.incidents.model import ACTION_ITEM_ID, ActionItem, ActionKind, ActionStatus, Priority
from tocsin.kit.errors import Invalid
from tocsin.web.base.formatting import calendar_day
from tocsin.web.base.forms import Form

E = TypeVar("E", bound=StrEnum)
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One action item. `due_words` say until when, for whoever reads it today; `when` is which part of a list it is in.

    `place` is where one goes on.
    """

    id: str
    description: str
    kind: str | None
    priority: str | None
    status: str
    is_to_do: bool
    assignee: str | None
    due_words: str
    is_overdue: bool
    when: str
    ref: str
    severity: int
    place: str


async def item_rows(tx: Tx, found: Sequence[Listed], today: date) -> list[ItemRow]:
    """Lay action items out, in their order."""
    people = await identity.users_by_id(tx, {id for each in found if (id := each.item.assignee_id) is not None})
    return [
        ItemRow(
            id=ACTION_ITEM_ID.write(each.item.id),
            description=each.item.description,
            kind=each.item.kind,
            priority=each.item.priority,
            status=each.item.status,
            is_to_do=is_to_do(each.item),
            assignee=people[id].name if (id := each.item.assignee_id) is not None else None,
            due_words=due_words(each.item, today),
            is_overdue=is_overdue(each.item, today),
            when=_when(each.item, today),
            ref=each.incident.reference,
            severity=each.incident.severity,
            place=f"/incidents/{each.incident.reference}/action-items",
        )
        for each in found
    ]


def due_words(item: ActionItem, today: date) -> str:
    """Say until when: `Today`, `Fri 27 Nov`, `11 Dec`, `19 Nov, 2 days late`; nothing for what is due at no time."""
    if item.due_date is None:
        return ""
    away = (item.due_date - today).days
    said = calendar_day(item.due_date, today)
    if not is_to_do(item):
        return said
    if away < 0:
        return f"{said}, {-away} day{'' if away == -1 else 's'} late"
    if away <= 1:
        return ("Today", "Tomorrow")[away]
    return f"{item.due_date:%a} {said}" if away <= _WEEK.days else said


def _when(item: ActionItem, today: date) -> str:
    if item.due_date is None:
        return "No due date"
    if item.due_date < today:
        return "Overdue"
    if item.due_date == today:
        return "Today"
    return "Next 7 days" if item.due_date <= today + _WEEK else "Later"


def written(form: Form) -> NewActionItem:
    """Read what a form says of an action item; what it has no field for is left out. Empty takes away."""
    said = NewActionItem(description=form.text("description"))
    if "assignee_id" in form.names:
        said["assignee_id"] = form.optional_id("assignee_id", USER_ID)
    if "due_date" in form.names:
        said["due_date"] = day_in(form)
    if "priority" in form.names:
        said["priority"] = _one_of(form, "priority", Priority) if form.text("priority") else None
    if "kind" in form.names:
        said["kind"] = _one_of(form, "kind", ActionKind) if form.text("kind") else None
    return said


def changed(form: Form) -> ActionItemChanges:
    """Read what a form says of an action item that is there."""
    said = ActionItemChanges(**written(form))
    if not form.texts("assignee_id"):
        # A picker of which all was taken out sends nothing.
        said["assignee_id"] = None
    if "status" in form.names:
        said["status"] = _one_of(form, "status", ActionStatus)
    return said


def day_in(form: Form) -> date | None:
    """Read the due date; None for an empty field."""
    try:
        return date.fromisoformat(form.text("due_date").strip()) if form.text("due_date").strip() else None
    except ValueError:
        raise Invalid("due_date", "Give a day such as 2026-12-18.", code="invalid") from None


def _one_of(form: Form, name: str, words: type[E]) -> E:
    if form.text(name) not in set(words):
        raise Invalid(name, "Choose one of the list.")
    return words(form.text(name))
