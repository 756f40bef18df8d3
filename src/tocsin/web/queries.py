"""Figures that only pages show, read over several domains in one statement each. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import String, cast, func, select, text

from tocsin.alerts.model import OPEN as OPEN_ALERTS
from tocsin.alerts.model import Alert, AlertSource
from tocsin.alerts.queries import MOST_COUNTED
from tocsin.alerts.visibility import visible as visible_alerts
from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.identity.model import Organisation, User
from tocsin.incidents.model import OPEN, Incident
from tocsin.incidents.visibility import visible
from tocsin.notifications.model import Delivery, DeliveryKind
from tocsin.oncall.model import EscalationRun, RunState


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around every page."""

    org_name: str
    time_zone: str
    open_incidents: int
    open_alerts: int
    # The place in the live stream from which on something may have happened that this page does not show.
    place: str


async def surroundings(tx: Tx, access: Access, user_id: UUID) -> Surroundings:
    """Return the organisation, the reader's zone and the two counts of the navigation in one statement."""
    incidents = select(Incident.id).where(Incident.status.in_(OPEN), visible(access)).limit(MOST_COUNTED).subquery()
    is_open = Alert.status.in_(OPEN_ALERTS)
    alerts = select(Alert.id).where(is_open, visible_alerts(access)).limit(MOST_COUNTED).subquery()
    query = select(
        select(Organisation.name).where(Organisation.id == 1).scalar_subquery(),
        select(User.time_zone).where(User.id == user_id).scalar_subquery(),
        select(func.count()).select_from(incidents).scalar_subquery(),
        select(func.count()).select_from(alerts).scalar_subquery(),
        cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), String),
    )
    name, zone, open_incidents, open_alerts, pending = (await tx.session.execute(query)).one()
    return Surroundings(name or "", zone or "UTC", open_incidents, open_alerts, f"{pending}-0")


async def any_incident(tx: Tx) -> bool:
    """Say whether anybody has ever declared an incident."""
    return (await tx.session.execute(select(Incident.id).limit(1))).first() is not None


async def any_source(tx: Tx) -> bool:
    """Say whether there is an alert source."""
    return (await tx.session.execute(select(AlertSource.id).limit(1))).first() is not None


@dataclass(frozen=True, slots=True)
class SetUpSoFar:
    """How far the installation is from an alert that reaches somebody."""

    has_method: bool
    has_policy: bool
    has_route: bool
    has_fallback: bool
    source_id: UUID | None
    has_signal: bool


_SET_UP_SO_FAR = text("""
SELECT EXISTS (SELECT FROM contact_method AS method JOIN user_account AS person ON person.id = method.user_id
               WHERE person.is_active),
       EXISTS (SELECT FROM escalation_policy),
       EXISTS (SELECT FROM alert_route WHERE is_enabled AND escalation_policy_id IS NOT NULL),
       EXISTS (SELECT FROM fallback_target WHERE policy_id IS NOT NULL OR user_id IS NOT NULL),
       (SELECT id FROM alert_source WHERE is_enabled ORDER BY created_at, id LIMIT 1),
       -- Signals are deleted after a while, alerts stay.
       EXISTS (SELECT FROM alert) OR EXISTS (SELECT FROM signal WHERE outcome <> 'rejected')
""")


async def set_up_so_far(tx: Tx) -> SetUpSoFar:
    """Return what there is already of everything that an alert needs to reach somebody."""
    return SetUpSoFar(*(await tx.session.execute(_SET_UP_SO_FAR)).one())


async def next_steps(tx: Tx, alert_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Return when the escalation of each of these alerts goes on, for those that are being paged about."""
    run = EscalationRun
    query = select(run.alert_id, run.next_step_at).where(
        run.alert_id.in_(alert_ids), run.state == RunState.RUNNING, run.next_step_at.is_not(None)
    )
    rows: Sequence[Any] = (await tx.session.execute(query)).all()
    return {id: at for id, at in rows}


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


async def latest_test(tx: Tx, user_id: UUID, *, method_id: UUID | None = None) -> list[Delivery]:
    """Return the messages of the person's latest test page of the last hour, the oldest first.

    With `method_id`, the one message of the latest that went there.
    """
    query = (
        select(Delivery)
        .where(
            Delivery.user_id == user_id,
            Delivery.kind == DeliveryKind.TEST,
            Delivery.created_at > tx.now - timedelta(hours=1),
        )
        .order_by(Delivery.created_at.desc(), Delivery.id)
        .limit(20)
    )
    if method_id is not None:
        query = query.where(Delivery.contact_method_id == method_id)
    found = list((await tx.session.scalars(query)).all())
    return [delivery for delivery in found if delivery.created_at == found[0].created_at]


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
