"""Alerts: listing and reading them, taking them on, ending them, and why somebody was paged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from tocsin.alerts import queries, service
from tocsin.alerts.explain import Entry
from tocsin.alerts.model import ALERT_ID, SOURCE_ID, Alert, AlertStatus
from tocsin.api.base.body import Body, NoBody, ids_in, naming, writes, written
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
)
from tocsin.api.shapes.alerts import AlertOut, pagings, shape, shape_ended, write_alert
from tocsin.api.shapes.deliveries import DeliveryOut, write_delivery
from tocsin.api.shapes.incidents import IncidentOut
from tocsin.api.shapes.incidents import shape as shape_incident
from tocsin.api.shapes.signals import SignalOut, write_signal
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_moment, read_place
from tocsin.identity.access import P
from tocsin.incidents import queries as incidents
from tocsin.incidents import service as incident_service
from tocsin.incidents.fields import Severity, Written
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Problem
from tocsin.kit.search import AT_LEAST, NARROWED
from tocsin.kit.text import storable
from tocsin.notifications import queries as notifications
from tocsin.notifications.model import Urgency
from tocsin.oncall.model import PagingTrouble

_LABEL = re.compile(r"label\[(.+)\]", re.DOTALL)
MOST_AT_ONCE = 100
_SEARCH = f"Searches the title; `ALR-31` finds that alert as well. {AT_LEAST}"
_PAGING = "In nobody's hands: `unreached`, no message has reached anybody; `unanswered`, it ended without an answer."


class OpenAlert(Body, kw_only=True):
    """An alert that somebody opens by hand, in the name of a source."""

    example: ClassVar[Mapping[str, Any]] = {
        "source_id": "src_06b6fyrfa9xsgs9xe3vxkm3j3m",
        "title": "Customers cannot pay",
        "severity": 2,
        "labels": {"team": "payments"},
    }
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


class Failure(msgspec.Struct):
    """An alert that stayed as it was, and why."""

    id: str
    code: str
    detail: str


class Changed(msgspec.Struct):
    """What became of each alert, in the order of the request."""

    data: list[AlertOut]
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


class ExplanationOut(msgspec.Struct):
    """Who was paged and who answered, or why nobody was, in one sentence and step by step, the oldest first.

    Bounded: so many events between the beginning and the end are `left_out`, where a step named `left_out` stands.
    """

    alert_id: str
    summary: str
    steps: list[StepOut]
    left_out: int


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


@post("/", needs=P.ALERT_EDIT)
async def open_alert(context: Ctx, who: Who, data: JSONBody[OpenAlert]) -> Response[AlertOut]:
    """Open an alert by hand; it is routed as any other, so people may be paged."""
    async with context.begin() as tx:
        with naming("source_id"):
            alert = await service.open_by_hand(
                tx,
                who,
                source_id=SOURCE_ID.read(data.source_id),
                title=data.title,
                description=data.description,
                severity=data.severity,
                urgency=data.urgency,
                labels=data.labels,
            )
        shaped = await shape(tx, context, who, alert)
    return answer(shaped, status=201)


@get("/{id:str}", needs=P.ALERT_VIEW)
async def get_alert(context: Ctx, who: Who, id: Id) -> AlertOut:
    """Show one alert, by its id (`alt_…`) or its number (`ALR-31`)."""
    async with context.begin() as tx:
        return await shape(tx, context, who, await queries.named(tx, who.access, id))


@post("/{id:str}/actions/acknowledge", status_code=200, needs=P.ALERT_EDIT)
async def acknowledge_alert(context: Ctx, who: Who, id: Id, data: JSONBody[EndAlert]) -> AlertOut:
    """Take the alert on: its escalation ends."""
    async with context.begin() as tx:
        alert = await service.acknowledge(tx, who, await queries.id_of(tx, who.access, id), reason=data.reason)
        return await shape(tx, context, who, alert)


@post("/{id:str}/actions/unacknowledge", status_code=200, needs=P.ALERT_EDIT)
async def unacknowledge_alert(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> AlertOut:
    """Give the alert back; it is routed anew, so somebody is paged again."""
    async with context.begin() as tx:
        alert = await service.unacknowledge(tx, who, await queries.id_of(tx, who.access, id))
        return await shape(tx, context, who, alert)


@post("/{id:str}/actions/resolve", status_code=200, needs=P.ALERT_EDIT)
async def resolve_alert(context: Ctx, who: Who, id: Id, data: JSONBody[EndAlert]) -> AlertOut:
    """End the alert. This is final: the same key afterwards opens a new alert.

    `warnings` says so when its source has not said that it is over, and may open it anew.
    """
    async with context.begin() as tx:
        alert = await service.resolve(tx, who, await queries.id_of(tx, who.access, id), reason=data.reason)
        return (await shape_ended(tx, context, who, [alert]))[0]


@post("/{id:str}/actions/escalate", status_code=200, needs=P.ALERT_EDIT)
async def escalate_alert(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> AlertOut:
    """Go on to the next step of the alert's escalation now; 409 when nobody is being paged."""
    async with context.begin() as tx:
        alert = await service.escalate(tx, who, await queries.id_of(tx, who.access, id))
        return await shape(tx, context, who, alert)


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
    # Before the body is read any further, as for every other verb.
    ids = ids_in("ids", ALERT_ID, data.ids)
    async with context.begin() as tx:
        became = await service.do_to_all(tx, who, data.action, ids)
        done = [each for each in became if isinstance(each, Alert)]
        ended = data.action == "resolve"
        return Changed(
            data=await shape_ended(tx, context, who, done)
            if ended
            else [await shape(tx, context, who, each) for each in done],
            failed=[
                Failure(id, each.code, each.message)
                for id, each in zip(data.ids, became, strict=True)
                if isinstance(each, Problem)
            ],
        )


