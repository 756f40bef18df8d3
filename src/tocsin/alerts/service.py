"""Use cases of alerts: acknowledge, resolve and link them, route them, and look after sources and routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update

from tocsin.alerts import queries, routing
from tocsin.alerts.model import Alert, AlertRoute, AlertSignal, AlertSource, AlertStatus, Signal, SourceKind
from tocsin.db.engine import Tx
from tocsin.events.alerts import (
    AlertAcknowledged,
    AlertNotRouted,
    AlertResolved,
    AlertRouted,
    AlertTriggered,
    AlertUnacknowledged,
)
from tocsin.events.base import SYSTEM, Change
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.identity.model import Actor
from tocsin.jobs import queue
from tocsin.jobs.queue import NewJob
from tocsin.kit.crypto import new_intake_token
from tocsin.kit.errors import Conflict, Invalid, Stale
from tocsin.kit.ids import new_id
from tocsin.kit.text import storable, truncate
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageContent
from tocsin.oncall.model import RunState

ROUTE = "alerts.route"
SOURCES_TOPIC = "sources"
# How much of an alert goes into a page; the rest stands behind its link.
PAGE_BODY = 2000
PAGE_LABELS = 20


async def acknowledge(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """Take an alert on: its escalation ends. Acknowledging again changes nothing."""
    who.must("alert.edit")
    alert = await queries.lock(tx, alert_id)
    if alert.status == AlertStatus.RESOLVED:
        raise Conflict("This alert is resolved, so there is nothing left to acknowledge.", code="alert.resolved")
    if alert.status == AlertStatus.ACKNOWLEDGED:
        return alert
    alert.status, alert.acknowledged_at, alert.acknowledged_by = AlertStatus.ACKNOWLEDGED, tx.now, who.name
    alert.updated_at = tx.now
    await emit(tx, AlertAcknowledged(actor=who.ref, **_about(alert), reason=reason))
    await oncall.end_runs(
        tx, alert_ids=[alert.id], state=RunState.ANSWERED, reason=f"{who.name} acknowledged the alert.", who=who
    )
    return alert


async def unacknowledge(tx: Tx, who: Actor, alert_id: UUID) -> Alert:
    """Give an alert back; it is routed anew, so somebody is paged again."""
    who.must("alert.edit")
    alert = await queries.lock(tx, alert_id)
    if alert.status == AlertStatus.RESOLVED:
        raise Conflict("This alert is resolved.", code="alert.resolved")
    if alert.status == AlertStatus.TRIGGERED:
        return alert
    alert.status, alert.acknowledged_at, alert.acknowledged_by = AlertStatus.TRIGGERED, None, None
    alert.updated_at, alert.routed_at, alert.route_id = tx.now, None, None
    await emit(tx, AlertUnacknowledged(actor=who.ref, **_about(alert)))
    await enqueue_routing(tx, [alert.id])
    return alert


async def resolve(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """End an alert by hand. Resolving again changes nothing."""
    who.must("alert.edit")
    alert = await queries.lock(tx, alert_id)
    await _resolve(tx, who, [alert], reason or f"{who.name} resolved it.")
    return alert


async def resolve_many(tx: Tx, who: Actor, alert_ids: Sequence[UUID], *, reason: str) -> int:
    """End several alerts because of something above them; returns how many were still open.

    The caller has checked the permission for what causes it.
    """
    return await _resolve(tx, who, await queries.lock_many(tx, alert_ids), reason)


async def _resolve(tx: Tx, who: Actor, alerts: Sequence[Alert], reason: str) -> int:
    still_open = [alert for alert in alerts if alert.status != AlertStatus.RESOLVED]
    for alert in still_open:
        alert.status, alert.resolved_at, alert.resolved_by = AlertStatus.RESOLVED, tx.now, who.name
        alert.updated_at = tx.now
    if still_open:
        await emit(tx, *(AlertResolved(actor=who.ref, **_about(alert), reason=reason) for alert in still_open))
        ids = [alert.id for alert in still_open]
        await oncall.end_runs(tx, alert_ids=ids, state=RunState.CANCELLED, reason="The alert is resolved.")
    return len(still_open)


async def escalate(tx: Tx, who: Actor, alert_id: UUID) -> Alert:
    """Go on to the next step of the alert's escalation now."""
    who.must("alert.edit")
    alert = await queries.lock(tx, alert_id)
    runs = await oncall_queries.lock_running(tx, alert_ids=[alert.id])
    if not runs:
        raise Conflict("Nobody is being paged for this alert now.", code="alert.not_escalating")
    await oncall.escalate_run(tx, who, runs[0].id)
    return alert


