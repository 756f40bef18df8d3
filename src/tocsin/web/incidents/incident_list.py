"""The list of incidents: what goes on and what was resolved today, and everything there ever was."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from litestar import get
from litestar.response import Stream

from tocsin.alerts import queries as alert_queries
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import AwareTime
from tocsin.events import vocabulary
from tocsin.events.vocabulary import SEVERITIES, STATUSES, severity
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, queries, type_queries
from tocsin.incidents.model import COUNTED, OPEN, Category, Incident, Priority, Standing, Status
from tocsin.incidents.queries import Filters, Place
from tocsin.kit.search import NARROWED
from tocsin.oncall.model import PagingTrouble
from tocsin.web.base import exporting, lists, pages, portions
from tocsin.web.base.first_steps import FirstStep, first_steps
from tocsin.web.base.forms import Refused
from tocsin.web.base.lists import Act, Asked, Choice, Column, Group, Kind, Listing, ListOf, View
from tocsin.web.base.screens import Shell, ShellScreen

_OVER = (Status.RESOLVED, Status.CLOSED, Status.CANCELLED)
_WAITS_FOR_A_FIX = Status.MITIGATED
# What was declared longer ago is not looked for among what was resolved today.
_RECENT = timedelta(days=30)
_PORTION = 500
# Severity, time and id of an incident at which a page ends.
_Place = tuple[int, AwareTime, UUID]
INCIDENTS = ListOf(
    place="/incidents",
    one="incident",
    many="incidents",
    search="Number, words",
    columns=(
        Column("ttl", "Incident"),
        Column("pri", "Priority", priority=3),
        Column("st", "Status"),
        Column("resp", "Responders", priority=3),
        Column("al", "Alerts", priority=4),
        Column("lead", "Lead", priority=3),
        Column("dur", "Duration", priority=2),
    ),
    views=(
        View("open", "Active"),
        View("mine", "Mine"),
        View("grave", "SEV1–2, 30 days"),
        View("resolved", "Resolved"),
        View("all", "All"),
    ),
    filters=(
        lists.Filter(
            "severity",
            "Severity",
            choices=[
                Choice(str(n), severity(n), word.label, f"sev{n}", f"sev{n}") for n, word in sorted(SEVERITIES.items())
            ],
        ),
        lists.Filter(
            "status",
            "Status",
            choices=[Choice(name, word.label, glyph=word.icon, tone=word.tone) for name, word in STATUSES.items()],
        ),
        lists.Filter("priority", "Priority", choices=[Choice(each.value, each.value) for each in Priority]),
        lists.Filter(
            "category", "Category", choices=[Choice(name, word) for name, word in vocabulary.CATEGORIES.items()]
        ),
        lists.Filter(
            "drill", "Drills", Kind.ONE, choices=[Choice("no", "Real incidents only"), Choice("yes", "Drills only")]
        ),
        lists.Filter(
            "paging",
            "Paging",
            choices=[Choice("unanswered", "Nobody answered"), Choice("unreached", "Nobody reached")],
        ),
        lists.Filter("lead", "Lead", Kind.TEXT, example="Name"),
        lists.Filter("commander", "Commander", Kind.TEXT, example="Name"),
        lists.Filter("tag", "Tag", Kind.TEXT, example="payments"),
        lists.Filter("type", "Type", Kind.TEXT, example="security"),
        lists.PERIOD,
    ),
    exports=True,
)


_EDITS = (
    Act("lead", "Take the lead", "user-check", key="l"),
    Act("role", "Assign", "users", dialog=True),
    Act(
        "severity",
        "Severity",
        "triangle-alert",
        choices=[
            Choice(str(n), severity(n), word.label, f"sev{n}", f"sev{n}") for n, word in sorted(SEVERITIES.items())
        ],
    ),
    Act(
        "status",
        "Status",
        "circle-dot",
        choices=[
            Choice(name, word.label, glyph=word.icon, tone=word.tone)
            for name, word in STATUSES.items()
            if name in OPEN and name != Status.DECLARED
        ],
    ),
)
_ENDS = (Act("resolve", "Resolve", "circle-check", dialog=True),)


def acts_for(who: Actor) -> tuple[Act, ...]:
    """Return what somebody may be able to do to several; which of them they may do it to shows then."""
    may_edit, may_resolve = (who.access.may_somewhere(right) for right in (P.INCIDENT_EDIT, P.INCIDENT_RESOLVE))
    return (*(_EDITS if may_edit else ()), *(_ENDS if may_resolve else ()))


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident in the list; its id is what people call it."""

    id: str
    title: str
    severity: int
    priority: str
    is_drill: bool
    status: str
    is_open: bool
    started_at: datetime
    elapsed: float
    lead_name: str | None
    responders: list[str]
    responders_joined: int
    responders_asked: int
    alert_count: int
    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentsScreen(ShellScreen):
    """A page of the list. `in_vain` is None for whoever may not see alerts; `declare` says whether the reader may.

    `any_incident` is false while there is none that the reader sees.
    """

    template: ClassVar = "incidents/incidents.html"
    listing: Listing
    groups: list[Group[IncidentRow]]
    in_vain: pages.InVain | None
    first_steps: Sequence[FirstStep]
    any_incident: bool
    declare: bool


