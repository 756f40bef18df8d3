"""Deciding where alerts go, now or as a job, and beginning to page for them. The rules are in `alerts.routing`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from tocsin.alerts import queries, routing
from tocsin.alerts.lifecycle import Act, may
from tocsin.alerts.service.holding import hold_back, lets_go
from tocsin.alerts.service.lateness import close_if_over
from tocsin.alerts.service.wording import page_words
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertNotRouted, AlertRouted
from tocsin.events.base import SYSTEM, Event
from tocsin.events.facts import NoRouteTook, RouteTook
from tocsin.events.log import emit
from tocsin.identity.access import EVERYTHING
from tocsin.jobs import queue
from tocsin.jobs.kinds import JobKind, Payload, soon
from tocsin.jobs.queue import NewJob
from tocsin.kit.clock import monotonic
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageContent

log = structlog.stdlib.get_logger(__name__)


class ToRoute(Payload, frozen=True):
    """Alerts that are to be routed; `anew`: because they have got worse."""

    alert_ids: Sequence[UUID]
    anew: bool


class ToPageAnew(Payload, frozen=True):
    """Alerts that are to be paged for again, because their escalation has reached nobody."""

    alert_ids: Sequence[UUID]


ROUTE = JobKind("alerts.route", ToRoute, lane="page", retry_after=soon, max_attempts=1000)
PAGE_ANEW = JobKind("alerts.page_anew", ToPageAnew, lane="page", retry_after=soon)
# One routing job carries at most so many alerts: enough to make it cheap, few enough to keep a lock short.
_ROUTED_AT_ONCE = 64
# Of so many routes it is told why they did not take an alert.
_TOLD = 10
# Seconds that intake may spend on the conditions of routes within one batch; what they do not suffice for gets a job.
AT_ONCE_WITHIN = 0.02


def routing_jobs(alert_ids: Sequence[UUID], *, anew: bool = False, due: datetime | None = None) -> list[NewJob]:
    """Return the jobs that route these alerts, at once or later, or that route them anew because they got worse."""
    return [ROUTE.job(ToRoute(some, anew), due=due) for some in _portions(alert_ids)]


def paging_anew_jobs(alert_ids: Sequence[UUID]) -> list[NewJob]:
    """Return the jobs that page anew for these alerts, whose escalation has reached nobody so far."""
    return [PAGE_ANEW.job(ToPageAnew(some)) for some in _portions(alert_ids)]


def _portions(alert_ids: Sequence[UUID]) -> list[Sequence[UUID]]:
    return [alert_ids[at : at + _ROUTED_AT_ONCE] for at in range(0, len(alert_ids), _ROUTED_AT_ONCE)]


async def page_anew(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Begin again what has reached nobody, because the signal came again; nobody has taken the alerts by now."""
    alerts = await queries.lock_many(tx, EVERYTHING, alert_ids)
    await oncall.start_anew(tx, [alert.id for alert in alerts if may(alert.status, Act.PAGE)])