async def link(tx: Tx, alert_ids: Sequence[UUID], incident_id: UUID | None) -> None:
    """Let alerts belong to an incident, or to none. The caller has locked them and checked the permission."""
    if alert_ids:
        await tx.session.execute(
            update(Alert).where(Alert.id.in_(alert_ids)).values(incident_id=incident_id, updated_at=tx.now)
        )
        await oncall.link_runs(tx, alert_ids, incident_id)


async def open_by_hand(
    tx: Tx,
    who: Actor,
    *,
    source_id: UUID,
    title: str,
    description: str = "",
    severity: int = 3,
    urgency: Urgency = Urgency.HIGH,
    labels: Mapping[str, str] | None = None,
) -> Alert:
    """Open an alert without a signal; it is routed as any other."""
    who.must("alert.edit")
    source = await queries.source(tx, source_id)
    if not title.strip():
        raise Invalid("title", "Give the alert a title.")
    if not 1 <= severity <= 5:
        raise Invalid("severity", "Severity is between 1 (critical) and 5 (info).")
    id = new_id()
    alert = Alert(
        id=id,
        source_id=source.id,
        dedup_key=f"manual-{id}",
        status=AlertStatus.TRIGGERED,
        title=truncate(storable(title.strip()), 1024),
        description=storable(description),
        severity=severity,
        urgency=urgency,
        labels={storable(k)[:200]: storable(v)[:2000] for k, v in (labels or {}).items()},
        links=[],
        count=1,
        native_severity="",
        created_at=tx.now,
        last_seen_at=tx.now,
        updated_at=tx.now,
    )
    tx.session.add(alert)
    await tx.session.flush()
    await emit(
        tx,
        AlertTriggered(
            actor=who.ref,
            alert_id=id,
            title=alert.title,
            severity=severity,
            urgency=urgency,
            source_name=source.name,
        ),
    )
    await enqueue_routing(tx, [id])
    return alert


# One routing job carries at most so many alerts: enough to make it cheap, few enough to keep a lock short.
ROUTED_AT_ONCE = 64


def routing_jobs(alert_ids: Sequence[UUID], *, anew: bool = False) -> list[NewJob]:
    """Return the jobs that route these alerts, or that route them anew because they became urgent."""
    return [
        NewJob(
            kind=ROUTE,
            lane="page",
            payload={"alert_ids": [str(id) for id in alert_ids[at : at + ROUTED_AT_ONCE]], "anew": anew},
            max_attempts=1000,
        )
        for at in range(0, len(alert_ids), ROUTED_AT_ONCE)
    ]