@get("/incidents", needs=P.INCIDENT_VIEW)
async def incident_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show incidents, 50 at a time: open ones the worst first, others the newest first."""
    return await show_list(request, context, who, Asked.by(INCIDENTS, request))


async def show_list(
    request: AppRequest, context: Context, who: Actor, asked: Asked, refused: Refused | None = None
) -> pages.Page:
    """Show a page of the list, also after an act that was refused."""
    who.must_look(P.INCIDENT_VIEW)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        screen = await _screen(tx, context, shell, who, asked, refused)
    return pages.render(screen)


async def _screen(
    tx: Tx, context: Context, shell: Shell, who: Actor, asked: Asked, refused: Refused | None
) -> IncidentsScreen:
    narrowed = await _wanted(tx, who, asked)
    is_open = asked.view in ("open", "mine")

    async def read(place: _Place | None, backwards: bool, limit: int) -> list[Incident]:
        return await queries.listed(
            tx,
            who.access,
            narrowed,
            q=asked.q,
            sort="severity" if is_open else "-declared_at",
            after=Place(*place) if place is not None else None,
            backwards=backwards,
            limit=limit,
        )

    found = await portions.read(asked, _Place, _place_of, read)
    # The end of the list of what goes on.
    today = await _today(tx, shell, who, narrowed, asked) if asked.view == "open" and not found.older else []
    rows = await _rows(tx, who, [*found.rows, *today])
    most = lists.MOST_COUNTED if is_open else lists.MOST_COUNTED_OF_ALL
    is_start = asked.view == "open" and not (asked.is_narrowed or found.newer)
    return IncidentsScreen(
        shell,
        listing=lists.listing_of(
            asked,
            found,
            tabs=lists.tabs_of(asked, {"open": shell.badges["open_incidents"]}),
            chips=[chip for chip in lists.chips_of(asked) if is_open or chip.filter.name != "paging"],
            acts=acts_for(who),
            total=await queries.count(tx, who.access, narrowed, q=asked.q, most=most) + len(today),
            most=most,
            shown=len(rows),
            narrowed=NARROWED if await queries.is_searched_in_part(tx, who.access, narrowed, asked.q) else "",
        ),
        groups=_groups(rows[: len(found.rows)], rows[len(found.rows) :], is_open=is_open),
        in_vain=await pages.in_vain(tx, who) if who.access.may_look(P.ALERT_VIEW) else None,
        first_steps=await first_steps(tx, context, who) if is_start and not rows else (),
        any_incident=bool(rows) or bool(await queries.listed(tx, who.access, limit=1)),
        declare=who.may(P.INCIDENT_DECLARE),
        live=("incidents", "alerts"),
        refresh_url=asked.here,
        refused=refused,
    )


def _place_of(incident: Incident) -> _Place:
    return incident.severity, incident.declared_at, incident.id


async def _wanted(tx: Tx, who: Actor, asked: Asked) -> Filters:
    """Return what narrows the list to what somebody asked for."""
    of_view: Mapping[str, tuple[Status, ...]] = {"open": OPEN, "mine": OPEN, "resolved": _OVER}
    statuses = of_view.get(asked.view, ())
    chosen = [status for status in Status if status in asked.all("status")]
    severities = [int(value) for value in asked.all("severity")]
    declared_from = lists.since(asked, tx.now)
    if asked.view == "grave":
        severities = [each for each in severities if each <= 2] or [1, 2]
        declared_from = max(declared_from or tx.now - _RECENT, tx.now - _RECENT)
    return Filters(
        statuses=[status for status in chosen if not statuses or status in statuses] or statuses,
        severities=severities,
        troubles=[trouble for trouble in PagingTrouble if trouble in asked.all("paging")] if statuses == OPEN else (),
        tags=asked.all("tag"),
        categories=[each for each in Category if each in asked.all("category")],
        priorities=[each for each in Priority if each in asked.all("priority")],
        is_drill={"yes": True, "no": False}.get(asked.one("drill")),
        type_ids=await type_queries.ids_of_types(tx, asked.all("type")),
        declared_from=declared_from,
        lead_ids=await _people(tx, asked.one("lead")),
        commander_ids=await _people(tx, asked.one("commander")),
        person_id=who.user_id if asked.view == "mine" else None,
    )


async def _people(tx: Tx, words: str) -> list[UUID]:
    """Return whom these words of a name may mean; nobody has the id that stands for no one."""
    return (await identity.users_called(tx, words) or [UUID(int=0)]) if words else []


async def _today(tx: Tx, shell: Shell, who: Actor, narrowed: Filters, asked: Asked) -> list[Incident]:
    """Return what ended since the reader's midnight."""
    if asked.all("status") or narrowed.troubles:
        return []
    since = shell.now.replace(hour=0, minute=0, second=0, microsecond=0)
    recent = max(narrowed.declared_from or since - _RECENT, since - _RECENT)
    over = replace(narrowed, statuses=_OVER, declared_from=recent, ended_from=since)
    return await queries.listed(tx, who.access, over, q=asked.q, limit=pages.PAGE_SIZE)


