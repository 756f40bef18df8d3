"""What can be set, in one list; light or dark; keys on or off, and which there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from litestar import get, post
from litestar.datastructures import Cookie

from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity.model import USER_ID
from tocsin.kit.addresses import at
from tocsin.web.base import forms, pages
from tocsin.web.base.navigation import Entry
from tocsin.web.base.screens import DialogScreen, ShellScreen

_A_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsScreen(ShellScreen):
    """Every place there is, as the shell has them."""

    template: ClassVar = "settings/settings.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppearanceScreen(ShellScreen):
    """How this browser shows Tocsin."""

    template: ClassVar = "settings/appearance.html"


@dataclass(frozen=True, slots=True)
class Key:
    """A key and what it does."""

    keys: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysScreen(DialogScreen):
    """The keys that are the same on every page of a kind; those of one page stand on its own buttons."""

    template: ClassVar = "settings/keys.html"
    groups: Sequence[tuple[str, Sequence[Key]]]


@get("/settings", needs=Right.SIGNED_IN)
async def settings(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show what can be set, and on a phone every other place."""
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
    return pages.render(SettingsScreen(shell))


@get("/settings/profile", needs=Right.SIGNED_IN, sync_to_thread=False)
def own_page(who: Who) -> pages.Page:
    """Lead to the reader's own page."""
    return pages.go(USER_ID.page(who.must_be_someone()))


@get("/settings/appearance", needs=Right.SIGNED_IN)
async def appearance(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show how this browser shows Tocsin."""
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
    return pages.render(AppearanceScreen(shell))


@post("/settings/appearance", needs=Right.SIGNED_IN)
async def set_appearance(request: AppRequest, context: Ctx) -> pages.Page:
    """Keep the choice in this browser. Form fields: theme (light, dark or empty: as the system), keys ("1": on)."""
    form = await forms.read(request)
    answer = pages.go("/settings/appearance", "Saved for this browser.")
    theme = form.text("theme")
    _keep(context, answer, pages.THEME, theme if theme in pages.THEMES else "")
    _keep(context, answer, pages.KEYS, "" if form.text("keys") else "off")
    return answer


def _keep(context: Context, answer: pages.Page, name: str, value: str) -> None:
    path = at(context.settings.root, "/")
    if value:
        answer.set_cookie(Cookie(key=name, value=value, max_age=_A_YEAR, samesite="lax", path=path))
    else:
        answer.delete_cookie(name, path=path)


@get("/settings/keys", needs=Right.SIGNED_IN)
async def keys(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show every key."""
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
    return pages.render(KeysScreen(shell, back="/settings", groups=_groups(shell.menu.places)))


def _groups(places: Sequence[Entry]) -> list[tuple[str, Sequence[Key]]]:
    return [
        ("Everywhere", _EVERYWHERE),
        (
            "Go to",
            [Key(place.keys, place.text) for place in places if place.keys] + [Key("g ,", "Settings")],
        ),
        ("In a list", _IN_A_LIST),
        ("On an alert", _ON_AN_ALERT),
        ("On an incident", _ON_AN_INCIDENT),
        ("While writing", _WRITING),
    ]


_EVERYWHERE = (
    Key("Ctrl k", "Search, jump to, or do something"),
    Key("?", "Show the keys"),
    Key("c", "Declare an incident"),
    Key("Shift a", "Acknowledge the page that waits for you"),
    Key("/", "Search this list"),
    Key("Esc", "Close what is open"),
)
_IN_A_LIST = (
    Key("j k", "Next, previous"),
    Key("Enter", "Open"),
    Key("x", "Select"),
    Key("Shift x", "Select up to here"),
    Key("Space", "Look without leaving the list"),
    Key("a", "Acknowledge what is selected"),
    Key("e", "In the inbox: mark as read, or unread again"),
)
_ON_AN_ALERT = (
    Key("a", "Acknowledge"),
    Key("e", "Escalate now"),
    Key("Shift r", "Resolve"),
    Key("c", "Declare an incident from it"),
)
_ON_AN_INCIDENT = (
    Key("s", "Status"),
    Key("v", "Severity"),
    Key("l", "Lead"),
    Key("m", "Write in the timeline"),
    Key("p", "Page somebody"),
    Key("Shift r", "Resolve"),
)
_WRITING = (Key("Ctrl Enter", "Send"), Key("Esc", "Close; what was written stays as a draft"))

HANDLERS = [settings, own_page, appearance, set_appearance, keys]
