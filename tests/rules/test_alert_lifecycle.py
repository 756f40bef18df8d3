"""What may happen to an alert: every pair of a state and an act, and that both ways of changing are written from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import uuid4

import pytest

from tocsin.alerts import lifecycle, statements
from tocsin.alerts.lifecycle import BY, RUNS_END, STAMPS, Act, By
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.kit.errors import Conflict

NOW = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)

# One row per act, one letter per state it may find, in the order of `AlertStatus`: what it leads to; - impossible.
LETTERS = {"t": AlertStatus.TRIGGERED, "a": AlertStatus.ACKNOWLEDGED, "r": AlertStatus.RESOLVED, "-": None}
TABLE = {
    Act.REPEAT: "ta-",
    Act.ACKNOWLEDGE: "aa-",
    Act.GIVE_BACK: "tt-",
    Act.RESOLVE: "rrr",
    Act.PAGE: "t--",
    Act.ESCALATE: "t--",
}
PAIRS = [(act, status, LETTERS[TABLE[act][at]]) for act, (at, status) in product(Act, enumerate(AlertStatus))]


def alert(status: AlertStatus) -> Alert:
    return Alert(id=uuid4(), status=status, updated_at=NOW - timedelta(hours=1))


@pytest.mark.parametrize(("act", "status", "to"), PAIRS)
def test_every_pair_of_a_state_and_an_act(act: Act, status: AlertStatus, to: AlertStatus | None) -> None:
    assert lifecycle.after(status, act) is to
    assert lifecycle.may(status, act) is (to is not None)
    found, before = alert(status), NOW - timedelta(hours=1)
    if to is None and act in (Act.REPEAT, Act.PAGE):
        # Nobody asks for these by hand: they are what signals and routing do, which pass over what cannot be.
        return
    if to is None:
        with pytest.raises(Conflict):
            lifecycle.move(found, act, at=NOW, name="Ada")
        assert (found.status, found.updated_at) == (status, before)
        return
    moved = lifecycle.move(found, act, at=NOW, name="Ada")
    assert moved is (to is not status)
    assert (found.status, found.updated_at) == (to, NOW if moved else before)


@pytest.mark.parametrize("act", [act for act in Act if lifecycle.moved_by(act)])
def test_whatever_moves_an_alert_stamps_it_and_ends_what_pages_for_it(act: Act) -> None:
    assert STAMPS[act].keys() <= set(Alert.__table__.columns.keys()) - {"status", "updated_at"}
    assert act in RUNS_END
    assert By.HAND in BY[act]


def test_what_moves_nothing_stamps_nothing() -> None:
    assert {act for act in Act if not lifecycle.moved_by(act)} & (STAMPS.keys() | RUNS_END.keys()) == set()


def test_nothing_leads_out_of_the_end() -> None:
    """C6: the same key opens a new alert afterwards."""
    assert {lifecycle.after(AlertStatus.RESOLVED, act) for act in Act} == {None, AlertStatus.RESOLVED}


def test_the_statements_of_intake_say_what_the_table_says() -> None:
    resolving = statements.CHANGE[Act.RESOLVE]
    assert "SET status = 'resolved', updated_at = $3::timestamptz, resolved_at = $3::timestamptz" in resolving
    assert "alert.status IN ('triggered', 'acknowledged')" in resolving
    assert "alert.status IN ('triggered') AND" in statements.CHANGE[Act.ACKNOWLEDGE]
    assert {act for act in Act if lifecycle.moved_by(act) and By.SIGNAL in BY[act]} == statements.CHANGE.keys()
