"""The navigation as data: each area says where it stands in it, and it is drawn from that everywhere.

What somebody may not open is not there for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from tocsin.edge.rights import Needs, Right, may_have
from tocsin.identity.model import Actor


class Group(StrEnum):
    """Where an entry stands, with the heading above it; in this order."""

    NOW = ""
    PREPARE = "Prepare"
    # In the reader's own menu.
    SETTINGS = "Settings"


@dataclass(frozen=True, slots=True)
class Entry:
    """One place. `rank` orders those of a group, `keys` are the shortcut (`g i`), `count` names a figure of the shell.

    `is_hot`: the figure is what nobody has answered. `on_bar`: on a phone it stands in the bar and not behind “More”.
    """

    path: str
    icon: str
    text: str
    group: Group
    rank: int
    needs: Needs = Right.SIGNED_IN
    keys: str = ""
    count: str = ""
    is_hot: bool = False
    on_bar: bool = False


_entries: list[Entry] = []


def register(entries: Iterable[Entry]) -> None:
    """Make the entries of an area known; two with one path or one shortcut raise `ValueError`."""
    for entry in entries:
        if any(entry.path == each.path or (entry.keys and entry.keys == each.keys) for each in _entries):
            raise ValueError(f"There is an entry for {entry.path} or {entry.keys} already.")
        _entries.append(entry)
    _entries.sort(key=lambda entry: (list(Group).index(entry.group), entry.rank))


def entries_of(who: Actor) -> Mapping[Group, Sequence[Entry]]:
    """Return what this person may open, by group and in order."""
    return _grouped(entry for entry in _entries if may_have(who, entry.needs))


def everything() -> Mapping[Group, Sequence[Entry]]:
    """Return all entries, by group and in order."""
    return _grouped(_entries)


def _grouped(entries: Iterable[Entry]) -> Mapping[Group, Sequence[Entry]]:
    return {group: list(found) for group, found in groupby(entries, key=lambda entry: entry.group)}
