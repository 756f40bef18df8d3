"""Sources: where signals come from, their addresses and what came in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath

from tocsin.alerts import queries, source_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.intake import Source
from tocsin.alerts.model import ALERT_ID, SIGNAL_ID, SOURCE_ID, AlertSource, RawSignal, SignalOutcome, SourceKind
from tocsin.alerts.sources import ADAPTERS, address_path
from tocsin.alerts.sources.base import Sample, SetUp
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import write_place
from tocsin.events.vocabulary import called_alert
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.addresses import at
from tocsin.web.base import forms, lists, pages, portions
from tocsin.web.base.actions import Action, Actions, Made
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Group, Listing, ListOf
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts.history import History, history
from tocsin.web.parts.signals import body_text
from tocsin.web.sources import dialogs

_HIDDEN = "…"
# One request of Alertmanager may be about hundreds of alerts.
_ALERTS_SHOWN = 3
_OPEN_SHOWN = 5
SOURCES = ListOf(
    place="/sources",
    one="source",
    many="sources",
    search="Name",
    columns=(
        Column("ttl", "Name"),
        Column("rec", "State"),
        Column("last", "Last signal", priority=2),
        Column("sigs", "Signals in 24 h", priority=3),
        Column("open", "Open alerts", priority=3),
    ),
)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source in the list."""

    id: str
    name: str
    kind: str
    kind_name: str
    is_enabled: bool
    last_signal_at: datetime | None
    signals_24h: int
    open_alerts: int


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source in full. `url` hides its secret from those who do not manage sources."""

    id: str
    name: str
    kind: str
    kind_name: str
    is_enabled: bool
    version: int
    url: str
    routing_key: str
    created_at: datetime
    rotated_at: datetime | None
    last_signal_at: datetime | None
    signals_24h: int
    open_alerts: int
    close_after_hours: int | None
    hold_down_minutes: int | None


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One of the alerts that a source has open."""

    id: str
    ref: str
    title: str
    severity: int
    status: str


@dataclass(frozen=True, slots=True)
class TouchedRow:
    """What a request did to an alert."""

    effect: str
    id: str
    ref: str
    title: str


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One request that came in, and what became of it. `effect` is for a request that did nothing to any alert."""

    id: str
    at: datetime
    effect: str
    words: str
    touched: list[TouchedRow]
    more: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesScreen(ShellScreen):
    """A page of the sources."""

    template: ClassVar = "sources/sources.html"
    listing: Listing
    groups: list[Group[SourceRow]]
    may_edit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceScreen(ShellScreen):
    """One source. `open` are the worst of its open alerts, `open_words` says how many those are in all.

    `set_ups` say how tools are told of it. `curl` is a ready command that triggers a test alert.
    """

    template: ClassVar = "sources/source.html"
    source: SourceView
    set_ups: list[SetUp]
    curl: str
    signals: list[SignalRow]
    older: str | None
    open: list[OpenRow]
    open_words: str
    history: History | None
    may_edit: bool
    may_end: bool

    @property
    def shows_secret(self) -> bool:
        return True


@get("/sources", needs=P.SOURCE_VIEW)
async def source_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the sources, 50 at a time, the oldest first."""
    return await _show_list(request, context, who)


async def _show_list(
    request: AppRequest, context: Context, who: Actor, _: str = "", refused: Refused | None = None
) -> pages.Page:
    who.must_look(P.SOURCE_VIEW)
    asked = Asked.by(SOURCES, request)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)

        async def read(place: UUID | None, backwards: bool, limit: int) -> list[AlertSource]:
            return await source_queries.sources(
                tx, who.access, after=place, backwards=backwards, limit=limit, words=asked.words
            )

        found = await portions.read(asked, UUID, lambda row: row.id, read)
        busy = await source_queries.source_figures(tx, [row.id for row in found.rows])
        total = await source_queries.count_sources(tx, who.access, asked.words, most=lists.MOST_COUNTED)
    screen = SourcesScreen(
        shell,
        listing=lists.listing_of(asked, found, total=total),
        groups=lists.one_group([_row(row, busy[row.id]) for row in found.rows]),
        may_edit=who.may(P.SOURCE_MANAGE),
        refused=refused,
    )
    return pages.render(screen)


def _row(row: AlertSource, busy: source_queries.SourceFigures) -> SourceRow:
    return SourceRow(
        id=SOURCE_ID.write(row.id),
        name=row.name,
        kind=row.kind,
        kind_name=ADAPTERS[row.kind].label,
        is_enabled=row.is_enabled,
        last_signal_at=busy.last_signal_at,
        signals_24h=busy.signals_24h,
        open_alerts=busy.open_alerts,
    )


