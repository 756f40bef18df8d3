"""Every query about alerts, sources, routes and signals, except the intake batch; lists are in `list_queries`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, and_, cast, func, not_, or_, select, text, tuple_, update

from tocsin.alerts.list_queries import Filter as Filter
from tocsin.alerts.list_queries import in_trouble, is_paged_for, number_in
from tocsin.alerts.list_queries import is_searched_in_part as is_searched_in_part
from tocsin.alerts.list_queries import listed as listed
from tocsin.alerts.model import (
    ALERT_ID,
    BY_HAND,
    OPEN,
    Alert,
    AlertRoute,
    AlertSignal,
    AlertSource,
    AlertStatus,
    EarlyResolve,
    RawSignal,
    SignalEffect,
)
from tocsin.alerts.routing import Route
from tocsin.alerts.visibility import visible, visible_sources
from tocsin.db.engine import Tx, decode_json
from tocsin.db.locks import for_change
from tocsin.db.records import get_record, has_words, lock_records
from tocsin.events.log import LoggedEvent
from tocsin.identity.access import EVERYTHING, Access
from tocsin.kit.errors import NotFound
from tocsin.oncall.model import PagingTrouble
from tocsin.oncall.queries import paging_trouble, policy_names


async def id_of(tx: Tx, access: Access, ref: str) -> UUID:
    """Return the id of the alert that is called so, by its public id (`alt_…`) or its number (`ALR-31`).

    Raises `NotFound`; a number leads to nothing that may not be seen.
    """
    return (await ids_of(tx, access, [ref]))[0]


async def ids_of(tx: Tx, access: Access, refs: Collection[str]) -> list[UUID]:
    """Return the ids of the alerts that are called so, in their order; raises `NotFound` for the first that is none."""
    known = await numbered(tx, access, refs)
    return [read_ref(ref, known) for ref in refs]


async def numbered(tx: Tx, access: Access, refs: Collection[str]) -> dict[int, UUID]:
    """Return the ids of those of these alerts that are called by their numbers and may be seen."""
    numbers = {number for ref in refs if (number := number_in(ref)) is not None}
    query = select(Alert.number, Alert.id).where(Alert.number.in_(numbers), visible(access))
    return {number: id for number, id in (await tx.session.execute(query)).all()} if numbers else {}


async def numbers_of(tx: Tx, access: Access, ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the numbers of those of these alerts that may be seen."""
    query = select(Alert.id, Alert.number).where(Alert.id.in_(ids), visible(access))
    return {id: number for id, number in (await tx.session.execute(query)).all()}


def read_ref(ref: str, known: Mapping[int, UUID]) -> UUID:
    """Read what an alert is called, a public id or one of the numbers that are known; raises `NotFound`."""
    if (number := number_in(ref)) is None:
        return ALERT_ID.read(ref)
    if number not in known:
        raise NotFound(f"There is no alert “{ref}”.")
    return known[number]


async def named(tx: Tx, access: Access, ref: str) -> Alert:
    """Return the alert that is called so, see `id_of`; raises `NotFound`, also for one that may not be seen."""
    return await get(tx, access, await id_of(tx, access, ref))


async def get(tx: Tx, access: Access, id: UUID) -> Alert:
    """Return one alert; raises `NotFound`, also for one that may not be seen."""
    found = (await tx.session.scalars(select(Alert).where(Alert.id == id, visible(access)))).one_or_none()
    if found is None:
        raise NotFound("There is no such alert.")
    return found


async def seen(tx: Tx, access: Access, ids: Collection[UUID]) -> list[UUID]:
    """Return those of these alerts that there are and that may be seen."""
    query = select(Alert.id).where(Alert.id.in_(ids), visible(access)).order_by(Alert.id)
    return list((await tx.session.scalars(query)).all()) if ids else []


async def lock(tx: Tx, access: Access, id: UUID) -> Alert:
    """Return one alert for changing; raises `NotFound`, also for one that may not be seen."""
    return (await lock_many(tx, access, [id]))[0]


async def lock_many(tx: Tx, access: Access, ids: Collection[UUID]) -> list[Alert]:
    """Return these alerts for changing, in the order of their ids.

    Raises `NotFound` when one is missing or may not be seen.
    """
    return await lock_records(tx, Alert, ids, "alert", visible(access))


