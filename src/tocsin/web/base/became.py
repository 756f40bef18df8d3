"""What is said of an act on several things at once: which it was done to, and why not to the others."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.kit.errors import Problem

# Of so many is said what they are called, and of so many why they stayed as they are.
_NAMED, _EXPLAINED = 5, 3


def listed(names: Sequence[str]) -> str:
    """Name the first of them and count the rest, where these are more than one."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def refused(of: Sequence[tuple[str, Problem]]) -> list[str]:
    """Say for the first of them, each with what it is called, what was in the way, and name the others."""
    said = [each.message if name in each.message else f"{name}: {each.message}" for name, each in of[:_EXPLAINED]]
    others = [name for name, _ in of[_EXPLAINED:]]
    return [*said, f"Not changed either: {listed(others)}."] if others else said
