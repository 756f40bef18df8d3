"""The page of one incident: what it shows, put together from the domains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from litestar import get
from litestar.params import FromPath
from markupsafe import Markup

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import ALERT_ID, Alert
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events import vocabulary
from tocsin.events.vocabulary import called_alert
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor, Team
from tocsin.incidents import action_item_queries, lifecycle, queries, related_queries
from tocsin.incidents.action_item_queries import Filters
from tocsin.incidents.fields import FIELDS, Field
from tocsin.incidents.milestones import Reached, Stage, milestones
from tocsin.incidents.model import (
    COUNTED,
    INCIDENT_ID,
    LINK_ID,
    OPEN,
    TO_DO,
    Incident,
    IncidentRole,
    LinkKind,
    Relation,
    ResponderState,
    Standing,
    Status,
)
from tocsin.incidents.related_queries import Related
from tocsin.incidents.vocabularies import Native, is_recognised
from tocsin.web.base import pages
from tocsin.web.base.forms import Refused
from tocsin.web.base.screens import Shell, ShellScreen
from tocsin.web.incidents import custom_fields, timeline
from tocsin.web.incidents.clocks import ClockView, clocks
from tocsin.web.incidents.following import Following, following
from tocsin.web.incidents.note_list import NoteRow, count_notes, note_rows
from tocsin.web.incidents.responders import Calls, ResponderView, nobody_paged, responder_view
from tocsin.web.incidents.timeline import Timeline
from tocsin.web.parts import incident_tabs, own_page
from tocsin.web.parts.action_items import ItemRow, item_rows
from tocsin.web.parts.incident_tabs import Tab, TabView
from tocsin.web.parts.paging_now import PagingNow, paging_now
from tocsin.web.parts.standing import Standing as AlertStanding
from tocsin.web.parts.standing import standings

# So many action items are on the page of their incident; the list of all has every one.
MOST_ITEMS = 200
# The keys of the tabs that stand here.
_TIMELINE, _ALERTS, _ACTION_ITEMS, _NOTES, _FACTS = "", "alerts", "action-items", "notes", "facts"


@dataclass(frozen=True, slots=True)
class IncidentView:
    """What the page makes of the incident and of what it refers to."""

    id: str
    is_open: bool
    summary_html: Markup | None
    resolution_html: Markup | None
    elapsed: float
    # The word of another product that its vocabulary does not know.
    unknown_severity: str
    duplicate_of: str
    teams: list[str]
    # For the teams that own it, and for whoever was asked or granted it.
    is_private: bool


@dataclass(frozen=True, slots=True)
class May:
    """What the reader may do here, by role and by the incident's state."""

    edit: bool
    resolve: bool
    page: bool
    comment: bool


@dataclass(frozen=True, slots=True)
class My:
    """How the reader stands to the incident."""

    is_paged: bool
    has_joined: bool