async def lock_known(tx: Tx, ids: Collection[UUID]) -> dict[UUID, AlertStatus]:
    """Lock those of these alerts that there are, in the order of their ids; returns how each stands."""
    query: Any = select(Alert.id, Alert.status).where(Alert.id.in_(ids))
    rows: Sequence[Any] = (await tx.session.execute(for_change(query, Alert))).all()
    return {id: AlertStatus(status) for id, status in rows}


@dataclass(frozen=True, slots=True)
class Unrouted:
    """An alert as routing needs it."""

    id: UUID
    source_id: UUID
    dedup_key: str
    status: str
    title: str
    description: str
    severity: int
    urgency: str
    labels: dict[str, str]
    incident_id: UUID | None
    held_until: datetime | None = None


async def lock_unrouted(tx: Tx, ids: Collection[UUID]) -> list[Unrouted]:
    """Return those of these alerts that routing has not looked at yet, for changing."""
    connection = await tx.raw()
    rows = await connection.fetch(
        """
        SELECT id, source_id, dedup_key, status, title, description, severity, urgency, labels::text AS labels,
               incident_id, held_until
        FROM alert WHERE id = ANY($1::uuid[]) AND routed_at IS NULL ORDER BY id FOR NO KEY UPDATE
        """,
        list(ids),
    )
    return [Unrouted(**{**row, "labels": decode_json(row["labels"])}) for row in rows]


@dataclass(frozen=True, slots=True)
class Said:
    """What an alert says now."""

    title: str
    description: str
    severity: int
    labels: dict[str, str]


async def worded(tx: Tx, ids: Collection[UUID]) -> dict[UUID, Said]:
    """Return what these alerts say now."""
    connection = await tx.raw()
    rows = await connection.fetch(
        "SELECT id, title, description, severity, labels::text AS labels FROM alert WHERE id = ANY($1::uuid[])",
        list(ids),
    )
    return {
        row["id"]: Said(row["title"], row["description"], row["severity"], decode_json(row["labels"])) for row in rows
    }


async def mark_routed(tx: Tx, decisions: Mapping[UUID, UUID | None]) -> None:
    """Note for each alert which route took it, None when none did."""
    connection = await tx.raw()
    await connection.execute(
        """
        UPDATE alert SET routed_at = $3, route_id = decided.route_id
        FROM unnest($1::uuid[], $2::uuid[]) AS decided (alert_id, route_id) WHERE alert.id = decided.alert_id
        """,
        list(decisions.keys()),
        list(decisions.values()),
        tx.now,
    )


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """What routing decides by: the routes and the names around them."""

    routes: Sequence[Route]
    sources: Mapping[UUID, tuple[str, str]]
    policies: Mapping[UUID, str]
    # The sources that hold back what flaps.
    hold_downs: Mapping[UUID, timedelta] = field(default_factory=dict[UUID, timedelta])


async def routing_table(tx: Tx) -> RoutingTable:
    """Read the routing table; callers go through `Tx.cached`."""
    rules = [
        Route(
            id=row.id,
            name=row.name,
            position=row.position,
            condition=row.condition,
            policy_id=row.escalation_policy_id,
            enabled=row.is_enabled,
            is_catch_all=row.is_catch_all,
        )
        for row in await routes(tx)
    ]
    sources = (await tx.session.scalars(select(AlertSource))).all()
    held = {each.id: timedelta(minutes=each.hold_down_minutes) for each in sources if each.hold_down_minutes}
    policies = await policy_names(tx, [rule.policy_id for rule in rules if rule.policy_id is not None])
    return RoutingTable(rules, {each.id: (each.name, each.kind) for each in sources}, policies, held)


async def lock_forgotten(tx: Tx, *, since: datetime, limit: int, remind: bool = False) -> list[Alert]:
    """Return acknowledged alerts for changing that have seen no progress since then, the oldest first.

    `remind`: only urgent ones whose owner is known and was not reminded since then. Those that somebody else holds are
    left out.
    """
    wanted = [Alert.status == AlertStatus.ACKNOWLEDGED, Alert.acknowledged_at <= since, _nothing_done(since)]
    if remind:
        wanted += [
            Alert.urgency == "high",
            Alert.acknowledged_by_id.is_not(None),
            func.coalesce(Alert.reminded_at, Alert.acknowledged_at) <= since,
        ]
    held = await _hold(tx, select(Alert.id).where(*wanted), limit)
    found = select(Alert).where(Alert.id.in_(held), *wanted).order_by(Alert.id)
    return list((await tx.session.scalars(found.execution_options(populate_existing=True))).all())


