"""Which searches an index can answer."""

import pytest

from tocsin.kit.search import is_short


@pytest.mark.parametrize("wanted", ["", "d", "db", "eu-1", "a b c", "%%%%", "...", "日本", "#12", "k8 s3"])
def test_what_has_no_three_letters_or_digits_in_a_row_is_short(wanted: str) -> None:
    assert is_short(wanted)


@pytest.mark.parametrize("wanted", ["dis", "db1", "INC-7", "eu-west", "日本語", "99 percent", "a bcd"])
def test_three_in_a_row_are_enough_wherever_they_stand(wanted: str) -> None:
    assert not is_short(wanted)