@dataclass(frozen=True, slots=True)
class MilestoneView:
    """One stage of the incident: when it was reached, so many seconds after the one before, and how it stands."""

    name: str
    at: datetime | None
    after: float | None
    reached: str
    words: str


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role and who has it."""

    key: str
    name: str
    person_id: str | None
    person_name: str | None


@dataclass(frozen=True, slots=True)
class LinkedAlert:
    """An alert behind the incident."""

    id: str
    title: str
    status: str
    ref: str
    severity: int
    source_name: str
    triggered_at: datetime
    count: int
    standing: AlertStanding


@dataclass(frozen=True, slots=True)
class LinkView:
    """A place elsewhere where the incident goes on."""

    id: str
    kind: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class RelatedView:
    """Another incident, and in `words` what it is to this one; one that `is_free` can be taken away again."""

    ref: str
    title: str
    status: str
    words: str
    is_free: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentScreen(ShellScreen):
    """One incident with its record and everybody and everything that belongs to it.

    `editable` are the fields that the reader may change. `paging_now` are the escalations about it and its alerts that
    go on. `nobody_paged` says who was asked for help last, when none of them could be reached, and `trouble` how help
    was asked for in vain. Of the responders `joined` came, of `counted` who are asked or came. `tab` is the key of the
    one that is open; the timeline is read for its own alone.
    """

    template: ClassVar = "incidents/incident.html"
    incident: Incident
    view: IncidentView
    editable: list[str]
    links: list[LinkView]
    relations: list[RelatedView]
    # Where people talk now.
    meeting: str
    may: May
    my: My
    paging: own_page.Paging | None
    paging_now: list[PagingNow]
    milestones: list[MilestoneView]
    clocks: list[ClockView]
    next_statuses: list[str]
    asked: custom_fields.Asked
    roles: list[RoleView]
    nobody_paged: str
    trouble: str
    responders: list[ResponderView]
    joined: int
    counted: int
    following: Following
    alerts: list[LinkedAlert]
    timeline: Timeline | None
    action_items: list[ItemRow]
    # One goes on adding to them.
    is_adding: bool
    notes: list[NoteRow]
    tab: str
    tabs: list[TabView]


@get("/incidents/{ref:str}", needs=P.INCIDENT_VIEW, by_link=True)
async def incident_page(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Show one incident; `?show=key|comments|events` narrows the timeline, `?before=` goes back in it."""
    return await show(request, context, who, ref)


