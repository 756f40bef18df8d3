"""Lists: what a list shows and lets people do, declared once; `_list.html` draws it, `lists.js` adds keys to it.

A list says what it is (`ListOf`). `Asked` reads an address by it, so that all that somebody chose stands in there: the
view, words, filters, the order, and where the page before ended or the next one begins. `portions.read` reads that
page. `Listing` is what the template is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from litestar.datastructures import MultiDict

from tocsin.edge.context import AppRequest
from tocsin.kit.errors import Invalid, NotFound
from tocsin.kit.ids import IdKind
from tocsin.kit.search import words_in
from tocsin.web.base import pages
from tocsin.web.base.portions import Portion

R = TypeVar("R")

# Counting stops here: beyond it a list says “1,000+”, and no count walks a large table. What is open is few; to find so
# many of all that there has ever been would mean to read many more.
MOST_COUNTED = 1000
MOST_COUNTED_OF_ALL = 200
_LONGEST = 200
_MOST_VALUES = 20
# Of an address that we write ourselves: each filter with all its values.
_MOST_FIELDS = 500


class Kind(StrEnum):
    """How one chooses in a filter: several of its choices, one of them, on or off, or a text of one's own."""

    SEVERAL = "several"
    ONE = "one"
    SWITCH = "switch"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter. `glyph` is a sign of `glyphs.svg` in its `tone`."""

    value: str
    text: str
    hint: str = ""
    glyph: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """One thing that narrows a list: the parameter of the address, and what the chip says.

    `choices` may be left out where they are read anew for each page (`Listing.choices`). `usual` is the value that
    stands for none. `example` is what a text looks like.
    """

    name: str
    text: str
    kind: Kind = Kind.SEVERAL
    choices: Sequence[Choice] = ()
    usual: str = ""
    example: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A tab: a list that people look at often, by its name in the address; the first is the usual one."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the class of its cells, its heading, and how soon it gives way.

    1 stays at any width, 4 is the first to go. The one called `ttl` has the room that is left.
    """

    name: str
    text: str
    priority: int = 1
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """What can be done to all that are selected. `key` does it while any is.

    `asks` is a question before it is done, with the words of its button in `yes`; `field` is a text that is asked for.
    Of `choices` one is chosen in a menu, and sent as `<verb>:<value>`. What asks for more has a `dialog`, a page of its
    own at `<place>/bulk/<verb>`, which is given the selection.
    """

    verb: str
    text: str
    icon: str
    key: str = ""
    asks: str = ""
    yes: str = ""
    field: str = ""
    label: str = ""
    example: str = ""
    choices: Sequence[Choice] = ()
    dialog: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A kind of list: where it stands, what its things are called, and all that one can choose in it."""

    place: str
    one: str
    many: str
    # What one can type to find one; empty where there is no search.
    search: str
    columns: Sequence[Column]
    views: Sequence[View] = ()
    filters: Sequence[Filter] = ()
    # The first is the usual one.
    orders: Sequence[Choice] = ()
    # Things of it can be looked at beside the list, at `<place>/<id>/peek`.
    peeks: bool = False
    exports: bool = False
    # Each of them has a page of its own.
    opens: bool = True

    @property
    def lasting(self) -> int:
        """Return how many columns there are at any width: what goes over all of them goes over these."""
        return sum(column.priority == 1 for column in self.columns)


@dataclass(frozen=True)
class Asked:
    """What somebody wants to see of a list: an address that was read. What it does not know it leaves out."""

    of: ListOf
    view: str = ""
    q: str = ""
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    order: str = ""
    # Where the page before it ended, or the next one begins: a place of the list, or nothing.
    before: str = ""
    after: str = ""

    @classmethod
    def by(cls, of: ListOf, request: AppRequest) -> Asked:
        """Read the address of a request."""
        return cls._read(of, request.query_params)

    @classmethod
    def again(cls, of: ListOf, query: str) -> Asked:
        """Read what a form says of the list that it stood in; raises `Invalid` where that is none of our addresses.

        Half of an address would be another list: without a filter of it one would act on more than one has seen.
        """
        try:
            said = parse_qsl(query, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Invalid("list", "Load the list again.") from None
        return cls._read(of, MultiDict(said))

    @classmethod
    def _read(cls, of: ListOf, query: MultiDict[Any]) -> Asked:
        def one_of(name: str, known: Sequence[str]) -> str:
            asked = str(query.get(name, ""))
            return asked if asked in known else known[0] if known else ""

        chosen: dict[str, Sequence[str]] = {}
        for each in of.filters:
            known = {choice.value for choice in each.choices}
            said = [str(value).strip()[:_LONGEST] for value in query.getall(each.name, [])[:_MOST_VALUES]]
            if kept := [value for value in said if value and (not known or value in known)]:
                chosen[each.name] = kept if each.kind is Kind.SEVERAL else kept[-1:]
        return cls(
            of,
            one_of("tab", [view.name for view in of.views]),
            str(query.get("q", "")).strip()[:_LONGEST],
            chosen,
            one_of("sort", [order.value for order in of.orders]),
            str(query.get("before", ""))[:_LONGEST],
            str(query.get("after", ""))[:_LONGEST],
        )

    def one(self, name: str) -> str:
        """Return what was chosen in a filter of one value, or what it usually is."""
        usual = next((each.usual for each in self.of.filters if each.name == name), "")
        return next(iter(self.chosen.get(name, ())), usual)

    def all(self, name: str) -> Sequence[str]:
        """Return all that was chosen in a filter."""
        return self.chosen.get(name, ())

    def ids(self, name: str, kind: IdKind) -> list[UUID]:
        """Return the ids that were chosen in a filter; what is none of this kind is left out."""
        found: list[UUID] = []
        for text in self.all(name):
            with suppress(NotFound):
                found.append(kind.read(text))
        return found

    @property
    def words(self) -> list[str]:
        """Return the words that are looked for."""
        return words_in(self.q)

    @cached_property
    def is_narrowed(self) -> bool:
        """Say whether this is less than all of the view; a filter that always has a value is a view as well."""
        return bool(self.q) or any(each.name in self.chosen for each in self.of.filters if not each.usual)

    def url(self, before: str = "", place: str = "", *, after: str = "") -> str:
        """Write the address of it, from its start, behind a place in it, or in front of one."""
        usual = {each.name: each.usual for each in self.of.filters}
        chosen = {name: list(values) for name, values in self.chosen.items() if list(values) != [usual[name]]}
        return pages.address(
            place or self.of.place, **dict(self._view()), q=self.q, **chosen, before=before, after=after
        )

    @property
    def here(self) -> str:
        """Write the address of the page that was asked for."""
        return self.url(self.before, after=self.after)

    def _view(self) -> list[tuple[str, str]]:
        """Return the view and the order, where they are not the usual ones."""
        found: list[tuple[str, str]] = []
        if self.of.views and self.view != self.of.views[0].name:
            found.append(("tab", self.view))
        if self.of.orders and self.order != self.of.orders[0].value:
            found.append(("sort", self.order))
        return found

    def without(self, name: str) -> str:
        """Write the address without a filter."""
        return replace(self, chosen={each: v for each, v in self.chosen.items() if each != name}).url()

    def within(self, name: str, value: str) -> str:
        """Write the address with a filter of one value."""
        return replace(self, chosen={**self.chosen, name: [value]}).url()

    def ordered(self, order: str) -> str:
        """Write the address in another order."""
        return replace(self, order=order).url()

    def hidden(self) -> list[tuple[str, str]]:
        """Return what a form of the list carries on that has no field in it."""
        kept = {each.name for each in self.of.filters if each.kind in (Kind.ONE, Kind.SWITCH)}
        found = [(name, value) for name, values in self.chosen.items() if name in kept for value in values]
        return [*self._view(), *found]

    def viewed(self, view: str) -> str:
        """Write the address of another view; what was looked for is looked for there, too."""
        return replace(self, view=view).url()

    def cleared(self) -> str:
        """Write the address of the whole view."""
        usual = {each.name for each in self.of.filters if each.usual}
        return replace(self, q="", chosen={name: v for name, v in self.chosen.items() if name in usual}).url()

    @property
    def query(self) -> str:
        """Return what a form says of the list that it stands in, without the page."""
        return self.url().partition("?")[2]


@dataclass(frozen=True, slots=True)
class Tab:
    """A view as it is drawn. `is_hot`: its count is what somebody has to look at."""

    href: str
    text: str
    is_current: bool
    count: int | None
    is_hot: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter as it is drawn: its choices, what was chosen, where one gets without it, and with each value of one."""

    filter: Filter
    choices: Sequence[Choice]
    chosen: Sequence[str]
    said: str
    without: str
    within: str
    at: Mapping[str, str]
    count: int | None


