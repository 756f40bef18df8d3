"""Watches every transaction of a test: rows are locked in the one order, or two that do so at once may wait for ever.

The order is `tocsin.db.locks.ORDER`. What a session and what the driver alone sends is read as it goes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.engine import Engine

from tocsin.db.link import Link
from tocsin.db.locks import ORDER

_RANK = {table: rank for rank, table in enumerate(ORDER)}
_COMMENT = re.compile(r"--[^\n]*")
# Each part that takes locks: the table, and what comes behind it where that is needed to tell whether it does.
_UPDATE = re.compile(r'\bUPDATE (?:ONLY )?"?(\w+)"?(?: AS \w+| \w+)? SET\b', re.IGNORECASE)
_DELETE = re.compile(r'\bDELETE FROM "?(\w+)"?', re.IGNORECASE)
_UPSERT = re.compile(r'\bINSERT INTO "?(\w+)"?(?=(?:(?!\bINSERT INTO\b).)*\bDO UPDATE\b)', re.IGNORECASE | re.DOTALL)
_LOCK = re.compile(r"\bFOR (?:NO KEY UPDATE|UPDATE|SHARE)\b(?: OF (\w+))?( SKIP LOCKED)?", re.IGNORECASE)
_FROM = re.compile(r'\bFROM (?:ONLY )?"?(\w+)"?(?: AS (\w+))?', re.IGNORECASE)
_ALIAS = re.compile(r'\b(?:FROM|JOIN) "?(\w+)"? (?:AS )?(\w+)\b', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Taken:
    """That a statement locks rows of a table. `waits`: for whoever has them."""

    table: str
    waits: bool = True
    is_explicit: bool = False


@lru_cache(maxsize=4096)
def locks_of(statement: str) -> tuple[Taken, ...]:
    """The locks that a statement takes, in the order in which it names them."""
    text = _COMMENT.sub("", statement)
    found: list[tuple[int, Taken]] = []
    for pattern in (_UPDATE, _DELETE, _UPSERT):
        found += [(match.start(), Taken(match[1].lower())) for match in pattern.finditer(text)]
    for match in _LOCK.finditer(text):
        aliases = {alias.lower(): table.lower() for table, alias in _ALIAS.findall(text)}
        tables = [each[1].lower() for each in _FROM.finditer(text[: match.start()])]
        named = (match[1] or "").lower()
        table = aliases.get(named, named) or (tables[-1] if tables else "")
        found.append((match.start(), Taken(table, waits=not match[2], is_explicit=True)))
    return tuple(taken for _, taken in sorted(found, key=lambda each: each[0]) if taken.table in _RANK)


@dataclass
class Transaction:
    """What one transaction has locked so far."""

    # Table → the ids that were named when its rows were locked.
    held: dict[str, set[UUID]] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)

    def take(self, statement: str, ids: set[UUID]) -> str | None:
        """Note what a statement locks; says what is wrong with that."""
        wrong = None
        for taken in locks_of(statement):
            before = self.held.get(taken.table)
            highest = max(self.held, key=_RANK.__getitem__, default=taken.table)
            is_behind = _RANK[taken.table] >= _RANK[highest]
            # A row that is held is changed and looked at again whenever one likes.
            is_held = before is not None and (not taken.is_explicit or ids <= before)
            if taken.waits and not is_behind and not is_held:
                wrong = wrong or f"{taken.table} is locked after {highest}"
            self.held.setdefault(taken.table, set()).update(ids)
        if locks_of(statement):
            self.statements.append(" ".join(statement.split())[:300])
        return wrong and wrong + ":\n  " + "\n  ".join(self.statements)


class Watch:
    """Every transaction of this process, and what was locked against the order."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.orders: dict[tuple[str, str], str] = {}
        self._open: WeakKeyDictionary[Any, Transaction] = WeakKeyDictionary()

    def see(self, link: Any, statement: str, values: object) -> None:
        word = statement.lstrip()[:8].upper()
        if word.startswith(("BEGIN", "START TR")):
            self._open[link] = Transaction()
        elif word.startswith(("COMMIT", "ROLLBACK")) and " TO " not in statement[:20].upper():
            self._open.pop(link, None)
        elif (transaction := self._open.get(link)) is not None and locks_of(statement):
            wrong = transaction.take(statement, set(_ids(values)))
            if wrong:
                self.wrong.append(wrong)

    def begin(self) -> None:
        """Read whatever is sent from now on in this process."""

        @event.listens_for(Engine, "before_cursor_execute")
        def _(connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
            self.see(connection.connection.driver_connection, statement, values)

        for name in ("execute", "fetch", "fetchrow", "fetchval"):
            setattr(Link, name, self._watched(getattr(Link, name)))

    def _watched(self, function: Any) -> Any:
        async def watched(link: Link, statement: str, *values: Any, **options: Any) -> Any:
            self.see(link, statement, values)
            return await function(link, statement, *values, **options)

        return watched


def _ids(values: object) -> Iterable[UUID]:
    match values:
        case UUID():
            yield values
        case dict():
            for value in values.values():
                yield from _ids(value)
        case list() | tuple() | set() | frozenset():
            for value in values:
                yield from _ids(value)
        case _:
            pass
