"""Sessions: where one is signed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from litestar import get

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.model import SESSION_ID, Actor
from tocsin.kit.errors import NotFound
from tocsin.web.base import lists, pages, portions
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Group, Listing, ListOf
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts.dialogs import Dialog, Opened, Question

# The order matters: Edge and Opera also call themselves Chrome, and Chrome calls itself Safari.
_BROWSERS = (
    ("Edge", r"Edg(?:A|iOS)?/"),
    ("Opera", r"OPR/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/"),
    ("Safari", r"Safari/"),
)
_SYSTEMS = (
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("Linux", r"Linux|X11"),
)


SESSIONS = ListOf(
    place="/sessions",
    one="session",
    many="sessions",
    search="",
    columns=(
        Column("ttl", "Device"),
        Column("hint", "Address", priority=3),
        Column("made", "Started", priority=2),
        Column("used", "Last seen", priority=2),
        Column("do", "End", is_quiet=True),
    ),
    opens=False,
)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One browser that is signed in, or came by the link of a page and sees for a while what that was about."""

    id: str
    device: str
    address: str
    started_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_this: bool
    is_by_link: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsScreen(ShellScreen):
    """Where the reader is signed in."""

    template: ClassVar = "account/sessions.html"
    listing: Listing
    groups: list[Group[SessionRow]]


@get("/sessions", needs=Right.OWN)
async def session_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show where the reader is signed in."""
    return await _show(request, context, who, "")


async def _show(
    request: AppRequest, context: Context, who: Actor, _: str, refused: Refused | None = None
) -> pages.Page:
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        found = await queries.sessions_of(tx, who.must_be_someone())
    sessions = [
        SessionRow(
            id=SESSION_ID.write(session.id),
            device=device(session.user_agent),
            address=session.ip,
            started_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
            is_this=session.id == who.session_id,
            is_by_link=session.is_by_link,
        )
        for session in found
    ]
    asked = Asked.by(SESSIONS, request)
    portion = await portions.read(asked, int, sessions.index, portions.within(sessions, sessions.index))
    listing = lists.listing_of(asked, portion, total=len(sessions))
    screen = SessionsScreen(shell, listing=listing, groups=lists.one_group(portion.rows), refused=refused)
    return pages.render(screen)


def device(user_agent: str) -> str:
    """Name browser and system, as `Firefox on Linux`."""
    browser = next((name for name, pattern in _BROWSERS if re.search(pattern, user_agent)), "")
    system = next((name for name, pattern in _SYSTEMS if re.search(pattern, user_agent)), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent.partition("/")[0][:40] or "Unknown device"


async def _end(tx: Tx, who: Actor, id: UUID, form: Form) -> str:
    """End a session; one that has ended already is no error. No fields."""
    try:
        await identity.revoke_session(tx, who, id)
    except NotFound:
        return ""
    return "Session ended."


async def _end_others(tx: Tx, who: Actor, _: str, form: Form) -> None:
    """End every session of one's own but this one. No fields."""
    await identity.revoke_other_sessions(tx, who)


async def _end_other_sessions(opened: Opened) -> Question:
    """Ask before all other sessions of one's own are ended."""
    return Question(
        opened.shell,
        title="End all other sessions",
        text="Every other browser and phone has to sign in again.",
        label="End them",
        form="others-dialog-form",
        action="/sessions/end-others",
        crumbs=[("/sessions", "Sessions")],
        back="/sessions",
        refused=opened.refused,
    )


_END_OTHERS = Dialog("/sessions/end-others", _end_other_sessions, Right.OWN)
HANDLERS = [
    session_list,
    _END_OTHERS.handler,
    *Actions("/sessions/{id:str}", _show, needs=Right.OWN, ids=SESSION_ID, leads_to="/sessions").handlers(
        Action("end", _end, form="end-{id}"),
    ),
    *Actions("/sessions", _show, needs=Right.OWN).handlers(
        Action(
            "end-others",
            _end_others,
            "All other sessions are ended.",
            form="others-dialog-form",
            show=_END_OTHERS.show,
        ),
    ),
]
