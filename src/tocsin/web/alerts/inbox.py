"""The inbox: the list of alerts, by how they stand with people, and what is done to several of them at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Stream
from markupsafe import Markup

from tocsin.alerts import list_queries, queries, source_queries
from tocsin.alerts.list_queries import Answer, AnswerPlace, Filter
from tocsin.alerts.model import SOURCE_ID, Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import AwareTime
from tocsin.events.vocabulary import called_alert, severity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.kit.search import NARROWED
from tocsin.web.alerts import together
from tocsin.web.alerts.alert import May, may_of
from tocsin.web.alerts.lately import Lately, lately
from tocsin.web.alerts.listing import ACTS, INBOX, wanted_of
from tocsin.web.base import exporting, forms, lists, pages, portions
from tocsin.web.base.forms import Refused
from tocsin.web.base.lists import Asked, Choice, Group, Listing, Portion
from tocsin.web.base.screens import Shell, ShellScreen
from tocsin.web.parts.standing import Standing, standings

_PORTION = 500
# Where a page ends: by age, or by answer, see `AnswerPlace`.
_Moment = tuple[AwareTime, UUID]
_Ranked = tuple[int, int, AwareTime, UUID]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert in the inbox; its id is what people call it. `lately` draws its signals of three hours."""

    id: str
    title: str
    severity: int
    status: str
    source_name: str
    triggered_at: datetime
    standing: Standing
    incident_ref: str | None
    incident_severity: int | None
    lately: Lately


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsScreen(ShellScreen):
    """A page of the inbox. `needs_source`: there is none yet, and the reader may create one."""

    template: ClassVar = "alerts/alerts.html"
    listing: Listing
    groups: list[Group[AlertRow]]
    in_vain: pages.InVain
    needs_source: bool
    may: May


# An alert with the name and the kind of its source, and where it stands in the order of answers.
_Row = tuple[Alert, str, str, AnswerPlace | None]


@dataclass(frozen=True, slots=True)
class _Found:
    """The alerts of one page, in groups where they are in the order of their answers, and what to say of all."""

    portion: Portion[_Row]
    total: int
    most: int
    counts: Mapping[Answer, int]
    unanswered: int


@get("/alerts", needs=P.ALERT_VIEW)
async def alert_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show alerts, 50 at a time: open ones by how they stand with people, others the newest first."""
    return await _show(request, context, who, Asked.by(INBOX, request))


async def _show(
    request: AppRequest, context: Context, who: Actor, asked: Asked, refused: Refused | None = None
) -> pages.Page:
    who.must_look(P.ALERT_VIEW)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        screen = await _screen(tx, shell, who, asked, refused)
    return pages.render(screen)


async def _screen(tx: Tx, shell: Shell, who: Actor, asked: Asked, refused: Refused | None) -> AlertsScreen:
    wanted = await wanted_of(tx, who, asked)
    found = await _found(tx, who, asked, wanted)
    rows = await _rows(tx, who, [(alert, source) for alert, source, _, _ in found.portion.rows])
    sources = await source_queries.sources(tx, who.access, limit=200) if who.access.may_look(P.SOURCE_VIEW) else []
    choices = {"source": [Choice(SOURCE_ID.write(each.id), each.name) for each in sources]}
    return AlertsScreen(
        shell,
        listing=lists.listing_of(
            asked,
            found.portion,
            chips=[chip for chip in lists.chips_of(asked, choices) if chip.filter.name != "source" or sources],
            acts=ACTS if may_of(who).act else (),
            total=found.total,
            most=found.most,
            until=tx.now.isoformat(),
            narrowed=NARROWED if await list_queries.is_searched_in_part(tx, who.access, wanted) else "",
        ),
        groups=_groups(found, rows),
        in_vain=await pages.in_vain(tx, who),
        needs_source=not (rows or sources) and who.may(P.SOURCE_MANAGE),
        may=may_of(who),
        live=("alerts",),
        refresh_url=asked.here,
        refused=refused,
    )


async def _found(tx: Tx, who: Actor, asked: Asked, wanted: Filter) -> _Found:
    """Read a page. Only as many as are counted are sorted by answer; more than that are a storm, the newest first."""
    is_open = bool(wanted.statuses or wanted.needs_action or wanted.troubles) and AlertStatus.RESOLVED not in (
        wanted.statuses
    )
    if is_open and asked.order == "answer":
        counts, unanswered = await list_queries.count_by_answer(tx, who.access, wanted, most=lists.MOST_COUNTED)
        if (total := sum(counts.values())) <= lists.MOST_COUNTED:
            return _Found(await _by_answer(tx, who, asked, wanted), total, lists.MOST_COUNTED, counts, unanswered)
    most = lists.MOST_COUNTED if is_open else lists.MOST_COUNTED_OF_ALL
    total = await list_queries.count(tx, who.access, wanted, most=most)
    return _Found(await _newest(tx, who, asked, wanted), total, most, {}, 0)


async def _by_answer(tx: Tx, who: Actor, asked: Asked, wanted: Filter) -> Portion[_Row]:
    async def read(place: _Ranked | None, backwards: bool, limit: int) -> Sequence[_Row]:
        return await list_queries.open_by_answer(tx, who.access, wanted, after=place, backwards=backwards, limit=limit)

    return await portions.read(asked, _Ranked, lambda row: row[3] or (0, 0, row[0].created_at, row[0].id), read)


async def _newest(tx: Tx, who: Actor, asked: Asked, wanted: Filter) -> Portion[_Row]:
    async def read(place: _Moment | None, backwards: bool, limit: int) -> list[_Row]:
        found = await list_queries.listed(tx, who.access, wanted, before=place, backwards=backwards, limit=limit)
        return [(*row, None) for row in found]

    return await portions.read(asked, _Moment, lambda row: (row[0].created_at, row[0].id), read)


def _groups(found: _Found, rows: Sequence[AlertRow]) -> list[Group[AlertRow]]:
    """Put what is in the order of answers under headings; the rest is one group without one."""
    if not rows:
        return []
    if not found.counts:
        return [Group("", rows)]
    titles = {
        Answer.WAITING: ("Waiting for an answer", f"{found.unanswered} unanswered" if found.unanswered else "", "red"),
        Answer.ACKNOWLEDGED: ("Acknowledged", "", ""),
        Answer.QUIET: ("Low urgency and not routed", "nobody is woken", ""),
    }
    groups: list[Group[AlertRow]] = []
    for answer, (title, note, tone) in titles.items():
        stand = [list_queries.answer_of(place) if place is not None else None for _, _, _, place in found.portion.rows]
        those = [row for row, its in zip(rows, stand, strict=True) if its is answer]
        if those:
            groups.append(Group(title, those, found.counts[answer], note, tone))
    return groups


async def _rows(tx: Tx, who: Actor, shown: Sequence[tuple[Alert, str]]) -> list[AlertRow]:
    found = [alert for alert, _ in shown]
    linked = {alert.incident_id for alert in found if alert.incident_id is not None}
    known = await incident_queries.by_id(tx, who.access, linked)
    stands = await standings(tx, who, found)
    signals = await lately(tx, [alert.id for alert in found])
    return [_row(alert, source, stands[alert.id], known, signals[alert.id]) for alert, source in shown]


def _row(alert: Alert, source: str, standing: Standing, known: Mapping[UUID, Incident], signals: Lately) -> AlertRow:
    incident = known.get(alert.incident_id) if alert.incident_id is not None else None
    return AlertRow(
        id=called_alert(alert.number),
        title=alert.title,
        severity=alert.severity,
        status=alert.status,
        source_name=source,
        triggered_at=alert.created_at,
        standing=standing,
        incident_ref=incident.reference if incident else None,
        incident_severity=incident.severity if incident else None,
        lately=signals,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekScreen(ShellScreen):
    """One alert beside the list. `explained` is the sentence that says why it did what it did."""

    template: ClassVar = "alerts/peek.html"
    alert: AlertRow
    description: Markup | None
    labels: list[tuple[str, str]]
    explained: str
    may: May


@get("/alerts/{id:str}/peek", needs=P.ALERT_VIEW)
async def peek_alert(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show what matters of one alert, for the side of the list."""
    who.must_look(P.ALERT_VIEW)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        alert = await queries.named(tx, who.access, id)
        source = (await queries.source_names(tx, [alert.source_id]))[alert.source_id][0]
        screen = PeekScreen(
            shell,
            alert=(await _rows(tx, who, [(alert, source)]))[0],
            description=pages.prose_or_none(alert.description),
            labels=sorted((name, str(value)) for name, value in alert.labels.items()),
            explained=(await incidents.explain_alert(tx, who, alert.id, shell.now.tzinfo or UTC)).summary,
            may=may_of(who),
        )
    return pages.render(screen)


