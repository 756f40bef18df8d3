"""Alert sources: which tools may send signals, where to, and what they sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody

from tocsin.alerts import queries, service
from tocsin.alerts.intake import Source
from tocsin.alerts.model import SOURCE_ID, AlertSource, SourceKind
from tocsin.alerts.sources import ADAPTERS, address_path
from tocsin.api.base.body import Body, NoBody
from tocsin.api.base.http import (
    Cursor,
    Id,
    IfMatch,
    Limit,
    Listing,
    Time,
    answer,
    given,
    listing,
    read_if_match,
    when,
)
from tocsin.api.base.idempotency import COMMITS_ELSEWHERE
from tocsin.api.shapes.alerts import AlertWarning
from tocsin.api.shapes.owners import read_owners
from tocsin.api.shapes.signals import SignalOut, write_signal
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import read_moment, read_place
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, Actor
from tocsin.identity.service import MOST_OWNERS
from tocsin.kit.addresses import at
from tocsin.kit.clock import stamp

_JSON = "application/json"
CloseAfter = Annotated[int, msgspec.Meta(ge=1, le=service.MOST_HOURS)]
HoldDown = Annotated[int, msgspec.Meta(ge=1, le=service.MOST_HELD_MINUTES)]


class SourceOut(msgspec.Struct):
    """A tool that may send signals. Token and address are null for those who may not manage sources.

    After `close_after_hours` without a signal, and without anybody doing anything, its open alerts are closed. What
    comes again within `hold_down_minutes` after its end pages nobody before they are over; null holds nothing back.
    `team_ids` own it and its alerts; with `is_private` both are seen by them and by whoever is paged or granted it.
    """

    id: str
    name: str
    kind: SourceKind
    is_enabled: bool
    close_after_hours: int | None
    hold_down_minutes: int | None
    team_ids: list[str]
    is_private: bool
    token: str | None
    url: str | None
    created_at: Time
    updated_at: Time
    rotated_at: Time | None
    version: int


class CreateSource(Body, kw_only=True):
    """A name for people, and the format that the tool speaks."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Prometheus", "kind": "alertmanager"}
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    kind: SourceKind


class EditSource(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"is_enabled": False}
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | msgspec.UnsetType = msgspec.UNSET
    is_enabled: bool | msgspec.UnsetType = msgspec.UNSET
    close_after_hours: CloseAfter | msgspec.UnsetType | None = msgspec.UNSET
    hold_down_minutes: HoldDown | msgspec.UnsetType | None = msgspec.UNSET
    team_ids: Annotated[list[str], msgspec.Meta(max_length=MOST_OWNERS)] | msgspec.UnsetType = msgspec.UNSET
    is_private: bool | msgspec.UnsetType = msgspec.UNSET


class EndAlerts(Body, kw_only=True):
    """Why, for the record; may be left out."""

    example: ClassVar[Mapping[str, Any]] = {"reason": "The tool was taken down."}
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class OpenOut(msgspec.Struct):
    """How many alerts are open (counted up to 1,000)."""

    open_alerts: int


class EndedOut(msgspec.Struct):
    """How many alerts were resolved, and how many are still open (counted up to 1,000).

    `warnings` says that the source may open anew what was resolved.
    """

    resolved: int
    still_open: int
    warnings: list[AlertWarning]


def _write(context: Context, who: Actor, source: AlertSource) -> SourceOut:
    sees = who.may(P.SOURCE_MANAGE, on=source)
    return SourceOut(
        id=SOURCE_ID.write(source.id),
        name=source.name,
        kind=SourceKind(source.kind),
        is_enabled=source.is_enabled,
        close_after_hours=source.close_after_hours,
        hold_down_minutes=source.hold_down_minutes,
        team_ids=[TEAM_ID.write(id) for id in source.team_ids],
        is_private=source.is_private,
        token=source.token if sees else None,
        url=at(context.settings.base_url, address_path(source.kind, source.token)) if sees else None,
        created_at=stamp(source.created_at),
        updated_at=stamp(source.updated_at),
        rotated_at=when(source.rotated_at),
        version=source.version,
    )


@get("/", needs=P.SOURCE_VIEW)
async def list_alert_sources(
    request: AppRequest, context: Ctx, who: Who, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[SourceOut]]:
    """List the sources, the oldest first."""
    after = read_place(cursor, UUID)
    async with context.begin() as tx:
        rows = await queries.sources(tx, who.access, after=after, limit=limit + 1)
    return listing(request, rows, limit, lambda row: _write(context, who, row), lambda row: row.id)


@post("/", needs=P.SOURCE_MANAGE)
async def create_alert_source(context: Ctx, who: Who, data: JSONBody[CreateSource]) -> Response[SourceOut]:
    """Let another tool send signals; answers with the address and the token to copy into it."""
    async with context.begin() as tx:
        source = await service.create_source(tx, who, name=data.name, kind=data.kind)
    return answer(_write(context, who, source), version=source.version, status=201)


