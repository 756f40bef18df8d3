"""Which words a value may be, as a refusal lists them (F120)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from tocsin.api.base.wording import sentence, words_at

Side = Literal["up", "down"]


class Move(msgspec.Struct):
    """A body with words at several depths."""

    side: Side | None
    sides: list[Side]
    by_name: dict[str, Side]
    step: int | Side


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (["side"], ["down", "up", "null"]),
        (["sides", "0"], ["down", "up"]),
        (["by_name", "..."], ["down", "up"]),
        # Where something else would do as well, the words are not all that it may be.
        (["step"], []),
        (["sides"], []),
        (["nowhere"], []),
    ],
)
def test_only_what_has_to_be_one_of_a_few_words_lists_them(place: list[str], words: list[Any]) -> None:
    assert sorted(words_at(Move, place)) == sorted(words)


def test_a_refusal_without_words_says_the_kind() -> None:
    assert sentence("Expected `str`, got `int`", "side", ["up", "down"]) == "“side” must be one of up, down."
    assert sentence("Expected `str`, got `int`") == "This must be a text."
