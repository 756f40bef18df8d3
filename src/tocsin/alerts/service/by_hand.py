"""What people do with alerts: take them on, give them back, end them, link them, open one without a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from tocsin.alerts import queries
from tocsin.alerts.model import BY_HAND, Alert, AlertStatus
from tocsin.alerts.service.routing import enqueue_routing
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertAcknowledged, AlertResolved, AlertTriggered, AlertUnacknowledged
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import Actor
from tocsin.kit.errors import Conflict, Invalid
from tocsin.kit.ids import new_id
from tocsin.kit.text import is_blank, storable, truncate
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.model import RunState


async def acknowledge(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """Take an alert on: its escalation ends. Acknowledging again changes nothing."""
    await must_edit(tx, who, [await queries.lock(tx, who.access.reach, alert_id)])
    return await take_on(tx, who, alert_id, reason=reason)


async def must_edit(tx: Tx, who: Actor, alerts: Sequence[Alert]) -> None:
    """Raise `Denied` unless the actor may act on these alerts: by their role, or for the sources that they are of."""
    if not who.may(P.ALERT_EDIT):
        for source in await queries.sources_of(tx, {alert.source_id for alert in alerts}):
            who.must(P.ALERT_EDIT, on=source)


async def take_on(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """Acknowledge an alert for somebody whose right to do so the caller has checked, such as whoever was paged."""
    alert = await queries.lock(tx, EVERYTHING, alert_id)
    await identity.must_stay_active(tx, who.user_id)
    if alert.status == AlertStatus.RESOLVED:
        raise Conflict("This alert is resolved, so there is nothing left to acknowledge.", code="alert.resolved")
    if alert.status == AlertStatus.ACKNOWLEDGED:
        return alert
    alert.status, alert.acknowledged_at, alert.acknowledged_by = AlertStatus.ACKNOWLEDGED, tx.now, who.name
    alert.acknowledged_by_id, alert.reminded_at = who.user_id, None
    alert.updated_at = tx.now
    await emit(tx, AlertAcknowledged(actor=who.ref, alert_id=alert.id, incident_id=alert.incident_id, reason=reason))
    await oncall.end_runs(
        tx, alert_ids=[alert.id], state=RunState.ANSWERED, reason=f"{who.name} acknowledged the alert.", who=who
    )
    return alert


async def unacknowledge(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """Give an alert back; it is routed anew, so somebody is paged again."""
    alert = await queries.lock(tx, who.access.reach, alert_id)
    await must_edit(tx, who, [alert])
    if alert.status == AlertStatus.RESOLVED:
        raise Conflict("This alert is resolved.", code="alert.resolved")
    if alert.status == AlertStatus.TRIGGERED:
        return alert
    await give_back(tx, who, alert, reason)
    return alert


async def give_back(tx: Tx, who: Actor, alert: Alert, reason: str) -> None:
    """Let an acknowledged alert be triggered again and have it routed anew.

    The caller has locked it and checked the permission. A reminder to its owner ends, as an alert has one run at most.
    """
    alert.status, alert.acknowledged_at, alert.acknowledged_by = AlertStatus.TRIGGERED, None, None
    alert.acknowledged_by_id, alert.reminded_at = None, None
    alert.updated_at, alert.routed_at, alert.route_id = tx.now, None, None
    # Whoever gives it back wants it paged, however soon it came again.
    alert.held_until = tx.now
    await emit(tx, AlertUnacknowledged(actor=who.ref, alert_id=alert.id, incident_id=alert.incident_id, reason=reason))
    await oncall.end_runs(
        tx, alert_ids=[alert.id], state=RunState.CANCELLED, reason="The alert was given back.", who=who
    )
    await enqueue_routing(tx, [alert.id])


async def resolve(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """End an alert by hand. Resolving again changes nothing."""
    alert = await queries.lock(tx, who.access.reach, alert_id)
    await must_edit(tx, who, [alert])
    await end(tx, who, [alert], reason)
    return alert


async def resolve_many(tx: Tx, who: Actor, alert_ids: Sequence[UUID], *, reason: str) -> int:
    """End several alerts because of something above them; returns how many were still open.

    The caller has checked the permission for what causes it.
    """
    return await end(tx, who, await queries.lock_many(tx, EVERYTHING, alert_ids), reason)


async def end(tx: Tx, who: Actor, alerts: Sequence[Alert], reason: str) -> int:
    """Resolve those of these alerts that are open; returns how many. The caller has locked them."""
    still_open = [alert for alert in alerts if alert.status != AlertStatus.RESOLVED]
    for alert in still_open:
        alert.status, alert.resolved_at, alert.resolved_by = AlertStatus.RESOLVED, tx.now, who.name
        alert.updated_at = tx.now
    if still_open:
        await emit(
            tx,
            *(
                AlertResolved(actor=who.ref, alert_id=alert.id, incident_id=alert.incident_id, reason=reason)
                for alert in still_open
            ),
        )
        ids = [alert.id for alert in still_open]
        why = "The alert is resolved."
        await oncall.end_runs(tx, alert_ids=ids, state=RunState.CANCELLED, reason=why, who=who)
    return len(still_open)


async def escalate(tx: Tx, who: Actor, alert_id: UUID, *, seen: tuple[int, int] | None = None) -> Alert:
    """Go on to the next step of the alert's escalation now; `seen` as in `oncall.escalate_run`."""
    alert = await queries.lock(tx, who.access.reach, alert_id)
    await must_edit(tx, who, [alert])
    runs = await oncall_queries.lock_running(tx, alert_ids=[alert.id])
    # What runs for an acknowledged alert is a reminder to its owner, and that goes no further.
    if not runs or alert.status != AlertStatus.TRIGGERED:
        raise Conflict("Nobody is being paged for this alert now.", code="alert.not_escalating")
    await oncall.escalate_run(tx, who, runs[0].id, seen=seen)
    return alert


async def link(tx: Tx, alert_ids: Sequence[UUID], incident_id: UUID | None) -> None:
    """Let alerts belong to an incident, or to none. The caller has locked them and checked the permission."""
    if alert_ids:
        await queries.set_incident(tx, alert_ids, incident_id)
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
    who.must_somewhere(P.ALERT_EDIT)
    # Whoever may open alerts need not see where those of tools come from.
    source = await queries.source(tx, who.access.reach, source_id)
    who.must(P.ALERT_EDIT, on=source)
    if is_blank(title):
        raise Invalid("title", "Give the alert a title.")
    if not 1 <= severity <= 5:
        raise Invalid("severity", "Severity is between 1 (critical) and 5 (info).")
    id = new_id()
    alert = Alert(
        id=id,
        source_id=source.id,
        dedup_key=f"{BY_HAND}{id}",
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
        worded_at=tx.now,
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
