"""Notices when the database's clock steps, and moves every wait with it.

A timer is a row that says when it is due by the database's clock. When that clock is set back by an hour, a wait of
five minutes would take sixty-five, and when it is set forward, all of them would be over at once. So each worker
compares the database's clock with its own count of seconds, which no clock change touches, and the first to see a step
moves what waits by as much: what is left of a wait stays left. Until then no worker takes a job on the word of a clock
that is ahead of what it expects.

The clock on the wall itself is believed after each step: times are shown by it, and nobody corrects it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import CheckConstraint, Identity, text
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.db.engine import Database, Tx
from tocsin.db.link import CLAIMS_WITHIN, Connection
from tocsin.db.locks import place_of
from tocsin.kit.clock import elapsed
from tocsin.kit.record import Record

log = structlog.stdlib.get_logger(__name__)

LOOK_EVERY = 1.0
# Smaller steps delay or hasten a wait by that much and are left alone, as is a clock that is slowly steered.
_LEAST_BACK = timedelta(seconds=5)
_LEAST_FORWARD = timedelta(seconds=10)
# Whoever finds a forward step while others have looked within this time has slept itself.
_WATCHED_WITHIN = timedelta(seconds=8)
_NOTE_EVERY = timedelta(seconds=5)
# How far the clock may run ahead of our count before jobs wait for the next look.
_SLACK = timedelta(seconds=3)
_MOVE_WITHIN = 60.0


class ClockWatchRow(Record):
    """The one row on which all workers agree about the clock: when it was last looked at, and how often it stepped."""

    __tablename__ = "clock_watch"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seen_at: Mapped[datetime]
    # The first transaction that had not begun then.
    horizon: Mapped[int]
    steps: Mapped[int]


class ClockStep(Record):
    """A step that was noticed: the time after it, its seconds (negative: back), and how many rows moved with it."""

    __tablename__ = "clock_step"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    seconds: Mapped[int]
    moved: Mapped[int]


@dataclass(frozen=True, slots=True)
class Waits:
    """A table with waits in it: the columns that move with the clock, in the rows that still wait."""

    table: str
    columns: tuple[str, ...]
    where: str = "true"


OF_JOBS = (Waits("job", ("due", "lease_until")), Waits("schedule", ("next_at",)))

_LOOK = """
SELECT tocsin_clock() AS at, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS horizon, seen_at,
       clock_watch.horizon AS seen_horizon, steps
FROM clock_watch
"""
_NOTE = "UPDATE clock_watch SET seen_at = $1, horizon = $2 WHERE steps = $3"
_STEP = "UPDATE clock_watch SET seen_at = $1, horizon = $2, steps = steps + 1 WHERE steps = $3"
_RECORD = "INSERT INTO clock_step (at, seconds, moved) VALUES ($1, $2, $3)"
# Written before the last look: by the old clock. Written since then: old times are the ones that only the old clock
# can have meant. One that both can have meant is kept, so at worst a wait longer than the step is off by the step.
_MEANT_BY_OLD_CLOCK = """
(age(xmin) > pg_current_xact_id()::text::bigint - $3 OR CASE WHEN $1::interval < interval '0'
 THEN {column} >= $2::timestamptz - $1::interval - interval '3 s' ELSE {column} < $2::timestamptz - interval '3 s' END)
"""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look found: the database's time at some moment between two readings of our own count."""

    at: datetime
    before: float
    after: float
    horizon: int
    steps: int


class ClockWatch:
    """One worker's eye on the database's clock."""

    def __init__(self, db: Database, waits: Sequence[Waits] = OF_JOBS, *, count: Callable[[], float] = elapsed) -> None:
        self._db = db
        self._waits = sorted(waits, key=lambda each: place_of(each.table))
        self._count = count
        self._last: _Look | None = None

    def latest(self) -> datetime | None:
        """Return the time that the database's clock can have by now unless it has stepped; None before any look."""
        last = self._last
        return last and last.at + timedelta(seconds=self._count() - last.before) + _SLACK

    async def look(self) -> bool:
        """Look at the clock, and move the waits when it has stepped; says whether it moved them."""
        before = self._count()
        row = await self._db.pool.fetchrow(_LOOK, timeout=CLAIMS_WITHIN)
        if row is None:
            raise LookupError("The table clock_watch has no row.")
        look = _Look(row["at"], before, self._count(), row["horizon"], row["steps"])
        seen_at: datetime = row["seen_at"]
        step, horizon = self._step(look, seen_at), self._last.horizon if self._last else row["seen_horizon"]
        is_news = self._last is None or self._last.steps == look.steps
        moved = bool(step) and is_news and await self._move(step, look, horizon)
        # Only now: a look that could not finish its work is made again.
        self._last = replace(look, steps=look.steps + moved)
        if not moved and not timedelta(0) <= look.at - seen_at < _NOTE_EVERY:
            await self._db.pool.execute(_NOTE, look.at, look.horizon, look.steps, timeout=CLAIMS_WITHIN)
        return moved

    def _step(self, look: _Look, seen_at: datetime) -> timedelta:
        none = timedelta(0)
        last = self._last
        if last is None:
            # What happened before we started cannot be counted, but that the clock went back is plain.
            return look.at - seen_at if look.at < seen_at - _LEAST_BACK else none
        passed = look.at - last.at
        at_most, at_least = look.after - last.before, look.before - last.after
        if (ahead := passed - timedelta(seconds=at_most)) > _LEAST_FORWARD:
            return none if none <= look.at - seen_at < _WATCHED_WITHIN else ahead
        behind = passed - timedelta(seconds=at_least)
        return behind if behind < -_LEAST_BACK else none

    async def _move(self, step: timedelta, look: _Look, horizon: int) -> bool:
        """Move every wait by the step, once over all workers; says whether it was us."""
        async with self._db.begin_hot() as tx:
            connection = await tx.raw()
            # Whoever else sees the step waits for this row, and then finds that it has been counted.
            if await connection.execute(_STEP, look.at, look.horizon, look.steps) != "UPDATE 1":
                return False
            moved = sum([await _move(connection, waits, step, look.at, horizon) for waits in self._waits])
            await connection.execute(_RECORD, look.at, round(step.total_seconds()), moved)
        log.warning("clock.stepped", seconds=step.total_seconds(), moved=moved)
        return True


async def _move(connection: Connection, waits: Waits, step: timedelta, at: datetime, horizon: int) -> int:
    meant = {column: _MEANT_BY_OLD_CLOCK.format(column=column) for column in waits.columns}
    moves = ", ".join(f"{c} = CASE WHEN {m} THEN {c} + $1::interval ELSE {c} END" for c, m in meant.items())
    any_moves = " OR ".join(f"({column} IS NOT NULL AND {m})" for column, m in meant.items())
    # Names come from this program and never from a request.
    statement = f"UPDATE {waits.table} SET {moves} WHERE ({waits.where}) AND ({any_moves})"  # noqa: S608
    done = await connection.execute(statement, step, at, horizon, timeout=_MOVE_WITHIN)
    return int(done.rpartition(" ")[2])


_RECENT = text("""
SELECT at, seconds, moved FROM clock_step WHERE at > tocsin_now() - interval '7 days' ORDER BY id DESC LIMIT 10
""")


async def recent_steps(tx: Tx) -> list[tuple[datetime, int, int]]:
    """Return the steps of the last seven days, the latest first: the time after it, its seconds, what moved."""
    return [(row.at, row.seconds, row.moved) for row in (await tx.session.execute(_RECENT)).all()]