def _groups(rows: Sequence[IncidentRow], today: Sequence[IncidentRow], *, is_open: bool) -> list[Group[IncidentRow]]:
    if not is_open:
        return lists.one_group(rows)
    real = [row for row in rows if not row.is_drill]
    parts = (
        ("Active", [row for row in real if row.status != _WAITS_FOR_A_FIX]),
        ("Mitigated, waiting for a fix", [row for row in real if row.status == _WAITS_FOR_A_FIX]),
        ("Drills", [row for row in rows if row.is_drill]),
        ("Resolved today", today),
    )
    return [Group(title, those, len(those)) for title, those in parts if those]


async def _rows(tx: Tx, who: Actor, shown: Sequence[Incident]) -> list[IncidentRow]:
    ids = [incident.id for incident in shown]
    people: dict[UUID, list[queries.NamedResponder]] = {}
    for person in await queries.responders(tx, *ids):
        people.setdefault(person.responder.incident_id, []).append(person)
    alerts = await alert_queries.linked_counts(tx, who.access, ids)
    leads = [lead for incident in shown if (lead := lifecycle.effective_lead(incident)) is not None]
    names = {id: user.name for id, user in (await identity.users_by_id(tx, leads)).items()}
    troubles = await queries.troubles(tx, ids)
    return [
        _row(tx.now, incident, people.get(incident.id, []), alerts.get(incident.id, 0), names, troubles)
        for incident in shown
    ]


def _row(
    now: datetime,
    incident: Incident,
    people: list[queries.NamedResponder],
    alerts: int,
    names: Mapping[UUID, str],
    troubles: Mapping[UUID, PagingTrouble],
) -> IncidentRow:
    lead = lifecycle.effective_lead(incident)
    there = [person for person in people if person.standing in COUNTED]
    joined = [person.name for person in there if person.standing is Standing.JOINED]
    return IncidentRow(
        id=incident.reference,
        title=incident.title,
        severity=incident.severity,
        priority=incident.priority,
        is_drill=incident.is_drill,
        status=incident.status,
        is_open=lifecycle.is_open(incident),
        started_at=incident.started_at,
        elapsed=lifecycle.lasted(incident, now).total_seconds(),
        lead_name=names.get(lead) if lead is not None else None,
        responders=joined,
        responders_joined=len(joined),
        responders_asked=len(there),
        alert_count=alerts,
        trouble=troubles.get(incident.id),
    )


@get("/incidents/export.csv", needs=P.INCIDENT_VIEW)
async def export_incidents(request: AppRequest, context: Ctx, who: Who) -> Stream:
    """Write what a list of incidents shows as a table for a spreadsheet, all of it, the newest first."""
    who.must_look(P.INCIDENT_VIEW)
    asked = Asked.by(INCIDENTS, request)

    async def portions() -> AsyncGenerator[Sequence[Incident]]:
        after = None
        while True:
            async with context.db.look() as tx:
                narrowed = await _wanted(tx, who, asked)
                rows = await queries.listed(tx, who.access, narrowed, q=asked.q, after=after, limit=_PORTION)
            yield rows
            if len(rows) < _PORTION:
                return
            after = Place.of(rows[-1])

    return exporting.exported(
        "incidents",
        {
            "Number": lambda row: row.reference,
            "Title": lambda row: row.title,
            "Severity": lambda row: severity(row.severity),
            "Priority": lambda row: row.priority,
            "Category": lambda row: row.category,
            "Drill": lambda row: "yes" if row.is_drill else "no",
            "Status": lambda row: row.status,
            "Reporter": lambda row: row.reporter_name,
            "Started": lambda row: row.started_at,
            "Declared": lambda row: row.declared_at,
            "Acknowledged": lambda row: row.acknowledged_at,
            "Mitigated": lambda row: row.mitigated_at,
            "Resolved": lambda row: row.resolved_at,
            "Closed": lambda row: row.closed_at,
            "Cancelled": lambda row: row.cancelled_at,
            "Tags": lambda row: "; ".join(row.tags),
        },
        portions(),
    )


HANDLERS = [incident_list, export_incidents]
