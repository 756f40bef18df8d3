"""The page of one incident: what it shows, put together from the domains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from litestar import get
from litestar.params import FromPath
from markupsafe import Markup

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import ALERT_ID, Alert
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events import vocabulary
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor, Team
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.fields import FIELDS, Field
from tocsin.incidents.model import (
    COUNTED,
    INCIDENT_ID,
    OPEN,
    Incident,
    IncidentRole,
    ResponderSource,
    ResponderState,
    Standing,
    Status,
)
from tocsin.incidents.queries import NamedResponder
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState
from tocsin.oncall.reasons import why_them
from tocsin.web.base import pages
from tocsin.web.base.forms import Refused
from tocsin.web.base.screens import Shell, ShellScreen
from tocsin.web.incidents import timeline
from tocsin.web.incidents.timeline import Timeline
from tocsin.web.parts import own_page

_LINKABLE = 50


@dataclass(frozen=True, slots=True)
class IncidentView:
    """What the page makes of the incident and of what it refers to."""

    id: str
    is_open: bool
    summary_html: Markup | None
    resolution_html: Markup | None
    elapsed: float
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
class Milestone:
    """One stage of the incident and when it was reached."""

    name: str
    at: datetime | None
    after: float | None
    state: str


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role and who has it."""

    key: str
    name: str
    person_id: str | None
    person_name: str | None


@dataclass(frozen=True, slots=True)
class ResponderView:
    """Somebody who was asked or came."""

    name: str
    reason: str
    state: str
    took: float | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class LinkedAlert:
    """An alert behind the incident."""

    id: str
    title: str
    status: str
    severity: int
    source_name: str
    count: int
    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentScreen(ShellScreen):
    """One incident with its record and everybody and everything that belongs to it.

    `editable` are the fields that the reader may change; `duplicates` are the number and title of what was cancelled
    as a duplicate of it. `nobody_paged` says who was asked for help last, when none of them could be reached, and
    `trouble` how help was asked for in vain. Of the responders `joined` came, of `counted` who are asked or came.
    """

    template: ClassVar = "incidents/incident.html"
    incident: Incident
    view: IncidentView
    editable: list[str]
    duplicates: list[tuple[str, str]]
    may: May
    my: My
    paging: own_page.Paging | None
    milestones: list[Milestone]
    next_statuses: list[str]
    roles: list[RoleView]
    nobody_paged: str
    trouble: str
    responders: list[ResponderView]
    joined: int
    counted: int
    alerts: list[LinkedAlert]
    timeline: Timeline


