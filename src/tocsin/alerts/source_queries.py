"""Alert sources: their list, how busy they are, what their signals did, and clearing signals away."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text

from tocsin.alerts.model import AlertSignal, AlertSource, RawSignal
from tocsin.alerts.queries import MOST_COUNTED
from tocsin.alerts.visibility import visible_sources
from tocsin.db.arrays import overlaps
from tocsin.db.engine import Tx
from tocsin.db.records import count_records, has_words, list_records
from tocsin.identity.access import Access


async def sources(
    tx: Tx,
    access: Access,
    *,
    after: UUID | None = None,
    backwards: bool = False,
    limit: int = 100,
    words: Collection[str] = (),
) -> list[AlertSource]:
    """Return sources, the oldest first, after the given one; `words`: those that have each of them in their name.

    `backwards`: see `list_records`.
    """
    only = (visible_sources(access), *has_words(words, AlertSource.name))
    return await list_records(tx, AlertSource, *only, after=after, backwards=backwards, limit=limit)


async def count_sources(tx: Tx, access: Access, words: Collection[str], *, most: int) -> int:
    """Count the sources that `sources` would find, and stop when they are more than `most`."""
    return await count_records(tx, AlertSource, visible_sources(access), *has_words(words, AlertSource.name), most=most)


async def owned_by(tx: Tx, access: Access, team_id: UUID, *, limit: int) -> list[AlertSource]:
    """Return the sources of a team that may be seen, by name."""
    query = select(AlertSource).where(overlaps(AlertSource.team_ids, [team_id]), visible_sources(access))
    return list((await tx.session.scalars(query.order_by(AlertSource.name, AlertSource.id).limit(limit))).all())


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """How busy a source is. Counts stop at `MOST_COUNTED`."""

    last_signal_at: datetime | None
    signals_24h: int
    open_alerts: int


_SOURCE_FIGURES = text("""
SELECT source.id,
       (SELECT received_at FROM signal WHERE source_id = source.id ORDER BY received_at DESC LIMIT 1),
       (SELECT count(*) FROM
           (SELECT FROM signal WHERE source_id = source.id AND received_at > :since LIMIT :most) AS s),
       (SELECT count(*) FROM
           (SELECT FROM alert WHERE source_id = source.id AND status <> 'resolved' LIMIT :most) AS a)
FROM alert_source AS source WHERE source.id = ANY(:ids)
""")


async def source_figures(tx: Tx, source_ids: Collection[UUID]) -> dict[UUID, SourceFigures]:
    """Return when each of these sources sent last, how much in 24 hours, and how many of its alerts are open."""
    given = {"ids": list(source_ids), "since": tx.now - timedelta(hours=24), "most": MOST_COUNTED}
    rows: Sequence[Any] = (await tx.session.execute(_SOURCE_FIGURES, given)).all()
    return {id: SourceFigures(at, signals, alerts) for id, at, signals, alerts in rows}


@dataclass(frozen=True, slots=True)
class Touched:
    """What a signal did to an alert. `of` is how many there are of the signal, those not read included."""

    alert_id: UUID
    number: int
    title: str
    effect: str
    of: int


_TOUCHED = text("""
SELECT signal_id, alert_id, number, title, effect, of FROM (
    SELECT touch.signal_id, touch.alert_id, alert.number, alert.title, touch.effect,
           count(*) OVER (PARTITION BY touch.signal_id) AS of,
           row_number() OVER (
               PARTITION BY touch.signal_id
               ORDER BY array_position(
                   ARRAY['opened', 'resolved', 'acknowledged', 'repeated', 'outdated'], touch.effect),
                        alert.number
           ) AS place
    FROM alert_signal AS touch JOIN alert ON alert.id = touch.alert_id
    WHERE touch.signal_id = ANY(:ids)
) AS touched WHERE place <= :most ORDER BY signal_id, place
""")


async def touched_by(tx: Tx, signal_ids: Collection[UUID], *, most: int) -> dict[UUID, list[Touched]]:
    """Return what each of these signals did to which alerts, at most so many of each; a repeat comes last."""
    given = {"ids": list(signal_ids), "most": most}
    rows: Sequence[Any] = (await tx.session.execute(_TOUCHED, given)).all() if signal_ids else []
    touched: dict[UUID, list[Touched]] = {}
    for signal_id, *what in rows:
        touched.setdefault(signal_id, []).append(Touched(*what))
    return touched


async def delete_signals_of(tx: Tx, source_id: UUID) -> None:
    """Delete what a source sent. The caller has made sure that no alert needs it."""
    await tx.session.execute(delete(RawSignal).where(RawSignal.source_id == source_id))


async def delete_old_signals(tx: Tx, before: datetime, *, limit: int) -> int:
    """Delete the oldest signals that came before this time; returns how many."""
    old = select(RawSignal.id).where(RawSignal.received_at < before).order_by(RawSignal.received_at).limit(limit)
    ids = list((await tx.session.scalars(old)).all())
    if ids:
        await tx.session.execute(delete(AlertSignal).where(AlertSignal.signal_id.in_(ids)))
        await tx.session.execute(delete(RawSignal).where(RawSignal.id.in_(ids)))
    return len(ids)