@get("/incidents/{ref:str}/alerts", needs=P.INCIDENT_VIEW, by_link=True)
async def incident_alerts(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Show the alerts behind one incident."""
    return await show(request, context, who, ref, tab=_ALERTS)


@get("/incidents/{ref:str}/action-items", needs=P.INCIDENT_VIEW)
async def incident_action_items(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Show what is to be done because of one incident; `?add=1` goes on with adding."""
    return await show(request, context, who, ref, tab=_ACTION_ITEMS)


async def show_action_items(
    request: AppRequest, context: Context, who: Actor, ref: str, refused: Refused | None = None
) -> pages.Page:
    """Show it with what was to be added and was refused."""
    return await show(request, context, who, ref, refused, tab=_ACTION_ITEMS)


@get("/incidents/{ref:str}/notes", needs=P.INCIDENT_VIEW)
async def incident_notes(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Show the long texts that belong to one incident."""
    return await show(request, context, who, ref, tab=_NOTES)


@get("/incidents/{ref:str}/facts", needs=P.INCIDENT_VIEW, by_link=True)
async def incident_facts(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Show who is on one incident and what is known of it: on wide screens that stands beside the timeline."""
    return await show(request, context, who, ref, tab=_FACTS)


async def show(
    request: AppRequest, context: Context, who: Actor, ref: str, refused: Refused | None = None, *, tab: str = _TIMELINE
) -> pages.Page:
    """Render a tab of the incident as it is now, with a form that was refused."""
    who.must_look(P.INCIDENT_VIEW)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        incident = await queries.get(tx, who.access, ref)
        screen = await _screen(tx, request, shell, who, incident, refused, tab)
    return pages.render(screen)


async def _screen(
    tx: Tx, request: AppRequest, shell: Shell, who: Actor, incident: Incident, refused: Refused | None, tab: str
) -> IncidentScreen:
    is_open = lifecycle.is_open(incident)
    may_edit = who.may(P.INCIDENT_EDIT, on=incident)
    teams = (await identity.teams_by_id(tx, who.access, incident.team_ids)).values()
    other = [incident.duplicate_of_id] if incident.duplicate_of_id is not None else []
    survivor = next(iter((await queries.by_id(tx, who.access, other)).values()), None)
    linked = await alert_queries.of_incident(tx, who.access, incident.id)
    responders = await queries.responders(tx, incident.id)
    calls = await Calls.read(tx, incident, linked)
    views = [responder_view(incident, person, calls) for person in responders]
    mine = next((p.responder for p in responders if p.responder.user_id == who.user_id), None)
    links = [
        LinkView(LINK_ID.write(each.id), each.kind, each.name, each.url)
        for each in await related_queries.links(tx, who.access, incident.id)
    ]
    record = await timeline.read(tx, request, who, incident, shell.now) if tab == _TIMELINE else None
    return IncidentScreen(
        shell,
        incident=incident,
        view=_view(incident, tx.now, survivor.reference if survivor is not None else "", teams),
        editable=[field.name for field in FIELDS.values() if _is_edited(field, incident, who)],
        links=links,
        relations=[_related(each) for each in await related_queries.relations(tx, who.access, incident.id)],
        meeting=next((link.url for link in reversed(links) if link.kind == LinkKind.MEETING), ""),
        may=May(
            edit=may_edit,
            resolve=who.may(P.INCIDENT_RESOLVE, on=incident),
            page=who.may(P.INCIDENT_PAGE, on=incident),
            comment=who.may(P.INCIDENT_COMMENT, on=incident),
        ),
        my=My(
            is_paged=is_open and any(page.user_id == who.user_id for page in calls.waiting),
            has_joined=mine is not None and mine.state == ResponderState.JOINED,
        ),
        paging=await own_page.paging(tx, who, list(calls.runs.values()), calls.waiting),
        paging_now=await paging_now(tx, who, list(calls.runs.values())),
        milestones=_milestones(incident, linked),
        clocks=await clocks(tx, incident),
        next_statuses=[status.value for status in (*OPEN, Status.RESOLVED, Status.CANCELLED)] if is_open else [],
        asked=await custom_fields.asked_of(tx, who, incident),
        roles=await _roles(tx, incident),
        nobody_paged=nobody_paged(incident, responders, calls) if is_open else "",
        trouble=(await queries.troubles(tx, [incident.id])).get(incident.id, ""),
        responders=views,
        joined=sum(1 for person in responders if person.standing is Standing.JOINED),
        counted=sum(1 for person in responders if person.standing in COUNTED),
        following=await following(tx, who, incident),
        alerts=await _alerts(tx, who, linked),
        timeline=record,
        action_items=await _to_do(tx, who, incident, shell) if tab == _ACTION_ITEMS else [],
        notes=await note_rows(tx, who, incident) if tab == _NOTES else [],
        is_adding=request.query_params.get("add") == "1",
        tab=tab,
        tabs=await incident_tabs.tabs_of(tx, who, incident, tab),
        live=(INCIDENT_ID.write(incident.id),),
        refresh_url=record.here if record is not None else shell.path,
        refused=refused,
    )


def _view(incident: Incident, now: datetime, duplicate_of: str, teams: Collection[Team]) -> IncidentView:
    return IncidentView(
        id=INCIDENT_ID.write(incident.id),
        is_open=lifecycle.is_open(incident),
        summary_html=pages.prose_or_none(incident.summary),
        resolution_html=pages.prose_or_none(incident.resolution_note),
        elapsed=lifecycle.lasted(incident, now).total_seconds(),
        unknown_severity=_unknown(incident),
        duplicate_of=duplicate_of,
        teams=sorted(team.name for team in teams),
        is_private=incident.is_private or any(team.is_private for team in teams),
    )


def _unknown(incident: Incident) -> str:
    word = incident.native_severity or ""
    return "" if is_recognised(Native(incident.native_vocabulary or "", word)) else word


_RELATIONS: Mapping[Relation, str] = {
    Relation.PARENT: "Parent",
    Relation.CHILD: "Child",
    Relation.RELATED: "Related",
    Relation.DUPLICATE_OF: "Goes on instead of this one",
    Relation.DUPLICATE: "Duplicate",
}


def _related(related: Related) -> RelatedView:
    other = related.incident
    is_free = related.relation not in (Relation.DUPLICATE_OF, Relation.DUPLICATE)
    return RelatedView(other.reference, other.headline, other.status, _RELATIONS[related.relation], is_free)


def _is_edited(field: Field, incident: Incident, who: Actor) -> bool:
    return field.form is not None and who.may(field.needs, on=incident) and field.is_open_in(incident)


_STAGES: Mapping[Stage, str] = {
    Stage.BEGAN: "Impact began",
    Stage.DETECTED: "Detected",
    Stage.DECLARED: "Declared",
    Stage.ACKNOWLEDGED: "Acknowledged",
    Stage.IDENTIFIED: "Identified",
    Stage.MITIGATED: "Mitigated",
    Stage.RESOLVED: "Resolved",
    Stage.CANCELLED: "Cancelled",
}
# What is said of a stage besides its time, or in its place.
_REACHED: Mapping[Reached, str] = {
    Reached.DONE: "",
    Reached.NOW: "",
    Reached.TODO: "Not yet",
    Reached.SKIPPED: "Skipped",
    Reached.BACK: "not any more",
}


def _milestones(incident: Incident, linked: Sequence[Alert]) -> list[MilestoneView]:
    first = min((alert.created_at for alert in linked), default=None)
    return [
        MilestoneView(
            name=_STAGES[each.stage],
            at=each.at,
            after=each.after.total_seconds() if each.after is not None else None,
            reached=each.reached,
            words=_REACHED[each.reached] or ("" if each.at is not None else "Time not known"),
        )
        for each in milestones(incident, first)
    ]


async def _roles(tx: Tx, incident: Incident) -> list[RoleView]:
    holders = {role: lifecycle.holder(incident, role) for role in IncidentRole}
    known = await identity.users_by_id(tx, [id for id in holders.values() if id is not None])
    return [
        RoleView(role, vocabulary.ROLES[role], USER_ID.write(id), known[id].name)
        if id is not None
        else RoleView(role, vocabulary.ROLES[role], None, None)
        for role, id in holders.items()
    ]


async def _alerts(tx: Tx, who: Actor, linked: Sequence[Alert]) -> list[LinkedAlert]:
    names = await alert_queries.source_names(tx, {alert.source_id for alert in linked}) if linked else {}
    stands = await standings(tx, who, linked)
    return [
        LinkedAlert(
            id=ALERT_ID.write(alert.id),
            title=alert.title,
            status=alert.status,
            ref=called_alert(alert.number),
            severity=alert.severity,
            source_name=names.get(alert.source_id, ("", ""))[0],
            triggered_at=alert.created_at,
            count=alert.count,
            standing=stands[alert.id],
        )
        for alert in linked
    ]


async def _to_do(tx: Tx, who: Actor, incident: Incident, shell: Shell) -> list[ItemRow]:
    """Return the action items by their due dates, what is at its end behind all others."""
    found = await action_item_queries.of_incident(tx, who.access, incident.id, limit=MOST_ITEMS)
    return sorted(await item_rows(tx, found, shell.now.date()), key=lambda row: not row.is_to_do)


async def _count_to_do(tx: Tx, who: Actor, incident: Incident) -> int:
    narrowed = Filters(incident_ids=[incident.id], statuses=TO_DO)
    return await action_item_queries.count(tx, who.access, narrowed, most=MOST_ITEMS)


async def _count_alerts(tx: Tx, who: Actor, incident: Incident) -> int:
    return (await alert_queries.linked_counts(tx, who.access, [incident.id])).get(incident.id, 0)


TABS = (
    Tab(_TIMELINE, "Timeline", 0, by_link=True),
    Tab(_ALERTS, "Alerts", 10, count=_count_alerts, by_link=True),
    Tab(_ACTION_ITEMS, "Action items", 20, needs=P.INCIDENT_VIEW, count=_count_to_do),
    Tab(_NOTES, "Notes", 30, needs=P.INCIDENT_VIEW, count=count_notes),
    Tab(_FACTS, "People & facts", 90, is_rail=True, by_link=True),
)
HANDLERS = [incident_page, incident_alerts, incident_action_items, incident_notes, incident_facts]
