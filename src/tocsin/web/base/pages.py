"""How a page is made: the templates' environment, what stands around every page, answers and flashes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from jinja2 import ChoiceLoader, DictLoader, Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.datastructures import Cookie
from markupsafe import Markup

from tocsin.alerts import queries as alerts
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context
from tocsin.edge.csrf import token_of
from tocsin.edge.cursors import read_moment
from tocsin.edge.packing import AS_IT_IS
from tocsin.edge.problems import headers_of
from tocsin.edge.reading import cookie
from tocsin.events import vocabulary
from tocsin.events.lines import field
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.kit.addresses import at, within
from tocsin.kit.clock import utc_now
from tocsin.kit.clock import zone as zone
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import new_id
from tocsin.kit.text import clean, markdown, sha256_hex
from tocsin.oncall.model import PagingTrouble
from tocsin.web.base import assets, formatting, fragments, navigation, queries
from tocsin.web.base.first_steps import next_step
from tocsin.web.base.forms import safe_path
from tocsin.web.base.paged import waiting_for
from tocsin.web.base.screens import Bare, DialogScreen, Flash, Me, Paged, Screen, Shell

PAGE_SIZE = 50
FLASH = "flash"
THEME = "theme"
KEYS = "keys"
# The header by which js/dialogs.js asks for a dialog alone.
SHEET = "x-sheet"
# How htmx names the element by which a page asks for itself; see base.html.
_REFRESH = "div#refresh"
THEMES = frozenset({"light", "dark"})

Page = Response[bytes]


_FILTERS: dict[str, Callable[..., str]] = {
    "clock": formatting.clock,
    "hour": formatting.hour,
    "day": formatting.day,
    "exact": formatting.exact,
    "ago": formatting.ago,
    "since": formatting.since,
    "countdown": formatting.countdown,
    "duration": formatting.duration,
    "initials": formatting.initials,
    "hue": formatting.hue,
    "prose": formatting.prose,
    "called": field,
}
_MOST_REMEMBERED = 5000


class _Memory:
    """Lets a macro that depends on its arguments alone be rendered once for each of them; lists repeat the same signs.

    Templates define their macros anew for each page, so the name tells which one it is.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Markup] = {}

    def remembered(self, name: str, macro: Callable[..., Markup]) -> Callable[..., Markup]:
        known = self._known

        def remembered(*given: object) -> Markup:
            key = (name, *given)
            found = known.get(key)
            if found is None:
                if len(known) >= _MOST_REMEMBERED:
                    known.clear()
                found = known[key] = macro(*given)
            return found

        return remembered


def _shown(value: object) -> object:
    return clean(value) if type(value) is str else value


@cache
def _environment(root: str, shell: str) -> Environment:
    """Return the templates of an installation below this path; a process has one, and so has each test of it.

    `shell` stands around what a page says; it is empty for a dialog, around which nothing stands.
    """
    files = FileSystemLoader(Path(__file__).parents[1] / "templates")
    around = f'{{% extends "{shell}" %}}' if shell else "{% block content %}{% endblock %}"
    made = Environment(
        loader=files if shell == "base.html" else ChoiceLoader([DictLoader({"base.html": around}), files]),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        # Whatever a page writes reads as it looks; what is marked as HTML was made of such texts.
        finalize=_shown,
    )
    made.filters.update(_FILTERS)

    def static(path: str) -> str:
        return at(root, assets.url(path))

    known: dict[str, Any] = {
        # Where a place of the site stands outside. Whatever leads somewhere is written with it.
        "at": partial(at, root),
        "static": static,
        "scripts": assets.scripts(),
        # The value of the hidden field by which a form that was sent twice is recognised.
        "new_form_id": lambda: new_id().hex,
        "remembered": _Memory().remembered,
        "fragment": fragments.fragment,
        "vocabulary": vocabulary,
        "in_sheet": not shell,
    }
    made.globals.update(known)
    return made


@dataclass(frozen=True, slots=True)
class InVain:
    """How many alerts are in nobody's hands, by what is wrong; see `_in_vain.html`."""

    unanswered: int
    unreached: int


async def shell(tx: Tx, request: AppRequest, context: Context, who: Actor) -> Shell:
    """Read what stands around every signed-in page. Comes first: the stream tells what happens from here on."""
    me = who.must_be_someone()
    following = await next_step(tx, context, who, request.url.path, is_form=request.method == "POST")
    around = await queries.surroundings(tx, who.access, me)
    # Who came by the link of a page answers that one on the page of what it is about, and sees no other.
    paged = await waiting_for(tx, me) if around.paged and who.by_link_until is None else ()
    around_it = _shell(request, context, who, around, tx.now.astimezone(zone(around.time_zone)), paged)
    return replace(around_it, next_step=following)


def shell_without_store(request: Request[Any, Any, Any], context: Context, who: Actor) -> Shell:
    """Return what stands around a page that says what is wrong; the live stream brings the counts."""
    around = queries.Surroundings(org_name="", time_zone="UTC", badges={}, paged=(), place="")
    return _shell(request, context, who, around, utc_now(), ())


