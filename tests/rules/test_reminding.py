"""When who is reminded of an action item: the morning before, after it weekly at most four times, the lead once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tocsin.incidents import reminding
from tocsin.incidents.model import ActionItem, ActionStatus
from tocsin.incidents.reminding import Whom

VIENNA = ZoneInfo("Europe/Vienna")
DUE = date(2026, 12, 10)


def item(due: date | None = DUE, status: ActionStatus = ActionStatus.OPEN) -> ActionItem:
    return ActionItem(description="Write the runbook", due_date=due, status=status, reminder=None, remind_at=None)


def at(day: int, hour: int = 9, minute: int = 0, *, month: int = 12) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=VIENNA).astimezone(UTC)


def test_all_of_them_in_their_order() -> None:
    """F133: nine in the morning where the person is; four times after it, and the lead when it is a week late."""
    found: list[tuple[datetime, frozenset[Whom]]] = []
    one = item()
    reminding.plan(one, VIENNA, now=at(1))
    while one.remind_at is not None:
        when = one.remind_at
        found.append((when, reminding.take(one, VIENNA, now=when)))
    mine, lead = frozenset({Whom.ASSIGNEE}), frozenset({Whom.LEAD})
    assert found == [
        (at(9), mine),
        (at(11), mine),
        (at(17), lead),
        (at(18), mine),
        (at(25), mine),
        (datetime(2027, 1, 1, 9, tzinfo=VIENNA).astimezone(UTC), mine),
    ]


@pytest.mark.parametrize(
    ("due", "status", "now", "planned"),
    [
        (DUE, ActionStatus.OPEN, at(9, 8, 59), at(9)),
        (DUE, ActionStatus.IN_PROGRESS, at(9, 9), at(11)),
        (DUE, ActionStatus.DONE, at(1), None),
        (DUE, ActionStatus.DROPPED, at(1), None),
        (None, ActionStatus.OPEN, at(1), None),
        (DUE - timedelta(days=60), ActionStatus.OPEN, at(1), None),
        # The clocks go back and forth: nine in the morning stays that.
        (date(2026, 10, 26), ActionStatus.OPEN, at(1, month=10), datetime(2026, 10, 25, 8, tzinfo=UTC)),
        (date(2026, 3, 30), ActionStatus.OPEN, at(1, month=3), datetime(2026, 3, 29, 7, tzinfo=UTC)),
    ],
)
def test_what_is_planned_is_the_next_one_after_now(
    due: date | None, status: ActionStatus, now: datetime, planned: datetime | None
) -> None:
    """F133: none of what is over or due at no time; what was to be said before it was planned is not said."""
    one = item(due, status)
    reminding.plan(one, VIENNA, now=now)
    assert one.remind_at == planned and (one.reminder is None) == (planned is None)


def test_nothing_is_said_too_early_and_what_was_missed_once() -> None:
    """F133: a worker that was away for a month says it in one message to each."""
    one = item()
    reminding.plan(one, VIENNA, now=at(1))
    assert reminding.take(one, VIENNA, now=at(9, 8, 59)) == frozenset()
    assert one.remind_at == at(9)
    assert reminding.take(one, VIENNA, now=at(30)) == {Whom.ASSIGNEE, Whom.LEAD}
    assert one.remind_at == datetime(2027, 1, 1, 9, tzinfo=VIENNA).astimezone(UTC)


def test_whoever_else_is_to_do_it_is_reminded_by_their_own_clock() -> None:
    """F133: the same reminder, at their nine in the morning."""
    one = item()
    reminding.plan(one, VIENNA, now=at(1))
    reminding.move(one, ZoneInfo("Asia/Tokyo"))
    assert one.remind_at == datetime(2026, 12, 9, 0, tzinfo=UTC)
    none = item(None)
    reminding.move(none, VIENNA)
    assert none.remind_at is None


@pytest.mark.parametrize(
    ("today", "words"),
    [
        (date(2026, 12, 9), "is due tomorrow, 10 Dec 2026."),
        (date(2026, 12, 10), "is due today, 10 Dec 2026."),
        (date(2026, 12, 1), "is due on 10 Dec 2026."),
        (date(2026, 12, 11), "was due on 10 Dec 2026, 1 day ago."),
        (date(2026, 12, 18), "was due on 10 Dec 2026, 8 days ago."),
    ],
)
def test_a_reminder_says_how_it_stands(today: date, words: str) -> None:
    """F133."""
    assert reminding.sentence(item(), "INC-7", today) == f"“Write the runbook” (INC-7) {words}"
