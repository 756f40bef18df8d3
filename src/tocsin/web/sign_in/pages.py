"""Getting in and out: sign-in, the first set-up, one-time links and the password after one, sign-out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import ClassVar
from uuid import UUID, uuid4

from litestar import get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.auth import session_cookie
from tocsin.edge.context import AppRequest, Context, Ctx, Who, ip_of
from tocsin.edge.csrf import RESTS_ON
from tocsin.edge.origin import Rests
from tocsin.edge.reading import cookie as cookie_of
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.accounts import SHORTEST_PASSWORD
from tocsin.identity.guessing import DEVICE_KNOWN_FOR, new_device, read_device, slot
from tocsin.identity.model import USER_ID, Actor, User
from tocsin.kit import clock
from tocsin.kit.crypto import digest
from tocsin.kit.errors import Conflict, Invalid, TooMany, Unauthenticated, Unavailable
from tocsin.notifications.arriving import arrive
from tocsin.oncall import service as oncall
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form, Refused, safe_path
from tocsin.web.base.screens import Screen

# The browser keeps the cookie for long; when the session ends is decided on the server.
_COOKIE_SECONDS = 400 * 24 * 3600
_START = "/incidents"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInScreen(Screen):
    """The sign-in; `next` is where to go afterwards, empty for the start page."""

    template: ClassVar = "sign_in/sign_in.html"
    next: str
    org_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUpScreen(Screen):
    """The first run; `token` is empty when the link had none, or a wrong one."""

    template: ClassVar = "sign_in/set_up.html"
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkScreen(Screen):
    """Whom a one-time link signs in and where; all of it empty, and `message` says why, when it does not work."""

    template: ClassVar = "sign_in/link.html"
    token: str = ""
    name: str = ""
    email: str = ""
    place: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasswordScreen(Screen):
    """A new password for somebody who came by a link: until then the current one is not asked for."""

    template: ClassVar = "sign_in/new_password.html"
    name: str
    until: datetime
    shortest_password: int


@get("/sign-in", needs=Right.NONE)
async def sign_in_page(request: AppRequest, context: Ctx) -> pages.Page:
    """Show the sign-in, or the set-up while nobody exists; who is signed in goes on."""
    wanted = safe_path(request.query_params.get("next", ""))
    async with context.db.begin() as tx:
        needs_set_up = await identity.needs_set_up(tx)
    if needs_set_up:
        return pages.go("/set-up")
    if request.user is not None and request.user.by_link_until is None:
        return pages.go(wanted or _START)
    return await _show_sign_in(request, context, wanted)


@post("/sign-in", needs=Right.NONE)
async def sign_in(request: AppRequest, context: Ctx) -> pages.Page:
    """Sign in with e-mail address and password; `next` is where to go, on this site only."""
    form = await forms.read(request)
    wanted = safe_path(form.text("next"))
    email = form.text("email")
    try:
        user, cookie = await identity.sign_in(
            context.db,
            email,
            form.text("password"),
            ip_of(request),
            _user_agent(request),
            days=context.settings.session_days,
            most_days=context.settings.session_max_days,
            instead_of=request.auth,
            device=read_device(context.keys.device, email, cookie_of(request, _device_cookie(email))),
        )
    except (Unauthenticated, TooMany, Unavailable) as problem:
        # Not 401: the browser's own sign-in dialog has no place here, and the form is shown again.
        told = Invalid("", problem.message) if isinstance(problem, Unauthenticated) else problem
        return await _show_sign_in(request, context, wanted, Refused("sign-in", form, told))
    return _signed_in(context, user, cookie, wanted or _START)


async def _show_sign_in(
    request: AppRequest, context: Context, wanted: str, refused: Refused | None = None
) -> pages.Page:
    async with context.db.begin() as tx:
        organisation = await queries.organisation(tx)
        shell = pages.bare(request, context, tx.now)
    name = organisation.name if organisation else ""
    return pages.render(SignInScreen(shell, next=wanted, org_name=name, refused=refused))


@post("/sign-out", needs=Right.NONE)
async def sign_out(request: AppRequest, context: Ctx) -> pages.Page:
    """End this session; signing out twice is harmless."""
    if request.user is not None:
        async with context.db.begin() as tx:
            await identity.sign_out(tx, request.user)
    answer = pages.go("/sign-in", "You are signed out.")
    # A browser takes no word about such a cookie that is not `Secure`, not even that it is over.
    answer.set_cookie(replace(_session_cookie(context, ""), max_age=0))
    return answer


@get("/set-up", needs=Right.NONE)
async def set_up_page(request: AppRequest, context: Ctx) -> pages.Page:
    """Show the set-up to whoever holds the link that the server printed; once it is done it leads to the sign-in."""
    return await _show_set_up(request, context, request.query_params.get("token", ""))


@post("/set-up", opt={RESTS_ON: Rests.SIGN_IN_LINK}, needs=Right.NONE)
async def set_up(request: AppRequest, context: Ctx) -> pages.Page:
    """Make the organisation and its first administrator, who is then signed in."""
    form = await forms.read(request)
    opened: list[tuple[User, str]] = []
    try:
        refused = await forms.attempt(context, form, "set-up", partial(_set_up, request, context, form, opened))
    except Unauthenticated:
        context.wrong_tokens.note(ip_of(request), "links that do not work")
        return await _show_set_up(request, context, "")
    if refused is None:
        return _signed_in(context, *opened[0], _START)
    if isinstance(refused.problem, Conflict):
        return pages.go("/sign-in")
    return await _show_set_up(request, context, form.text("token"), refused)


async def _set_up(request: AppRequest, context: Context, form: Form, opened: list[tuple[User, str]], tx: Tx) -> None:
    first = await oncall.begin(
        tx,
        form.text("token"),
        organisation=form.text("organisation"),
        name=form.text("name"),
        email=form.text("email"),
        password=form.text("password"),
        browser=_browser(request, context),
        time_zone=form.text("time_zone"),
        falls_back_on_them=bool(form.text("fall_back_on_me")),
    )
    opened.append(first)


async def _show_set_up(request: AppRequest, context: Context, token: str, refused: Refused | None = None) -> pages.Page:
    async with context.db.begin() as tx:
        needs_set_up = await identity.needs_set_up(tx)
        shell = pages.bare(request, context, tx.now)
    if not needs_set_up:
        return pages.go("/sign-in")
    return pages.render(SetUpScreen(shell, token=token, refused=refused))


@get("/link/{token:str}", needs=Right.NONE)
async def link_page(request: AppRequest, context: Ctx, token: FromPath[str]) -> pages.Page:
    """Say as whom and where one signs in, and ask: link previews and mail scanners open links, too."""
    return await _show_link(request, context, token)


_GONE = "This link has been used or has expired. Ask for a new one."


async def _show_link(request: AppRequest, context: Context, token: str) -> pages.Page:
    async with context.db.begin() as tx:
        shell = pages.bare(request, context, tx.now)
        found = await queries.link(tx, digest(token))
        person = await queries.user(tx, found.user_id) if found is not None and found.user_id is not None else None
        organisation = await queries.organisation(tx)
    if person is None or not person.is_active:
        context.wrong_tokens.note(ip_of(request), "links that do not work")
        # Whoever holds no good link learns nothing about people.
        return pages.render(LinkScreen(shell, message=_GONE), status=410)
    place = organisation.name if organisation is not None else "Tocsin"
    return pages.render(LinkScreen(shell, token=token, name=person.name, email=person.email, place=place))


@post("/link/{token:str}", opt={RESTS_ON: Rests.SIGN_IN_LINK}, needs=Right.NONE)
async def use_link(request: AppRequest, context: Ctx, token: FromPath[str]) -> pages.Page:
    """Use the link up and sign its person in: somebody new is led to the profile, others may set a new password."""
    form = await forms.read(request)
    try:
        async with context.db.begin() as tx:
            came = await arrive(tx, token, _browser(request, context), time_zone=form.text("time_zone"))
    except Unauthenticated:
        return await _show_link(request, context, token)
    user, cookie = came.person, came.cookie
    if came.is_new:
        words = "Welcome. Set a password here, so that you can come back without a link."
        return _signed_in(context, user, cookie, _profile(user.id), words)
    return _signed_in(context, user, cookie, "/new-password" if user.password_hash is not None else _START)


def _profile(user_id: UUID) -> str:
    return USER_ID.page(user_id)


@get("/new-password", needs=Right.SIGNED_IN)
async def new_password_page(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Offer a new password to whoever just came by a one-time link; everybody else finds it in the profile."""
    return await _show_new_password(request, context, who)


