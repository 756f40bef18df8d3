"""What other products call severities and states."""

from __future__ import annotations

import pytest

from tocsin.incidents.model import Status
from tocsin.incidents.vocabularies import VOCABULARIES, Native, Vocabulary, is_recognised, read_severity
from tocsin.kit.errors import Invalid

SEVERITIES = [(words, word) for words in VOCABULARIES.values() for word in words.severities]
STATUSES = [(words, word) for words in VOCABULARIES.values() for word in words.statuses]


def test_there_are_45_words_in_five_vocabularies() -> None:
    """F016."""
    assert sorted(VOCABULARIES) == ["flanksource", "harness", "ilert", "prefect", "soda"]
    assert len(SEVERITIES) + len(STATUSES) == 45


@pytest.mark.parametrize(("words", "word"), SEVERITIES)
def test_a_severity_that_was_taken_in_goes_out_unchanged(words: Vocabulary, word: str) -> None:
    """F016."""
    level = words.severity(word)
    assert level is not None and words.severity_out(level) == word


@pytest.mark.parametrize(("words", "word"), STATUSES)
def test_a_status_that_was_taken_in_goes_out_unchanged(words: Vocabulary, word: str) -> None:
    """F016."""
    status = words.status(word)
    assert status is not None and words.status_out(status) == word


@pytest.mark.parametrize("words", VOCABULARIES.values(), ids=lambda words: words.id)
def test_each_of_ours_has_a_word_and_the_order_is_kept(words: Vocabulary) -> None:
    """F016."""
    told = [words.severity_out(level) for level in range(1, 6)]
    order = list(words.severities)
    assert [order.index(word) for word in told] == sorted(order.index(word) for word in told)
    assert all(words.status_out(status) in words.statuses for status in Status)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        (4, 4),
        ("SEV2", 2),
        (" sev5 ", 5),
        (Native("harness", "1"), 2),
        (Native("harness", "sev1"), 2),
        (Native("harness", "CUSTOMER-P0"), 1),
        (Native("harness", "no such word"), 5),
        (Native("ilert", "SEV2"), 2),
        (Native("flanksource", "HIGH"), 2),
        (Native("flanksource", "blocker"), 1),
        (Native("flanksource", "terrible"), 3),
        (Native("soda", "major"), 2),
        (Native("soda", "moderate"), 3),
        (Native("prefect", "minor"), 5),
    ],
)
def test_a_severity_is_read(said: int | str | Native, level: int) -> None:
    """F016: a word that is not known has the fallback of its vocabulary."""
    assert read_severity(said) == level


@pytest.mark.parametrize("said", ["high", "SEV0", "SEV6", "", "\u202eSEV1", Native("jira", "high"), Native("", "")])
def test_a_word_without_its_vocabulary_is_refused(said: str | Native) -> None:
    """F016."""
    with pytest.raises(Invalid):
        read_severity(said)


def test_it_is_known_whether_a_word_was_recognised() -> None:
    """F016."""
    assert is_recognised(Native("soda", "Major"))
    assert not is_recognised(Native("soda", "moderate")) and not is_recognised(Native("gone", "major"))
