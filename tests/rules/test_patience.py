"""When a failed message is tried again, and when a refusal is believed."""

from datetime import timedelta

import pytest

from tocsin.kit.errors import OutsideFailure, Patience, Refused, Transient
from tocsin.notifications.patience import TRIED_FOR, Tried, is_worth_a_line, wait_after


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


AWAY = Transient("no connection")
BAD = Transient("503", answered=True, may_have_arrived=True)
SILENT = Transient("no answer", may_have_arrived=True)
HOURS = timedelta(hours=1)


@pytest.mark.parametrize(
    ("failure", "attempt", "late", "wait"),
    [
        # What surely did not arrive is tried each 45 s at least: it goes out within a minute of recovery.
        (AWAY, 1, seconds(0), seconds(2)),
        (AWAY, 2, seconds(2), seconds(5)),
        (AWAY, 4, seconds(22), seconds(45)),
        (AWAY, 500, 6 * HOURS, seconds(45)),
        # A server that answers badly may have acted on it, so it is asked less often after an hour.
        (BAD, 1, seconds(0), seconds(2)),
        (BAD, 60, seconds(3599), seconds(45)),
        (BAD, 70, HOURS, seconds(300)),
        # What may have arrived without an answer rings again with each try.
        (SILENT, 1, seconds(15), seconds(5)),
        (SILENT, 2, seconds(40), seconds(30)),
        (SILENT, 9, HOURS, seconds(300)),
        # A page for an unanswered alert is tried for a day, and no longer.
        (AWAY, 1800, TRIED_FOR - seconds(1), seconds(45)),
        (AWAY, 1800, TRIED_FOR, None),
        (SILENT, 300, TRIED_FOR, None),
    ],
)
def test_a_message_is_tried_as_long_as_it_matters(
    failure: OutsideFailure, attempt: int, late: timedelta, wait: timedelta | None
) -> None:
    """F060, G04: the provider may be away for hours."""
    assert wait_after(failure, Tried(attempt, late)) == wait


@pytest.mark.parametrize(
    ("patience", "refusals", "refused_for", "is_believed"),
    [
        (Patience.NONE, 1, seconds(0), True),
        (Patience.SHORT, 1, HOURS, False),
        (Patience.SHORT, 3, seconds(59), False),
        (Patience.SHORT, 3, seconds(60), True),
        (Patience.LONG, 1, HOURS, False),
        (Patience.LONG, 4, HOURS, False),
        (Patience.LONG, 30, seconds(599), False),
        (Patience.LONG, 5, seconds(600), True),
    ],
)
def test_a_refusal_is_believed_after_several_over_minutes(
    patience: Patience, refusals: int, refused_for: timedelta, is_believed: bool
) -> None:
    """F060: a gateway in trouble refuses, too."""
    tried = Tried(40, HOURS, refusals, refused_for)
    assert (wait_after(Refused("404", patience=patience), tried) is None) == is_believed


@pytest.mark.parametrize(
    ("failure", "waits"),
    [
        (Refused("404", answered=True), [2, 5, 15, 45, 120, 300, 300]),
        # A certificate that is no good: nobody has said no, and nothing has left.
        (Refused("no valid certificate"), [2, 5, 15, 45, 45, 45, 45]),
    ],
)
def test_what_nobody_has_refused_is_tried_as_often_as_what_cannot_leave(failure: Refused, waits: list[int]) -> None:
    """F060: a certificate is renewed, and the page goes out within a minute."""
    found = [wait_after(failure, Tried(n, seconds(500), n, seconds(500))) for n in range(1, 8)]
    assert found == [seconds(wait) for wait in waits]


@pytest.mark.parametrize(("asked", "wait"), [(None, 2), (1, 2), (60, 60), (120, 120), (86_400, 120)])
def test_the_other_side_may_ask_for_patience_within_bounds(asked: float | None, wait: float) -> None:
    """F125: Retry-After is obeyed, but somebody may have to be woken."""
    for failure in (Transient("429", retry_after=asked), Refused("404", retry_after=asked)):
        assert wait_after(failure, Tried(1, seconds(0), 1)) == seconds(wait)


def test_a_test_page_does_not_keep_its_sender_waiting() -> None:
    """F059: a refusal is told at once, anything else after three tries."""
    assert wait_after(Refused("404"), Tried(1, seconds(0), 1, is_test=True)) is None
    assert wait_after(AWAY, Tried(2, seconds(2), is_test=True)) is not None
    assert wait_after(AWAY, Tried(3, seconds(7), is_test=True)) is None


def test_the_record_does_not_fill_with_attempts() -> None:
    """F075: two thousand attempts in a day are some twenty lines."""
    lines = [attempt for attempt in range(1, 2000) if is_worth_a_line(attempt)]
    assert lines[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 16]
    assert len(lines) == 15