@post("/new-password", needs=Right.SIGNED_IN)
async def new_password(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Replace a forgotten password. Form field: password."""
    form = await forms.read(request)
    me, new = who.must_be_someone(), form.text("password")
    refused = await forms.attempted(form, "new-password", identity.set_password(context.db, who, me, new))
    if refused is None:
        return pages.go(_START, "Password changed.")
    return await _show_new_password(request, context, who, refused)


_LATE = "The time to set a new password without the current one is over. Give the current one, or ask for a new link."


async def _show_new_password(
    request: AppRequest, context: Context, who: Actor, refused: Refused | None = None
) -> pages.Page:
    me = who.must_be_someone()
    async with context.db.begin() as tx:
        until = await queries.new_password_until(tx, who.session_id, me)
        person = await queries.user(tx, me)
        now = tx.now.astimezone(pages.zone(person.time_zone))
    if until is None or until <= now:
        # The profile has a field for the current password.
        return pages.go(_profile(me), _LATE if refused else "")
    shell, least = pages.bare(request, context, now), SHORTEST_PASSWORD
    return pages.render(NewPasswordScreen(shell, name=who.name, until=until, shortest_password=least, refused=refused))


def _signed_in(context: Context, user: User, cookie: str, path: str, flash: str = "") -> pages.Page:
    """Hand the browser its session, and what tells it apart from strangers when it signs in the next time."""
    answer = pages.go(path, flash)
    answer.set_cookie(_session_cookie(context, cookie))
    device = Cookie(
        key=_device_cookie(user.email),
        value=new_device(context.keys.device, user.email, uuid4(), clock.utc_now()),
        max_age=int(DEVICE_KNOWN_FOR.total_seconds()),
        httponly=True,
        # Only the form of the sign-in itself has any use for it.
        samesite="strict",
        path="/sign-in",
    )
    answer.set_cookie(replace(device, secure=_is_secure(context)))
    return answer


def _session_cookie(context: Context, value: str) -> Cookie:
    return Cookie(
        key=session_cookie(context.settings.base_url),
        value=value,
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="lax",
        path="/",
        secure=_is_secure(context),
    )


def _is_secure(context: Context) -> bool:
    return context.settings.base_url.startswith("https://")


def _device_cookie(email: str) -> str:
    return f"tocsin_device_{slot(email)}"


def _browser(request: AppRequest, context: Context) -> identity.Browser:
    days, most_days = context.settings.session_days, context.settings.session_max_days
    return identity.Browser(ip_of(request), _user_agent(request), days, most_days, request.auth)


def _user_agent(request: AppRequest) -> str:
    return request.headers.get("user-agent", "")


HANDLERS = [sign_in_page, sign_in, sign_out, set_up_page, set_up, link_page, use_link, new_password_page, new_password]
