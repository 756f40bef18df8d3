"""The screen behind the link of a page: `/p/<token>`. The token is the credential; opening it changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from litestar import HttpMethod, post, route
from litestar.params import FromPath

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID, Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx
from tocsin.edge.csrf import RESTS_ON
from tocsin.edge.origin import Rests
from tocsin.edge.rights import Right
from tocsin.events import log, words
from tocsin.events.log import LoggedEvent
from tocsin.events.vocabulary import called_alert
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor, User
from tocsin.incidents import lifecycle
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import INCIDENT_ID, Incident, ResponderState
from tocsin.incidents.retelling import Told, retell, unnamed
from tocsin.incidents.service import AnswerLink, LinkAct
from tocsin.kit.errors import Conflict, NotFound
from tocsin.kit.text import truncate
from tocsin.oncall import queries as oncall
from tocsin.oncall import service as escalations
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState
from tocsin.oncall.reasons import why_them
from tocsin.web.base import forms, pages
from tocsin.web.base.screens import Screen

# The address is a credential: it is kept nowhere and handed on to nobody (see `edge/middleware` for the referrer).
_HEADERS = {"cache-control": "no-store", "x-robots-tag": "noindex"}
_LATEST = 3
_LOOKED_AT = 30
# How long one line of news may be.
_NEWS = 140


@dataclass(frozen=True, slots=True)
class PageView:
    """What the screen says about the page. `message` is Markdown, `request` what somebody who asked for help said.

    `next_after` is the whole wait in seconds, `is_last` when nobody else is paged after it. `step` guards against a
    repeat; `url` needs a session.
    """

    title: str
    severity: int
    ref: str
    url: str
    source_name: str
    message: str
    request: str
    paged_at: datetime
    why: str
    step: str
    next_at: datetime | None
    next_after: int
    may_escalate: bool
    is_last: bool
    passed_on_at: datetime | None
    now_paged: list[str]
    answered_by: str
    answered_at: datetime | None
    took: float | None
    resolved_at: datetime | None
    trouble: str
    joined: list[str]


@dataclass(frozen=True, slots=True)
class Latest:
    """One line of what happened lately."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeScreen(Screen):
    """How the page stands for its person, in `state`:

    - waiting: it waits for an answer; reopened: what it was about was over and is open again, and nobody waits
    - reminded: this person acknowledged the alert long ago and is asked whether they are still on it
    - mine, declined, passed_on: what this person did; after the last two they can still take it on
    - taken, resolved: by somebody else; or it is over
    - expired: the link is too old or was replaced; astray: the address that it was sent to was removed or changed
    - unknown: there is no such link, and no `page`

    `notice` says why the last press did nothing.
    """

    template: ClassVar = "acknowledge/ack.html"
    token: str
    state: str
    page: PageView | None
    latest: list[Latest]
    person_name: str
    notice: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """A page and everything that it is about."""

    link: AnswerLink
    page: Page
    person: User
    run: EscalationRun
    alert: Alert | None
    incident: Incident | None