async def _create(tx: Tx, who: Actor, _: str, form: Form) -> Made:
    """Make a source. Form fields: name, kind, form_id."""
    source = await alerts.create_source(tx, who, name=form.text("name"), kind=form.text("kind"))
    return Made(SOURCE_ID.page(source.id))


@get("/sources/{id:str}", needs=P.SOURCE_VIEW)
async def source_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show one source, its address and what came in lately."""
    return await _show(request, context, who, id)


async def _show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    who.must_look(P.SOURCE_VIEW)
    before = pages.place(request.query_params.get("before", ""))
    async with context.db.begin() as tx:
        row = await queries.source(tx, who.access, SOURCE_ID.read(id))
        shell = await pages.shell(tx, request, context, who)
        busy = (await source_queries.source_figures(tx, [row.id]))[row.id]
        found = await queries.signals_of_source(tx, row.id, before=before, limit=pages.PAGE_SIZE + 1)
        shown = found[: pages.PAGE_SIZE]
        signals = await _signals(tx, shown)
        still_open = await queries.worst_open_of_source(tx, who.access, row.id, limit=_OPEN_SHOWN)
        changes = await history(tx, who, SOURCE_ID, row.id, shell.now)
    secret = row.token if who.may(P.SOURCE_MANAGE, on=row) else _HIDDEN
    last = shown[-1] if len(found) > len(shown) else None
    screen = SourceScreen(
        shell,
        source=_view(context, row, busy, secret),
        set_ups=list(ADAPTERS[row.kind].set_ups(_address(context, row, secret), secret)),
        curl=_curl(context, row, secret, busy.last_signal_at, shell.now),
        signals=signals,
        older=pages.address(f"/sources/{id}", before=write_place((last.received_at, last.id))) if last else None,
        open=[OpenRow(ALERT_ID.write(a.id), called_alert(a.number), a.title, a.severity, a.status) for a in still_open],
        open_words=alerts.at_most(busy.open_alerts),
        history=changes,
        may_edit=who.may(P.SOURCE_MANAGE, on=row),
        may_end=who.may(P.ALERT_EDIT, on=row),
        live=(id,),
        refused=refused,
    )
    return pages.render(screen)


def _address(context: Context, row: AlertSource, secret: str) -> str:
    return at(context.settings.base_url, address_path(row.kind, secret))


def _curl(context: Context, row: AlertSource, secret: str, last_at: datetime | None, now: datetime) -> str:
    # A key that no alert has yet: another signal for one that is open would page nobody.
    key = f"test-{round(last_at.timestamp() * 1000)}" if last_at is not None else "test-1"
    problem = Sample("Test alert", "critical", key, secret, now)
    body = msgspec.json.encode(ADAPTERS[row.kind].sample(problem)).decode()
    return f"curl -H 'Content-Type: application/json' -d {shlex.quote(body)} '{_address(context, row, secret)}'"


def _view(context: Context, row: AlertSource, busy: source_queries.SourceFigures, secret: str) -> SourceView:
    return SourceView(
        id=SOURCE_ID.write(row.id),
        name=row.name,
        kind=row.kind,
        kind_name=ADAPTERS[row.kind].label,
        is_enabled=row.is_enabled,
        version=row.version,
        url=_address(context, row, secret),
        routing_key=secret if row.kind == SourceKind.PAGERDUTY else "",
        created_at=row.created_at,
        rotated_at=row.rotated_at,
        last_signal_at=busy.last_signal_at,
        signals_24h=busy.signals_24h,
        open_alerts=busy.open_alerts,
        close_after_hours=row.close_after_hours,
        hold_down_minutes=row.hold_down_minutes,
    )


async def _signals(tx: Tx, shown: Sequence[RawSignal]) -> list[SignalRow]:
    touched = await source_queries.touched_by(tx, [signal.id for signal in shown], most=_ALERTS_SHOWN)
    return [_signal(signal, touched.get(signal.id, [])) for signal in shown]


def _signal(signal: RawSignal, touched: Sequence[source_queries.Touched]) -> SignalRow:
    rows = [
        TouchedRow(each.effect, ALERT_ID.write(each.alert_id), called_alert(each.number), each.title)
        for each in touched
    ]
    return SignalRow(
        id=SIGNAL_ID.write(signal.id),
        at=signal.received_at,
        effect="" if rows else "refused" if signal.outcome == SignalOutcome.REJECTED else "ignored",
        words=signal.detail,
        touched=rows,
        more=touched[0].of - len(rows) if touched else 0,
        body=body_text(signal),
    )


@post("/sources/{id:str}/test", needs=P.SOURCE_MANAGE)
async def send_test(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Send a test signal the way the tool would. No fields."""
    form = await forms.read(request)
    refused = await forms.attempted(form, "test", _send_test(context, who, SOURCE_ID.read(id)))
    if refused is not None:
        return await _show(request, context, who, id, refused)
    return pages.go(SOURCE_ID.page(SOURCE_ID.read(id)), "Test signal sent. It opened an alert.")


