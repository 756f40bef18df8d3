"""Alert sources: which tools may send signals, where to, and what they sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import JSONBody

from tocsin.alerts import queries, service, source_queries
from tocsin.alerts.intake import Source
from tocsin.alerts.model import SOURCE_ID, AlertSource, RawSignal, SourceKind
from tocsin.alerts.sources import ADAPTERS, address_path
from tocsin.api.base.body import Body, NoBody
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Id, Time
from tocsin.api.base.idempotency import COMMITS_ELSEWHERE
from tocsin.api.base.resource import IF_MATCH, Resource, by_words
from tocsin.api.shapes.alerts import AlertWarning
from tocsin.api.shapes.owners import read_owners
from tocsin.api.shapes.signals import LAST_RECEIVED_FIRST, SignalOut, write_signals
from tocsin.db.engine import Tx
from tocsin.edge.context import Context, Ctx, Who
from tocsin.identity.access import Access, P
from tocsin.identity.model import TEAM_ID, Actor
from tocsin.identity.service import MOST_OWNERS
from tocsin.kit.addresses import at

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


def _write_one(context: Context, who: Actor, source: AlertSource) -> SourceOut:
    sees = who.may(P.SOURCE_MANAGE, on=source)
    return copied(
        SourceOut,
        source,
        SOURCE_ID,
        kind=SourceKind(source.kind),
        team_ids=[TEAM_ID.write(id) for id in source.team_ids],
        token=source.token if sees else None,
        url=at(context.settings.base_url, address_path(source.kind, source.token)) if sees else None,
    )


async def _write(_tx: Tx, context: Context, who: Actor, sources: Sequence[AlertSource]) -> list[SourceOut]:
    return [_write_one(context, who, source) for source in sources]


def _changes(
    *, team_ids: Sequence[str] | None = None, is_private: bool | None = None, **fields: Any
) -> service.SourceChanges:
    return service.SourceChanges(owners=read_owners(team_ids, is_private), **fields)


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
        return (await write_signals(tx, context, who, [mine]))[0]


async def _signals(tx: Tx, access: Access, id: UUID, **place: Any) -> list[RawSignal]:
    source = await queries.source(tx, access, id)
    return await queries.signals_of_source(tx, source.id, **place)


SOURCES = Resource(
    "/alert_sources",
    SOURCE_ID,
    SourceOut,
    _write,
    view=P.SOURCE_VIEW,
    manage=P.SOURCE_MANAGE,
    tag="alert sources",
)
ROUTER = SOURCES.router(
    SOURCES.list(source_queries.sources, "List the sources, the oldest first.", asks=by_words("the name")),
    SOURCES.create(
        CreateSource,
        service.create_source,
        "Let another tool send signals; answers with the address and the token to copy into it.",
    ),
    SOURCES.get(queries.source, "Show one source."),
    SOURCES.edit(
        EditSource,
        _changes,
        service.update_source,
        """Rename a source, switch it off and on, close its stale alerts, or hold back what flaps (JSON merge patch).

        A source that is off opens nothing (403); what ends or answers its open alerts is taken all the same.
        """,
    ),
    SOURCES.delete(
        service.delete_source,
        "Remove a source that never opened an alert and that no route asks for (409); switch any other one off.",
    ),
    SOURCES.action(
        "rotate_key",
        service.rotate_token,
        "Give the source a new token; the old one stops working at once.",
        name="rotate_alert_source_key",
        asks=IF_MATCH,
    ),
    SOURCES.list_of(
        "signals",
        _signals,
        SignalOut,
        write_signals,
        "List what the source sent, as it came, the newest first.",
        name="list_source_signals",
        order=LAST_RECEIVED_FIRST,
    ),
    count_open_alerts,
    resolve_source_alerts,
    test_alert_source,
    shows_secrets=True,
)
