"""A page of a list, read by its key: onwards from where the page before ended, or back from where it began."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from tocsin.edge.cursors import read_place, write_place
from tocsin.kit.errors import Invalid
from tocsin.web.base import pages

if TYPE_CHECKING:
    from tocsin.web.base.lists import Asked

R = TypeVar("R")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Portion(Generic[R]):
    """The rows of one page, and where one goes on and back from it, if there is anything."""

    rows: Sequence[R]
    newer: str = ""
    older: str = ""


# Reads so many rows at most: the first, those behind a place or, backwards, those in front of it, the nearest first.
Read = Callable[[P | None, bool, int], Awaitable[Sequence[R]]]


async def read(asked: Asked, kind: type[P], place_of: Callable[[R], P], rows: Read[P, R]) -> Portion[R]:
    """Read the page that was asked for; places are of this kind, and another one shows the list from its start.

    What stands in front of a place and fills no page is the beginning of the list, and shown as that.
    """
    size = pages.PAGE_SIZE
    behind, front = _place(asked.before, kind), _place(asked.after, kind)
    if front is not None and len(found := await rows(front, True, size + 1)) > size:
        shown = list(reversed(found[:size]))
        return Portion(shown, write_place(place_of(shown[0])), write_place(place_of(shown[-1])))
    behind = behind if front is None else None
    found = await rows(behind, False, size + 1)
    if behind is not None and not found:
        behind, found = None, await rows(None, False, size + 1)
    shown = found[:size]
    return Portion(
        shown,
        write_place(place_of(shown[0])) if behind is not None else "",
        write_place(place_of(shown[-1])) if len(found) > size else "",
    )


def within(rows: Sequence[R], number: Callable[[R], int]) -> Read[int, R]:
    """Read pages of a list that is in memory, in the order of its numbers."""

    async def read(place: int | None, backwards: bool, limit: int) -> Sequence[R]:
        if place is None:
            return rows[:limit]
        if backwards:
            return [row for row in reversed(rows) if number(row) < place][:limit]
        return [row for row in rows if number(row) > place][:limit]

    return read


def _place(said: str, kind: type[P]) -> P | None:
    try:
        return read_place(said or None, kind)
    except Invalid:
        return None
