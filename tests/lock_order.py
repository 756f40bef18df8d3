"""Watches every transaction of a test: rows are locked in the one order, or two that do so at once may wait for ever.

The order is `tocsin.db.locks.ORDER`. What a session and what the driver alone sends is read as it goes out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import greenlet
from sqlalchemy import event
from sqlalchemy.engine import Engine

import tocsin
from tocsin.db.link import Link
from tocsin.db.locks import ORDER, WORK

_RANK = {table: rank for rank, table in enumerate(ORDER)}
# Rows that somebody may keep as they are, and what is locked behind that.
_SHARED = {"user_account", "role"}
_BEHIND_SHARED = set(ORDER[ORDER.index(WORK[-1]) + 1 :])
_DEMO = str(Path(tocsin.__file__).parent / "cli" / "demo")
_TESTS, _PRODUCT = str(Path(__file__).parent), str(Path(tocsin.__file__).parent)
_COMMENT = re.compile(r"--[^\n]*")
# Each part that takes locks: the table, and what comes behind it where that is needed to tell whether it does.
_UPDATE = re.compile(r'\bUPDATE (?:ONLY )?"?(\w+)"?(?: AS \w+| \w+)? SET\b', re.IGNORECASE)
_DELETE = re.compile(r'\bDELETE FROM "?(\w+)"?', re.IGNORECASE)
_UPSERT = re.compile(r'\bINSERT INTO "?(\w+)"?(?=(?:(?!\bINSERT INTO\b).)*\bDO UPDATE\b)', re.IGNORECASE | re.DOTALL)
_INSERT = re.compile(r'\bINSERT INTO "?(\w+)"?', re.IGNORECASE)
_LOCK = re.compile(r"\bFOR (?:NO KEY UPDATE|UPDATE|SHARE)\b(?: OF (\w+))?( SKIP LOCKED)?", re.IGNORECASE)
# What SQLAlchemy makes of an empty list of ids, when nothing else may be true.
_NONE = re.compile(r"WHERE \w+\.id IN \(NULL\) AND \(1 != 1\)")
_FROM = re.compile(r'\bFROM (?:ONLY )?"?(\w+)"?(?: AS (\w+))?', re.IGNORECASE)
_ALIAS = re.compile(r'\b(?:FROM|JOIN) "?(\w+)"? (?:AS )?(\w+)\b', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Taken:
    """That a statement locks rows of a table. `waits`: for whoever has them."""

    table: str
    waits: bool = True
    is_explicit: bool = False
    # The row is to stay as it is, and others may want that, too.
    is_shared: bool = False
    is_new: bool = False


@lru_cache(maxsize=4096)
def locks_of(statement: str) -> tuple[Taken, ...]:
    """The locks that a statement takes, in the order in which it names them."""
    text = _COMMENT.sub("", statement)
    if _NONE.search(text):
        return ()
    found: list[tuple[int, Taken]] = []
    found += [(match.start(), Taken(match[1].lower(), waits=False, is_new=True)) for match in _INSERT.finditer(text)]
    for pattern in (_UPDATE, _DELETE, _UPSERT):
        found += [(match.start(), Taken(match[1].lower())) for match in pattern.finditer(text)]
    for match in _LOCK.finditer(text):
        aliases = {alias.lower(): table.lower() for table, alias in _ALIAS.findall(text)}
        tables = [each[1].lower() for each in _FROM.finditer(text[: match.start()])]
        named = (match[1] or "").lower()
        table = aliases.get(named, named) or (tables[-1] if tables else "")
        is_shared = "SHARE" in match[0].upper()
        found.append((match.start(), Taken(table, waits=not match[2], is_explicit=True, is_shared=is_shared)))
    return tuple(taken for _, taken in sorted(found, key=lambda each: each[0]) if taken.table in _RANK)


@dataclass
class Transaction:
    """What one call of the product has locked in its transaction so far."""

    call: object = None
    # Table → the ids that were named when its rows were locked; the same of those that are only kept as they are.
    held: dict[str, set[UUID]] = field(default_factory=dict)
    kept: dict[str, set[UUID]] = field(default_factory=dict)
    # The same of rows that nobody else can see yet.
    new: dict[str, set[UUID]] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)

    def take(self, statement: str, ids: set[UUID], call: object) -> str | None:
        """Note what a statement locks; says what is wrong with that."""
        if call is not self.call:
            # A test that makes several calls in one transaction has an order of its own.
            self.call, self.held, self.kept, self.new, self.statements = call, {}, {}, {}, []
        wrong = None
        self.statements.append(" ".join(statement.split()))
        for taken in locks_of(statement):
            wrong = wrong or self._wrong(taken, ids)
            is_kept = taken.is_shared and taken.table in _SHARED
            noted = self.new if taken.is_new else self.kept if is_kept else self.held
            noted.setdefault(taken.table, set()).update(ids)
        return wrong and wrong + ":\n  " + "\n  ".join(self.statements)

    def _wrong(self, taken: Taken, ids: set[UUID]) -> str | None:
        # A row that is held is changed and looked at again whenever one likes.
        ours = [noted[taken.table] for noted in (self.held, self.new) if taken.table in noted]
        is_held = bool(ours) and (not taken.is_explicit or ids <= set().union(*ours))
        if not taken.waits or taken.is_new or is_held:
            return None
        if taken.is_shared and taken.table in _SHARED:
            is_behind = not self.held.keys().isdisjoint(_BEHIND_SHARED)
            is_declared = "incident" in self.new
            is_late = is_behind and not is_declared and not ids <= self.kept.get(taken.table, set())
            return f"{taken.table} is kept too late" if is_late else None
        if taken.table == "escalation_run" and self.held.keys() & {"incident", "alert"}:
            return None
        highest = max(self.held, key=_RANK.__getitem__, default=taken.table)
        if _RANK[taken.table] < _RANK[highest]:
            return f"{taken.table} is locked after {highest}"
        if taken.table in WORK and "user_account" in self.held:
            return f"{taken.table} is locked by who changes a person"
        return None


class Watch:
    """Every transaction of this process, and what was locked against the order."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self._open: WeakKeyDictionary[Any, Transaction] = WeakKeyDictionary()

    def see(self, link: Any, statement: str, values: object) -> None:
        word = statement.lstrip()[:8].upper()
        if word.startswith(("BEGIN", "START TR")):
            self._open[link] = Transaction()
        elif word.startswith(("COMMIT", "ROLLBACK")) and " TO " not in statement[:20].upper():
            self._open.pop(link, None)
        elif (transaction := self._open.get(link)) is not None and locks_of(statement):
            call = _call()
            if call is not None and call.f_code.co_filename.startswith(_DEMO):
                return  # It tells days of work in one transaction, before anybody else is there.
            wrong = transaction.take(statement, set(_ids(values)), call)
            self.wrong += [wrong] if wrong else []

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


def _call() -> FrameType | None:
    """The outermost call of the product that is under way: a use case that a test calls, a job, a request."""
    found: FrameType | None = None
    for frame in _frames():
        file = frame.f_code.co_filename
        if file.startswith(_PRODUCT):
            found = frame
        elif file.startswith(_TESTS) and file != __file__:
            break
    return found


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
    # A session works beside the loop; whoever waits for it is there.
    parent = greenlet.getcurrent().parent
    frame = parent.gr_frame if parent is not None else None
    while frame is not None:
        yield frame
        frame = frame.f_back


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