async def enqueue_routing(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Have these alerts routed as soon as the transaction commits."""
    await queue.enqueue(tx, *routing_jobs(alert_ids))


async def route(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Decide where new alerts go and begin their escalations. An alert that was routed before is left alone.

    What its source holds back is looked at again later.
    """
    alerts = await queries.lock_unrouted(tx, alert_ids)
    # Whoever sends it said before that it was over; nobody is paged for that.
    over = await close_if_over(tx, [alert.id for alert in alerts])
    alerts = [alert for alert in alerts if alert.id not in over]
    if not alerts:
        return
    table = await tx.cached("routing", queries.routing_table)
    held, begun = await hold_back(tx, alerts, table)
    for due, ids in lets_go(begun).items():
        await queue.enqueue(tx, *routing_jobs(ids, due=due))
    alerts = [alert for alert in alerts if alert.id not in held]
    if not alerts:
        return
    decided: dict[UUID, UUID | None] = {}
    events: list[Event] = []
    starts: list[oncall.Start] = []
    for alert in alerts:
        routed = _decide(alert, table)
        decided[alert.id] = routed.route_id
        events.append(routed.event)
        if routed.policy_id is not None and may(alert.status, Act.PAGE):
            source_name, _ = table.sources[alert.source_id]
            starts.append(
                oncall.Start(
                    content=_page_content(alert, source_name),
                    why=routed.why,
                    alert_id=alert.id,
                    linked_incident_id=alert.incident_id,
                    policy_id=routed.policy_id,
                )
            )
    await queries.mark_routed(tx, decided)
    await emit(tx, *events)
    if starts:
        await oncall.start(tx, starts)


@dataclass(frozen=True, slots=True)
class Routed:
    """Where an alert goes: the route that took it, if any, whom that pages, if anybody, and what the record says."""

    route_id: UUID | None
    policy_id: UUID | None
    event: AlertRouted | AlertNotRouted
    why: RouteTook | NoRouteTook


async def route_at_once(tx: Tx, alerts: Sequence[queries.Unrouted]) -> dict[UUID, Routed]:
    """Decide for those of these new alerts that page nobody; every other one needs a job that routes it.

    Intake waits for nothing here: without the routing table at hand, and where conditions take long, it is left to the
    jobs. So is what its source may hold back.
    """
    table = await tx.at_hand("routing", queries.routing_table) if alerts else None
    if table is None:
        return {}
    until = monotonic() + AT_ONCE_WITHIN
    found: dict[UUID, Routed] = {}
    for alert in alerts:
        if monotonic() > until:
            break
        if alert.source_id in table.hold_downs or alert.source_id not in table.sources:
            continue
        try:
            routed = _decide(alert, table)
        except Exception:
            # Whatever is wrong with a route, the signal is kept; the job that routes it says so and tries again.
            log.exception("alerts.not_routed_at_once")
            break
        if routed.policy_id is None:
            found[alert.id] = routed
    return found


def _decide(alert: queries.Unrouted, table: queries.RoutingTable) -> Routed:
    source_name, source_kind = table.sources[alert.source_id]
    decision = routing.route(table.routes, routing.facts(alert, source=source_name, source_kind=source_kind))
    taken = decision.route
    if taken is None:
        why = _why_not(decision)
        event = AlertNotRouted(actor=SYSTEM, alert_id=alert.id, incident_id=alert.incident_id, why=why)
        return Routed(None, None, event, why)
    took = RouteTook(taken.name, decision.match, decision.passed_over)
    return Routed(taken.id, taken.policy_id, _routed(alert, taken, took, table), took)


def _routed(alert: queries.Unrouted, taken: routing.Route, took: RouteTook, table: queries.RoutingTable) -> AlertRouted:
    return AlertRouted(
        actor=SYSTEM,
        alert_id=alert.id,
        incident_id=alert.incident_id,
        route_id=taken.id,
        route_name=taken.name,
        policy_id=taken.policy_id,
        policy_name=table.policies.get(taken.policy_id, "") if taken.policy_id else "",
        match=took.match,
        passed_over=took.passed_over,
        alert_status=alert.status,
    )


async def route_anew(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Route alerts that got worse while nobody had taken them: what was decided for the mild ones is no help now.

    An escalation that climbs already goes on. One that only notified gives way to an urgent alert; who was told of a
    mild one is not told twice.
    """
    alerts = [alert for alert in await queries.lock_many(tx, EVERYTHING, alert_ids) if may(alert.status, Act.PAGE)]
    mild = [alert.id for alert in alerts if alert.urgency == Urgency.LOW]
    cared_for = {run.alert_id for run in await oncall_queries.lock_running(tx, alert_ids=mild)}
    cared_for |= await oncall.end_calm_runs(tx, [alert.id for alert in alerts if alert.urgency == Urgency.HIGH])
    again = [alert for alert in alerts if alert.id not in cared_for]
    for alert in again:
        alert.routed_at, alert.route_id = None, None
    await tx.flush()
    await route(tx, [alert.id for alert in again])


def _why_not(decision: routing.Decision) -> NoRouteTook:
    return NoRouteTook(decision.tried[:_TOLD], max(0, len(decision.tried) - _TOLD), decision.passed_over)


def _page_content(alert: queries.Unrouted, source_name: str) -> PageContent:
    words = page_words(alert)
    return PageContent(
        title=words.title,
        body=words.body,
        severity=words.severity,
        urgency=Urgency(alert.urgency),
        source=source_name,
        labels=words.labels,
    )