@dataclass(frozen=True, slots=True)
class Group(Generic[R]):
    """Rows under a heading. `note` is said beside it, in the colour `tone` where it has one."""

    title: str
    rows: Sequence[R]
    count: int | None = None
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of a list, as `_list.html` draws it.

    `total` counts what there is of what was asked for, up to `most` and one. `narrowed` says why not all of the
    list was searched, if so.
    """

    of: ListOf
    asked: Asked
    tabs: Sequence[Tab]
    chips: Sequence[Chip]
    acts: Sequence[Act]
    total: int
    most: int
    shown: int
    until: str
    narrowed: str
    newer: str | None
    older: str | None

    @property
    def said(self) -> str:
        """Say how much of it is on the page: `9 of 214`, `50 of 1,000+`."""
        total = self._total
        if self.shown == self.total and not self.newer:
            return f"1 {self.of.one}" if self.total == 1 else f"{total} {self.of.many}"
        return f"{self.shown:,} of {total}"

    @property
    def export(self) -> str:
        """Return where all of it is a table for a spreadsheet."""
        return self.asked.url(place=f"{self.of.place}/export.csv")

    @property
    def matching(self) -> str:
        """Say how many more than those on the page there are, for the choice of all; empty when there are none."""
        if self.total <= self.shown or not self.until:
            return ""
        return f"All {self._total}"

    @property
    def _total(self) -> str:
        return f"{self.most:,}+" if self.total > self.most else f"{self.total:,}"


def listing_of(
    asked: Asked,
    portion: Portion[R],
    *,
    total: int,
    shown: int | None = None,
    most: int = MOST_COUNTED,
    tabs: Sequence[Tab] = (),
    chips: Sequence[Chip] | None = None,
    acts: Sequence[Act] = (),
    until: str = "",
    narrowed: str = "",
) -> Listing:
    """Lay a page of a list out. `shown` says how many rows it has, where there are more than those of the portion."""
    return Listing(
        of=asked.of,
        asked=asked,
        tabs=tabs,
        chips=chips_of(asked) if chips is None else chips,
        acts=acts,
        total=total,
        most=most,
        shown=len(portion.rows) if shown is None else shown,
        until=until,
        narrowed=narrowed,
        newer=asked.url(after=portion.newer) if portion.newer else None,
        older=asked.url(portion.older) if portion.older else None,
    )


def chips_of(
    asked: Asked, choices: Mapping[str, Sequence[Choice]] | None = None, counts: Mapping[str, int] | None = None
) -> list[Chip]:
    """Lay the filters of a list out. `choices` are those that had to be read, `counts` what stands at a switch."""
    found: list[Chip] = []
    for each in asked.of.filters:
        known = (choices or {}).get(each.name, each.choices)
        chosen = asked.all(each.name) or ([each.usual] if each.usual else [])
        texts = {choice.value: choice.text for choice in known}
        said = ", ".join(texts.get(value, value) for value in chosen)
        found.append(
            Chip(
                filter=each,
                choices=known,
                chosen=chosen,
                said=said if each.kind is not Kind.SWITCH else "",
                without=asked.without(each.name) if asked.all(each.name) else "",
                within=asked.within(each.name, "1"),
                at={c.value: asked.within(each.name, c.value) for c in known} if each.kind is Kind.ONE else {},
                count=(counts or {}).get(each.name),
            )
        )
    return found


def tabs_of(asked: Asked, counts: Mapping[str, int] | None = None, hot: Sequence[str] = ()) -> list[Tab]:
    """Lay the views of a list out as tabs, with what stands at each."""
    known = counts or {}
    return [
        Tab(asked.viewed(view.name), view.text, view.name == asked.view, known.get(view.name), view.name in hot)
        for view in asked.of.views
    ]


def one_group(rows: Sequence[R]) -> list[Group[R]]:
    """Put rows that have no headings into one group; nothing for none."""
    return [Group("", rows)] if rows else []


# How far back a list can be looked at, by what the address says.
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
PERIOD = Filter(
    "since",
    "Period",
    Kind.ONE,
    [
        Choice("1h", "Last hour"),
        Choice("24h", "Last 24 hours"),
        Choice("7d", "Last 7 days"),
        Choice("30d", "Last 30 days"),
    ],
)


def since(asked: Asked, now: datetime) -> datetime | None:
    """Return from when on somebody wants to see what there is, if they said so."""
    length = PERIODS.get(asked.one(PERIOD.name))
    return now - length if length is not None else None
