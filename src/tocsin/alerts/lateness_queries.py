"""What is asked and written about signals that arrive in the wrong order. Which may be remembered is in `lateness`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete

from tocsin.alerts.lifecycle import Act
from tocsin.alerts.model import EarlyResolve
from tocsin.alerts.statements import is_moved_by, moving
from tocsin.db.engine import Tx

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
_CLOSE = f"""
UPDATE alert SET {moving(Act.RESOLVE, at="$2::timestamptz", name="source.name")},
       routed_at = coalesce(routed_at, $2::timestamptz)
FROM alert_early_resolve AS early JOIN alert_source AS source ON source.id = early.source_id
WHERE alert.id = ANY($1::uuid[]) AND {is_moved_by(Act.RESOLVE)}
  AND early.source_id = alert.source_id AND early.dedup_key = alert.dedup_key
  AND alert.said_at <= early.said_at AND early.received_at > $3::timestamptz
RETURNING alert.id, alert.incident_id, early.said_at, source.id AS source_id, source.name
"""  # noqa: S608
# Of new alerts, `$2` is when each was over; one that its source has said more of since is left as it is.
_CLOSE_NEW = f"""
UPDATE alert SET {moving(Act.RESOLVE, at="$4::timestamptz", name="over.source_name")},
       routed_at = $4::timestamptz, route_id = NULL
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS over (id, at, source_name)
WHERE alert.id = over.id AND {is_moved_by(Act.RESOLVE)} AND alert.said_at <= over.at
RETURNING alert.id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Over:
    """An alert that its source had ended before it came: when, and by whose word."""

    alert_id: UUID
    incident_id: UUID | None
    over_at: datetime
    source_id: UUID
    source_name: str


async def open_of_keys(tx: Tx, keys: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], UUID]:
    """Return the open alerts of these sources and keys."""
    rows = await (await tx.raw()).fetch(_OPEN, [source for source, _ in keys], [key for _, key in keys])
    return {(row["source_id"], row["dedup_key"]): row["id"] for row in rows}


async def remember(tx: Tx, early: Sequence[tuple[UUID, str, datetime]]) -> None:
    """Remember resolves that ended nothing: source, key and the sender's own time."""
    if early:
        sources, keys, times = zip(*early, strict=True)
        await (await tx.raw()).execute(_REMEMBER, sources, keys, times, tx.now)


async def close_remembered(tx: Tx, alert_ids: Sequence[UUID], *, since: datetime) -> list[Over]:
    """Resolve those of these alerts for which a later resolve is remembered. The caller has locked them."""
    rows = await (await tx.raw()).fetch(_CLOSE, list(alert_ids), tx.now, since)
    return [Over(row["id"], row["incident_id"], row["said_at"], row["source_id"], row["name"]) for row in rows]


async def close_new(tx: Tx, over: Mapping[UUID, tuple[datetime, str]]) -> set[UUID]:
    """Resolve those of these new alerts of which their source has not said more since; returns which."""
    times, names = [at for at, _ in over.values()], [name for _, name in over.values()]
    rows = await (await tx.raw()).fetch(_CLOSE_NEW, list(over), times, names, tx.now)
    return {row["id"] for row in rows}


async def forget(tx: Tx, *, until: datetime) -> None:
    """Delete what came before this time."""
    await tx.session.execute(delete(EarlyResolve).where(EarlyResolve.received_at <= until))
