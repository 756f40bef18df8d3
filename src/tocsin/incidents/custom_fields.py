"""What may stand in a custom field, and how its value reads. No clock, no database.

A value is stored as JSON: a text, a number, yes or no, a list of texts; a time in UTC, a duration in whole seconds, a
person or a team by their public id. What nobody has filled in is None, and is not stored.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from tocsin.identity.model import TEAM_ID, USER_ID
from tocsin.incidents.type_model import CustomField, Kind
from tocsin.kit.clock import stamp
from tocsin.kit.conditions import MAX_PATTERN, Condition
from tocsin.kit.errors import Invalid, NotFound
from tocsin.kit.ids import IdKind
from tocsin.kit.text import clean, is_blank, storable
from tocsin.net.targets import BadTarget, read_url

TEXT_LIMIT = 500
LONG_TEXT_LIMIT = 20_000
LARGEST = 1e15
MOST_OPTIONS = 100
OPTION_LIMIT = 100
LONGEST_DURATION = 10 * 366 * 86_400
KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
# What a limit of each kind is about; a kind that is not here has none.
LIMITED: Mapping[Kind, tuple[str, float]] = {
    Kind.TEXT: ("characters", TEXT_LIMIT),
    Kind.LONG_TEXT: ("characters", LONG_TEXT_LIMIT),
    Kind.NUMBER: ("", LARGEST),
    Kind.MULTI_SELECT: ("choices", MOST_OPTIONS),
    Kind.DURATION: ("seconds", LONGEST_DURATION),
}
CHOOSING = frozenset({Kind.SELECT, Kind.MULTI_SELECT})
# Whoever leads somewhere has an id, and is looked up by whoever stores the value.
NAMED: Mapping[Kind, IdKind] = {Kind.USER: USER_ID, Kind.TEAM: TEAM_ID}
_UNITS: Mapping[str, int] = {"d": 86_400, "h": 3_600, "m": 60, "min": 60, "s": 1}
_DURATION = re.compile(r"(\d{1,9})\s*(d|h|min|m|s)\b\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a field may hold, before it is stored."""

    key: str
    name: str
    kind: str
    options: Sequence[str] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    required_when: str = ""


Definition = CustomField | Draft


def pointer(key: str) -> str:
    """Return how a refusal names the field."""
    return f"fields/{key}"


def checked(field: Definition, value: object) -> Any:
    """Return a value as it is stored, None for one that says nothing; raises `Invalid` that names the field."""
    if value is None:
        return None
    return _CHECKS[Kind(field.kind)](field, value)


def said(field: Definition, value: Any, names: Mapping[str, str] = {}) -> str:
    """Return how the record shows a value; `names` are those of people and teams, by their public ids."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(cast("list[str]", value))
        case int() | float():
            return duration_in_words(int(value)) if field.kind == Kind.DURATION else number_in_words(value)
        case _:
            return names.get(value, str(value)) if Kind(field.kind) in NAMED else str(value)


def number_in_words(value: float) -> str:
    """Write a number without an exponent, and a whole one without a point."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if value != int(value) else f"{int(value)}"


def duration_in_words(seconds: int) -> str:
    """Write `1d 2h 5m`, as `read_duration` reads it."""
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def read_duration(text: str) -> int:
    """Read `1h 30m`, `2d`, `45s` as seconds; raises `ValueError`."""
    text = text.strip()
    found = _DURATION.findall(text)
    if not found or _DURATION.sub("", text):
        raise ValueError("Write a duration such as 1h 30m, 2d or 45s.")
    return sum(int(count) * _UNITS[unit.lower()] for count, unit in found)


def pattern_of(text: str) -> Condition:
    """Compile a pattern, which has to match all of a text; raises `Invalid("pattern", …)`.

    It is that of a condition: its engine has no backtracking, so no text takes long.
    """
    try:
        return Condition.compile(f"value.matches({json.dumps(f'^(?:{text})$', ensure_ascii=False)})")
    except Invalid as problem:
        said = problem.errors[0].detail.replace("A pattern for matches", "A pattern")
        raise Invalid("pattern", said, code="invalid") from None


def check_pattern(text: str) -> str:
    """Return a pattern if it is one; raises `Invalid`."""
    if len(text) > MAX_PATTERN - 8:
        raise Invalid("pattern", f"A pattern may have {MAX_PATTERN - 8} characters at most.", code="too_long")
    if text:
        pattern_of(text)
    return text


def _wrong(field: Definition, sentence: str, code: str = "invalid") -> Invalid:
    return Invalid(pointer(field.key), sentence, code=code)


