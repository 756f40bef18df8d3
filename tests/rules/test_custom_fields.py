"""What custom fields take: every kind at, below and above its limits, and texts that mean harm (F021)."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import pytest

from tocsin.identity.model import TEAM_ID, USER_ID
from tocsin.incidents import custom_fields
from tocsin.incidents.custom_fields import Draft, checked, duration_in_words, must_fit_together, read_duration, said
from tocsin.incidents.type_model import Kind
from tocsin.kit.errors import Invalid

ADA, SEARCH = USER_ID.write(UUID(int=7)), TEAM_ID.write(UUID(int=8))


def field(kind: Kind, **more: Any) -> Draft:
    return Draft(key="x", name="X", kind=kind, **more)


CHOICES = ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("definition", "value", "stored"),
    [
        (field(Kind.TEXT), "  two\n words ", "two words"),
        (field(Kind.TEXT), "a" * 500, "a" * 500),
        (field(Kind.TEXT, maximum=3), "abc", "abc"),
        (field(Kind.TEXT, minimum=3), "abc", "abc"),
        (field(Kind.TEXT), "\u200b\u2060", None),
        (field(Kind.TEXT), "pay\u202etxe", "paytxe"),
        (field(Kind.TEXT), "<script>alert(1)</script>", "<script>alert(1)</script>"),
        (field(Kind.TEXT, pattern=r"[A-Z]{2}-\d+"), "AB-12", "AB-12"),
        (field(Kind.TEXT, pattern="“é”"), "“é”", "“é”"),
        (field(Kind.LONG_TEXT), " one\ntwo ", "one\ntwo"),
        (field(Kind.LONG_TEXT), "b" * 20_000, "b" * 20_000),
        (field(Kind.NUMBER), 0, 0),
        (field(Kind.NUMBER), 2.0, 2),
        (field(Kind.NUMBER), -2.5, -2.5),
        (field(Kind.NUMBER), 1e15, 10**15),
        (field(Kind.NUMBER, minimum=1, maximum=5), 5, 5),
        (field(Kind.NUMBER, minimum=1, maximum=5), 1, 1),
        (field(Kind.YES_NO), False, False),
        (field(Kind.SELECT, options=CHOICES), "red", "red"),
        (field(Kind.SELECT, options=CHOICES), "", None),
        (field(Kind.MULTI_SELECT, options=CHOICES), ["blue", "red", "red"], ["red", "blue"]),
        (field(Kind.MULTI_SELECT, options=CHOICES), [], None),
        (field(Kind.MULTI_SELECT, options=CHOICES, minimum=2), ["red", "blue"], ["red", "blue"]),
        (field(Kind.DATE_TIME), "2026-03-29T02:30:00+02:00", "2026-03-29T00:30:00.000Z"),
        (field(Kind.DATE_TIME), "", None),
        (field(Kind.DURATION), 0, 0),
        (field(Kind.DURATION), "1h 30m", 5400),
        (field(Kind.DURATION), " ", None),
        (field(Kind.DURATION, maximum=60), 60, 60),
        (field(Kind.USER), ADA, ADA),
        (field(Kind.TEAM), SEARCH, SEARCH),
        (field(Kind.USER), " ", None),
        (field(Kind.LINK), " https://example.org/a?b=c ", "https://example.org/a?b=c"),
        *((field(kind, options=CHOICES), None, None) for kind in Kind),
    ],
)
def test_a_value_that_fits_is_stored(definition: Draft, value: object, stored: Any) -> None:
    """F021."""
    found = checked(definition, value)
    assert (found, type(found)) == (stored, type(stored))


@pytest.mark.parametrize(
    ("definition", "value", "code"),
    [
        (field(Kind.TEXT), 7, "invalid"),
        (field(Kind.TEXT), "a" * 501, "range"),
        (field(Kind.TEXT, maximum=3), "abcd", "range"),
        (field(Kind.TEXT, minimum=3), "ab", "range"),
        (field(Kind.TEXT, pattern=r"[A-Z]{2}-\d+"), "xAB-12", "pattern"),
        (field(Kind.TEXT, pattern=r"[A-Z]{2}-\d+"), "AB-12 x", "pattern"),
        (field(Kind.TEXT, pattern="a|b"), "ab", "pattern"),
        (field(Kind.LONG_TEXT), "b" * 20_001, "range"),
        (field(Kind.NUMBER), True, "invalid"),
        (field(Kind.NUMBER), "7", "invalid"),
        (field(Kind.NUMBER), float("nan"), "invalid"),
        (field(Kind.NUMBER), 1.1e15, "range"),
        (field(Kind.NUMBER, minimum=1, maximum=5), 5.01, "range"),
        (field(Kind.NUMBER, minimum=1, maximum=5), 0, "range"),
        (field(Kind.YES_NO), 1, "invalid"),
        (field(Kind.YES_NO), "yes", "invalid"),
        (field(Kind.SELECT, options=CHOICES), "Red", "unknown"),
        (field(Kind.SELECT, options=CHOICES), ["red"], "invalid"),
        (field(Kind.MULTI_SELECT, options=CHOICES), "red", "invalid"),
        (field(Kind.MULTI_SELECT, options=CHOICES), ["red", {}], "unknown"),
        (field(Kind.MULTI_SELECT, options=CHOICES, minimum=2), ["red"], "range"),
        (field(Kind.MULTI_SELECT, options=CHOICES, maximum=1), ["red", "blue"], "range"),
        (field(Kind.DATE_TIME), "2026-03-29T02:30:00", "invalid"),
        (field(Kind.DATE_TIME), "0001-01-01T00:00:00+14:00", "invalid"),
        (field(Kind.DATE_TIME), "1899-12-31T00:00:00Z", "range"),
        (field(Kind.DATE_TIME), 1, "invalid"),
        (field(Kind.DURATION), -1, "invalid"),
        (field(Kind.DURATION), 1.5, "invalid"),
        (field(Kind.DURATION), "soon", "invalid"),
        (field(Kind.DURATION), True, "invalid"),
        (field(Kind.DURATION, maximum=60), 61, "range"),
        (field(Kind.DURATION), 10**12, "range"),
        (field(Kind.USER), SEARCH, "unknown"),
        (field(Kind.TEAM), "search", "unknown"),
        (field(Kind.LINK), "javascript:alert(1)", "invalid"),
        (field(Kind.LINK), "https://u:p@example.org/", "invalid"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_name(definition: Draft, value: object, code: str) -> None:
    """F021: the refusal names the field."""
    with pytest.raises(Invalid) as refused:
        checked(definition, value)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("#/fields/x", code)]
    assert refused.value.message.startswith("“X” ") or "web address" in refused.value.message


def test_no_pattern_takes_long() -> None:
    """F021: one that would backtrack for ever elsewhere is decided at once."""
    begun = time.monotonic()
    with pytest.raises(Invalid):
        checked(field(Kind.TEXT, pattern="(a+)+b"), "a" * 500)
    assert time.monotonic() - begun < 1
    for pattern in ("(", "a{1000}{1000}", "x" * 300):
        with pytest.raises(Invalid) as refused:
            custom_fields.check_pattern(pattern)
        assert refused.value.errors[0].pointer == "#/pattern"


@pytest.mark.parametrize(
    ("definition", "wrong"),
    [
        (field(Kind.SELECT), "options"),
        (field(Kind.TEXT, options=["a"]), "options"),
        (field(Kind.NUMBER, pattern="a"), "pattern"),
        (field(Kind.YES_NO, minimum=1), "minimum"),
        (field(Kind.TEXT, maximum=501), "maximum"),
        (field(Kind.TEXT, minimum=1.5), "minimum"),
        (field(Kind.TEXT, minimum=-1), "minimum"),
        (field(Kind.NUMBER, minimum=2, maximum=1), "maximum"),
    ],
)
def test_a_field_whose_parts_do_not_go_together_is_refused(definition: Draft, wrong: str) -> None:
    """F021."""
    with pytest.raises(Invalid) as refused:
        must_fit_together(definition)
    assert refused.value.errors[0].pointer == f"#/{wrong}"


@pytest.mark.parametrize(
    ("definition", "value", "words"),
    [
        (field(Kind.YES_NO), True, "yes"),
        (field(Kind.NUMBER), 1_000_000, "1000000"),
        (field(Kind.NUMBER), 0.25, "0.25"),
        (field(Kind.DURATION), 93_780, "1d 2h 3m"),
        (field(Kind.DURATION), 0, "0s"),
        (field(Kind.MULTI_SELECT), ["a", "b"], "a, b"),
        (field(Kind.USER), ADA, "Ada"),
        (field(Kind.TEXT), ADA, ADA),
        (field(Kind.TEXT), None, ""),
    ],
)
def test_a_value_is_said_in_words(definition: Draft, value: Any, words: str) -> None:
    """F021: as the record shows it."""
    assert said(definition, value, {ADA: "Ada"}) == words


@pytest.mark.parametrize(("text", "seconds"), [("1h 30m", 5400), ("2d", 172_800), ("45s", 45), ("90 MIN", 5400)])
def test_a_duration_is_read_as_it_is_written(text: str, seconds: int) -> None:
    """F021."""
    assert read_duration(text) == seconds
    assert read_duration(duration_in_words(seconds)) == seconds
    for wrong in ("", "soon", "1h x", "-1h", "1.5h"):
        with pytest.raises(ValueError, match="Write a duration"):
            read_duration(wrong)


def test_options_are_tidied() -> None:
    """F021."""
    assert custom_fields.clean_options([" a ", "b", "a", "", "\u200b"]) == ["a", "b"]
    for wrong in ([str(n) for n in range(101)], ["a" * 101]):
        with pytest.raises(Invalid):
            custom_fields.clean_options(wrong)
