"""The navigation as data: each area says where it stands in it, and it is drawn from that everywhere.

Sidebar, phone bar, “More”, tabs, settings, search and the `G` keys come from the same entries. What somebody may not
open is not there for them.
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
    LEARN = "Learn"
    # Those of the settings, which have a menu of their own in place of the sidebar.
    YOU = "You"
    ORGANISATION = "Organisation"


SETTINGS = frozenset({Group.YOU, Group.ORGANISATION})


@dataclass(frozen=True, slots=True)
class Entry:
    """One place. `rank` orders those of a group, `keys` are the shortcut (`g i`), `count` names a figure of the shell.

    `words` say what one does there; search finds the place by them. `is_hot`: the figure is what nobody has answered.
    `on_bar`: on a phone it stands in the bar and not behind “More”.

    A place `within` another one (its path) is a tab of it and stands in no menu; `tab` is what the other one's own tab
    is called.
    """

    path: str
    icon: str
    text: str
    group: Group
    rank: int
    needs: Needs = Right.SIGNED_IN
    keys: str = ""
    count: str = ""
    words: str = ""
    is_hot: bool = False
    on_bar: bool = False
    within: str = ""
    tab: str = ""

    def holds(self, path: str) -> bool:
        """Say whether a page belongs to this place."""
        return path == self.path or path.startswith(f"{self.path}/")


@dataclass(frozen=True, slots=True)
class Menu:
    """What a reader may open, and where they are. `here` is the entry that is marked, `tabs` those beside it."""

    main: Mapping[Group, Sequence[Entry]]
    settings: Mapping[Group, Sequence[Entry]]
    bar: Sequence[Entry]
    # Everything, tabs and settings too: for search and for the keys.
    places: Sequence[Entry]
    here: Entry | None
    tabs: Sequence[Entry]
    # The tab that is open, if `here` has tabs.
    tab: Entry | None
    # The page that is open is one of the settings.
    in_settings: bool


_entries: list[Entry] = []


def register(entries: Iterable[Entry]) -> None:
    """Make the entries of an area known; two with one path or one shortcut raise `ValueError`."""
    for entry in entries:
        if any(entry.path == each.path or (entry.keys and entry.keys == each.keys) for each in _entries):
            raise ValueError(f"There is an entry for {entry.path} or {entry.keys} already.")
        _entries.append(entry)
    _entries.sort(key=lambda entry: (list(Group).index(entry.group), entry.rank))


def menu(who: Actor, path: str, own_page: str) -> Menu:
    """Return what this person may open. `own_page` is the path of their own page, which is theirs and not “People”."""
    places = [entry for entry in _entries if may_have(who, entry.needs)]
    open_now = "/settings/profile" if path == own_page or path.startswith(f"{own_page}/") else path
    found = max((entry for entry in places if entry.holds(open_now)), key=lambda entry: len(entry.path), default=None)
    here = next((entry for entry in places if found is not None and entry.path == found.within), found)
    tabs = [entry for entry in places if here is not None and here.path in (entry.path, entry.within)]
    menus = [entry for entry in places if not entry.within]
    return Menu(
        main=_grouped(entry for entry in menus if entry.group not in SETTINGS),
        settings=_grouped(entry for entry in menus if entry.group in SETTINGS),
        bar=[entry for entry in menus if entry.on_bar],
        places=places,
        here=here,
        tabs=tabs if len(tabs) > 1 else (),
        tab=found,
        in_settings=path.startswith("/settings") or (here is not None and here.group in SETTINGS),
    )


def everything() -> Sequence[Entry]:
    """Return all entries in their order."""
    return tuple(_entries)


def _grouped(entries: Iterable[Entry]) -> Mapping[Group, Sequence[Entry]]:
    return {group: list(found) for group, found in groupby(entries, key=lambda entry: entry.group)}