async def lock_stale(tx: Tx, *, limit: int) -> list[tuple[Alert, str, int]]:
    """Return open alerts for changing that their source has been silent about for as long as it may be.

    With the name of the source and its hours. An alert that somebody did something about meanwhile is none of them.
    """
    hours = AlertSource.close_after_hours
    silent_since = tx.now - func.make_interval(0, 0, 0, 0, cast(hours, Integer))
    wanted = [
        Alert.source_id == AlertSource.id,
        hours.is_not(None),
        Alert.status.in_(OPEN),
        Alert.last_seen_at <= silent_since,
        _nothing_done(silent_since),
    ]
    held = await _hold(tx, select(Alert.id).join(AlertSource, AlertSource.id == Alert.source_id).where(*wanted), limit)
    found = select(Alert, AlertSource.name, hours).where(Alert.id.in_(held), *wanted).order_by(Alert.id)
    rows = (await tx.session.execute(found.execution_options(populate_existing=True))).all()
    return [(alert, name, number) for alert, name, number in rows if number is not None]


async def lock_over_at_source(tx: Tx, *, since: datetime, limit: int) -> list[UUID]:
    """Lock open alerts whose source has said since then that they were over; returns their ids.

    Those that somebody else holds are left out.
    """
    over = (
        select(Alert.id)
        .join(EarlyResolve, and_(EarlyResolve.source_id == Alert.source_id, EarlyResolve.dedup_key == Alert.dedup_key))
        # As the partial index says it.
        .where(Alert.status != AlertStatus.RESOLVED, Alert.said_at <= EarlyResolve.said_at)
        .where(EarlyResolve.received_at > since)
    )
    return await _hold(tx, over, limit)


def _nothing_done(since: ColumnElement[datetime] | datetime) -> ColumnElement[bool]:
    """Say that nobody has done anything to an alert, or to the incident that it is in, since then."""
    acts = select(LoggedEvent.position).where(LoggedEvent.actor_kind == "user", LoggedEvent.at > since)
    here = acts.where(LoggedEvent.alert_id == Alert.id).correlate(Alert, AlertSource).exists()
    in_incident = acts.where(LoggedEvent.incident_id == Alert.incident_id).correlate(Alert, AlertSource).exists()
    return and_(not_(here), not_(in_incident))


async def _hold(tx: Tx, wanted: Select[UUID], limit: int) -> list[UUID]:
    """Lock what is found, in the order of the ids. Whoever calls looks again: it may have changed before the lock."""
    ids = (await tx.session.scalars(wanted.order_by(Alert.id).limit(limit))).all()
    query = for_change(select(Alert.id).where(Alert.id.in_(ids)), Alert, skip_locked=True)
    return list((await tx.session.scalars(query)).all()) if ids else []


async def held_by(tx: Tx, user_id: UUID) -> list[Alert]:
    """Return the alerts that this person has acknowledged and that are not over, the oldest first."""
    mine = Alert.status == AlertStatus.ACKNOWLEDGED, Alert.acknowledged_by_id == user_id
    return list((await tx.session.scalars(select(Alert).where(*mine).order_by(Alert.id))).all())


async def of_incident(tx: Tx, access: Access, incident_id: UUID) -> list[Alert]:
    """Return those alerts of an incident that may be seen, the oldest first, at most 500."""
    query = select(Alert).where(Alert.incident_id == incident_id, visible(access)).order_by(Alert.id).limit(500)
    return list((await tx.session.scalars(query)).all())


async def troubles(tx: Tx, ids: Collection[UUID]) -> dict[UUID, PagingTrouble]:
    """Return which of these alerts nobody has been reached about, or nobody has answered."""
    if not ids:
        return {}
    trouble = paging_trouble(is_paged_for)
    query = select(Alert.id, trouble).where(Alert.id.in_(ids), *in_trouble(PagingTrouble))
    return {id: PagingTrouble(word) for id, word in (await tx.session.execute(query)).all() if word is not None}


async def count_troubles(tx: Tx, access: Access) -> dict[PagingTrouble, int]:
    """Count the alerts about which nobody was reached, and those that nobody answered; `MOST_COUNTED` in all."""
    trouble = paging_trouble(is_paged_for).label("trouble")
    found = select(trouble).where(*in_trouble(PagingTrouble), visible(access)).limit(MOST_COUNTED).subquery()
    rows = (await tx.session.execute(select(found.c.trouble, func.count()).group_by(found.c.trouble))).all()
    numbers = {str(word): number for word, number in rows}
    return {kind: numbers.get(kind, 0) for kind in PagingTrouble}


