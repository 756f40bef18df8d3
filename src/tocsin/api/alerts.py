"""Alerts: listing and reading them, taking them on, ending them, and why somebody was paged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from tocsin.alerts import queries, service
from tocsin.alerts.explain import Entry
from tocsin.alerts.model import ALERT_ID, SOURCE_ID, Alert, AlertStatus, RawSignal
from tocsin.api.base.body import Body, naming, writes, written
from tocsin.api.base.http import (
    MORE_PARAMETERS,
    Cursor,
    Id,
    Limit,
    Listing,
    Time,
    answer,
    listing,
    moment,
    reference,
    searchable,
    when,
)
from tocsin.api.base.resource import Order, Resource
from tocsin.api.shapes.alerts import AlertOut, pagings, shape_all, shape_ended, write_alert
from tocsin.api.shapes.deliveries import LAST_DELIVERY_FIRST, DeliveryOut, write_deliveries
from tocsin.api.shapes.failures import Failure, failures
from tocsin.api.shapes.incidents import IncidentOut
from tocsin.api.shapes.incidents import shape as shape_incident
from tocsin.api.shapes.people import Person
from tocsin.api.shapes.refs import ALERT, alerts_in
from tocsin.api.shapes.signals import SignalOut, write_signals
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import read_moment
from tocsin.events.reasons import said
from tocsin.identity.access import Access, P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import queries as incidents
from tocsin.incidents import service as incident_service
from tocsin.incidents.fields import Severity, Written
from tocsin.kit.clock import stamp
from tocsin.kit.ids import IdKind
from tocsin.kit.search import AT_LEAST, IN_ANY_ORDER, NARROWED
from tocsin.kit.text import storable
from tocsin.notifications import queries as notifications
from tocsin.notifications.model import Delivery, Urgency
from tocsin.oncall import queries as oncall
from tocsin.oncall import service as escalations
from tocsin.oncall.model import PagingTrouble
from tocsin.oncall.service import Going

_LABEL = re.compile(r"label\[(.+)\]", re.DOTALL)
MOST_AT_ONCE = 100
_SEARCH = (
    f"{IN_ANY_ORDER} Searches the title; `ALR-31` finds that alert, `INC-7` those of the incident, `team=payments` "
    f"those with the label; of open alerts also what stands in their labels. {AT_LEAST}"
)
_ON_IT = "Open, and acknowledged by this person (`usr_…`), or they are being paged about it."
_PAGING = "In nobody's hands: `unreached`, no message has reached anybody; `unanswered`, it ended without an answer."


class OpenAlert(Body, kw_only=True):
    """An alert that somebody opens by hand, in the name of a source."""

    example: ClassVar[Mapping[str, Any]] = {
        "source_id": "src_06b6fyrfa9xsgs9xe3vxkm3j3m",
        "title": "Customers cannot pay",
        "severity": 2,
        "labels": {"team": "payments"},
    }
    refs: ClassVar[Mapping[str, IdKind]] = {"source_id": SOURCE_ID}
    source_id: str
    title: Annotated[str, msgspec.Meta(max_length=1024)]
    description: Annotated[str, msgspec.Meta(max_length=20_000)] = ""
    severity: Severity = 3
    urgency: Urgency = Urgency.HIGH
    labels: Annotated[dict[str, str], msgspec.Meta(max_length=64)] = msgspec.field(default_factory=dict[str, str])


class EndAlert(Body, kw_only=True):
    """Why, for the record; may be left out."""

    example: ClassVar[Mapping[str, Any]] = {"reason": "The disk was cleaned up."}
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


@writes(Written, null_is_unset=True)
class DeclareFromAlert(Body, kw_only=True):
    """What is left out is filled in from the alert."""

    example: ClassVar[Mapping[str, Any]] = {"severity": 1}
    page_others: bool = False


class ChangeAlerts(Body, kw_only=True):
    """One action for several alerts."""

    example: ClassVar[Mapping[str, Any]] = {"action": "acknowledge", "ids": ["alt_06b6fyrfa9xsgs9xe3vxkm3j3m"]}
    action: service.Act
    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_AT_ONCE)]


class Changed(msgspec.Struct):
    """What became of each alert, in the order of the request; `unchanged` were so before."""

    data: list[AlertOut]
    unchanged: list[str]
    failed: list[Failure]


class AlertSignalOut(msgspec.Struct):
    """A signal and what it did to this alert: opened, repeated, acknowledged or resolved it."""

    effect: str
    signal: SignalOut


class StepOut(msgspec.Struct):
    """One thing that happened; the failed attempts of one message are one step: so many `times`, until `last_at`."""

    at: Time
    name: str
    text: str
    detail: str
    icon: str
    tone: str
    actor: str
    times: int
    last_at: Time | None


class GoesOnOut(msgspec.Struct):
    """An escalation that goes on: who is asked now, since when and why, until when it waits, and who is asked then.

    `asked` is empty while nobody can be reached and it looks again, `then` when nobody else is asked.
    """

    reason: str
    since: Time | None
    asked: list[Person]
    next_at: Time | None
    then: list[Person]


class ExplanationOut(msgspec.Struct):
    """Who was paged and who answered, or why nobody was, in one sentence and step by step, the oldest first.

    Bounded: so many events between the beginning and the end are `left_out`, where a step named `left_out` stands.
    `goes_on` says who is being paged now, and who is next.
    """

    alert_id: str
    summary: str
    steps: list[StepOut]
    left_out: int
    goes_on: list[GoesOnOut]


@get("/", opt={MORE_PARAMETERS: _LABEL}, needs=P.ALERT_VIEW)
async def list_alerts(
    request: AppRequest,
    context: Ctx,
    who: Who,
    status: FromQuery[list[AlertStatus] | None] = None,
    severity: FromQuery[list[Annotated[int, msgspec.Meta(ge=1, le=5)]] | None] = None,
    urgency: FromQuery[list[Urgency] | None] = None,
    source_id: FromQuery[list[str] | None] = None,
    incident: Annotated[str | None, QueryParameter(description="Alerts of this incident (`INC-7` or `inc_…`).")] = None,
    needs_action: Annotated[
        bool, QueryParameter(description="Open and answered by nobody, whatever it is linked to.")
    ] = False,
    paging: Annotated[list[PagingTrouble] | None, QueryParameter(description=_PAGING)] = None,
    on_it: Annotated[str | None, QueryParameter(description=_ON_IT)] = None,
    created_from: Annotated[datetime | None, QueryParameter(name="created_at[gte]")] = None,
    created_to: Annotated[datetime | None, QueryParameter(name="created_at[lt]")] = None,
    q: Annotated[str | None, QueryParameter(description=_SEARCH, max_length=200)] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[AlertOut]]:
    """List alerts, the newest first. `label[team]=payments` keeps those with this label."""
    before = read_moment(cursor)
    async with context.db.look() as tx:
        wanted = queries.Filter(
            statuses=status or (),
            severities=severity or (),
            urgencies=urgency or (),
            source_ids=SOURCE_ID.read_all(source_id or ()),
            incident_id=(await incidents.get(tx, who.access, reference(incident))).id if incident is not None else None,
            needs_action=needs_action,
            troubles=paging or (),
            labels=_labels(request),
            q=searchable(q),
            incidents=await incidents.named_in(tx, who.access, searchable(q)),
            on_it=USER_ID.read_or_none(on_it),
            created_from=moment("created_at[gte]", created_from),
            created_to=moment("created_at[lt]", created_to),
        )
        rows = await queries.listed(tx, who.access, wanted, before=before, limit=limit + 1)
        notice = NARROWED if await queries.is_searched_in_part(tx, who.access, wanted) else ""
        paged = await pagings(tx, [alert for alert, _, _ in rows])
        numbers = await incidents.by_id(
            tx, who.access, [row[0].incident_id for row in rows if row[0].incident_id is not None]
        )

    def write(row: tuple[Alert, str, str]) -> AlertOut:
        owner = numbers.get(row[0].incident_id) if row[0].incident_id is not None else None
        return write_alert(*row, owner.reference if owner else None, context.settings.base_url, paged)

    return listing(request, rows, limit, write, lambda row: (row[0].created_at, row[0].id), notice=notice)


def _labels(request: AppRequest) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if (label := _LABEL.fullmatch(name)) is not None:
            found.setdefault(storable(label[1])[:200], []).append(storable(str(value))[:2000])
    return found


async def _open(tx: Tx, who: Actor, **fields: Any) -> Alert:
    with naming("source_id"):
        return await service.open_by_hand(tx, who, **fields)


@post("/{id:str}/actions/resolve", status_code=200, needs=P.ALERT_EDIT)
async def resolve_alert(context: Ctx, who: Who, id: Id, data: JSONBody[EndAlert]) -> AlertOut:
    """End the alert. This is final: the same key afterwards opens a new alert.

    `warnings` says so when its source has not said that it is over, and may open it anew.
    """
    async with context.begin() as tx:
        alert = await service.resolve(tx, who, await queries.id_of(tx, who.access, id), reason=data.reason)
        return (await shape_ended(tx, context, who, [alert]))[0]


@post("/{id:str}/actions/declare_incident", needs=P.INCIDENT_DECLARE)
async def declare_incident_from_alert(
    context: Ctx, who: Who, id: Id, data: JSONBody[DeclareFromAlert]
) -> Response[IncidentOut]:
    """Declare an incident from the alert, which is linked and acknowledged; 409 when it is in one already."""
    async with context.begin() as tx:
        incident = await incident_service.declare(
            tx,
            who,
            alert_id=await queries.id_of(tx, who.access, id),
            page_others=data.page_others,
            **written(data, Written),
        )
        shaped = await shape_incident(tx, context, who, incident)
    return answer(shaped, version=shaped.version, status=201)


@post("/actions/bulk", status_code=200, needs=P.ALERT_EDIT)
async def change_alerts(context: Ctx, who: Who, data: JSONBody[ChangeAlerts]) -> Changed:
    """Do the same to up to 100 alerts. Each is a change of its own: one that cannot be done does not stop the rest."""
    async with context.begin() as tx:
        ids = await alerts_in(tx, who, "ids", data.ids)
        became = await service.do_to_all(tx, who, data.action, ids)
        done = [each.alert for each in became if isinstance(each, service.Done)]
        write = shape_ended if data.action == "resolve" else shape_all
        return Changed(
            data=await write(tx, context, who, done),
            unchanged=[ALERT_ID.write(e.alert.id) for e in became if isinstance(e, service.Done) and not e.is_new],
            failed=failures(data.ids, became),
        )


@get("/{id:str}/explain", needs=P.ALERT_VIEW)
async def explain_alert(context: Ctx, who: Who, id: Id) -> ExplanationOut:
    """Say who was paged and who answered, or why nobody was paged."""
    async with context.begin() as tx:
        alert = await queries.named(tx, who.access, id)
        told = await incident_service.explain_alert(tx, who, alert.id)
        going = await escalations.going(tx, await oncall.runs_of(tx, alert_ids=[alert.id]))
    return ExplanationOut(
        alert_id=ALERT_ID.write(alert.id),
        summary=told.summary,
        steps=[_step(step) for step in told.steps],
        left_out=told.left_out,
        goes_on=[_goes_on(each) for each in going],
    )


def _goes_on(going: Going) -> GoesOnOut:
    return GoesOnOut(
        reason=said(going.why),
        since=when(min((each.since for each in going.asked), default=None)),
        asked=[Person(USER_ID.write(each.user_id), each.name) for each in going.asked],
        next_at=when(going.next_at),
        then=[Person(USER_ID.write(id), name) for id, name in going.then],
    )


def _step(step: Entry) -> StepOut:
    line = step.line
    return StepOut(
        at=stamp(step.at),
        name=step.name,
        text=line.text,
        detail=line.detail,
        icon=line.icon,
        tone=line.tone,
        actor=step.actor,
        times=step.times,
        last_at=stamp(step.last_at) if step.last_at is not None else None,
    )


async def _write_signals(
    tx: Tx, context: Context, who: Actor, rows: Sequence[tuple[RawSignal, str]]
) -> list[AlertSignalOut]:
    signals = await write_signals(tx, context, who, [signal for signal, _ in rows])
    return [AlertSignalOut(effect, signal) for (_, effect), signal in zip(rows, signals, strict=True)]


async def _signals(tx: Tx, access: Access, id: UUID, **place: Any) -> list[tuple[RawSignal, str]]:
    alert = await queries.get(tx, access, id)
    return await queries.signals_of_alert(tx, alert.id, **place)


async def _deliveries(tx: Tx, access: Access, id: UUID, **place: Any) -> list[tuple[Delivery, str]]:
    alert = await queries.get(tx, access, id)
    return await notifications.deliveries(tx, alert_id=alert.id, **place)


ALERTS = Resource("/alerts", ALERT, AlertOut, shape_all, view=P.ALERT_VIEW, manage=P.ALERT_EDIT, tag="alerts")
ROUTER = ALERTS.router(
    list_alerts,
    ALERTS.create(
        OpenAlert,
        _open,
        "Open an alert by hand; it is routed as any other, so people may be paged.",
        name="open_alert",
    ),
    ALERTS.get(queries.get, "Show one alert, by its id (`alt_…`) or its number (`ALR-31`)."),
    ALERTS.action("acknowledge", service.acknowledge, "Take the alert on: its escalation ends.", EndAlert),
    ALERTS.action(
        "unacknowledge", service.unacknowledge, "Give the alert back; it is routed anew, so somebody is paged again."
    ),
    resolve_alert,
    ALERTS.action(
        "escalate",
        service.escalate,
        "Go on to the next step of the alert's escalation now; 409 when nobody is being paged.",
    ),
    declare_incident_from_alert,
    change_alerts,
    ALERTS.list_of(
        "signals",
        _signals,
        AlertSignalOut,
        _write_signals,
        "List the signals that touched the alert, as they came, the newest first.",
        name="list_alert_signals",
        order=Order(lambda row: (row[0].received_at, row[0].id), read_moment, to="before"),
        needs=P.SOURCE_VIEW,
    ),
    ALERTS.list_of(
        "notifications",
        _deliveries,
        DeliveryOut,
        write_deliveries,
        "List the messages that were sent about the alert, with their states, the newest first.",
        name="list_alert_notifications",
        order=LAST_DELIVERY_FIRST,
    ),
    explain_alert,
)
