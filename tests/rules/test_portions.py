"""How a request of many signals is divided (F066, G04)."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alerts.portions import MOST_SIGNALS, MOST_TURNS, portions
from tocsin.alerts.sources.base import Action, Signal

T, A, R = Action.TRIGGER, Action.ACKNOWLEDGE, Action.RESOLVE


def signals(*pairs: tuple[str, Action]) -> list[Signal]:
    return [Signal(action, key, f"{key} {n}", "", 2, "", "high", {}, ()) for n, (key, action) in enumerate(pairs)]


def turns(portion: tuple[Signal, ...], key: str) -> int:
    return len(list(groupby(each.action for each in portion if each.dedup_key == key)))


_MANY = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([T, A, R]), st.integers(1, 120)), max_size=40).map(
    lambda runs: signals(*((key, action) for key, action, often in runs for _ in range(often)))
)
_TURNING = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([T, A, R])), min_size=60, max_size=300).map(
    lambda pairs: signals(*pairs)
)


@given(_MANY | _TURNING)
def test_nothing_is_lost_and_every_key_keeps_its_order(given_signals: list[Signal]) -> None:
    divided = portions(given_signals)
    for key in "abc":
        wanted = [each for each in given_signals if each.dedup_key == key]
        assert [each for portion in divided for each in portion if each.dedup_key == key] == wanted
    assert sum(map(len, divided)) == len(given_signals)


@given(_MANY | _TURNING)
def test_no_portion_is_large_or_turns_often(given_signals: list[Signal]) -> None:
    for portion in portions(given_signals):
        assert len(portion) <= MOST_SIGNALS
        assert all(turns(portion, key) <= MOST_TURNS for key in "abc")


@pytest.mark.parametrize("number", [0, 1, MOST_TURNS])
def test_an_ordinary_request_is_one_portion(number: int) -> None:
    ordinary = signals(*[("a", T)] * number)
    assert portions(ordinary) == [tuple(ordinary)]


def test_what_fires_and_is_over_in_one_request_stands_in_one_portion() -> None:
    """Otherwise somebody could be paged between the two."""
    alternating = signals(*((f"key {n // 2}", (T, R)[n % 2]) for n in range(10_000)))
    flapping = signals(*(("key", (T, R)[n % 2]) for n in range(10_000)))
    apart = signals(*((f"key {n}", T) for n in range(700)), *((f"key {n}", R) for n in range(700)))
    for many in (alternating, flapping, apart):
        divided = portions(many)
        assert len(divided) > 1
        for portion in divided:
            last = {each.dedup_key: each.action for each in portion}
            assert set(last.values()) == {R}


def test_one_key_that_only_repeats_is_cut_by_size_alone() -> None:
    assert [len(each) for each in portions(signals(*[("a", T)] * 1200))] == [512, 512, 176]
