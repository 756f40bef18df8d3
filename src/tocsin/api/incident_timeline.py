"""The record of an incident: its timeline and the alerts that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.params import FromQuery, JSONBody

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.body import Body
from tocsin.api.base.http import (
    Cursor,
    Id,
    Limit,
    Listing,
    Time,
    listing,
    reference,
)
from tocsin.api.shapes.actors import ActorOut, write_actor
from tocsin.api.shapes.alerts import AlertOut, pagings, write_alert
from tocsin.api.shapes.refs import alerts_in
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import read_moment, read_position
from tocsin.events.base import EVENT_ID
from tocsin.events.words import describe
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import queries, service, timeline_queries
from tocsin.incidents.model import COMMENT_ID
from tocsin.incidents.retelling import Told, retell
from tocsin.incidents.service import linking
from tocsin.incidents.timeline_queries import Recorded, Show
from tocsin.kit.clock import stamp


class EntryOut(msgspec.Struct):
    """One line of the timeline: the event's name, a sentence, and what stands below it.

    For a comment or a key event that is what it says now (Markdown), and nothing once it is erased. `at` is when it was
    written, `occurred_at` when it happened: the same, unless somebody has said that it was earlier. `is_key`: it tells
    the story, by its kind or because somebody has marked it.
    """

    id: str
    at: Time
    occurred_at: Time
    name: str
    kind: Literal["comment", "change", "page", "system"]
    is_key: bool
    text: str
    detail: str
    icon: str
    tone: str
    actor: ActorOut
    alert_id: str | None
    comment_id: str | None


class LinkAlerts(Body, kw_only=True):
    """Which alerts belong to the incident."""

    example: ClassVar[Mapping[str, Any]] = {"alert_ids": ["alt_06b6fyrfa9xsgs9xe3vxkm3j3m"]}
    alert_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=linking.MANY)]


def _entry(entry: Recorded, told: Told) -> EntryOut:
    event = entry.event
    line = describe(event.name, event.actor_name, told.data)
    return EntryOut(
        id=EVENT_ID.write(event.id),
        at=stamp(event.at),
        occurred_at=stamp(entry.at),
        name=event.name,
        kind=line.kind,
        is_key=entry.is_key,
        text=line.text,
        detail=told.comment.body if told.comment is not None else line.detail,
        icon=line.icon,
        tone=line.tone,
        actor=write_actor(event),
        alert_id=ALERT_ID.write_or_none(event.alert_id),
        comment_id=COMMENT_ID.write(told.comment.comment.id) if told.comment is not None else None,
    )


@get("/{id:str}/timeline", needs=P.INCIDENT_VIEW)
async def list_timeline(
    request: AppRequest,
    context: Ctx,
    who: Who,
    id: Id,
    show: FromQuery[Show] = "all",
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[EntryOut]]:
    """Show what happened, what was written last first; `occurred_at` of each says when it happened.

    `key` are the events that tell the story (`is_key`): declared, its severity, status and roles, acknowledged, how it
    ended, and that nobody was reached or answered.
    """
    before = read_position(cursor)
    async with context.begin() as tx:
        incident = await queries.get(tx, who.access, reference(id))
        rows = await timeline_queries.as_written(tx, incident.id, before=before, show=show, limit=limit + 1)
        told = await retell(tx, who.access, [row.event for row in rows])
    pairs = list(zip(rows, told, strict=True))
    return listing(request, pairs, limit, lambda pair: _entry(*pair), lambda pair: pair[0].event.position)


@post("/{id:str}/timeline/{entry_id:str}/actions/mark_key", status_code=200, needs=P.INCIDENT_EDIT)
async def mark_key(context: Ctx, who: Who, id: Id, entry_id: Id) -> EntryOut:
    """Let an entry lead in the timeline as a key event. The entry itself stays as it was written."""
    return await _mark(context, who, id, entry_id, is_key=True)


@post("/{id:str}/timeline/{entry_id:str}/actions/unmark_key", status_code=200, needs=P.INCIDENT_EDIT)
async def unmark_key(context: Ctx, who: Who, id: Id, entry_id: Id) -> EntryOut:
    """Let an entry be no key event, whoever marked it and of whatever kind it is."""
    return await _mark(context, who, id, entry_id, is_key=False)


async def _mark(context: Context, who: Actor, id: str, entry_id: str, *, is_key: bool) -> EntryOut:
    async with context.begin() as tx:
        entry = await service.mark_entry(tx, who, reference(id), EVENT_ID.read(entry_id), is_key=is_key)
        (told,) = await retell(tx, who.access, [entry.event])
    return _entry(entry, told)


@get("/{id:str}/alerts", needs=P.INCIDENT_VIEW)
async def list_incident_alerts(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[AlertOut]]:
    """List the alerts that belong to the incident, the newest first."""
    before = read_moment(cursor)
    async with context.begin() as tx:
        incident = await queries.get(tx, who.access, reference(id))
        wanted = alert_queries.Filter(incident_id=incident.id)
        rows = await alert_queries.listed(tx, who.access, wanted, before=before, limit=limit + 1)
        paged = await pagings(tx, [alert for alert, _, _ in rows])
    base_url, number = context.settings.base_url, incident.reference
    return listing(
        request,
        rows,
        limit,
        lambda row: write_alert(row[0], row[1], row[2], number, base_url, paged),
        lambda row: (row[0].created_at, row[0].id),
    )


@post("/{id:str}/alerts", status_code=200, needs=P.INCIDENT_EDIT)
async def link_alerts(context: Ctx, who: Who, id: Id, data: JSONBody[LinkAlerts]) -> Listing[AlertOut]:
    """Link alerts; one that belongs to another incident is a conflict (409), and then none is linked."""
    async with context.begin() as tx:
        ids = await alerts_in(tx, who, "alert_ids", data.alert_ids)
        linked = await service.link_alerts(tx, who, reference(id), ids)
        sources = await alert_queries.source_names(tx, {alert.source_id for alert in linked.alerts})
        paged = await pagings(tx, linked.alerts)
    base_url, number = context.settings.base_url, linked.incident.reference
    return Listing([write_alert(a, *sources[a.source_id], number, base_url, paged) for a in linked.alerts])


@delete("/{id:str}/alerts/{alert_id:str}", needs=P.INCIDENT_EDIT)
async def unlink_alert(context: Ctx, who: Who, id: Id, alert_id: Id) -> None:
    """Take an alert out of the incident; one that is not in it stays where it is."""
    async with context.begin() as tx:
        await service.unlink_alert(tx, who, reference(id), await alert_queries.id_of(tx, who.access, alert_id))


ROUTER = Router(
    "/incidents",
    route_handlers=[list_timeline, mark_key, unmark_key, list_incident_alerts, link_alerts, unlink_alert],
    tags=["incidents"],
)