# Counting stops here: beyond it a badge says "999+", and the count never has to walk a large table.
MOST_COUNTED = 1000


async def counts(tx: Tx, access: Access) -> dict[str, int]:
    """Count what is open and what needs somebody, at most `MOST_COUNTED` of each status."""
    sees = visible(access)
    of_each = [select(Alert.id).where(Alert.status == status, sees).limit(MOST_COUNTED).subquery() for status in OPEN]
    first, second = (select(func.count()).select_from(found).scalar_subquery() for found in of_each)
    triggered, acknowledged = (await tx.session.execute(select(first, second))).one()
    return {"open": triggered + acknowledged, "needs_action": triggered}


async def linked_counts(tx: Tx, access: Access, incident_ids: Collection[UUID]) -> dict[UUID, int]:
    """Count the alerts of each of these incidents."""
    query = (
        select(Alert.incident_id, func.count())
        .where(Alert.incident_id.in_(incident_ids), visible(access))
        .group_by(Alert.incident_id)
    )
    return {id: number for id, number in (await tx.session.execute(query)).all() if id is not None}


async def first_triggers(tx: Tx, access: Access, incident_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Return when the first alert of each of these incidents triggered; an incident without any is left out."""
    query = (
        select(Alert.incident_id, func.min(Alert.created_at))
        .where(Alert.incident_id.in_(incident_ids), visible(access))
        .group_by(Alert.incident_id)
    )
    return {id: at for id, at in (await tx.session.execute(query)).all() if id is not None}


async def source(tx: Tx, access: Access, id: UUID) -> AlertSource:
    """Return one source; raises `NotFound`, also for one that may not be seen."""
    found = (await tx.session.scalars(select(AlertSource).where(AlertSource.id == id, visible_sources(access)))).first()
    if found is None:
        raise NotFound("There is no such alert source.")
    return found


async def lock_source(tx: Tx, access: Access, id: UUID) -> AlertSource:
    """Return one source for changing; raises `NotFound`, also for one that may not be seen."""
    return (await lock_records(tx, AlertSource, [id], "alert source", visible_sources(access)))[0]


async def sources_of(tx: Tx, ids: Collection[UUID]) -> list[AlertSource]:
    """Return these sources, to decide what may be done with what they sent."""
    return list((await tx.session.scalars(select(AlertSource).where(AlertSource.id.in_(ids)))).all())


async def source_names(tx: Tx, ids: Collection[UUID]) -> dict[UUID, tuple[str, str]]:
    """Return name and kind of these sources."""
    query = select(AlertSource.id, AlertSource.name, AlertSource.kind).where(AlertSource.id.in_(ids))
    return {id: (name, kind) for id, name, kind in (await tx.session.execute(query)).all()}


async def not_over_at_source(tx: Tx, ids: Collection[UUID]) -> list[tuple[UUID, str, bool]]:
    """Return those of these alerts that no signal ended, with the name of their source and whether it is on.

    Alerts that no signal opened are left out.
    """
    if not ids:
        return []
    ended = select(AlertSignal.alert_id).where(
        AlertSignal.alert_id == Alert.id, AlertSignal.effect == SignalEffect.RESOLVED
    )
    query = (
        select(Alert.id, AlertSource.name, AlertSource.is_enabled)
        .join(AlertSource, AlertSource.id == Alert.source_id)
        .where(Alert.id.in_(ids), not_(Alert.dedup_key.like(f"{BY_HAND}%")), not_(ended.exists()))
    )
    return [(id, name, is_enabled) for id, name, is_enabled in (await tx.session.execute(query)).all()]


async def source_has_alerts(tx: Tx, id: UUID) -> bool:
    """Say whether a source ever opened an alert."""
    # Each half has an index of its own.
    is_over = select(Alert.id).where(Alert.source_id == id, Alert.status == AlertStatus.RESOLVED).exists()
    is_open = select(Alert.id).where(_open_of(id)).exists()
    return bool(await tx.session.scalar(select(or_(is_open, is_over))))


async def open_of_source(tx: Tx, id: UUID) -> int:
    """Count what a source has open, at most `MOST_COUNTED`."""
    found = select(Alert.id).where(_open_of(id)).limit(MOST_COUNTED).subquery()
    return await tx.session.scalar(select(func.count()).select_from(found)) or 0


async def worst_open_of_source(tx: Tx, access: Access, id: UUID, *, limit: int) -> list[Alert]:
    """Return what a source has open, the worst first."""
    worst = select(Alert).where(_open_of(id), visible(access)).order_by(Alert.severity, Alert.id.desc()).limit(limit)
    return list((await tx.session.scalars(worst)).all())


async def lock_open_of_source(tx: Tx, id: UUID, *, limit: int) -> list[Alert]:
    """Return what a source has open, the oldest first, for changing."""
    oldest = list(
        (await tx.session.scalars(select(Alert.id).where(_open_of(id)).order_by(Alert.id).limit(limit))).all()
    )
    return await lock_many(tx, EVERYTHING, oldest) if oldest else []


def _open_of(source_id: UUID) -> ColumnElement[bool]:
    # As the partial index says it.
    return and_(Alert.source_id == source_id, Alert.status != AlertStatus.RESOLVED)


async def routes(
    tx: Tx,
    *,
    after: tuple[bool, int, UUID] | None = None,
    limit: int | None = None,
    words: Collection[str] = (),
) -> list[AlertRoute]:
    """Return routes in the order in which they are tried; the catch-all is last. Without a limit all of them.

    `words`: those that have each of them in their name or condition.
    """
    place = (AlertRoute.is_catch_all, AlertRoute.position, AlertRoute.id)
    has = has_words(words, AlertRoute.name, AlertRoute.condition)
    query = select(AlertRoute).where(*has).order_by(*place).limit(limit)
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after))
    return list((await tx.session.scalars(query)).all())


async def lock_routes(tx: Tx) -> list[AlertRoute]:
    """Return all routes for changing their order; others that want to change routes wait."""
    await tx.session.execute(text("LOCK TABLE alert_route IN SHARE ROW EXCLUSIVE MODE"))
    return await routes(tx)


async def route(tx: Tx, id: UUID) -> AlertRoute:
    """Return one route; raises `NotFound`."""
    return await get_record(tx, AlertRoute, id, "route")


async def signals_of_source(
    tx: Tx, source_id: UUID, *, before: tuple[datetime, UUID] | None = None, limit: int = 25
) -> list[RawSignal]:
    """Return what a source sent, the newest first."""
    query = select(RawSignal).where(RawSignal.source_id == source_id)
    if before is not None:
        query = query.where(tuple_(RawSignal.received_at, RawSignal.id) < tuple_(*before))
    query = query.order_by(RawSignal.received_at.desc(), RawSignal.id.desc()).limit(limit)
    return list((await tx.session.scalars(query)).all())


async def effects_of(tx: Tx, signal_ids: Collection[UUID]) -> dict[UUID, list[tuple[UUID, str]]]:
    """Return which alerts each of these signals touched, and how."""
    query = select(AlertSignal.signal_id, AlertSignal.alert_id, AlertSignal.effect).where(
        AlertSignal.signal_id.in_(signal_ids)
    )
    effects: dict[UUID, list[tuple[UUID, str]]] = {}
    for signal_id, alert_id, effect in (await tx.session.execute(query)).all():
        effects.setdefault(signal_id, []).append((alert_id, effect))
    return effects


async def signals_of_alert(
    tx: Tx, alert_id: UUID, *, before: tuple[datetime, UUID] | None = None, limit: int = 25
) -> list[tuple[RawSignal, str]]:
    """Return the signals that touched an alert and how, the newest first, older than `before`."""
    query = (
        select(RawSignal, AlertSignal.effect)
        .join(AlertSignal, AlertSignal.signal_id == RawSignal.id)
        .where(AlertSignal.alert_id == alert_id)
        .order_by(RawSignal.received_at.desc(), RawSignal.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(tuple_(RawSignal.received_at, RawSignal.id) < tuple_(*before))
    return [(signal, effect) for signal, effect in (await tx.session.execute(query)).all()]


async def set_incident(tx: Tx, alert_ids: Sequence[UUID], incident_id: UUID | None) -> None:
    """Let alerts belong to an incident, or to none. The caller has locked them."""
    changed = update(Alert).where(Alert.id.in_(alert_ids))
    await tx.session.execute(changed.values(incident_id=incident_id, updated_at=tx.now))
