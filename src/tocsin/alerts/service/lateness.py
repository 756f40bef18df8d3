"""Signals that arrive in the wrong order, told by the sender's own times.

A resolve may come before its trigger, or after a newer one. What gives no time of its own is taken in the order in
which it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete

from tocsin.alerts import queries
from tocsin.alerts.model import EarlyResolve
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertResolved
from tocsin.events.base import ActorRef
from tocsin.events.log import emit
from tocsin.oncall import service as oncall
from tocsin.oncall.model import RunState

# So long a resolve that ended nothing is remembered. Messages overtake one another by seconds. Longer would be a risk:
# a tool that lost sight of a problem, said that it was over and finds it again sends the same start once more.
REMEMBERED_FOR = timedelta(minutes=10)

_OPEN = """
SELECT alert.id, alert.source_id, alert.dedup_key
FROM alert JOIN unnest($1::uuid[], $2::text[]) AS named (source_id, dedup_key) USING (source_id, dedup_key)
WHERE alert.status <> 'resolved'
"""
_REMEMBER = """
INSERT INTO alert_early_resolve AS known (source_id, dedup_key, said_at, received_at)
SELECT source_id, dedup_key, least(said_at, $4::timestamptz), $4::timestamptz
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS named (source_id, dedup_key, said_at)
ON CONFLICT (source_id, dedup_key)
DO UPDATE SET said_at = greatest(known.said_at, EXCLUDED.said_at), received_at = EXCLUDED.received_at
"""
_CLOSE = """
UPDATE alert SET status = 'resolved', resolved_at = $2::timestamptz, updated_at = $2::timestamptz,
       routed_at = coalesce(routed_at, $2::timestamptz), resolved_by = source.name
FROM alert_early_resolve AS early JOIN alert_source AS source ON source.id = early.source_id
WHERE alert.id = ANY($1::uuid[]) AND alert.status <> 'resolved'
  AND early.source_id = alert.source_id AND early.dedup_key = alert.dedup_key
  AND alert.said_at <= early.said_at AND early.received_at > $3::timestamptz
RETURNING alert.id, alert.incident_id, early.said_at, source.id AS source_id, source.name
"""
# Of new alerts, `$2` is when each was over; one that its source has said more of since is left as it is.
_CLOSE_NEW = """
UPDATE alert SET status = 'resolved', resolved_at = $4::timestamptz, updated_at = $4::timestamptz,
       routed_at = $4::timestamptz, route_id = NULL, resolved_by = over.source_name
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS over (id, at, source_name)
WHERE alert.id = over.id AND alert.status <> 'resolved' AND alert.said_at <= over.at
RETURNING alert.id
"""


async def note_missed(tx: Tx, resolves: Mapping[tuple[UUID, str], datetime | None]) -> dict[tuple[UUID, str], UUID]:
    """Look after resolves that ended nothing; returns the open alerts that are newer than theirs.

    `resolves` is source and key → the sender's own time. Those for which there is no open alert are remembered, as
    their trigger may have yet to arrive.
    """
    timed = sorted((key, said_at) for key, said_at in resolves.items() if said_at is not None)
    if not timed:
        return {}
    connection = await tx.raw()
    rows = await connection.fetch(_OPEN, [key[0] for key, _ in timed], [key[1] for key, _ in timed])
    newer = {(row["source_id"], row["dedup_key"]): row["id"] for row in rows}
    early = [(*key, said_at) for key, said_at in timed if key not in newer]
    if early:
        sources, keys, times = zip(*early, strict=True)
        await connection.execute(_REMEMBER, sources, keys, times, tx.now)
    return newer


async def close_if_over(tx: Tx, alert_ids: Sequence[UUID]) -> set[UUID]:
    """Resolve those of these alerts whose source had said before that they were over; returns which.

    Whoever calls has locked them, and ends what goes on for them.
    """
    if not alert_ids:
        return set()
    connection = await tx.raw()
    rows = await connection.fetch(_CLOSE, list(alert_ids), tx.now, tx.now - REMEMBERED_FOR)
    await emit(
        tx,
        *(
            came_late(
                row["id"],
                ActorRef(kind="source", name=row["name"], id=row["source_id"]),
                row["said_at"],
                row["incident_id"],
            )
            for row in rows
        ),
    )
    return {row["id"] for row in rows}


async def close_as_over(tx: Tx, over: Mapping[UUID, tuple[datetime, str]]) -> set[UUID]:
    """Resolve those of these alerts, which this transaction has opened, that came too late; returns which.

    `over` is alert → when it was over, and the name of its source. The caller tells of it.
    """
    connection = await tx.raw()
    times, names = [at for at, _ in over.values()], [name for _, name in over.values()]
    return {row["id"] for row in await connection.fetch(_CLOSE_NEW, list(over), times, names, tx.now)}


def came_late(alert_id: UUID, source: ActorRef, over_at: datetime, incident_id: UUID | None = None) -> AlertResolved:
    """Tell that an alert was over at its source before it came."""
    return AlertResolved(
        actor=source,
        alert_id=alert_id,
        incident_id=incident_id,
        reason="It came late: the source had said before that it was over",
        over_at=over_at.isoformat(),
    )


async def close_missed(tx: Tx, *, limit: int) -> int:
    """Close alerts that stayed open although their source had ended them, and end their pages; returns how many.

    Two processes that write a trigger and its resolve at once see nothing of each other: the resolve finds no alert,
    and the alert no resolve.
    """
    closed = await close_if_over(tx, await queries.lock_over_at_source(tx, since=tx.now - REMEMBERED_FOR, limit=limit))
    if closed:
        reason = "The alert is resolved."
        await oncall.end_runs(tx, alert_ids=sorted(closed), state=RunState.CANCELLED, reason=reason)
    return len(closed)


async def forget_early_resolves(tx: Tx) -> None:
    """Delete what is no longer remembered."""
    old = EarlyResolve.received_at <= tx.now - REMEMBERED_FOR
    await tx.session.execute(delete(EarlyResolve).where(old))
