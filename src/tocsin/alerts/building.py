"""Conditions of routes as rows that are chosen and not written, and the rows of a condition that has that shape. Pure.

    severity <= 2 && labels.team == "payments"

is two rows, of which all have to hold; with `||` between them any of them. What is not of this shape stays an
expression. Where any of them is enough, a row about a label asks first whether the alert has it, so that an alert
without it is no fault that keeps the others from holding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# What a row can be about beside labels, and in which words.
FIELDS: Mapping[str, str] = {
    "severity": "Severity",
    "urgency": "Urgency",
    "title": "Title",
    "description": "Description",
    "source": "Source",
    "source_kind": "Kind of source",
    "dedup_key": "Key",
}
# What a row can ask, in the words of the page. The first two are all that there is for the severity, with the order.
OPERATORS: Mapping[str, str] = {
    "==": "is",
    "!=": "is not",
    "<=": "is this or worse",
    ">=": "is this or milder",
    "contains": "contains",
    "startsWith": "begins with",
    "endsWith": "ends with",
    "matches": "matches the pattern",
}
_OF_NUMBERS = ("==", "!=", "<=", ">=")
_OF_TEXTS = ("==", "!=", "contains", "startsWith", "endsWith", "matches")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXT = r"""(?P<{0}>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
_LABEL = r"""labels(?:\.(?P<{0}>[A-Za-z_]\w*)|\[\s*""" + _TEXT.format("{1}") + r"""\s*\])"""
_ROW = re.compile(
    rf"""\s*(?:has\(\s*{_LABEL.format("guarded", "guarded_in")}\s*\)\s*&&\s*)?
    (?:{_LABEL.format("label", "label_in")}|(?P<field>[a-z_]+))\s*
    (?:(?P<sign>==|!=|<=|>=)\s*(?:{_TEXT.format("value")}|(?P<number>\d))
      |\.(?P<call>contains|startsWith|endsWith|matches)\(\s*{_TEXT.format("inside")}\s*\))\s*""",
    re.VERBOSE,
)
_NAMED = re.compile(_LABEL.format("plain", "quoted"))
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that has to hold. `field` is one of `FIELDS`, or a label as `labels.team`."""

    field: str
    operator: str
    value: str


def operators_of(field: str) -> Sequence[str]:
    """Return what can be asked of a field."""
    return _OF_NUMBERS if field == "severity" else _OF_TEXTS


def unfinished(rows: Sequence[Row]) -> list[int]:
    """Return the places of rows that say nothing yet. Without them a condition would hold for more than was meant."""
    return [n for n, row in enumerate(rows) if not row.value.strip()]


def write(rows: Sequence[Row], *, any_of_them: bool = False) -> str:
    """Return the condition that rows make; nothing for none. What is not filled in is left out."""
    parts = [_written(row, bracketed=any_of_them) for row in rows if row.field and row.value.strip()]
    return (" || " if any_of_them else " && ").join(parts)


def _written(row: Row, *, bracketed: bool) -> str:
    if row.field == "severity":
        return f"severity {row.operator if row.operator in _OF_NUMBERS else '=='} {row.value.strip()}"
    name = row.field.removeprefix("labels.") if row.field.startswith("labels.") else ""
    where = (f"labels.{name}" if _PLAIN.fullmatch(name) else f"labels[{_quoted(name)}]") if name else row.field
    value = _quoted(row.value)
    asked = f"{where} {row.operator} {value}" if row.operator in ("==", "!=") else f"{where}.{row.operator}({value})"
    if not name or not bracketed:
        return asked
    # CEL has no `has` for a name in quotes; the name is looked for among those that there are.
    there = f"has({where})" if _PLAIN.fullmatch(name) else f"{_quoted(name)} in labels"
    return f"({there} && {asked})"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def read(condition: str) -> tuple[list[Row], bool] | None:
    """Return the rows of a condition, and whether any of them is enough; None for one of another shape."""
    if not condition.strip():
        return [], False
    for joint, any_of_them in (("&&", False), ("||", True)):
        rows = _rows(condition, joint)
        if rows is not None and _is_same(write(rows, any_of_them=any_of_them), condition):
            return rows, any_of_them
    return None


def _is_same(left: str, right: str) -> bool:
    """Say whether two conditions differ in nothing but guards of labels, brackets, blanks and quotes."""

    def plain(text: str) -> str:
        text = re.sub(r"has\([^()]*\)\s*&&\s*|\"[^\"]*\" in labels\s*&&\s*", "", text)
        return re.sub(r"[\s()]", "", text.replace("'", '"'))

    return plain(left) == plain(right)


def _rows(condition: str, joint: str) -> list[Row] | None:
    rows: list[Row] = []
    rest = condition.strip()
    while rest:
        bracketed = rest.startswith("(")
        found = _ROW.match(rest[1:] if bracketed else rest)
        if found is None:
            return None
        row = _row(found)
        if row is None:
            return None
        rows.append(row)
        rest = rest[found.end() + bracketed :]
        if bracketed:
            if not rest.startswith(")"):
                return None
            rest = rest[1:]
        rest = rest.strip()
        if rest and not rest.startswith(joint):
            return None
        if rest and not (rest := rest[2:].strip()):
            return None
    return rows


def _row(found: re.Match[str]) -> Row | None:
    name = found["label"] or (_unquoted(found["label_in"]) if found["label_in"] else "")
    field = f"labels.{name}" if name else found["field"]
    operator = found["sign"] or found["call"]
    given = found["value"] or found["inside"]
    value = _unquoted(given) if given else found["number"]
    is_number = field == "severity"
    if (not name and field not in FIELDS) or operator not in operators_of(field) or is_number is bool(given):
        return None
    return Row(field, operator, value)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])


def labels_in(condition: str) -> list[str]:
    """Return the labels that a condition names, each once and in their order."""
    found = [each["plain"] or _unquoted(each["quoted"]) for each in _NAMED.finditer(condition)]
    return list(dict.fromkeys(found))
