"""Who carries messages: how many calls at once, who is left alone, who is back."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tocsin.kit.errors import OutsideFailure, Refused, Transient
from tocsin.notifications import origins
from tocsin.notifications.origins import AT_ONCE, AT_ONCE_AT_FIRST, TROUBLE, Origins, origin_in, origin_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOOK = "https://hooks.example.org"
SHARE = f"origin:{HOOK}"
AWAY = Transient("no connection")
SILENT = Transient("no answer", may_have_arrived=True)
BAD = Transient("503", answered=True, may_have_arrived=True)
NO = Refused("404", answered=True)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def in_trouble(failure: OutsideFailure = AWAY) -> Origins:
    known = Origins()
    for _ in range(TROUBLE):
        known.failed(HOOK, failure, NOW)
    return known


@pytest.mark.parametrize(
    ("channel", "address", "origin"),
    [
        ("webhook", "https://hooks.example.org/a/b?c=d", HOOK),
        ("webhook", "http://10.0.0.1:8080/x", "http://10.0.0.1:8080"),
        ("email", "ada@example.org", "email"),
        ("console", "https", "console"),
        ("console", "console", "console"),
    ],
)
def test_what_fails_together_has_one_origin(channel: str, address: str, origin: str) -> None:
    """F141."""
    assert origin_of(channel, address) == origin
    names = origins.shares(channel, address, UUID(int=7))
    assert origin_in(names) == origin
    assert names[1] == f"person:{UUID(int=7)} {origin}"
    assert origin_in(origins.shares_of_test(UUID(int=7))) == ""


def test_an_origin_that_leaves_calls_unanswered_is_only_probed() -> None:
    """F141: one message at a time finds out whether it is back; all others wait and hold nothing up."""
    known = Origins()
    assert [known.failed(HOOK, AWAY, NOW).pause for _ in range(TROUBLE - 1)] == [None] * (TROUBLE - 1)
    assert known.limit(SHARE) == AT_ONCE_AT_FIRST
    assert known.failed(HOOK, AWAY, NOW).pause == timedelta(seconds=5)
    assert known.limit(SHARE) == 1
    assert known.limit("origin:https://other.example.org") == AT_ONCE_AT_FIRST
    assert known.wait(HOOK, at(1)) == timedelta(seconds=4)
    assert known.wait("https://other.example.org", at(1)) is None
    assert known.wait(HOOK, at(5)) is None
    assert known.wait(HOOK, at(5)) is not None, "one probe at a time"
    assert known.failed(HOOK, AWAY, at(6)).pause == timedelta(seconds=10)
    assert known.wait(HOOK, at(15)) is not None
    assert known.wait(HOOK, at(16)) is None


@pytest.mark.parametrize(("failure", "longest"), [(AWAY, 30), (SILENT, 120)])
def test_a_probe_comes_within_half_a_minute_unless_it_may_ring_again(failure: OutsideFailure, longest: int) -> None:
    """F060: recovery is noticed soon, and nobody is rung all night by probes that arrive without an answer."""
    known = in_trouble(failure)
    pauses = [known.failed(HOOK, failure, at(n)).pause for n in range(10)]
    assert max(pause for pause in pauses if pause) == timedelta(seconds=longest)


def test_a_probe_that_was_not_made_gives_its_turn_back() -> None:
    """G04: whatever happens to the one that was to ask, another one asks."""
    known = in_trouble()
    assert known.wait(HOOK, at(5)) is None
    known.not_called(HOOK)
    assert known.wait(HOOK, at(5)) is None


def test_a_clock_that_is_set_back_closes_nobody_for_hours() -> None:
    """G04: the pause was counted from a time that is far ahead now."""
    assert in_trouble().wait(HOOK, at(-3600)) is None


@pytest.mark.parametrize("answer", [None, NO, BAD], ids=["taken", "refused", "answered badly"])
def test_any_answer_says_that_the_origin_lives(answer: OutsideFailure | None) -> None:
    """F141: one bad address of a gateway says nothing of the others'."""
    known = in_trouble()
    if answer is None:
        known.answered(HOOK, at(9))
    else:
        known.failed(HOOK, answer, at(9))
    assert known.limit(SHARE) == AT_ONCE
    assert known.wait(HOOK, at(9)) is None


@pytest.mark.parametrize(
    ("before", "then", "is_back"),
    [
        ([], None, False),
        ([AWAY], None, True),
        ([SILENT], None, True),
        ([BAD], None, True),
        ([NO], None, False),
        ([AWAY], NO, True),
        ([BAD], NO, True),
        ([AWAY], BAD, False),
    ],
)
def test_whoever_waits_is_told_when_the_origin_is_back(
    before: list[OutsideFailure], then: OutsideFailure | None, is_back: bool
) -> None:
    """F060: whatever shows that it lives wakes what waits for it; a refusal that was believed is no such wait."""
    known = Origins()
    for failure in before:
        known.failed(HOOK, failure, NOW)
    found = known.answered(HOOK, at(1)) if then is None else known.failed(HOOK, then, at(1))
    assert found.is_back == is_back


def test_an_origin_that_comes_and_goes_does_not_wake_everybody_each_time() -> None:
    """F141."""
    known = Origins()
    told: list[bool] = []
    for n in range(12):
        known.failed(HOOK, AWAY, at(n))
        told.append(known.answered(HOOK, at(n)).is_back)
    assert told.count(True) == 2


def test_an_origin_gets_more_calls_at_once_when_it_has_answered() -> None:
    """F141, G04: many that are silent from the start would else hold every place that there is."""
    known = Origins()
    assert known.limit(SHARE) == AT_ONCE_AT_FIRST < AT_ONCE
    known.answered(HOOK, NOW)
    assert known.limit(SHARE) == AT_ONCE
    known.failed(HOOK, SILENT, at(1))
    assert known.limit(SHARE) == AT_ONCE_AT_FIRST
    known.failed(HOOK, NO, at(2))
    assert known.limit(SHARE) == AT_ONCE
    assert known.limit("origin:https://other.example.org") == AT_ONCE_AT_FIRST


def test_tests_take_few_places_and_none_of_the_pages() -> None:
    """F141, G04: whoever presses “test” again and again at a receiver that hangs holds up tests, and no page."""
    known = in_trouble(SILENT)
    names = origins.shares_of_test(UUID(int=7))
    assert origin_in(names) == "", "a test does not wait for an origin that does not answer"
    assert [known.limit(name) for name in names] == [origins.TESTS_AT_ONCE, origins.AT_ONCE_FOR_A_PERSON]
    assert not set(names) & set(origins.shares("webhook", HOOK, UUID(int=7)))


@pytest.mark.parametrize("failure", [AWAY, SILENT, BAD], ids=["away", "silent", "answered badly"])
@pytest.mark.parametrize("answer", [None, NO], ids=["taken", "refused"])
def test_what_failed_just_after_a_wake_is_woken_by_the_first_answer_that_may(
    failure: OutsideFailure, answer: OutsideFailure | None
) -> None:
    """F060: it would wait for minutes otherwise, though the origin answers."""
    known = in_trouble()
    assert known.answered(HOOK, at(0)).is_back
    known.failed(HOOK, failure, at(1))
    found = known.answered(HOOK, at(2)) if answer is None else known.failed(HOOK, answer, at(2))
    assert not found.is_back
    assert known.answered(HOOK, at(10)).is_back
    assert not known.answered(HOOK, at(30)).is_back
