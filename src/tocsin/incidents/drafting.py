"""What a declaration begins with, and what becomes of it when another template is chosen. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Draft:
    """What an incident would begin with; people may change all of it. No severity: that of its type."""

    title: str = ""
    summary: str = ""
    severity: int | None = None
    category: str | None = None
    type: str = ""


def refilled(typed: Mapping[str, str], before: Draft, now: Draft) -> dict[str, str]:
    """Return what the fields of a form say once another template is chosen: what somebody typed stays.

    What is blank, or still as it was filled in `before`, is filled in anew.
    """
    said: dict[str, str] = {}
    for name in (each.name for each in fields(Draft)):
        was, new = (str(getattr(draft, name) or "") for draft in (before, now))
        present = typed.get(name, "")
        is_untouched = not present.strip() or present.split() == was.split()
        said[name] = new if is_untouched and (new or was) else present
    return said
