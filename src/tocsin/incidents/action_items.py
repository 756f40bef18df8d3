"""What people write into an action item: its fields, their limits and checks. Every refusal names its field."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, TypedDict
from uuid import UUID

from msgspec import Meta

from tocsin.incidents.model import TO_DO, ActionItem, ActionKind, ActionStatus, Priority
from tocsin.kit.errors import Invalid
from tocsin.kit.text import clean, is_blank, storable

DESCRIPTION_LIMIT = 500
# What is further away than this is a slip of the pen.
_FURTHEST = timedelta(days=3653)


class ActionItemFields(TypedDict, total=False):
    """What is written into an action item; what is not there is not changed, and None takes it away."""

    description: Annotated[str, Meta(max_length=DESCRIPTION_LIMIT, description="What is to be done, on one line.")]
    due_date: Annotated[date | None, Meta(description="The last day on which it is in time.")]
    priority: Priority | None
    kind: ActionKind | None


class NewActionItem(ActionItemFields, total=False):
    """What an action item begins with: also who is to do it."""

    assignee_id: UUID | None


class ActionItemChanges(NewActionItem, total=False):
    """What to change about an action item: also where it stands."""

    status: ActionStatus


def description(text: str) -> str:
    """Return what is to be done on one line, 1 to 500 characters."""
    one_line = " ".join(clean(storable(text)).split())
    if is_blank(one_line):
        raise Invalid("description", "Say what is to be done.", code="required")
    if len(one_line) > DESCRIPTION_LIMIT:
        raise Invalid("description", f"It is longer than {DESCRIPTION_LIMIT} characters.", code="too_long")
    return one_line


def due_date(due: date | None, now: datetime) -> date | None:
    """Return the due date if it is one: at most ten years away, in either direction."""
    if due is not None and not now.date() - _FURTHEST <= due <= now.date() + _FURTHEST:
        raise Invalid("due_date", "Give a day that is at most ten years away.", code="range")
    return due


def is_to_do(item: ActionItem) -> bool:
    """Say whether it is still to be done."""
    return ActionStatus(item.status) in TO_DO


def is_overdue(item: ActionItem, today: date) -> bool:
    """Say whether it should have been done before today."""
    return is_to_do(item) and item.due_date is not None and item.due_date < today


def put(item: ActionItem, status: ActionStatus, *, at: datetime) -> None:
    """Put it into a status, and stamp its end; another end keeps the time of the first."""
    item.status = status
    item.ended_at = None if status in TO_DO else item.ended_at or at
