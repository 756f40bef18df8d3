"""Every query about the parts that the record is stored in, one for each month.

A part holds the positions of a month: the number of the month since 2000 times 2^40, and up. Positions come from a
sequence that is moved on when a month begins, so whatever is ordered by them needs no time, and no clock that was wrong
puts an event where nobody looks. Until a month has its part, the record goes on in the part before; nothing that is
written ever waits for one to be made.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import text

from tocsin.db.engine import Tx

# Whoever writes events waits behind this one, so it waits for others no longer.
_AT_MOST = text("SET LOCAL lock_timeout = '1s'")
_ADD = text("SELECT add_event_partition(:month)")
_BEGIN = text("SELECT begin_event_month(:month)")
_HAS_STRAYS = text("SELECT EXISTS (SELECT FROM event_default)")
_IS_LATE = text(
    """
    SELECT (SELECT last_value FROM event_position_seq) < first_event_of(:month)
       AND (EXISTS (SELECT FROM job WHERE kind = :kind AND last_error IS NOT NULL)
            OR EXISTS (SELECT FROM job_dead WHERE kind = :kind AND died_at > tocsin_now() - interval '1 day'))
    """
)


def month_of(at: datetime) -> date:
    """Return the first day of the month of the record."""
    return at.astimezone(UTC).date().replace(day=1)


async def add_part(tx: Tx) -> None:
    """Make the part of this month if it has none. It has to be committed before the month can begin."""
    await tx.session.execute(_AT_MOST)
    await tx.session.execute(_ADD, {"month": month_of(tx.now)})


async def begin_month(tx: Tx) -> None:
    """Let the record go on in the part of this month, if it is there and has not begun. Cannot be rolled back."""
    await tx.session.execute(_AT_MOST)
    await tx.session.execute(_BEGIN, {"month": month_of(tx.now)})


async def is_late(tx: Tx, kind: str) -> bool:
    """Say whether the record goes on in an earlier part because the job of this kind could not make that of today."""
    return bool(await tx.session.scalar(_IS_LATE, {"month": month_of(tx.now), "kind": kind}))


async def has_strays(tx: Tx) -> bool:
    """Say whether anything was written at positions of no month."""
    return bool(await tx.session.scalar(_HAS_STRAYS))
