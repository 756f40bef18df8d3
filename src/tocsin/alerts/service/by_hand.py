"""What people do with alerts: take them on, give them back, end them, link them, open one without a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tocsin.alerts import lifecycle, queries
from tocsin.alerts.lifecycle import RUNS_END, Act
from tocsin.alerts.model import BY_HAND, Alert, AlertStatus
from tocsin.alerts.service.routing import enqueue_routing
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertAcknowledged, AlertResolved, AlertTriggered, AlertUnacknowledged
from tocsin.events.facts import AlertGivenBack, AlertOver, AlertTaken, Why
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import Actor
from tocsin.kit.errors import Invalid, Problem
from tocsin.kit.ids import new_id
from tocsin.kit.text import is_blank, storable, truncate
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall


async def acknowledge(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """Take an alert on: its escalation ends. Acknowledging again changes nothing."""
    await must_edit(tx, who, [await queries.lock(tx, who.access.reach, alert_id)])
    return await take_on(tx, who, alert_id, reason=reason)


async def must_edit(tx: Tx, who: Actor, alerts: Sequence[Alert]) -> None:
    """Raise `Denied` unless the actor may act on these alerts: by their role, or for the sources that they are of."""
    if not who.may(P.ALERT_EDIT):
        for source in await queries.sources_of(tx, {alert.source_id for alert in alerts}):
            who.must(P.ALERT_EDIT, on=source)


async def take_on(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "", why: Why | None = None) -> Alert:
    """Acknowledge an alert for somebody whose right to do so the caller has checked, such as whoever was paged."""
    alert = await queries.lock(tx, EVERYTHING, alert_id)
    await identity.must_stay_active(tx, who.user_id)
    if not lifecycle.move(alert, Act.ACKNOWLEDGE, at=tx.now, name=who.name, person_id=who.user_id):
        return alert
    about: dict[str, Any] = {"actor": who.ref, "alert_id": alert.id, "incident_id": alert.incident_id}
    await emit(tx, AlertAcknowledged(**about, reason=reason, why=why))
    taken = AlertTaken(who.name)
    await oncall.end_runs(tx, alert_ids=[alert.id], state=RUNS_END[Act.ACKNOWLEDGE], why=taken, who=who)
    return alert


async def take_all_on(tx: Tx, who: Actor, alerts: Sequence[Alert]) -> None:
    """Acknowledge several alerts that are not over as one change. The caller has locked them and checked the right."""
    await identity.must_stay_active(tx, who.user_id)
    name, person_id = who.name, who.user_id
    taken = [
        alert for alert in alerts if lifecycle.move(alert, Act.ACKNOWLEDGE, at=tx.now, name=name, person_id=person_id)
    ]
    if not taken:
        return
    acts = [AlertAcknowledged(actor=who.ref, alert_id=each.id, incident_id=each.incident_id) for each in taken]
    await emit(tx, *acts)
    ids, why = [alert.id for alert in taken], AlertTaken(who.name)
    await oncall.end_runs(tx, alert_ids=ids, state=RUNS_END[Act.ACKNOWLEDGE], why=why, who=who)


async def refusals(tx: Tx, who: Actor, alerts: Sequence[Alert]) -> dict[UUID, Problem]:
    """Return those of these alerts that the actor may not act on, as `must_edit`, with what is to be said of it."""
    if who.may(P.ALERT_EDIT):
        return {}
    refused: dict[UUID, Problem] = {}
    for source in await queries.sources_of(tx, {alert.source_id for alert in alerts}):
        try:
            who.must(P.ALERT_EDIT, on=source)
        except Problem as problem:
            refused |= {alert.id: problem for alert in alerts if alert.source_id == source.id}
    return refused


async def unacknowledge(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """Give an alert back; it is routed anew, so somebody is paged again."""
    alert = await queries.lock(tx, who.access.reach, alert_id)
    await must_edit(tx, who, [alert])
    lifecycle.must(alert, Act.GIVE_BACK)
    await give_back(tx, who, alert, reason)
    return alert


async def give_back(tx: Tx, who: Actor, alert: Alert, reason: str = "", *, why: Why | None = None) -> None:
    """Let an acknowledged alert be triggered again and have it routed anew.

    The caller has locked it and checked the permission. A reminder to its owner ends, as an alert has one run at most.
    """
    if not lifecycle.move(alert, Act.GIVE_BACK, at=tx.now):
        return
    about: dict[str, Any] = {"actor": who.ref, "alert_id": alert.id, "incident_id": alert.incident_id}
    await emit(tx, AlertUnacknowledged(**about, reason=reason, why=why))
    back = AlertGivenBack()
    await oncall.end_runs(tx, alert_ids=[alert.id], state=RUNS_END[Act.GIVE_BACK], why=back, who=who)
    await enqueue_routing(tx, [alert.id])


async def resolve(tx: Tx, who: Actor, alert_id: UUID, *, reason: str = "") -> Alert:
    """End an alert by hand. Resolving again changes nothing."""
    alert = await queries.lock(tx, who.access.reach, alert_id)
    await must_edit(tx, who, [alert])
    await end(tx, who, [alert], reason)
    return alert


async def resolve_many(tx: Tx, who: Actor, alert_ids: Sequence[UUID], *, why: Why) -> int:
    """End several alerts because of something above them; returns how many were still open.

    The caller has checked the permission for what causes it.
    """
    return await end(tx, who, await queries.lock_many(tx, EVERYTHING, alert_ids), why=why)


async def end(tx: Tx, who: Actor, alerts: Sequence[Alert], reason: str = "", *, why: Why | None = None) -> int:
    """Resolve those of these alerts that are open; returns how many. The caller has locked them."""
    ended = [alert for alert in alerts if lifecycle.move(alert, Act.RESOLVE, at=tx.now, name=who.name)]
    if ended:
        await emit(
            tx,
            *(
                AlertResolved(actor=who.ref, alert_id=alert.id, incident_id=alert.incident_id, reason=reason, why=why)
                for alert in ended
            ),
        )
        ids = [alert.id for alert in ended]
        await oncall.end_runs(tx, alert_ids=ids, state=RUNS_END[Act.RESOLVE], why=AlertOver(), who=who)
    return len(ended)


async def escalate(tx: Tx, who: Actor, alert_id: UUID, *, seen: tuple[int, int] | None = None) -> Alert:
    """Go on to the next step of the alert's escalation now; `seen` as in `oncall.escalate_run`."""
    alert = await queries.lock(tx, who.access.reach, alert_id)
    await must_edit(tx, who, [alert])
    runs = await oncall_queries.lock_running(tx, alert_ids=[alert.id])
    lifecycle.must(alert, Act.ESCALATE)
    if not runs:
        raise lifecycle.cannot(Act.ESCALATE)
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