def _shell(
    request: Request[Any, Any, Any],
    context: Context,
    who: Actor,
    around: queries.Surroundings,
    now: datetime,
    paged: Sequence[Paged],
) -> Shell:
    me = who.must_be_someone()
    return Shell(
        root=context.settings.root,
        now=now,
        csrf_token=token_of(context, request.auth),
        theme=theme_of(request),
        path=request.url.path,
        in_sheet=SHEET in request.headers,
        flashes=_flashes(request),
        me=Me(USER_ID.write(me), who.name, str(who.role)),
        org_name=around.org_name,
        menu=navigation.menu(who, request.url.path, USER_ID.page(me)),
        may_declare=who.may(P.INCIDENT_DECLARE),
        keys_off=cookie(request, KEYS) == "off",
        badges=around.badges,
        live_after=around.place,
        session=sha256_hex(str(who.session_id).encode())[:12],
        paged=paged,
        is_update=fragments.KNOWN in request.headers,
        known=fragments.read_known(request.headers.get(fragments.KNOWN, "")),
        by_link_until=who.by_link_until.astimezone(zone(around.time_zone)) if who.by_link_until is not None else None,
    )


async def in_vain(tx: Tx, who: Actor) -> InVain:
    """Count the alerts that are in nobody's hands."""
    found = await alerts.count_troubles(tx, who.access)
    return InVain(found[PagingTrouble.UNANSWERED], found[PagingTrouble.UNREACHED])


def bare(request: Request[Any, Any, Any], context: Context, now: datetime | None) -> Bare:
    """Return what a page without the shell needs, readable without a database."""
    # Of a request with a method that nobody knows no session has been read.
    scope: Any = request.scope
    return Bare(
        root=context.settings.root,
        now=now,
        csrf_token=token_of(context, scope.get("auth")),
        theme=theme_of(request),
        path=request.url.path,
        flashes=_flashes(request),
    )


def theme_of(request: Request[Any, Any, Any]) -> str:
    """Return what the reader has chosen, empty when it follows their system."""
    theme = cookie(request, THEME)
    return theme if theme in THEMES else ""


def _flashes(request: Request[Any, Any, Any]) -> list[Flash]:
    # A page that brings itself up to date has done nothing: the words are for the answer to the form, which is on its
    # way at the same time and would say them a second time, or in another window.
    if request.headers.get("hx-source") == _REFRESH:
        return []
    text = cookie(request, FLASH)[:400]
    return [Flash(text)] if text else []


@cache
def _names(of: type[Screen]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(of))


def render(screen: Screen, *, status: int = 0, headers: Mapping[str, str] | None = None) -> Page:
    """Render a page. A refused form is shown again with its own status, if no other is given."""
    refused = screen.refused
    told = {**(headers_of(refused.problem) if refused else {}), **(headers or {})}
    given = {name: getattr(screen, name) for name in _names(type(screen))}
    in_sheet = screen.shell.in_sheet and isinstance(screen, DialogScreen)
    shell = "" if in_sheet else "by_link.html" if screen.shell.by_link_until is not None else "base.html"
    answer = Response(
        _environment(screen.shell.root, shell).get_template(screen.template).render(given).encode("utf-8", "replace"),
        status_code=status or (refused.status if refused else 200),
        media_type=MediaType.HTML,
        headers={**(AS_IT_IS if screen.shows_secret else {"cache-control": "no-store"}), **told},
    )
    if screen.shell.flashes:
        answer.delete_cookie(FLASH)
    return answer


def go(path: str, flash: str = "") -> Page:
    """Answer a form that was accepted: 303 to a place of this site, which says once what was done."""
    # What stood percent-encoded in the address has been decoded by now, and a header cannot hold all of it.
    location = quote(path, safe="/%?&=#:~+,;@!$'()*")
    answer = Response(b"", status_code=303, headers={"location": location, "cache-control": "no-store"})
    if flash:
        answer.set_cookie(Cookie(key=FLASH, value=quote(flash), max_age=60, httponly=True, samesite="lax", path="/"))
    return answer


def where_from(request: Request[Any, Any, Any], context: Context, otherwise: str) -> str:
    """Return the place of this site that a form was sent from; `otherwise` where the browser does not say."""
    referer = urlsplit(request.headers.get("referer", ""))
    if referer.netloc != request.headers.get("host"):
        return otherwise
    here = within(context.settings.root, referer.path) or ""
    return safe_path(f"{here}?{referer.query}" if referer.query else here) or otherwise


def address(path: str, **query: object) -> str:
    """Write a place of this site; parameters that are empty are left out, lists are repeated."""
    given = {name: value for name, value in query.items() if value not in (None, "", [])}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def place(before: str) -> tuple[datetime, UUID] | None:
    """Read where the page of the list before this one ended; what is not ours shows the list from its start."""
    try:
        return read_moment(before or None)
    except Invalid:
        return None


@lru_cache(maxsize=512)
def prose(text: str) -> Markup:
    """Render Markdown; kept for a while, as live pages show the same text again and again."""
    return markdown(text)


def prose_or_none(text: str) -> Markup | None:
    """Render Markdown; None for an empty text."""
    return prose(text) if text.strip() else None