@route("/p/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], needs=Right.NONE)
async def ack_page(request: AppRequest, context: Ctx, token: FromPath[str]) -> pages.Page:
    """Show what the page is about. Changes nothing: mail scanners and previews open links."""
    return await _show(request, context, token)


@post("/p/{token:str}", opt={RESTS_ON: Rests.ANSWER_LINK}, needs=Right.NONE)
async def answer(request: AppRequest, context: Ctx, token: FromPath[str]) -> pages.Page:
    """Answer as the person who was paged. Form field `do`: ack, decline or escalate; `step` guards against a repeat."""
    form = await forms.read(request)
    do = form.text("do")
    try:
        async with context.db.begin() as tx:
            if do in list(LinkAct):
                seen = forms.read_step(form.text("step"))
                await incidents.answer_by_link(tx, token, LinkAct(do), valid_for=_valid_for(context), seen=seen)
    except Conflict as problem:
        return await _show(request, context, token, notice=problem.message)
    return pages.go(f"/p/{token}")


def _valid_for(context: Context) -> timedelta:
    return timedelta(hours=context.settings.ack_link_hours)


async def _read(tx: Tx, context: Context, token: str) -> _Asked | None:
    link = await incidents.read_link(tx, token, valid_for=_valid_for(context))
    if link is None:
        return None
    page = link.page
    try:
        run = await oncall.run(tx, page.run_id)
        alert = await alert_queries.get(tx, EVERYTHING, page.alert_id) if page.alert_id is not None else None
        incident_id = page.incident_id or (alert.incident_id if alert is not None else None)
        incident = await incident_queries.get(tx, EVERYTHING, incident_id) if incident_id is not None else None
    except NotFound:
        return None
    return _Asked(link, page, link.person, run, alert, incident)


async def _show(request: AppRequest, context: Context, token: str, notice: str = "") -> pages.Page:
    async with context.db.begin() as tx:
        asked = await _read(tx, context, token)
        if asked is None:
            return _nowhere(request, context, tx, token)
        view = await _view(tx, asked)
        state = "expired" if asked.link.is_expired else "astray" if asked.link.is_astray else _state(asked)
        if state == "waiting" and view.passed_on_at is not None:
            state = "passed_on"
        screen = AcknowledgeScreen(
            pages.bare(request, context, tx.now.astimezone(pages.zone(asked.person.time_zone))),
            token=token,
            state=state,
            page=view,
            latest=await _latest(tx, asked, reader=request.user),
            person_name=asked.person.name,
            notice=notice,
        )
    status = 409 if notice else 410 if state in ("expired", "astray") else 200
    return pages.render(screen, status=status, headers=_HEADERS)


def _nowhere(request: AppRequest, context: Context, tx: Tx, token: str) -> pages.Page:
    shell = pages.bare(request, context, tx.now)
    screen = AcknowledgeScreen(shell, token=token, state="unknown", page=None, latest=[], person_name="", notice="")
    return pages.render(screen, status=404, headers=_HEADERS)


_ANSWERED = (PageState.ACKNOWLEDGED, PageState.CANCELLED)


def _state(asked: _Asked) -> str:
    """Say how the page stands for its person: what they did comes before what others did.

    An alert that was given back after it was acknowledged waits again, whatever its earlier pages say.
    """
    if asked.alert is not None and asked.alert.status == AlertStatus.TRIGGERED and asked.page.state in _ANSWERED:
        return "waiting"
    if asked.page.state == PageState.ACKNOWLEDGED:
        return "mine"
    if _is_reminder(asked):
        return "reminded" if _is_owner(asked) else "waiting"
    if _resolved_at(asked) is not None:
        return "resolved"
    if _is_of_an_earlier_round(asked):
        return "reopened"
    if asked.page.state == PageState.CANCELLED or _is_taken(asked):
        return "taken"
    if asked.page.state == PageState.DECLINED:
        return "declined"
    return "waiting"


def _is_reminder(asked: _Asked) -> bool:
    """Say whether the page asks about an alert that somebody has: every other page of such an alert is closed."""
    return asked.alert is not None and _is_taken(asked) and asked.page.state == PageState.PAGING


def _is_owner(asked: _Asked) -> bool:
    return asked.alert is not None and asked.alert.acknowledged_by_id == asked.person.id


def _is_of_an_earlier_round(asked: _Asked) -> bool:
    """Say whether the page asked about an incident that has been over since then, and is open again.

    Nobody has answered it, and nobody needs to any more: whoever is wanted now gets another one.
    """
    return asked.alert is None and asked.page.state == PageState.CANCELLED and asked.run.state == RunState.CANCELLED


def _is_taken(asked: _Asked) -> bool:
    if asked.alert is None:
        return asked.run.state == RunState.ANSWERED
    return asked.alert.status == AlertStatus.ACKNOWLEDGED


def _resolved_at(asked: _Asked) -> datetime | None:
    if asked.alert is not None:
        return asked.alert.resolved_at
    if asked.incident is None or lifecycle.is_open(asked.incident):
        return None
    return asked.incident.resolved_at or asked.incident.cancelled_at or asked.incident.updated_at


async def _view(tx: Tx, asked: _Asked) -> PageView:
    page, run, content = asked.page, asked.run, _words(asked)
    is_running = run.state == RunState.RUNNING and run.next_step_at is not None
    by, at = await _answered(tx, asked)
    joined = await incident_queries.responders(tx, asked.incident.id) if asked.incident is not None else []
    follows = await escalations.what_follows(tx, run) if is_running else None
    at_once = await escalations.what_follows(tx, run, at_once=True) if is_running else None
    is_last = follows is not None and bool(follows.end)
    return PageView(
        title=str(content.get("title", "")),
        severity=_severity(asked),
        ref=_ref(asked),
        url=_url(asked),
        source_name=str(content.get("source", "")),
        message=str(content.get("body", ""))[:600],
        request=str(content.get("request", "")),
        paged_at=page.paged_at,
        why="You acknowledged it" if _is_reminder(asked) and _is_owner(asked) else why_them(page, run),
        step=f"{run.round}-{run.step}",
        next_at=run.next_step_at if is_running else None,
        next_after=max(1, int((run.next_step_at - page.paged_at).total_seconds())) if run.next_step_at else 1,
        may_escalate=at_once is not None and bool(at_once.page) and page.state == PageState.PAGING,
        is_last=is_last,
        passed_on_at=page.passed_on_at if page.state == PageState.NO_ANSWER else None,
        now_paged=[name for other, name in await oncall.pages_of_runs(tx, [run]) if other.state == PageState.PAGING],
        answered_by=by,
        answered_at=at,
        took=(at - page.paged_at).total_seconds() if at is not None and at >= page.paged_at else None,
        resolved_at=_resolved_at(asked),
        trouble=await _trouble(tx, asked),
        joined=[person.name for person in joined if person.responder.state == ResponderState.JOINED],
    )


async def _trouble(tx: Tx, asked: _Asked) -> str:
    if asked.page.alert_id is not None:
        return (await alert_queries.troubles(tx, [asked.page.alert_id])).get(asked.page.alert_id, "")
    id = asked.page.incident_id
    return (await incident_queries.troubles(tx, [id])).get(id, "") if id is not None else ""


async def _answered(tx: Tx, asked: _Asked) -> tuple[str, datetime | None]:
    """Return who answered and when: this person, whoever acknowledged the alert, or another one of the same run."""
    if asked.page.answered_at is not None:
        return asked.person.name, asked.page.answered_at
    if asked.alert is not None and asked.alert.acknowledged_at is not None:
        return asked.alert.acknowledged_by or "Somebody else", asked.alert.acknowledged_at
    of = {"alert_ids": [asked.alert.id]} if asked.alert is not None else {"incident_id": asked.page.incident_id}
    for page, name in await oncall.pages_of(tx, **of):  # pyright: ignore[reportArgumentType]
        if page.run_id == asked.run.id and page.state == PageState.ACKNOWLEDGED:
            return name, page.answered_at
    return "Somebody else", asked.run.ended_at


def _words(asked: _Asked) -> dict[str, Any]:
    """Return what the page says, as it would be sent now: an alert may say something else by this time."""
    return asked.run.content | (asdict(alerts.page_words(asked.alert)) if asked.alert is not None else {})


def _severity(asked: _Asked) -> int:
    about = asked.alert or asked.incident
    return about.severity if about is not None else 3


def _ref(asked: _Asked) -> str:
    if asked.alert is not None:
        return called_alert(asked.alert.number)
    return asked.incident.reference if asked.incident is not None else ""


def _url(asked: _Asked) -> str:
    if asked.incident is not None:
        return INCIDENT_ID.page(asked.incident.reference)
    return ALERT_ID.page(asked.alert.id) if asked.alert is not None else "/"


# What the screen says elsewhere, or what says nothing to somebody who was woken by it.
_NO_NEWS = frozenset(
    {"alert.triggered", "alert.routed", "escalation.started", "page.sent", "page.delivered", "incident.alert_linked"}
)


async def _latest(tx: Tx, asked: _Asked, *, reader: Actor | None) -> list[Latest]:
    """Return what happened lately in the incident, or else around the alert; one's own page is no news.

    What people wrote is for those who are signed in and see the incident: whoever else holds the link, which mail
    servers and chat rooms do as well, sees that somebody wrote and not what. Of an incident that the alert was in
    before nothing is told: whoever is asked about the alert now may not see it.
    """
    incident_id = asked.incident.id if asked.incident is not None else None
    alert_id = asked.alert.id if asked.alert is not None and incident_id is None else None
    if alert_id is None and incident_id is None:
        return []
    events = await log.newest_first(tx, alert_id=alert_id, incident_id=incident_id, limit=_LOOKED_AT)
    mine = str(asked.page.id)
    events = [event for event in events if incident_id is not None or not log.is_of_incident(event.name)]
    news = [event for event in events if event.name not in _NO_NEWS and event.data.get("page_id") != mine][:_LATEST]
    here = [incident_id] if incident_id is not None else []
    if reader is not None and await incident_queries.by_id(tx, reader.access, here):
        told = await retell(tx, reader.access, news)
    else:
        told = [Told(unnamed(event.name, event.data)) for event in news]
    return [Latest(event.at, _news(event, each)) for event, each in zip(news, told, strict=True)]


def _news(event: LoggedEvent, told: Told) -> str:
    """Write an event in one line; of a comment it is the text that counts, for whoever may read it."""
    said = " ".join(told.comment.body.split()) if told.comment is not None else ""
    if said:
        return truncate(f"{event.actor_name}: {said}", _NEWS)
    return words.describe(event.name, event.actor_name, told.data).text


HANDLERS = [ack_page, answer]