@get("/incidents/{ref:str}", needs=P.INCIDENT_VIEW)
async def incident_page(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Show one incident; `?show=comments|events` narrows the timeline, `?before=` goes back in it."""
    return await show(request, context, who, ref)


async def show(
    request: AppRequest, context: Context, who: Actor, ref: str, refused: Refused | None = None
) -> pages.Page:
    """Render the incident as it is now, with a form that was refused."""
    who.must_look(P.INCIDENT_VIEW)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        incident = await queries.get(tx, who.access, ref)
        screen = await _screen(tx, request, shell, who, incident, refused)
    return pages.render(screen)


async def _screen(
    tx: Tx, request: AppRequest, shell: Shell, who: Actor, incident: Incident, refused: Refused | None
) -> IncidentScreen:
    is_open = lifecycle.is_open(incident)
    may_edit = who.may(P.INCIDENT_EDIT, on=incident)
    teams = (await identity.teams_by_id(tx, who.access, incident.team_ids)).values()
    other = [incident.duplicate_of_id] if incident.duplicate_of_id is not None else []
    survivor = next(iter((await queries.by_id(tx, who.access, other)).values()), None)
    linked = await alert_queries.of_incident(tx, who.access, incident.id)
    responders = await queries.responders(tx, incident.id)
    calls = await _Calls.read(tx, incident, linked)
    views = [_responder(person, calls) for person in responders]
    mine = next((p.responder for p in responders if p.responder.user_id == who.user_id), None)
    record = await timeline.read(tx, request, who, incident, shell.now)
    return IncidentScreen(
        shell,
        incident=incident,
        view=_view(incident, tx.now, survivor.reference if survivor is not None else "", teams),
        editable=[field.name for field in FIELDS.values() if _is_edited(field, incident, who)],
        duplicates=[(each.reference, each.title) for each in await queries.duplicates(tx, who.access, [incident.id])],
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
        milestones=milestones(incident),
        next_statuses=[status.value for status in (*OPEN, Status.RESOLVED, Status.CANCELLED)] if is_open else [],
        roles=await _roles(tx, incident),
        nobody_paged=_nobody_paged(incident, responders, calls) if is_open else "",
        trouble=(await queries.troubles(tx, [incident.id])).get(incident.id, ""),
        responders=views,
        joined=sum(1 for person in responders if person.standing is Standing.JOINED),
        counted=sum(1 for person in responders if person.standing in COUNTED),
        alerts=await _alerts(tx, linked),
        timeline=record,
        live=(INCIDENT_ID.write(incident.id),),
        refresh_url=record.here,
        refused=refused,
    )


def _view(incident: Incident, now: datetime, duplicate_of: str, teams: Collection[Team]) -> IncidentView:
    return IncidentView(
        id=INCIDENT_ID.write(incident.id),
        is_open=lifecycle.is_open(incident),
        summary_html=pages.prose_or_none(incident.summary),
        resolution_html=pages.prose_or_none(incident.resolution_note),
        elapsed=lifecycle.lasted(incident, now).total_seconds(),
        duplicate_of=duplicate_of,
        teams=sorted(team.name for team in teams),
        is_private=incident.is_private or any(team.is_private for team in teams),
    )


def _is_edited(field: Field, incident: Incident, who: Actor) -> bool:
    return field.form is not None and who.may(field.needs, on=incident) and field.is_open_in(incident)


def milestones(incident: Incident) -> list[Milestone]:
    """Return the stages in order; the first that has not been reached is the present one while the incident is open."""
    stages = [
        ("Declared", incident.declared_at),
        ("Acknowledged", incident.acknowledged_at),
        ("Mitigated", incident.mitigated_at),
        ("Resolved", incident.resolved_at),
    ]
    if not lifecycle.was_acknowledged(incident) and not lifecycle.is_open(incident):
        # Whoever declared it ended it as well; there was nobody to acknowledge it to.
        del stages[1]
    if incident.cancelled_at is not None:
        stages = [stages[0], ("Cancelled", incident.cancelled_at)]
    found: list[Milestone] = []
    before = incident.declared_at
    present = "now" if lifecycle.is_open(incident) else "todo"
    for name, at in stages:
        if at is None:
            found.append(Milestone(name, None, None, present))
            present = "todo"
            continue
        after = (at - before).total_seconds() if found else None
        found.append(Milestone(name, at, after if after is None or after >= 0 else None, "done"))
        before = at
    return found


@dataclass(frozen=True, slots=True)
class _Calls:
    """The pages about the incident and its alerts, the newest of each person, and the runs that they belong to."""

    latest: Mapping[UUID, Page]
    waiting: Sequence[Page]
    runs: Mapping[UUID, EscalationRun]
    # Those that paged nobody, because nobody could be reached.
    in_vain: Sequence[EscalationRun]

    @classmethod
    async def read(cls, tx: Tx, incident: Incident, linked: Sequence[Alert]) -> _Calls:
        ids = [alert.id for alert in linked]
        found = [page for page, _ in await oncall.pages_of(tx, alert_ids=ids, incident_id=incident.id)]
        runs = {run.id: run for run in await oncall.runs_of(tx, alert_ids=ids, incident_id=incident.id)}
        latest: dict[UUID, Page] = {}
        for page in found:
            latest.setdefault(page.user_id, page)
        paged = {page.run_id for page in found}
        # One that goes on until somebody can be reached has paged nobody so far either.
        fruitless = (RunState.EXHAUSTED, RunState.RUNNING)
        in_vain = [run for run in runs.values() if run.state in fruitless and run.id not in paged]
        return cls(latest, [page for page in found if page.state == PageState.PAGING], runs, in_vain)

    def missed(self, user_id: UUID) -> bool:
        """Say whether the last try to page this person sent nothing."""
        page = self.latest.get(user_id)
        return any(
            run.direct_user_id == user_id and (page is None or run.started_at > page.paged_at) for run in self.in_vain
        )


_OF_PAGE: Mapping[str, str] = {
    PageState.PAGING: "paging",
    PageState.ACKNOWLEDGED: "acknowledged",
    PageState.DECLINED: "declined",
    PageState.NO_ANSWER: "no_answer",
    PageState.UNREACHABLE: "failed",
    PageState.CANCELLED: "not_needed",
}
_OF_RESPONDER: Mapping[str, str] = {
    Standing.JOINED: "joined",
    Standing.DECLINED: "declined",
    Standing.LEFT: "left",
    Standing.RELEASED: "not_needed",
    Standing.UNREACHABLE: "failed",
}
_CAME: Mapping[str, str] = {
    ResponderSource.SELF: "Came by themselves",
    ResponderSource.ROLE: "Through a role",
    ResponderSource.PAGED: "Paged",
    ResponderSource.LINKED_ALERT: "Paged for a linked alert",
}


def _responder(person: NamedResponder, calls: _Calls) -> ResponderView:
    if person.responder.state == ResponderState.PAGED and calls.missed(person.responder.user_id):
        return ResponderView(person.name, "Has no contact method", "failed", None, None)
    page = calls.latest.get(person.responder.user_id)
    of_page = _OF_PAGE[page.state] if page is not None else "no_answer"
    state = _OF_RESPONDER.get(person.standing, of_page)
    if state == "joined" and of_page == "acknowledged":
        state = of_page
    run = calls.runs.get(page.run_id) if page is not None else None
    took = (page.answered_at - page.paged_at).total_seconds() if page is not None and page.answered_at else None
    return ResponderView(
        name=person.name,
        reason=_reason(person, page, run),
        state=state,
        took=took if state == "acknowledged" else None,
        until=run.next_step_at if run is not None and state == "paging" and run.state == RunState.RUNNING else None,
    )


def _nobody_paged(incident: Incident, responders: Sequence[NamedResponder], calls: _Calls) -> str:
    """Say who was asked last when that reached nobody; "" once somebody else was asked, or the person has come."""
    asked = [run for run in calls.runs.values() if run.incident_id == incident.id and not run.is_fallback]
    last = max((run.started_at for run in asked), default=None)
    batch = [run for run in asked if run.started_at == last]
    here = {person.responder.user_id for person in responders if person.responder.state == ResponderState.JOINED}
    if any(run not in calls.in_vain or run.direct_user_id in here for run in batch):
        return ""
    people = [run.policy_name for run in batch if run.direct_user_id is not None]
    parts = [f"{' and '.join(people)} cannot be reached"] if people else []
    parts += [f"nobody on {run.policy_name} can be reached" for run in batch if run.direct_user_id is None]
    return f"{', '.join(parts)}." if parts else ""


def _reason(person: NamedResponder, page: Page | None, run: EscalationRun | None) -> str:
    if page is None or run is None:
        return _CAME.get(person.responder.source, "")
    return why_them(page, run)


async def _roles(tx: Tx, incident: Incident) -> list[RoleView]:
    holders = {role: lifecycle.holder(incident, role) for role in IncidentRole}
    known = await identity.users_by_id(tx, [id for id in holders.values() if id is not None])
    return [
        RoleView(role, vocabulary.ROLES[role], USER_ID.write(id), known[id].name)
        if id is not None
        else RoleView(role, vocabulary.ROLES[role], None, None)
        for role, id in holders.items()
    ]


async def _alerts(tx: Tx, linked: Sequence[Alert]) -> list[LinkedAlert]:
    names = await alert_queries.source_names(tx, {alert.source_id for alert in linked}) if linked else {}
    troubles = await alert_queries.troubles(tx, [alert.id for alert in linked])
    return [
        LinkedAlert(
            id=ALERT_ID.write(alert.id),
            title=alert.title,
            status=alert.status,
            severity=alert.severity,
            source_name=names.get(alert.source_id, ("", ""))[0],
            count=alert.count,
            trouble=troubles.get(alert.id),
        )
        for alert in linked
    ]


HANDLERS = [incident_page]