async def enqueue_routing(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Have these alerts routed as soon as the transaction commits."""
    await queue.enqueue(tx, *routing_jobs(alert_ids))


async def route(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Decide where new alerts go and begin their escalations. An alert that was routed before is left alone."""
    alerts = await queries.lock_unrouted(tx, alert_ids)
    if not alerts:
        return
    table = await tx.cached("alerts.routing", queries.routing_table)
    decided: dict[UUID, UUID | None] = {}
    events: list[Any] = []
    starts: list[oncall.Start] = []
    for alert in alerts:
        name, kind = table.sources[alert.source_id]
        decision = routing.route(table.routes, routing.facts(alert, source=name, source_kind=kind))
        decided[alert.id] = decision.route.id if decision.route else None
        policy_id = decision.route.policy_id if decision.route else None
        still_needed = alert.status == AlertStatus.TRIGGERED
        if decision.route is None:
            events.append(AlertNotRouted(actor=SYSTEM, **_about(alert), reason=_in_words(decision)))
            continue
        reason = decision.reason
        if policy_id is None:
            reason += " It pages nobody; the alert is only recorded."
        elif not still_needed:
            reason += f" Nobody was paged, because the alert was {alert.status} before."
        events.append(
            AlertRouted(
                actor=SYSTEM,
                **_about(alert),
                route_id=decision.route.id,
                route_name=decision.route.name,
                policy_id=policy_id,
                policy_name=table.policies.get(policy_id, "") if policy_id else "",
                reason=reason,
            )
        )
        if policy_id is not None and still_needed:
            starts.append(
                oncall.Start(
                    content=page_content(alert, name),
                    reason=reason,
                    alert_id=alert.id,
                    linked_incident_id=alert.incident_id,
                    policy_id=policy_id,
                )
            )
    await queries.mark_routed(tx, decided)
    await emit(tx, *events)
    if starts:
        await oncall.start(tx, starts)


async def route_anew(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Route alerts that became urgent while nobody had taken them: what was decided for the mild ones is no help now.

    An escalation that climbs already goes on; one that only notified gives way.
    """
    alerts = [alert for alert in await queries.lock_many(tx, alert_ids) if alert.status == AlertStatus.TRIGGERED]
    climbing = await oncall.end_calm_runs(tx, [alert.id for alert in alerts])
    again = [alert for alert in alerts if alert.id not in climbing]
    for alert in again:
        alert.routed_at, alert.route_id = None, None
    await tx.flush()
    await route(tx, [alert.id for alert in again])


def _in_words(decision: routing.Decision) -> str:
    if not decision.tried:
        return "There are no routes yet."
    shown = "; ".join(f"“{tried.name}”: {tried.why}" for tried in decision.tried[:10])
    more = f" and {len(decision.tried) - 10} more" if len(decision.tried) > 10 else ""
    return f"{decision.reason} {shown}{more}"


def page_content(alert: Alert | queries.Unrouted, source_name: str) -> PageContent:
    """Say what a page about this alert says."""
    return PageContent(
        title=alert.title,
        body=truncate(alert.description, PAGE_BODY),
        severity=alert.severity,
        urgency=Urgency(alert.urgency),
        source=source_name,
        labels=dict(list(alert.labels.items())[:PAGE_LABELS]),
    )


def _about(alert: Alert | queries.Unrouted) -> dict[str, Any]:
    return {"alert_id": alert.id, "incident_id": alert.incident_id}


async def create_source(tx: Tx, who: Actor, *, name: str, kind: str) -> AlertSource:
    """Let another monitoring tool send signals."""
    who.must("source.manage")
    title = _source_name(name)
    if kind not in [known.value for known in SourceKind]:
        raise Invalid("kind", f"A source speaks one of: {', '.join(SourceKind)}.")
    source = AlertSource(
        id=new_id(),
        name=title,
        kind=kind,
        token=new_intake_token(),
        is_enabled=True,
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
    )
    tx.session.add(source)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="alert_source", id=source.id, title=title))
    tx.ring(SOURCES_TOPIC)
    return source


def _source_name(name: str) -> str:
    title = name.strip()
    if not 1 <= len(title) <= 100:
        raise Invalid("name", "Give the source a name of at most 100 characters.")
    return title


async def update_source(
    tx: Tx,
    who: Actor,
    id: UUID,
    *,
    name: str | None = None,
    is_enabled: bool | None = None,
    if_version: int | None = None,
) -> AlertSource:
    """Rename a source, or switch it off and on. A source that is off refuses its signals with 403."""
    who.must("source.manage")
    source = await queries.lock_source(tx, id)
    if if_version is not None and if_version != source.version:
        raise Stale("Somebody changed this source in the meantime. Look at it again before you save.")
    changes: list[Change] = []
    if name is not None and (title := _source_name(name)) != source.name:
        changes.append(Change(field="name", old=source.name, new=title))
        source.name = title
    if is_enabled is not None and is_enabled != source.is_enabled:
        changes.append(Change(field="is_enabled", old=str(source.is_enabled), new=str(is_enabled)))
        source.is_enabled = is_enabled
    if changes:
        await _source_changed(tx, who, source, changes)
    return source


async def rotate_token(tx: Tx, who: Actor, id: UUID) -> AlertSource:
    """Give a source a new token; the old one stops working at once."""
    who.must("source.manage")
    source = await queries.lock_source(tx, id)
    source.token, source.rotated_at = new_intake_token(), tx.now
    await _source_changed(tx, who, source, [Change(field="token", old=None, new="rotated")])
    return source


async def _source_changed(tx: Tx, who: Actor, source: AlertSource, changes: list[Change]) -> None:
    source.updated_at = tx.now
    source.version += 1
    await emit(
        tx,
        ConfigurationChanged(actor=who.ref, kind="alert_source", id=source.id, title=source.name, changes=changes),
    )
    tx.ring(SOURCES_TOPIC)


async def delete_source(tx: Tx, who: Actor, id: UUID) -> None:
    """Remove a source that never opened an alert; one that did can only be switched off."""
    who.must("source.manage")
    source = await queries.lock_source(tx, id)
    if await queries.source_has_alerts(tx, id):
        raise Conflict("This source has opened alerts, so the record needs it. Switch it off instead.")
    await tx.session.execute(delete(Signal).where(Signal.source_id == id))
    await tx.session.delete(source)
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind="alert_source", id=id, title=source.name))
    tx.ring(SOURCES_TOPIC)


@dataclass(frozen=True, slots=True)
class RouteDraft:
    """A route as people write it. An empty condition is allowed only on the catch-all."""

    name: str
    condition: str = ""
    escalation_policy_id: UUID | None = None
    is_catch_all: bool = False
    is_enabled: bool = True


async def create_route(tx: Tx, who: Actor, draft: RouteDraft) -> AlertRoute:
    """Add a route behind the others (but before the catch-all)."""
    who.must("oncall.manage")
    existing = await queries.lock_routes(tx)
    await _check_route(tx, draft, existing)
    last = max((r.position for r in existing), default=0)
    row = AlertRoute(
        id=new_id(),
        name=draft.name.strip(),
        position=last + 1,
        condition=draft.condition.strip(),
        is_catch_all=draft.is_catch_all,
        is_enabled=draft.is_enabled,
        escalation_policy_id=draft.escalation_policy_id,
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
    )
    tx.session.add(row)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="alert_route", id=row.id, title=row.name))
    return row


async def update_route(tx: Tx, who: Actor, id: UUID, draft: RouteDraft, *, if_version: int | None = None) -> AlertRoute:
    """Change a route; alerts that were routed before keep their decision."""
    who.must("oncall.manage")
    existing = await queries.lock_routes(tx)
    row = await queries.route(tx, id)
    if if_version is not None and if_version != row.version:
        raise Stale("Somebody changed this route in the meantime. Look at it again before you save.")
    await _check_route(tx, draft, [r for r in existing if r.id != id])
    new = {
        "name": draft.name.strip(),
        "condition": draft.condition.strip(),
        "is_catch_all": draft.is_catch_all,
        "is_enabled": draft.is_enabled,
        "escalation_policy_id": draft.escalation_policy_id,
    }
    changes = [Change(field=f, old=str(getattr(row, f)), new=str(v)) for f, v in new.items() if getattr(row, f) != v]
    for field, value in new.items():
        setattr(row, field, value)
    if changes:
        row.updated_at = tx.now
        row.version += 1
        await emit(tx, ConfigurationChanged(actor=who.ref, kind="alert_route", id=id, title=row.name, changes=changes))
    return row


async def move_route(tx: Tx, who: Actor, id: UUID, *, up: bool) -> None:
    """Try a route one place earlier or later. At the end of the list nothing happens."""
    who.must("oncall.manage")
    ordered = [r for r in await queries.lock_routes(tx) if not r.is_catch_all]
    row = await queries.route(tx, id)
    if row not in ordered:
        return
    at = ordered.index(row)
    to = at - 1 if up else at + 1
    if not 0 <= to < len(ordered):
        return
    ordered[at], ordered[to] = ordered[to], ordered[at]
    for position, each in enumerate(ordered, start=1):
        each.position = position
    await emit(
        tx,
        ConfigurationChanged(
            actor=who.ref,
            kind="alert_route",
            id=id,
            title=row.name,
            changes=[Change(field="position", old=str(at + 1), new=str(to + 1))],
        ),
    )


async def delete_route(tx: Tx, who: Actor, id: UUID) -> None:
    """Remove a route; alerts that took it keep its name in their record."""
    who.must("oncall.manage")
    await queries.lock_routes(tx)
    row = await queries.route(tx, id)
    await tx.session.delete(row)
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind="alert_route", id=id, title=row.name))


async def _check_route(tx: Tx, draft: RouteDraft, others: Sequence[AlertRoute]) -> None:
    if not 1 <= len(draft.name.strip()) <= 100:
        raise Invalid("name", "Give the route a name of at most 100 characters.")
    if draft.is_catch_all:
        if any(other.is_catch_all for other in others):
            raise Conflict("There is a catch-all already. Change that one.")
        if draft.condition.strip():
            raise Invalid("condition", "A catch-all takes everything, so it has no condition.")
    elif not draft.condition.strip():
        raise Invalid("condition", "Write a condition, or make this route the catch-all.")
    else:
        routing.read_condition(draft.condition)
    if draft.escalation_policy_id is not None:
        await oncall_queries.policy(tx, draft.escalation_policy_id)


async def sweep_signals(tx: Tx, *, older_than_days: int, limit: int = 20_000) -> int:
    """Delete raw signals that are older than the retention; alerts and the record stay."""
    old = (
        select(Signal.id)
        .where(Signal.received_at < tx.now - timedelta(days=older_than_days))
        .order_by(Signal.received_at)
        .limit(limit)
    )
    ids = list((await tx.session.scalars(old)).all())
    if ids:
        await tx.session.execute(delete(AlertSignal).where(AlertSignal.signal_id.in_(ids)))
        await tx.session.execute(delete(Signal).where(Signal.id.in_(ids)))
    return len(ids)
