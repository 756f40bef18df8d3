"""When who is reminded of an action item. Pure: no clock, no database.

In the morning, by the clock of who is to do it: on the day before it is due, on the day after, and then weekly, at most
four times; and once, when it is a week late, whoever answers for the incident. What was missed, as nobody worked then,
is made up for by one message, as each says how things stand when it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from tocsin.incidents.action_items import is_to_do
from tocsin.incidents.model import ActionItem
from tocsin.kit.text import one_line

_MORNING = time(9)


class Whom(StrEnum):
    """Who is reminded."""

    ASSIGNEE = "assignee"
    LEAD = "lead"


@dataclass(frozen=True, slots=True)
class Step:
    """One reminder: so many days after the due date, to whom."""

    days: int
    whom: Whom


STEPS: Sequence[Step] = (
    Step(-1, Whom.ASSIGNEE),
    Step(1, Whom.ASSIGNEE),
    Step(7, Whom.LEAD),
    Step(8, Whom.ASSIGNEE),
    Step(15, Whom.ASSIGNEE),
    Step(22, Whom.ASSIGNEE),
)


def at_of(number: int, due: date, zone: tzinfo) -> datetime:
    """Return when a reminder is due: at nine in the morning; where the clock skips that, the moment after."""
    day = due + timedelta(days=STEPS[number].days)
    return datetime.combine(day, _MORNING, zone).astimezone(UTC)


def plan(item: ActionItem, zone: tzinfo, *, now: datetime) -> None:
    """Plan the next reminder after now: none of what is done, or is due at no time, or late for long."""
    _plan(item, zone, 0, now)


def move(item: ActionItem, zone: tzinfo) -> None:
    """Plan the reminder that comes next by another clock, as somebody else is to do it; none is left out by that."""
    if item.reminder is not None and item.due_date is not None:
        item.remind_at = at_of(item.reminder, item.due_date, zone)


def take(item: ActionItem, zone: tzinfo, *, now: datetime) -> frozenset[Whom]:
    """Return who is to be reminded by now, each once, and plan what comes after that."""
    if item.reminder is None or item.due_date is None or item.remind_at is None or item.remind_at > now:
        return frozenset()
    first, due = item.reminder, item.due_date
    # The one that was planned counts as it was, whatever clock its person has since.
    passed = [STEPS[first], *(STEPS[n] for n in range(first + 1, len(STEPS)) if at_of(n, due, zone) <= now)]
    _plan(item, zone, first + 1, now)
    return frozenset(step.whom for step in passed)


def sentence(item: ActionItem, reference: str, today: date) -> str:
    """Say what is due when, or since when: to be read on this day."""
    it = f"“{one_line(item.description, 120)}” ({reference})"
    if item.due_date is None:
        return f"{it} is still to be done."
    day, away = f"{item.due_date.day} {item.due_date:%b %Y}", (item.due_date - today).days
    if away < 0:
        return f"{it} was due on {day}, {-away} day{'' if away == -1 else 's'} ago."
    when = {0: "today", 1: "tomorrow"}.get(away)
    return f"{it} is due {when}, {day}." if when else f"{it} is due on {day}."


def _plan(item: ActionItem, zone: tzinfo, first: int, now: datetime) -> None:
    item.reminder = item.remind_at = None
    if item.due_date is None or not is_to_do(item):
        return
    for number in range(first, len(STEPS)):
        if (at := at_of(number, item.due_date, zone)) > now:
            item.reminder, item.remind_at = number, at
            return
