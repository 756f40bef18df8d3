"""How the page behind a link stands for its person, and what the screen says of it. Reads, and changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID, Alert, AlertStatus
from tocsin.db.engine import Tx
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
from tocsin.incidents.service import AnswerLink
from tocsin.kit.errors import NotFound
from tocsin.kit.text import sha256_hex, truncate
from tocsin.oncall import queries as oncall
from tocsin.oncall import service as escalations
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState
from tocsin.oncall.reasons import why_them

_LATEST = 3
_LOOKED_AT = 30
# How long one line of news may be.
_NEWS = 140


@dataclass(frozen=True, slots=True)
class PageView:
    """What the screen says about the page. `message` is Markdown, `request` what somebody who asked for help said.

    `next_after` is the whole wait in seconds, `is_last` when nobody else is paged after it, and `is_due` when that time
    is up and what follows is under way. `step` guards against a repeat. What the page is about stands at `url`, where
    `opens` is, for who came by the link or is signed in.
    """

    title: str
    severity: int
    ref: str
    url: str
    opens: str
    may_declare: bool
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
    is_due: bool
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A page and everything that it is about."""

    link: AnswerLink
    page: Page
    person: User
    run: EscalationRun
    alert: Alert | None
    incident: Incident | None


async def read(tx: Tx, token: str, *, valid_for: timedelta) -> Asked | None:
    """Return what the link of this token is about; None when it leads nowhere."""
    link = await incidents.read_link(tx, token, valid_for=valid_for)
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
    return Asked(link, page, link.person, run, alert, incident)


def state(asked: Asked) -> str:
    """Say how the page stands, in the words of `AcknowledgeScreen`."""
    if asked.link.is_expired:
        return "expired"
    if asked.link.is_astray:
        return "astray"
    found = _by_its_page(asked)
    if found == "waiting" and asked.page.state == PageState.NO_ANSWER:
        return "passed_on" if asked.page.passed_on_at is not None else "missed"
    return found


def mark(asked: Asked, now: datetime) -> str:
    """Return what is another text as soon as the screen would say something else of the page."""
    run, alert, incident = asked.run, asked.alert, asked.incident
    said = (
        *(state(asked), asked.page.state, run.state, run.round, run.step, run.next_step_at, _is_due(run, now)),
        *((alert.status, alert.acknowledged_by_id, alert.severity, alert.title) if alert is not None else ()),
        *((incident.reference, incident.status, incident.version) if incident is not None else ()),
    )
    return sha256_hex(repr(said).encode())[:16]


def _is_due(run: EscalationRun, now: datetime) -> bool:
    return run.state == RunState.RUNNING and run.next_step_at is not None and run.next_step_at <= now


_ANSWERED = (PageState.ACKNOWLEDGED, PageState.CANCELLED)


def _by_its_page(asked: Asked) -> str:
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


def _is_reminder(asked: Asked) -> bool:
    """Say whether the page asks about an alert that somebody has: every other page of such an alert is closed."""
    return asked.alert is not None and _is_taken(asked) and asked.page.state == PageState.PAGING


def _is_owner(asked: Asked) -> bool:
    return asked.alert is not None and asked.alert.acknowledged_by_id == asked.person.id


def _is_of_an_earlier_round(asked: Asked) -> bool:
    """Say whether the page asked about an incident that has been over since then, and is open again.

    Nobody has answered it, and nobody needs to any more: whoever is wanted now gets another one.
    """
    return asked.alert is None and asked.page.state == PageState.CANCELLED and asked.run.state == RunState.CANCELLED


def _is_taken(asked: Asked) -> bool:
    if asked.alert is None:
        return asked.run.state == RunState.ANSWERED
    return asked.alert.status == AlertStatus.ACKNOWLEDGED


def _resolved_at(asked: Asked) -> datetime | None:
    if asked.alert is not None:
        return asked.alert.resolved_at
    if asked.incident is None or lifecycle.is_open(asked.incident):
        return None
    return asked.incident.resolved_at or asked.incident.cancelled_at or asked.incident.updated_at


async def view(tx: Tx, asked: Asked) -> PageView:
    """Return what the screen says about the page."""
    page, run, alert, content = asked.page, asked.run, asked.alert, _words(asked)
    is_running = run.state == RunState.RUNNING and run.next_step_at is not None
    by, at = await _answered(tx, asked)
    opens = await incidents.what_it_opens(tx, asked.link)
    joined = await incident_queries.responders(tx, asked.incident.id) if asked.incident is not None else []
    follows = await escalations.what_follows(tx, run) if is_running else None
    at_once = await escalations.what_follows(tx, run, at_once=True) if is_running else None
    is_last = follows is not None and bool(follows.end)
    return PageView(
        title=str(content.get("title", "")),
        severity=_severity(asked),
        ref=_ref(asked),
        url=INCIDENT_ID.page(opens.incident_ref) if opens.incident_ref else ALERT_ID.page(alert.id) if alert else "/",
        opens=opens.incident_ref or _ref(asked),
        may_declare=opens.may_declare,
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
        is_due=_is_due(run, tx.now),
        passed_on_at=page.passed_on_at if page.state == PageState.NO_ANSWER else None,
        now_paged=[name for other, name in await oncall.pages_of_runs(tx, [run]) if other.state == PageState.PAGING],
        answered_by=by,
        answered_at=at,
        took=(at - page.paged_at).total_seconds() if at is not None and at >= page.paged_at else None,
        resolved_at=_resolved_at(asked),
        trouble=await _trouble(tx, asked),
        joined=[person.name for person in joined if person.responder.state == ResponderState.JOINED],
    )


async def _trouble(tx: Tx, asked: Asked) -> str:
    if asked.page.alert_id is not None:
        return (await alert_queries.troubles(tx, [asked.page.alert_id])).get(asked.page.alert_id, "")
    id = asked.page.incident_id
    return (await incident_queries.troubles(tx, [id])).get(id, "") if id is not None else ""


async def _answered(tx: Tx, asked: Asked) -> tuple[str, datetime | None]:
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


def _words(asked: Asked) -> dict[str, Any]:
    """Return what the page says, as it would be sent now: an alert may say something else by this time."""
    return asked.run.content | (asdict(alerts.page_words(asked.alert)) if asked.alert is not None else {})


def _severity(asked: Asked) -> int:
    about = asked.alert or asked.incident
    return about.severity if about is not None else 3


def _ref(asked: Asked) -> str:
    if asked.alert is not None:
        return called_alert(asked.alert.number)
    return asked.incident.reference if asked.incident is not None else ""


# What the screen says elsewhere, or what says nothing to somebody who was woken by it.
_NO_NEWS = frozenset(
    {"alert.triggered", "alert.routed", "escalation.started", "page.sent", "page.delivered", "incident.alert_linked"}
)


async def latest(tx: Tx, asked: Asked, *, reader: Actor | None) -> list[Latest]:
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
