"""What waits for the reader, what they have, and answering a page from wherever one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from litestar import get, post
from litestar.params import FromPath

from tocsin.alerts import queries as alerts
from tocsin.alerts.model import ALERT_ID, Alert
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.events.vocabulary import called_alert
from tocsin.identity.model import Actor
from tocsin.incidents import action_item_queries, lifecycle
from tocsin.incidents import queries as incidents
from tocsin.incidents.action_item_queries import Filters
from tocsin.incidents.inbox_model import ENTRY_ID
from tocsin.incidents.model import INCIDENT_ID, TO_DO, Incident, IncidentRole
from tocsin.incidents.service.inbox import mark_news
from tocsin.incidents.service.inbox import open_news as open_entry
from tocsin.oncall.model import PAGE_ID
from tocsin.web.base import forms, pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import Screen, Shell, ShellScreen
from tocsin.web.inbox import news
from tocsin.web.inbox.news import News
from tocsin.web.parts import own_page
from tocsin.web.parts.action_items import ItemRow, item_rows

# The list of action items has the rest.
_MOST_DUE = 20


@dataclass(frozen=True, slots=True)
class Mine:
    """An alert or an incident that the reader has taken on. `words` say how they stand to it."""

    id: str
    place: str
    ref: str
    title: str
    severity: int
    since: datetime
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxScreen(ShellScreen):
    """What waits for the reader stands in the shell already; these are the alerts and the incidents that they have."""

    template: ClassVar = "inbox/inbox.html"
    alerts: Sequence[Mine]
    incidents: Sequence[Mine]
    news: News
    # What the reader is to have done by today, or should have done by now.
    action_items: Sequence[ItemRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedScreen(Screen):
    """The bar alone, which a page asks for when nothing else on it has changed."""

    template: ClassVar = "_paged.html"
    shell: Shell


@get("/inbox", needs=Right.SIGNED_IN)
async def inbox(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the pages that wait for the reader, what they have taken on, and the news of what they follow.

    `?show=unread` narrows the news, `?before=` goes on in them.
    """
    return await _show(request, context, who)


async def _show(request: AppRequest, context: Context, who: Actor, refused: Refused | None = None) -> pages.Page:
    me = who.must_be_someone()
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        held = await alerts.held_by(tx, me)
        found = await news.read(tx, request, who, shell.now)
        with_me = await incidents.open_with(tx, me)
        seen_alerts = await alerts.seen(tx, who.access, [each.id for each in held])
        seen = await incidents.by_id(tx, who.access, [each.id for each in with_me])
        today = shell.now.date()
        due = Filters(assignee_ids=[me], statuses=TO_DO, due_until=today)
        to_do = await action_item_queries.listed(tx, who.access, due, limit=_MOST_DUE)
        action_items = await item_rows(tx, to_do, today)
    screen = InboxScreen(
        shell,
        alerts=[_alert(each) for each in held if each.id in seen_alerts],
        incidents=[_incident(who, each) for each in with_me if each.id in seen],
        action_items=action_items,
        news=found,
        live=("mine", "alerts", "incidents", "inbox"),
        refresh_url=found.here,
        refused=refused,
    )
    return pages.render(screen)


def _alert(alert: Alert) -> Mine:
    return Mine(
        id=ALERT_ID.write(alert.id),
        place=ALERT_ID.page(alert.id),
        ref=called_alert(alert.number),
        title=alert.title,
        severity=alert.severity,
        since=alert.acknowledged_at or alert.created_at,
        words="You acknowledged it",
    )


def _incident(who: Actor, incident: Incident) -> Mine:
    roles = [role.value for role in IncidentRole if lifecycle.holder(incident, role) == who.user_id]
    return Mine(
        id=INCIDENT_ID.write(incident.id),
        place=INCIDENT_ID.page(incident.reference),
        ref=incident.reference,
        title=incident.headline,
        severity=incident.severity,
        since=incident.started_at,
        words=f"You are {' and '.join(roles)}" if roles else "You are a responder",
    )


@get("/inbox/paged", needs=Right.SIGNED_IN)
async def paged_bar(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Write the bar “You are being paged” alone."""
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
    return pages.render(PagedScreen(shell=shell))


@post("/inbox/{id:str}", needs=Right.SIGNED_IN)
async def answer(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Answer one's own page, and go on where one was. Form fields: do (ack, decline or escalate), step."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "", partial(_answer, who, id, form))
    if refused is not None:
        return await _show(request, context, who, refused)
    return pages.go(pages.where_from(request, context, "/inbox"), _DONE.get(form.text("do"), ""))


_DONE = {
    "ack": "Acknowledged. It is yours now.",
    "decline": "Declined. Somebody else is asked.",
    "escalate": "The next step is being paged.",
}


async def _answer(who: Actor, id: str, form: Form, tx: Tx) -> None:
    await own_page.say(tx, who, PAGE_ID.read(id), form)


async def _show_again(request: AppRequest, context: Context, who: Actor, _: str, refused: Refused | None) -> pages.Page:
    return await _show(request, context, who, refused)


async def _mark(tx: Tx, who: Actor, _: str, form: Form) -> None:
    """Form fields: entry_id (none: all news), unread (1: mark as unread again)."""
    id = form.optional_id("entry_id", ENTRY_ID)
    await mark_news(tx, who, [id] if id is not None else None, is_read=form.text("unread") != "1")


@get("/inbox/news/{id:str}", needs=Right.SIGNED_IN)
async def open_news(context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Mark one piece of news as read, and lead to its incident."""
    async with context.db.begin() as tx:
        incident = await open_entry(tx, who, ENTRY_ID.read(id))
    return pages.go(INCIDENT_ID.page(incident.reference))


HANDLERS = [
    inbox,
    paged_bar,
    answer,
    open_news,
    *Actions("/inbox", _show_again, needs=Right.SIGNED_IN).handlers(Action("read", _mark)),
]