@get("/alerts/export.csv", needs=P.ALERT_VIEW)
async def export_alerts(request: AppRequest, context: Ctx, who: Who) -> Stream:
    """Write what a list of alerts shows as a table for a spreadsheet, all of it, the newest first."""
    who.must_look(P.ALERT_VIEW)
    asked = Asked.by(INBOX, request)

    async def portions() -> AsyncGenerator[Sequence[tuple[Alert, str, str]]]:
        before = None
        while True:
            async with context.db.look() as tx:
                wanted = await wanted_of(tx, who, asked)
                rows = await list_queries.listed(tx, who.access, wanted, before=before, limit=_PORTION)
            yield rows
            if len(rows) < _PORTION:
                return
            before = rows[-1][0].created_at, rows[-1][0].id

    return exporting.exported(
        "alerts",
        {
            "Number": lambda row: called_alert(row[0].number),
            "Title": lambda row: row[0].title,
            "Severity": lambda row: severity(row[0].severity),
            "Status": lambda row: row[0].status,
            "Urgency": lambda row: row[0].urgency,
            "Source": lambda row: row[1],
            "Triggered": lambda row: row[0].created_at,
            "Acknowledged": lambda row: row[0].acknowledged_at,
            "Acknowledged by": lambda row: row[0].acknowledged_by,
            "Resolved": lambda row: row[0].resolved_at,
            "Resolved by": lambda row: row[0].resolved_by,
            "Signals": lambda row: row[0].count,
            "Labels": lambda row: "; ".join(f"{name}={value}" for name, value in sorted(row[0].labels.items())),
        },
        portions(),
    )


@post("/alerts/bulk", needs=P.ALERT_EDIT)
async def change_alerts(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Do the same to all alerts that are selected, and say what happened to which. Form fields: see `together.work`."""
    form = await forms.read(request)
    asked = Asked.again(INBOX, form.text("list"))
    told: list[str] = []
    refused = await forms.attempt(context, form, "bulk", partial(together.work, who, form, asked, told))
    return pages.go(asked.url(), told[0]) if refused is None else await _show(request, context, who, asked, refused)


HANDLERS = [alert_list, peek_alert, export_alerts, change_alerts]
