"""The screen behind the link of a page: `/p/<token>`. The token is the credential; opening it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar

from litestar import HttpMethod, MediaType, Response, get, post, route
from litestar.datastructures import Cookie
from litestar.params import FromPath

from tocsin.alerts.model import ALERT_ID
from tocsin.db.engine import Tx
from tocsin.edge.auth import PAGE_LINK_COOKIE, session_cookie
from tocsin.edge.context import AppRequest, Context, Ctx, ip_of
from tocsin.edge.csrf import RESTS_ON
from tocsin.edge.origin import Rests
from tocsin.edge.reading import cookie
from tocsin.edge.rights import Right
from tocsin.incidents import service as incidents
from tocsin.incidents.model import INCIDENT_ID
from tocsin.incidents.service import LinkAct
from tocsin.incidents.visits import Came, Visit
from tocsin.kit.errors import Conflict
from tocsin.web.acknowledge import standing
from tocsin.web.acknowledge.standing import Latest, PageView
from tocsin.web.base import forms, pages
from tocsin.web.base.screens import Screen

# The address is a credential: it is kept nowhere and handed on to nobody (see `edge/middleware` for the referrer).
_HEADERS = {"cache-control": "no-store", "x-robots-tag": "noindex"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeScreen(Screen):
    """How the page stands for its person, in `state`:

    - waiting: it waits for an answer; reopened: what it was about was over and is open again, and nobody waits
    - reminded: this person acknowledged the alert long ago and is asked whether they are still on it
    - mine, declined, passed_on: what this person did; after the last two they can still take it on
    - missed: they did not answer in time, and can still take it on
    - taken, resolved: by somebody else; or it is over
    - expired: the link is too old or was replaced; astray: the address that it was sent to was removed or changed
    - unknown: there is no such link, and no `page`

    `mark` is another one as soon as it stands otherwise. `notice` says why the last press did nothing. `opens_here`:
    the link opens what the page is about in this browser, where nobody is signed in; `signed_in_as` is who is, if it
    is somebody else than its person.
    """

    template: ClassVar = "acknowledge/ack.html"
    token: str
    state: str
    page: PageView | None = None
    mark: str = ""
    latest: list[Latest] = field(default_factory=list[Latest])
    person_name: str = ""
    notice: str = ""
    opens_here: bool = False
    signed_in_as: str = ""


@route("/p/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], needs=Right.NONE)
async def ack_page(request: AppRequest, context: Ctx, token: FromPath[str]) -> pages.Page:
    """Show what the page is about. Changes nothing: mail scanners and previews open links."""
    return await _show(request, context, token)


@get("/p/{token:str}/mark", needs=Right.NONE)
async def mark(context: Ctx, token: FromPath[str]) -> Response[str]:
    """Say in 16 characters how the page stands, for the screen to ask again and again; 404 for a link to nowhere."""
    async with context.db.look() as tx:
        asked = await standing.read(tx, token, valid_for=_valid_for(context))
        found = standing.mark(asked, tx.now) if asked is not None else ""
    return Response(found, status_code=200 if found else 404, media_type=MediaType.TEXT, headers=_HEADERS)


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


@post("/p/{token:str}/open", opt={RESTS_ON: Rests.OPENING_LINK}, needs=Right.NONE)
async def open_here(request: AppRequest, context: Ctx, token: FromPath[str]) -> pages.Page:
    """Let this browser see for a while what the page is about, and go there.

    Form field `to`: `declare` leads to declaring from the alert. Who is signed in goes there as themselves.
    """
    form = await forms.read(request)
    came = Came(cookie(request, _cookie_name(context)), ip_of(request), request.headers.get("user-agent", ""))
    lasts = timedelta(minutes=context.settings.page_link_session_minutes)
    async with context.db.begin() as tx:
        visit = await incidents.open_visit(tx, request.user, token, came, valid_for=_valid_for(context), lasts=lasts)
    return _led(context, visit, form.text("to")) if visit is not None else pages.go(f"/p/{token}")


def _led(context: Context, visit: Visit, to: str) -> pages.Page:
    """Lead to what the page was about, with the cookie by which the browser sees it."""
    opens = visit.opens
    alert = ALERT_ID.write(opens.alert_id) if opens.alert_id is not None else ""
    there = INCIDENT_ID.page(opens.incident_ref) if opens.incident_ref else f"/alerts/{alert}" if alert else "/"
    leads = pages.go(pages.address("/incidents/new", alert=alert) if to == "declare" and alert else there)
    if visit.cookie:
        kept = Cookie(
            key=_cookie_name(context),
            value=visit.cookie,
            max_age=int(visit.lasts.total_seconds()),
            httponly=True,
            samesite="strict",
            path="/",
        )
        leads.set_cookie(replace(kept, secure=context.settings.base_url.startswith("https://")))
    return leads


def _is_signed_in(request: AppRequest) -> bool:
    return request.user is not None and request.user.by_link_until is None


def _cookie_name(context: Context) -> str:
    return session_cookie(context.settings.base_url, PAGE_LINK_COOKIE)


def _valid_for(context: Context) -> timedelta:
    return timedelta(hours=context.settings.ack_link_hours)


async def _show(request: AppRequest, context: Context, token: str, notice: str = "") -> pages.Page:
    async with context.db.begin() as tx:
        asked = await standing.read(tx, token, valid_for=_valid_for(context))
        if asked is None:
            return _nowhere(request, context, tx, token)
        state = standing.state(asked)
        reader = request.user
        is_signed_in = _is_signed_in(request)
        is_other = reader is not None and is_signed_in and reader.user_id != asked.person.id
        screen = AcknowledgeScreen(
            pages.bare(request, context, tx.now.astimezone(pages.zone(asked.person.time_zone))),
            token=token,
            state=state,
            page=await standing.view(tx, asked),
            mark=standing.mark(asked, tx.now),
            latest=await standing.latest(tx, asked, reader=reader),
            person_name=asked.person.name,
            notice=notice,
            opens_here=bool(context.settings.page_link_session_minutes) and not is_signed_in,
            signed_in_as=reader.name if reader is not None and is_other else "",
        )
    status = 409 if notice else 410 if state in ("expired", "astray") else 200
    return pages.render(screen, status=status, headers=_HEADERS)


def _nowhere(request: AppRequest, context: Context, tx: Tx, token: str) -> pages.Page:
    screen = AcknowledgeScreen(pages.bare(request, context, tx.now), token=token, state="unknown")
    return pages.render(screen, status=404, headers=_HEADERS)


HANDLERS = [ack_page, mark, answer, open_here]
