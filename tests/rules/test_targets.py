"""Response targets: when each is due, near, missed and met, from the declaration and after a reopening."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tocsin.incidents.model import Incident, ResponseTarget, Status
from tocsin.incidents.targets import ClockState, Goal, clocks

T0 = datetime(2026, 11, 28, 12, tzinfo=UTC)
TARGET = ResponseTarget(
    severity=1, acknowledge_minutes=5, update_minutes=30, mitigate_minutes=60, resolve_minutes=240, version=1
)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def incident(status: Status = Status.INVESTIGATING, **stamps: Any) -> Incident:
    return Incident(status=status, declared_at=T0, **stamps)


def states(found: Incident, now: float, updated: float | None = None) -> dict[Goal, ClockState]:
    updated_at = at(updated) if updated is not None else None
    return {clock.goal: clock.state for clock in clocks(found, TARGET, updated_at, at(now))}


@pytest.mark.parametrize(
    ("now", "acknowledge", "mitigate"),
    [
        (0, "running", "running"),
        (3.9, "running", "running"),
        (4, "near", "running"),
        (4.99, "near", "running"),
        (5, "overdue", "running"),
        (47.9, "overdue", "running"),
        (48, "overdue", "near"),
        (60, "overdue", "overdue"),
    ],
)
def test_a_target_is_near_with_a_fifth_left_and_overdue_at_its_end(now: float, acknowledge: str, mitigate: str) -> None:
    """F128."""
    found = states(incident(), now)
    assert (found[Goal.ACKNOWLEDGE], found[Goal.MITIGATE]) == (acknowledge, mitigate)


@pytest.mark.parametrize(
    ("stamps", "goal", "state"),
    [
        ({"acknowledged_at": at(5)}, Goal.ACKNOWLEDGE, "met"),
        ({"acknowledged_at": at(5.01)}, Goal.ACKNOWLEDGE, "missed"),
        ({"mitigated_at": at(59)}, Goal.MITIGATE, "met"),
        ({"resolved_at": at(61)}, Goal.MITIGATE, "missed"),
        ({"mitigated_at": at(50), "resolved_at": at(300)}, Goal.MITIGATE, "met"),
        ({"mitigated_at": at(50), "resolved_at": at(300)}, Goal.RESOLVE, "missed"),
        ({"resolved_at": at(240)}, Goal.RESOLVE, "met"),
        ({"closed_at": at(10)}, Goal.RESOLVE, "met"),
        # A time that was before the round is what people have set right.
        ({"mitigated_at": at(-10)}, Goal.MITIGATE, "met"),
    ],
)
def test_what_was_reached_is_met_or_missed_for_good(stamps: dict[str, datetime], goal: Goal, state: str) -> None:
    """F128."""
    assert states(incident(**stamps), 10_000)[goal] == state


def test_the_next_update_is_due_from_the_last_and_none_once_it_is_over() -> None:
    """F131."""
    assert states(incident(), 29)[Goal.UPDATE] == "near"
    assert states(incident(), 30)[Goal.UPDATE] == "overdue"
    assert states(incident(), 30, updated=20)[Goal.UPDATE] == "running"
    assert states(incident(), 50, updated=20)[Goal.UPDATE] == "overdue"
    assert Goal.UPDATE not in states(incident(Status.RESOLVED, resolved_at=at(40)), 10_000)


def test_a_reopened_one_begins_anew_and_a_cancelled_one_has_none() -> None:
    """F128, F036: the targets of a round are counted from its beginning."""
    again = incident(reopened_at=at(1_000))
    assert states(again, 1_001, updated=20) == dict.fromkeys(Goal, ClockState.RUNNING)
    assert clocks(incident(Status.CANCELLED, cancelled_at=at(3)), TARGET, None, at(100)) == []
    assert clocks(incident(), None, None, at(100)) == []
    some = ResponseTarget(severity=1, acknowledge_minutes=5, version=1)
    assert [clock.goal for clock in clocks(incident(), some, None, at(1))] == [Goal.ACKNOWLEDGE]
