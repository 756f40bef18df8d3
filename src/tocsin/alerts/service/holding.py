"""Holding back what flaps: a source may say that a problem which comes again soon after its end pages nobody at once.

Invariant: one key pages at most once per hold-down, and nothing that stays open goes without a page. The time counts
from the end of the last alert that somebody was told of; one that was held back itself does not extend it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.alerts import queries
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertHeld
from tocsin.events.base import SYSTEM
from tocsin.events.log import emit

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


@dataclass(frozen=True, slots=True)
class _Before:
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


async def hold_back(
    tx: Tx, alerts: Sequence[queries.Unrouted], table: queries.RoutingTable
) -> tuple[set[UUID], list[Held]]:
    """Return which of these alerts page nobody yet, and those of them whose wait begins now.

    Not held back: what is worse than the alert before it, what somebody gave back, what follows on an end by hand, and
    what nobody was told of last time. The caller has locked them, and routes those whose wait begins anew at its end.
    """
    asked = [each for each in alerts if each.status == AlertStatus.TRIGGERED and each.source_id in table.hold_downs]
    if not asked:
        return set(), []
    earliest = {each.id: tx.now - table.hold_downs[each.source_id] for each in asked}
    before = await _before(tx, earliest)
    held: set[UUID] = set()
    begun: list[Held] = []
    for each in asked:
        last = before.get(each.id)
        if last is None or _is_worse(each, last) or (each.held_until is not None and each.held_until <= tx.now):
            continue
        held.add(each.id)
        if each.held_until is None:
            begun.append(Held(each.id, last.resolved_at + table.hold_downs[each.source_id]))
            await _note(tx, each, last, table.hold_downs[each.source_id])
    await _hold(tx, begun)
    return held, begun


async def _before(tx: Tx, earliest: Mapping[UUID, datetime]) -> dict[UUID, _Before]:
    """Return for each of these alerts the one before it, if that ended after the time given."""
    connection = await tx.raw()
    rows = await connection.fetch(_BEFORE, list(earliest), list(earliest.values()))
    return {row["id"]: _Before(row["number"], row["resolved_at"], row["severity"], row["urgency"]) for row in rows}


async def _hold(tx: Tx, begun: Sequence[Held]) -> None:
    if begun:
        connection = await tx.raw()
        await connection.execute(_HOLD, [each.alert_id for each in begun], [each.until for each in begun])


def _is_worse(now: queries.Unrouted, before: _Before) -> bool:
    return now.severity < before.severity or (now.urgency == "high" and before.urgency != "high")


async def _note(tx: Tx, alert: queries.Unrouted, last: _Before, hold_down: timedelta) -> None:
    until = last.resolved_at + hold_down
    event = AlertHeld(
        actor=SYSTEM,
        alert_id=alert.id,
        incident_id=alert.incident_id,
        until=until,
        last_number=last.number,
        over_for=int((tx.now - last.resolved_at).total_seconds()),
        hold_down_minutes=int(hold_down.total_seconds() // 60),
    )
    await emit(tx, event)


# In the order of their ids, as everybody locks several.
_LET_GO = """
WITH held AS (SELECT id FROM alert WHERE source_id = $1 AND status = 'triggered' AND routed_at IS NULL
              AND held_until > $2 ORDER BY id FOR NO KEY UPDATE)
UPDATE alert SET held_until = greatest($2::timestamptz, held_until - $3::interval)
FROM held WHERE alert.id = held.id RETURNING alert.id, alert.held_until
"""


async def shorten(tx: Tx, source_id: UUID, old: timedelta, new: timedelta) -> list[Held]:
    """Let what a source holds back go as much earlier as its hold-down is shorter; returns what waits until when."""
    await tx.flush()
    rows = await (await tx.raw()).fetch(_LET_GO, source_id, tx.now, old - new)
    return [Held(row["id"], row["held_until"]) for row in rows]


def held_until(alert: Alert) -> datetime | None:
    """Return until when an alert pages nobody; None when it is not held back."""
    # Whoever gives an alert back lets go of it: its time is then that of the change.
    until = alert.held_until
    if until is None or until <= alert.updated_at:
        return None
    return until if alert.status == AlertStatus.TRIGGERED and alert.routed_at is None else None


def lets_go(held: Collection[Held]) -> dict[datetime, list[UUID]]:
    """Return when which of these alerts are to be looked at again."""
    found: dict[datetime, list[UUID]] = {}
    for each in held:
        found.setdefault(each.until, []).append(each.alert_id)
    return found