@get("/{id:str}/signals", needs=P.SOURCE_VIEW)
async def list_alert_signals(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[AlertSignalOut]]:
    """List the signals that touched the alert, as they came, the newest first."""
    before = read_moment(cursor)
    async with context.begin() as tx:
        alert = await queries.named(tx, who.access, id)
        rows = await queries.signals_of_alert(tx, alert.id, before=before, limit=limit + 1)
        effects = await queries.effects_of(tx, [signal.id for signal, _ in rows]) if rows else {}
    return listing(
        request,
        rows,
        limit,
        lambda row: AlertSignalOut(row[1], write_signal(row[0], effects.get(row[0].id, []))),
        lambda row: (row[0].received_at, row[0].id),
    )


@get("/{id:str}/notifications", needs=P.ALERT_VIEW)
async def list_alert_notifications(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[DeliveryOut]]:
    """List the messages that were sent about the alert, with their states, the newest first."""
    before = read_place(cursor, UUID)
    async with context.begin() as tx:
        alert = await queries.named(tx, who.access, id)
        rows = await notifications.deliveries(tx, alert_id=alert.id, before=before, limit=limit + 1)
    return listing(request, rows, limit, lambda row: write_delivery(who, *row), lambda row: row[0].id)


@get("/{id:str}/explain", needs=P.ALERT_VIEW)
async def explain_alert(context: Ctx, who: Who, id: Id) -> ExplanationOut:
    """Say who was paged and who answered, or why nobody was paged."""
    async with context.begin() as tx:
        alert = await queries.named(tx, who.access, id)
        told = await incident_service.explain_alert(tx, who, alert.id)
    return ExplanationOut(ALERT_ID.write(alert.id), told.summary, [_step(step) for step in told.steps], told.left_out)


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


ROUTER = Router(
    "/alerts",
    route_handlers=[
        list_alerts,
        open_alert,
        get_alert,
        acknowledge_alert,
        unacknowledge_alert,
        resolve_alert,
        escalate_alert,
        declare_incident_from_alert,
        change_alerts,
        list_alert_signals,
        list_alert_notifications,
        explain_alert,
    ],
    tags=["alerts"],
)
