"""The inbox of alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from tocsin.alerts import queries, source_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID, OPEN, Alert, AlertStatus
from tocsin.alerts.queries import Filter
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import write_place
from tocsin.events.vocabulary import called_alert
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import queries as incident_queries
from tocsin.incidents.model import Incident
from tocsin.kit.search import NARROWED
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import PagingTrouble
from tocsin.web.alerts.alert import May, ack_for, acknowledge_named, is_routed, may_of, show
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Refused
from tocsin.web.base.screens import Shell, ShellScreen

_TABS: Mapping[str, Filter] = {
    "open": Filter(statuses=OPEN),
    "action": Filter(needs_action=True),
    "unanswered": Filter(troubles=tuple(PagingTrouble)),
    "resolved": Filter(statuses=(AlertStatus.RESOLVED,)),
    "all": Filter(),
}


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert in the inbox."""

    id: str
    ref: str
    title: str
    severity: int
    urgency: str
    status: str
    source_name: str
    triggered_at: datetime
    count: int
    is_routed: bool
    paging_until: datetime | None
    held_until: datetime | None
    trouble: str | None
    ack_for: float | None
    acked_by: str | None
    incident_ref: str | None
    incident_severity: int | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What the tabs say; `unanswered` are those about which nobody was reached, or that nobody answered."""

    open: int
    action: int
    unanswered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsScreen(ShellScreen):
    """The alerts of one tab. `narrowed` says why not all of the list was searched, if so; `q` are the search words.

    `any_source` is false while no source exists: the page then says how to make one.
    """

    template: ClassVar = "alerts/alerts.html"
    tab: str
    q: str
    narrowed: str
    counts: Counts
    in_vain: pages.InVain
    alerts: list[AlertRow]
    newer: str | None
    older: str | None
    any_source: bool
    may: May


@get("/alerts", needs=P.ALERT_VIEW)
async def alert_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show alerts, the newest first, 50 at a time."""
    return await _show_list(request, context, who)


async def _show_list(request: AppRequest, context: Context, who: Actor, refused: Refused | None = None) -> pages.Page:
    who.must_look(P.ALERT_VIEW)
    query = request.query_params
    tab = query.get("tab", "open")
    tab = tab if tab in _TABS else "open"
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        q, before = query.get("q", "").strip()[:200], query.get("before", "")
        screen = await _list(tx, shell, who, tab, q, before, refused)
    return pages.render(screen)


async def _list(
    tx: Tx, shell: Shell, who: Actor, tab: str, q: str, before: str, refused: Refused | None
) -> AlertsScreen:
    of_tab = _TABS[tab]
    wanted = Filter(statuses=of_tab.statuses, needs_action=of_tab.needs_action, troubles=of_tab.troubles, q=q)
    place = pages.place(before)
    found = await queries.listed(tx, who.access, wanted, before=place, limit=pages.PAGE_SIZE + 1)
    shown = found[: pages.PAGE_SIZE]
    last = shown[-1][0] if len(found) > len(shown) else None
    counts = await queries.counts(tx, who.access)
    in_vain = await pages.in_vain(tx, who)
    return AlertsScreen(
        shell,
        tab=tab,
        q=q,
        narrowed=NARROWED if await queries.is_searched_in_part(tx, who.access, wanted) else "",
        counts=Counts(counts["open"], counts["needs_action"], in_vain.unanswered + in_vain.unreached),
        in_vain=in_vain,
        alerts=await _rows(tx, who, shown),
        newer=pages.address("/alerts", tab=tab, q=q) if place else None,
        older=pages.address("/alerts", tab=tab, q=q, before=write_place((last.created_at, last.id))) if last else None,
        any_source=bool(shown) or await source_queries.any_source(tx),
        may=may_of(who),
        live=("alerts",),
        refresh_url=pages.address("/alerts", tab=tab, q=q, before=before if place else ""),
        refused=refused,
    )


async def _rows(tx: Tx, who: Actor, shown: Sequence[tuple[Alert, str, str]]) -> list[AlertRow]:
    found = [alert for alert, _, _ in shown]
    linked = {alert.incident_id for alert in found if alert.incident_id is not None}
    incidents_by_id = await incident_queries.by_id(tx, who.access, linked)
    triggered = [alert.id for alert in found if alert.status == AlertStatus.TRIGGERED]
    until = await oncall.next_steps(tx, triggered) if triggered else {}
    troubles = await queries.troubles(tx, triggered)
    return [_row(alert, name, until.get(alert.id), troubles.get(alert.id), incidents_by_id) for alert, name, _ in shown]


def _row(
    alert: Alert, source: str, until: datetime | None, trouble: PagingTrouble | None, known: Mapping[UUID, Incident]
) -> AlertRow:
    incident = known.get(alert.incident_id) if alert.incident_id is not None else None
    return AlertRow(
        id=ALERT_ID.write(alert.id),
        ref=called_alert(alert.number),
        title=alert.title,
        severity=alert.severity,
        urgency=alert.urgency,
        status=alert.status,
        source_name=source,
        triggered_at=alert.created_at,
        count=alert.count,
        is_routed=is_routed(alert),
        paging_until=until,
        held_until=alerts.held_until(alert),
        trouble=trouble,
        ack_for=ack_for(alert),
        acked_by=alert.acknowledged_by,
        incident_ref=incident.reference if incident else None,
        incident_severity=incident.severity if incident else None,
    )


@post("/alerts/{id:str}/acknowledge", needs=P.ALERT_EDIT)
async def acknowledge(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Take an alert on. Field `from`: `list` leads back to the inbox."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "acknowledge", partial(acknowledge_named, who, id))
    if form.text("from") == "list":
        back = pages.address("/alerts", tab=form.text("tab"), q=form.text("q"))
        return pages.go(back) if refused is None else await _show_list(request, context, who, refused)
    return pages.go(ALERT_ID.page(id)) if refused is None else await show(request, context, who, id, refused)


HANDLERS = [alert_list, acknowledge]