@get("/{id:str}", needs=P.SOURCE_VIEW)
async def get_alert_source(context: Ctx, who: Who, id: Id) -> Response[SourceOut]:
    """Show one source."""
    async with context.begin() as tx:
        source = await queries.source(tx, who.access, SOURCE_ID.read(id))
    return answer(_write(context, who, source), version=source.version)


@patch("/{id:str}", needs=P.SOURCE_MANAGE)
async def edit_alert_source(
    context: Ctx, who: Who, id: Id, data: JSONBody[EditSource], if_match: IfMatch = None
) -> Response[SourceOut]:
    """Rename a source, switch it off and on, close its stale alerts, or hold back what flaps (JSON merge patch).

    A source that is off opens nothing (403); what ends or answers its open alerts is taken all the same.
    """
    changes = service.SourceChanges(
        name=data.name,
        is_enabled=data.is_enabled,
        close_after_hours=data.close_after_hours,
        hold_down_minutes=data.hold_down_minutes,
        owners=read_owners(given(data.team_ids), given(data.is_private)),
    )
    async with context.begin() as tx:
        source = await service.update_source(tx, who, SOURCE_ID.read(id), changes, if_version=read_if_match(if_match))
    return answer(_write(context, who, source), version=source.version)


@delete("/{id:str}", needs=P.SOURCE_MANAGE)
async def delete_alert_source(context: Ctx, who: Who, id: Id) -> None:
    """Remove a source that never opened an alert and that no route asks for (409); switch any other one off."""
    async with context.begin() as tx:
        await service.delete_source(tx, who, SOURCE_ID.read(id))


@post("/{id:str}/actions/rotate_key", status_code=200, needs=P.SOURCE_MANAGE)
async def rotate_alert_source_key(
    context: Ctx, who: Who, id: Id, data: JSONBody[NoBody], if_match: IfMatch = None
) -> Response[SourceOut]:
    """Give the source a new token; the old one stops working at once."""
    async with context.begin() as tx:
        source = await service.rotate_token(tx, who, SOURCE_ID.read(id), if_version=read_if_match(if_match))
    return answer(_write(context, who, source), version=source.version)


@get("/{id:str}/open_alerts", needs=P.SOURCE_VIEW)
async def count_open_alerts(context: Ctx, who: Who, id: Id) -> OpenOut:
    """Say how many alerts the source has open."""
    async with context.begin() as tx:
        source = await queries.source(tx, who.access, SOURCE_ID.read(id))
        return OpenOut(await queries.open_of_source(tx, source.id))


@post("/{id:str}/actions/resolve_alerts", status_code=200, needs=P.ALERT_EDIT)
async def resolve_source_alerts(context: Ctx, who: Who, id: Id, data: JSONBody[EndAlerts]) -> EndedOut:
    """Resolve what the source has left open, at most 500 alerts at once; ask again while `still_open` is not 0."""
    async with context.begin() as tx:
        ended = await service.resolve_source_alerts(tx, who, SOURCE_ID.read(id), reason=data.reason)
    warnings = [AlertWarning(service.COMES_BACK, ended.warning)] if ended.warning else []
    return EndedOut(ended.resolved, ended.still_open, warnings)


@post("/{id:str}/actions/test", status_code=200, opt={COMMITS_ELSEWHERE: True}, needs=P.SOURCE_MANAGE)
async def test_alert_source(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> SignalOut:
    """Send a sample signal the way the tool would; it opens an alert and is routed, so people may be paged."""
    async with context.begin() as tx:
        source, body = await service.sample_signal(tx, who, SOURCE_ID.read(id))
    parsed = ADAPTERS[source.kind].parse(body, {"content-type": _JSON})

    # No transaction is open here, not even with an Idempotency-Key: intake commits in its own, together with what
    # else comes in.
    await context.intake.submit(Source(source.id, source.name, source.kind, True), body, _JSON, parsed)
    async with context.begin() as tx:
        newest = await queries.signals_of_source(tx, source.id, limit=10)
        mine = next((signal for signal in newest if signal.body == body), newest[0])
        effects = await queries.effects_of(tx, [mine.id])
    return write_signal(mine, effects.get(mine.id, []))


@get("/{id:str}/signals", needs=P.SOURCE_VIEW)
async def list_source_signals(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[SignalOut]]:
    """List what the source sent, as it came, the newest first."""
    before = read_moment(cursor)
    async with context.begin() as tx:
        source = await queries.source(tx, who.access, SOURCE_ID.read(id))
        rows = await queries.signals_of_source(tx, source.id, before=before, limit=limit + 1)
        effects = await queries.effects_of(tx, [row.id for row in rows]) if rows else {}
    return listing(
        request,
        rows,
        limit,
        lambda row: write_signal(row, effects.get(row.id, [])),
        lambda row: (row.received_at, row.id),
    )


ROUTER = Router(
    "/alert_sources",
    route_handlers=[
        list_alert_sources,
        create_alert_source,
        get_alert_source,
        edit_alert_source,
        delete_alert_source,
        rotate_alert_source_key,
        count_open_alerts,
        resolve_source_alerts,
        test_alert_source,
        list_source_signals,
    ],
    tags=["alert sources"],
)