def _of_type(field: Definition, value: object, kind: type[Any], what: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(field, f"“{field.name}” takes {what}.")
    return value


def _within(field: Definition, size: float, what: str = "") -> None:
    """Raise `Invalid` for a size that is beyond the limits of the field, or of its kind."""
    largest = LIMITED[Kind(field.kind)][1]
    most = largest if field.maximum is None else min(field.maximum, largest)
    least = field.minimum
    unit = f" {what}" if what else ""
    if size > most:
        words = duration_in_words(int(most)) if field.kind == Kind.DURATION else number_in_words(most)
        raise _wrong(field, f"“{field.name}” takes at most {words}{unit}.", "range")
    if least is not None and size < least:
        words = duration_in_words(int(least)) if field.kind == Kind.DURATION else number_in_words(least)
        raise _wrong(field, f"“{field.name}” takes at least {words}{unit}.", "range")


def _text(field: Definition, value: object) -> str | None:
    text = " ".join(clean(storable(_of_type(field, value, str, "a text"))).split())
    if is_blank(text):
        return None
    _within(field, len(text), "characters")
    if field.pattern and not pattern_of(field.pattern).explain({"value": text}).matched:
        raise _wrong(field, f"“{field.name}” has to look like {field.pattern}.", "pattern")
    return text


def _long_text(field: Definition, value: object) -> str | None:
    text = storable(_of_type(field, value, str, "a text")).strip()
    if is_blank(text):
        return None
    _within(field, len(text), "characters")
    return text


def _number(field: Definition, value: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(field, f"“{field.name}” takes a number.")
    if abs(value) > LARGEST:
        raise _wrong(field, f"“{field.name}” takes no number as large as that.", "range")
    _within(field, value)
    return int(value) if value == int(value) else float(value)


def _yes_no(field: Definition, value: object) -> bool:
    return _of_type(field, value, bool, "yes or no (true or false)")


def _select(field: Definition, value: object) -> str | None:
    text = _of_type(field, value, str, "one of its options")
    if not text:
        return None
    if text not in field.options:
        raise _wrong(field, f"“{field.name}” takes one of {_options(field)}.", "unknown")
    return text


def _multi_select(field: Definition, value: object) -> list[str] | None:
    wanted: list[object] = _of_type(field, value, list, "a list of its options")
    if any(each not in field.options for each in wanted):
        raise _wrong(field, f"“{field.name}” takes some of {_options(field)}.", "unknown")
    found = [option for option in field.options if option in wanted]
    if not found:
        return None
    _within(field, len(found), "choices")
    return found


def _options(field: Definition) -> str:
    return ", ".join(field.options[:10]) + (" and others" if len(field.options) > 10 else "")


def _date_time(field: Definition, value: object) -> str | None:
    text = _of_type(field, value, str, "a time such as 2031-05-01T14:30:00Z").strip()
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong(field, f"“{field.name}” takes a time such as 2031-05-01T14:30:00Z.") from None
    if not 1900 <= at.year <= 2200:
        raise _wrong(field, f"“{field.name}” takes a time between the years 1900 and 2200.", "range")
    return stamp(at)


def _duration(field: Definition, value: object) -> int | None:
    if isinstance(value, str):
        if is_blank(value):
            return None
        try:
            value = read_duration(value)
        except ValueError:
            raise _wrong(field, f"“{field.name}” takes a duration such as 1h 30m, 2d or 45s.") from None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(field, f"“{field.name}” takes a whole number of seconds, or a text such as 1h 30m.")
    _within(field, value)
    return value


def _named(field: Definition, value: object) -> str | None:
    ids = NAMED[Kind(field.kind)]
    text = _of_type(field, value, str, f"the id of a {field.kind} ({ids.prefix}_…)").strip()
    if not text:
        return None
    try:
        return ids.write(ids.read(text))
    except NotFound:
        raise _wrong(field, f"“{field.name}” takes the id of a {field.kind} ({ids.prefix}_…).", "unknown") from None


def _link(field: Definition, value: object) -> str | None:
    text = _of_type(field, value, str, "a web address").strip()
    if not text:
        return None
    try:
        read_url(text)
    except BadTarget as problem:
        raise _wrong(field, str(problem)) from None
    return text


_CHECKS: Mapping[Kind, Callable[[Definition, object], Any]] = {
    Kind.TEXT: _text,
    Kind.LONG_TEXT: _long_text,
    Kind.NUMBER: _number,
    Kind.YES_NO: _yes_no,
    Kind.SELECT: _select,
    Kind.MULTI_SELECT: _multi_select,
    Kind.DATE_TIME: _date_time,
    Kind.DURATION: _duration,
    Kind.USER: _named,
    Kind.TEAM: _named,
    Kind.LINK: _link,
}


def clean_options(options: Sequence[str]) -> list[str]:
    """Return options in their order, each once; raises `Invalid`."""
    found = list(dict.fromkeys(" ".join(clean(storable(each)).split()) for each in options))
    found = [each for each in found if not is_blank(each)]
    if len(found) > MOST_OPTIONS:
        raise Invalid("options", f"At most {MOST_OPTIONS} options can be given.", code="count")
    if long := [each for each in found if len(each) > OPTION_LIMIT]:
        raise Invalid("options", f"“{long[0][:40]}…” is longer than {OPTION_LIMIT} characters.", code="too_long")
    return found


def must_fit_together(field: Definition) -> None:
    """Raise `Invalid` for a field whose limits, options or pattern do not go with its kind, or with each other."""
    kind = Kind(field.kind)
    if kind in CHOOSING and not field.options:
        raise Invalid("options", "Give at least one option to choose from.", code="required")
    if kind not in CHOOSING and field.options:
        raise Invalid("options", "Only fields that one chooses in have options.", code="unexpected")
    if field.pattern and kind is not Kind.TEXT:
        raise Invalid("pattern", "Only a text of one line has a pattern.", code="unexpected")
    for name, limit in (("minimum", field.minimum), ("maximum", field.maximum)):
        if limit is None:
            continue
        if kind not in LIMITED:
            raise Invalid(name, "Fields of this kind have no limits.", code="unexpected")
        lowest = -LARGEST if kind is Kind.NUMBER else 0
        if not lowest <= limit <= LIMITED[kind][1]:
            raise Invalid(name, f"Give a limit up to {number_in_words(LIMITED[kind][1])}.", code="range")
        if kind is not Kind.NUMBER and limit != int(limit):
            raise Invalid(name, "Give a whole number.", code="invalid")
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        raise Invalid("maximum", "The largest is less than the smallest.", code="range")
