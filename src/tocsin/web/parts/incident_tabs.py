"""The tabs of an incident as data: each area says which it has, and each is a page of its own.

A tab other than the first stands at `/incidents/INC-7/<key>`; its area has the handler, and shows the bar by
`ui.incident_tabs`. What somebody may not open is not there for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from tocsin.db.engine import Tx
from tocsin.edge.rights import Needs, Right, may_have
from tocsin.identity.model import Actor
from tocsin.incidents.model import INCIDENT_ID, Incident

Count = Callable[[Tx, Actor, Incident], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab. `rank` orders them; `count` says how much there is; `is_rail`: wide screens show it beside the rest.

    `by_link`: its handler is open to who came by the link of a page.
    """

    key: str
    text: str
    rank: int
    needs: Needs = Right.SIGNED_IN
    count: Count | None = None
    is_rail: bool = False
    by_link: bool = False


@dataclass(frozen=True, slots=True)
class TabView:
    """One tab as it is drawn."""

    place: str
    text: str
    is_current: bool
    count: int | None
    is_rail: bool


_tabs: list[Tab] = []


def register(tabs: Iterable[Tab]) -> None:
    """Make the tabs of an area known; two with one key raise `ValueError`."""
    for tab in tabs:
        if any(tab.key == each.key for each in _tabs):
            raise ValueError(f"There is a tab “{tab.key}” already.")
        _tabs.append(tab)
    _tabs.sort(key=lambda tab: tab.rank)


async def tabs_of(tx: Tx, who: Actor, incident: Incident, current: str) -> list[TabView]:
    """Return the tabs that this person may open, in their order."""
    place = INCIDENT_ID.page(incident.reference)
    return [
        TabView(
            place=f"{place}/{tab.key}" if tab.key else place,
            text=tab.text,
            is_current=tab.key == current,
            count=await tab.count(tx, who, incident) if tab.count is not None else None,
            is_rail=tab.is_rail,
        )
        for tab in _tabs
        if (tab.by_link if who.by_link_until is not None else may_have(who, tab.needs))
    ]
