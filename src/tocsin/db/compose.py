"""Sending several statements that write as one: each by itself would cost a round trip of its own."""

from __future__ import annotations

import re

_PARAMETER = re.compile(r"\$(\d+)")


def as_one(*statements: str) -> str:
    """Return one statement that does what all of these do; their parameters follow one another.

    None of them may need what another one writes: all see the tables as they were before.
    """
    parts: list[str] = []
    taken = 0
    for statement in statements:
        most = max((int(number) for number in _PARAMETER.findall(statement)), default=0)
        parts.append(_PARAMETER.sub(lambda found, by=taken: f"${int(found[1]) + by}", statement.strip()))
        taken += most
    *others, last = parts
    if not others:
        return last
    named = ", ".join(f"part_{number} AS (\n{part}\n)" for number, part in enumerate(others, start=1))
    return f"WITH {named}\n{last}"
