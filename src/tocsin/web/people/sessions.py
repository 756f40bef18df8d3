"""Sessions: where one is signed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from litestar import get, post
from litestar.params import FromPath

from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.model import SESSION_ID
from tocsin.kit.errors import NotFound
from tocsin.web.base import pages

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


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One browser that is signed in."""

    id: str
    device: str
    address: str
    started_at: datetime
    last_seen_at: datetime
    is_this: bool


@get("/sessions", needs=Right.OWN)
async def session_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show where the reader is signed in."""
    async with context.db.begin() as tx:
        values = await pages.shell(tx, request, context, who)
        found = await queries.sessions_of(tx, who.must_be_someone())
    values["sessions"] = [
        SessionRow(
            id=SESSION_ID.write(session.id),
            device=device(session.user_agent),
            address=session.ip,
            started_at=session.created_at,
            last_seen_at=session.last_seen_at,
            is_this=session.id == who.session_id,
        )
        for session in found
    ]
    return pages.render("account/sessions.html", values)


def device(user_agent: str) -> str:
    """Name browser and system, as `Firefox on Linux`."""
    browser = next((name for name, pattern in _BROWSERS if re.search(pattern, user_agent)), "")
    system = next((name for name, pattern in _SYSTEMS if re.search(pattern, user_agent)), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent.partition("/")[0][:40] or "Unknown device"


@post("/sessions/{id:str}/end", needs=Right.OWN)
async def end(context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """End a session; one that has ended already is no error. No fields."""
    try:
        async with context.db.begin() as tx:
            await identity.revoke_session(tx, who, SESSION_ID.read(id))
    except NotFound:
        return pages.go("/sessions")
    return pages.go("/sessions", "Session ended.")


@post("/sessions/end-others", needs=Right.OWN)
async def end_others(context: Ctx, who: Who) -> pages.Page:
    """End every session of one's own but this one. No fields."""
    async with context.db.begin() as tx:
        await identity.revoke_other_sessions(tx, who)
    return pages.go("/sessions", "All other sessions are ended.")


HANDLERS = [session_list, end, end_others]
