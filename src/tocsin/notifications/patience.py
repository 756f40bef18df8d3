"""When a message that failed is tried again, and when a refusal is believed. No clock, no database, no logging.

A page is tried as long as it matters. What surely did not arrive is tried often, because trying costs nobody a night's
sleep; what may have arrived is tried less and less, because each try may ring again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tocsin.kit.errors import OutsideFailure, Patience, Refused

# How long a message that nobody has answered is tried, counted from when it was meant to go out.
TRIED_FOR = timedelta(hours=24)
# News are old after this.
NEWS_TRIED_FOR = timedelta(hours=1)
# Somebody who presses “test” waits for the answer.
TEST_TRIES = 3
# Another side that asks for patience gets this much at most: somebody may have to be woken.
MOST_PATIENCE = timedelta(minutes=2)
# How long one call may take: the first one, and those after a call that got no answer, for receivers that are slow.
CALL_WITHIN = timedelta(seconds=15)
SLOW_CALL_WITHIN = timedelta(seconds=60)


def _seconds(*numbers: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=number) for number in numbers)


# Waits after the first, second … attempt; the last one repeats.
_SURELY_NOT_ARRIVED = _seconds(2, 5, 15, 45)
_ANSWERED_BADLY = _seconds(2, 5, 15, 45)
_ANSWERED_BADLY_FOR_LONG = timedelta(minutes=5)
_LONG = timedelta(hours=1)
_NOT_ANSWERED = _seconds(5, 30, 120, 300)
_REFUSED = _seconds(2, 5, 15, 45, 120, 300)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A refusal is believed after so many in a row, the first of which is so long ago."""

    refusals: int
    refused_for: timedelta


# A gateway that is being restarted answers 404, 401 or 550 for a while, and an expired certificate is renewed.
DOUBTS: Mapping[Patience, Doubt] = {
    Patience.NONE: Doubt(1, timedelta()),
    Patience.SHORT: Doubt(3, timedelta(minutes=1)),
    Patience.LONG: Doubt(5, timedelta(minutes=10)),
}


@dataclass(frozen=True, slots=True)
class Tried:
    """What has been done for a message so far, the attempt that has just failed included.

    `late` is the time since it was meant to go out; `refusals` are those in a row, the first of them `refused_for` ago.
    """

    attempt: int
    late: timedelta
    refusals: int = 0
    refused_for: timedelta = timedelta()
    is_test: bool = False
    is_news: bool = False


def wait_after(failure: OutsideFailure, tried: Tried) -> timedelta | None:
    """Say how long to wait before the next attempt; None when there is none."""
    if isinstance(failure, Refused) and _is_believed(failure, tried):
        return None
    if tried.attempt >= TEST_TRIES if tried.is_test else tried.late >= TRIED_FOR:
        return None
    asked = min(timedelta(seconds=failure.retry_after or 0), MOST_PATIENCE)
    wait = max(_at(_waits(failure, tried), tried.attempt), asked)
    return None if tried.is_news and tried.late + wait >= NEWS_TRIED_FOR else wait


def _is_believed(failure: Refused, tried: Tried) -> bool:
    doubt = DOUBTS[failure.patience]
    return tried.is_test or (tried.refusals >= doubt.refusals and tried.refused_for >= doubt.refused_for)


def _waits(failure: OutsideFailure, tried: Tried) -> Sequence[timedelta]:
    if isinstance(failure, Refused) and failure.answered:
        return _REFUSED
    # Nobody has said no, as with a certificate that is no good: to try again costs nothing.
    if not failure.may_have_arrived:
        return _SURELY_NOT_ARRIVED
    if not failure.answered:
        return _NOT_ANSWERED
    return (_ANSWERED_BADLY_FOR_LONG,) if tried.late >= _LONG else _ANSWERED_BADLY


def _at(waits: Sequence[timedelta], attempt: int) -> timedelta:
    return waits[min(attempt, len(waits)) - 1]


def is_worth_a_line(attempt: int) -> bool:
    """Say whether a failed attempt stands in the record: the first eight, then the 16th, the 32nd and so on."""
    return attempt <= 8 or attempt & (attempt - 1) == 0