async def _send_test(context: Context, who: Actor, id: UUID) -> None:
    async with context.db.begin() as tx:
        source, body = await alerts.sample_signal(tx, who, id)
    parsed = ADAPTERS[source.kind].parse(body, {"content-type": "application/json"})
    # No transaction is open here: intake commits in its own, together with what else comes in.
    await context.intake.submit(Source(source.id, source.name, source.kind, True), body, "application/json", parsed)


async def _rename(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Give a source another name. Form fields: name, version."""
    changes = alerts.SourceChanges(name=form.text("name"))
    await alerts.update_source(tx, who, id, changes, if_version=form.version())


async def _rotate(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Give a source a new secret. Form fields: version, form_id; a second press of the same page rotates once."""
    if await forms.once(tx, who, form, "rotate", str(id)):
        await alerts.rotate_token(tx, who, id, if_version=form.version())


async def _close_stale(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Say when open alerts of a source are stale. Form fields: close_after_hours (empty: never), version."""
    hours = form.optional_whole("close_after_hours", least=1, most=alerts.MOST_HOURS)
    changes = alerts.SourceChanges(close_after_hours=hours)
    await alerts.update_source(tx, who, id, changes, if_version=form.version())


async def _hold_down(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Say how long what comes again pages nobody. Form fields: hold_down_minutes (empty: not at all), version."""
    minutes = form.optional_whole("hold_down_minutes", least=1, most=alerts.MOST_HELD_MINUTES)
    changes = alerts.SourceChanges(hold_down_minutes=minutes)
    await alerts.update_source(tx, who, id, changes, if_version=form.version())


async def _resolve_alerts(tx: Tx, who: Actor, id: UUID, form: Form) -> str:
    """End what the source has left open. Form field: reason."""
    return _told(await alerts.resolve_source_alerts(tx, who, id, reason=form.text("reason")))


def _told(ended: alerts.Ended) -> str:
    said = f"{ended.resolved:,} alert{'' if ended.resolved == 1 else 's'} resolved."
    return f"{said} {alerts.at_most(ended.still_open)} still open." if ended.still_open else said


async def _delete(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Remove a source that nothing needs. No fields."""
    await alerts.delete_source(tx, who, id)


async def _enable(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Take signals again. No fields."""
    await alerts.update_source(tx, who, id, alerts.SourceChanges(is_enabled=True))


async def _disable(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Open nothing any more (403); what ends its open alerts is still taken. No fields."""
    await alerts.update_source(tx, who, id, alerts.SourceChanges(is_enabled=False))


HANDLERS = [
    source_list,
    *dialogs.HANDLERS,
    *Actions("/sources", dialogs.NEW.show, needs=P.SOURCE_MANAGE).handlers(
        Action("", _create, form="new-source", once=True)
    ),
    source_page,
    send_test,
    *Actions("/sources/{id:str}", _show, needs=P.SOURCE_MANAGE, ids=SOURCE_ID).handlers(
        Action("", _rename, "Source renamed.", form="rename", show=dialogs.RENAME.show),
        Action("rotate", _rotate, "The address is new.", form="rotate-dialog-form", show=dialogs.ROTATE.show),
        Action("stale", _close_stale, "Saved."),
        Action("hold-down", _hold_down, "Saved."),
        Action("resolve-alerts", _resolve_alerts, form="end-dialog-form", needs=P.ALERT_EDIT, show=dialogs.END.show),
        Action(
            "delete",
            _delete,
            "Source deleted.",
            form="delete-dialog-form",
            leads_to="/sources",
            show=dialogs.DELETE.show,
        ),
        Action("enable", _enable, "Source switched on."),
        Action("disable", _disable, "Source switched off.", form="disable-dialog-form", show=dialogs.DISABLE.show),
    ),
]
