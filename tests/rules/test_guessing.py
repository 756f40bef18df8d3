"""How often a password may be guessed: the delays, the sums that docs/security.md names, and who is told apart."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tocsin.identity.guessing import (
    ACCOUNT,
    DEVICE_KNOWN_FOR,
    NETWORK,
    ONE,
    Device,
    Judge,
    Rule,
    Tally,
    in_words,
    judges_of_own_password,
    judges_of_sign_in,
    must_not_wait,
    network,
    new_device,
    read_device,
    slot,
)
from tocsin.kit.errors import TooMany

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = b"k" * 32
DEVICE = Device(UUID(int=7), NOW + timedelta(days=1))
EMAIL = "ada@example.org"


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def guess(rules: Iterable[Rule], tallies: list[Tally | None], at: datetime) -> list[Tally] | None:
    """Make an attempt under all rules at once; None when one of them says that it is too soon."""
    pairs = list(zip(rules, tallies, strict=True))
    if any(rule.wait(tally, at) > timedelta(0) for rule, tally in pairs):
        return None
    return [rule.counted(tally, at) for rule, tally in pairs]


def most(rule: Rule, lasting: timedelta) -> int:
    """How many attempts somebody gets who tries again the moment it is allowed."""
    tally: Tally | None = None
    at, number = NOW, 0
    while at < NOW + lasting:
        wait = rule.wait(tally, at)
        if wait > timedelta(0):
            at += wait
            continue
        tally, number = rule.counted(tally, at), number + 1
    return number


@pytest.mark.parametrize(
    ("failures", "wait"),
    [(0, 0), (1, 0), (4, 0), (5, 30), (6, 60), (7, 120), (8, 240), (9, 480), (10, 900), (11, 900), (10**6, 900)],
)
def test_the_wait_grows_with_the_failures_up_to_a_quarter_of_an_hour(failures: int, wait: int) -> None:
    """Identity: throttling; docs/security.md."""
    assert ONE.delay(failures) == seconds(wait)
    assert max(timedelta(0), ONE.wait(Tally(failures, NOW), NOW)) == seconds(wait)


@pytest.mark.parametrize(
    ("after", "failures"), [(0, 10), (86_399, 10), (86_400, 0)], ids=["at once", "just before a day", "after a day"]
)
def test_failures_are_forgotten_after_a_day_without_one(after: int, failures: int) -> None:
    """Identity: throttling."""
    assert ONE.counted(Tally(10, NOW), NOW + seconds(after)).failures == failures + 1


def test_of_two_at_once_the_one_that_began_first_is_not_late() -> None:
    """Identity: throttling; the later one was counted before it."""
    later = ONE.counted(None, NOW + seconds(1))
    assert ONE.wait(later, NOW) <= timedelta(0)
    assert ONE.counted(later, NOW) == Tally(2, NOW + seconds(1))


def test_what_was_right_forgets_the_failures_before_it() -> None:
    """Identity: throttling; and of the budgets it takes back its own attempt only."""
    assert ONE.forgiven(Tally(9, NOW)).failures == 0
    full = ACCOUNT.counted(ACCOUNT.counted(None, NOW), NOW)
    assert ACCOUNT.forgiven(full) == ACCOUNT.counted(None, NOW)


@pytest.mark.parametrize(
    ("rule", "lasting", "number"),
    [
        (ONE, timedelta(seconds=1), 5),
        (ONE, timedelta(minutes=16), 10),
        (ONE, timedelta(hours=24), 104),
        (ACCOUNT, timedelta(seconds=1), 50),
        (ACCOUNT, timedelta(hours=24), 193),
        (ACCOUNT, timedelta(days=7), 1057),
        (NETWORK, timedelta(seconds=1), 50),
        (NETWORK, timedelta(hours=1), 229),
    ],
)
def test_a_rule_lets_through_so_many_and_no_more(rule: Rule, lasting: timedelta, number: int) -> None:
    """Identity: what an attack costs. The document says one more: the end of the time counts as well."""
    assert most(rule, lasting) == number


def test_one_network_never_uses_up_what_all_strangers_may_do() -> None:
    """Identity: a single attacker keeps nobody else out, however long it lasts."""
    tallies: list[Tally | None] = [None, None]
    at = NOW
    while at < NOW + timedelta(days=30):
        made = guess((ONE, ACCOUNT), tallies, at)
        if made is None:
            assert ACCOUNT.wait(tallies[1], at) <= timedelta(0)
            at += ONE.wait(tallies[0], at)
        else:
            tallies = list(made)
    assert ACCOUNT.wait(tallies[1], at) <= timedelta(0)


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_an_address_counts_with_its_neighbours(ip: str, expected: str) -> None:
    """Identity: throttling; who has many addresses is one."""
    assert network(ip) == expected


def keys(judges: list[Judge]) -> set[bytes]:
    return {judge.key for judge in judges}


def test_strangers_share_an_account_and_a_known_device_shares_nothing() -> None:
    """Identity: device cookies."""
    here = judges_of_sign_in(EMAIL, "192.0.2.7", None, NOW)
    there = judges_of_sign_in(" ADA@example.org", "198.51.100.1", None, NOW)
    other = judges_of_sign_in("bob@example.org", "192.0.2.9", None, NOW)
    known = judges_of_sign_in(EMAIL, "192.0.2.7", DEVICE, NOW)
    assert len(keys(here)) == 3 and len(keys(here) & keys(there)) == 1 and len(keys(here) & keys(other)) == 1
    assert len(known) == 1 and not keys(known) & keys(here)
    assert not keys(known) & keys(judges_of_sign_in(EMAIL, "192.0.2.7", Device(UUID(int=8), DEVICE.known_until), NOW))


def test_a_device_that_was_away_for_too_long_is_a_stranger() -> None:
    """Identity: device cookies."""
    late = judges_of_sign_in(EMAIL, "192.0.2.7", DEVICE, DEVICE.known_until)
    assert keys(late) == keys(judges_of_sign_in(EMAIL, "192.0.2.7", None, NOW))


def test_a_device_cookie_is_for_one_account_and_cannot_be_made_up() -> None:
    """Identity: device cookies."""
    value = new_device(KEY, EMAIL, UUID(int=7), NOW)
    assert read_device(KEY, " Ada@Example.org ", value) == Device(UUID(int=7), NOW + DEVICE_KNOWN_FOR)
    flipped = ("B" if value[0] == "A" else "A") + value[1:]
    for email, text in (("bob@example.org", value), (EMAIL, flipped), (EMAIL, ""), (EMAIL, "é"), ("\ud800", value)):
        assert read_device(KEY, email, text) is None
    assert read_device(b"x" * 32, EMAIL, value) is None


def test_a_browser_keeps_a_bounded_number_of_device_cookies() -> None:
    """Identity: device cookies; each account has its own as long as there are few."""
    slots = {slot(f"person{n}@example.org") for n in range(200)}
    assert slots == set(range(8)) and slot(EMAIL) == slot(" ADA@example.org")


def test_a_session_is_judged_apart_from_the_others_of_its_person_up_to_a_sum() -> None:
    """Identity: proving the current password."""
    one, two = (judges_of_own_password(UUID(int=1), UUID(int=n)) for n in (2, 3))
    assert len(keys(one)) == 2 and len(keys(one) & keys(two)) == 1
    assert not keys(one) & keys(judges_of_own_password(UUID(int=4), UUID(int=2)))


@pytest.mark.parametrize(
    ("wait", "words"),
    [(0.1, "1 second"), (1, "1 second"), (1.5, "2 seconds"), (59, "59 seconds"), (60, "1 minute"), (61, "2 minutes")],
)
def test_a_wait_is_said_in_words_and_in_seconds(wait: float, words: str) -> None:
    """Identity: throttling."""
    assert in_words(-int(-wait // 1)) == words
    with pytest.raises(TooMany, match=f"Try again in {words}.$") as caught:
        must_not_wait([seconds(0), seconds(wait)], "failed sign-ins")
    assert caught.value.retry_after == -int(-wait // 1)
    must_not_wait([seconds(0), seconds(-5)], "failed sign-ins")
