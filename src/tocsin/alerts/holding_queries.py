"""What holding back asks and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.db.engine import Tx

# The last alert of the same key that its source ended and that somebody was told of.
_BEFORE = """
SELECT alert.id, before.number, before.resolved_at, before.severity, before.urgency
FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (id, earliest) JOIN alert USING (id)
CROSS JOIN LATERAL (
    SELECT number, resolved_at, severity, urgency FROM alert AS over
    WHERE over.source_id = alert.source_id AND over.dedup_key = alert.dedup_key
      AND over.status = 'resolved' AND over.resolved_at > wanted.earliest
      AND EXISTS (SELECT FROM delivery
                  WHERE delivery.alert_id = over.id AND delivery.kind = 'page' AND delivery.sent_at IS NOT NULL)
      AND EXISTS (SELECT FROM alert_signal AS said
                  WHERE said.alert_id = over.id AND said.effect = 'resolved')
    ORDER BY over.resolved_at DESC LIMIT 1
) AS before
"""
_HOLD = """
UPDATE alert SET held_until = held.until
FROM unnest($1::uuid[], $2::timestamptz[]) AS held (alert_id, until) WHERE alert.id = held.alert_id
"""
# In the order of their ids, as everybody locks several.
_LET_GO = """
WITH held AS (SELECT id FROM alert WHERE source_id = $1 AND status = 'triggered' AND routed_at IS NULL
              AND held_until > $2 ORDER BY id FOR NO KEY UPDATE)
UPDATE alert SET held_until = greatest($2::timestamptz, held_until - $3::interval)
FROM held WHERE alert.id = held.id RETURNING alert.id, alert.held_until
"""


@dataclass(frozen=True, slots=True)
class Before:
    """The alert before."""

    number: int
    resolved_at: datetime
    severity: int
    urgency: str


@dataclass(frozen=True, slots=True)
class Held:
    """An alert that waits with its page, and until when."""

    alert_id: UUID
    until: datetime


async def alerts_before(tx: Tx, earliest: Mapping[UUID, datetime]) -> dict[UUID, Before]:
    """Return for each of these alerts the one before it, if that ended after the time given."""
    rows = await (await tx.raw()).fetch(_BEFORE, list(earliest), list(earliest.values()))
    return {row["id"]: Before(row["number"], row["resolved_at"], row["severity"], row["urgency"]) for row in rows}


async def hold(tx: Tx, begun: Sequence[Held]) -> None:
    """Let these alerts wait. The caller has locked them."""
    if begun:
        await (await tx.raw()).execute(_HOLD, [each.alert_id for each in begun], [each.until for each in begun])


async def shorten(tx: Tx, source_id: UUID, old: timedelta, new: timedelta) -> list[Held]:
    """Let what a source holds back go as much earlier as its hold-down is shorter; returns what waits until when."""
    await tx.flush()
    rows = await (await tx.raw()).fetch(_LET_GO, source_id, tx.now, old - new)
    return [Held(row["id"], row["held_until"]) for row in rows]
