"""The timeline of an incident: its record in lines, with the comments as they read now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from markupsafe import Markup

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest
from tocsin.events import words
from tocsin.events.base import EVENT_ID
from tocsin.events.log import LoggedEvent
from tocsin.identity.model import Actor
from tocsin.incidents import commenting, queries
from tocsin.incidents.model import COMMENT_ID, INCIDENT_ID, Comment, Incident
from tocsin.incidents.queries import Show
from tocsin.incidents.retelling import Told, retell
from tocsin.web.base import formatting, pages


@dataclass(frozen=True, slots=True)
class CommentView:
    """What an entry that somebody wrote has besides, and what the reader may do with it."""

    id: str
    edited_at: datetime | None
    erased_at: datetime | None
    erased_by: str
    may_edit: bool
    may_erase: bool
    may_read_earlier: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record."""

    id: str
    at: datetime
    kind: str
    actor_name: str
    icon: str
    hue: str
    words: str
    detail: str
    body_html: Markup | None
    comment: CommentView | None


@dataclass(frozen=True, slots=True)
class Day:
    """The entries of one day in the reader's zone."""

    label: str
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A part of the record, the newest first: `older` leads on, `here` to this part again."""

    days: list[Day]
    show: Show
    older: str | None
    here: str


async def read(tx: Tx, request: AppRequest, who: Actor, incident: Incident, now: datetime) -> Timeline:
    """Read what the query of the page asks for: `?show=comments|events`, and `?before=` for what is older."""
    shown: Show = "all"
    match request.query_params.get("show", ""):
        case "comments":
            shown = "comments"
        case "events":
            shown = "events"
        case _:
            pass
    before = request.query_params.get("before", "")
    position = int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
    found = await queries.timeline(tx, incident.id, before=position, show=shown, limit=pages.PAGE_SIZE + 1)
    here = found[: pages.PAGE_SIZE]
    told = await retell(tx, who.access, here)
    entries = [_entry(event, now, who, incident, each) for event, each in zip(here, told, strict=True)]
    url = INCIDENT_ID.page(incident.reference)
    narrowed = "" if shown == "all" else shown
    older = found[pages.PAGE_SIZE - 1].position if len(found) > pages.PAGE_SIZE else None
    return Timeline(
        days=_days(entries, now),
        show=shown,
        older=pages.address(url, show=narrowed, before=older) + "#panel" if older is not None else None,
        here=pages.address(url, show=narrowed, before=position),
    )


def _view(who: Actor, incident: Incident, comment: Comment) -> CommentView:
    return CommentView(
        id=COMMENT_ID.write(comment.id),
        edited_at=comment.edited_at,
        erased_at=comment.erased_at,
        erased_by=comment.erased_by_name or "",
        may_edit=commenting.may_edit(who, incident, comment),
        may_erase=commenting.may_erase(who, incident, comment),
        may_read_earlier=commenting.may_read_earlier(who, incident, comment),
    )


def _entry(event: LoggedEvent, now: datetime, who: Actor, incident: Incident, told: Told) -> Entry:
    """Write one event as a line, with its times in the reader's zone.

    What people wrote as Markdown is rendered, all else is shown as it is.
    """
    line, written = words.describe(event.name, event.actor_name, told.data, now.tzinfo or UTC), told.comment
    is_written = written is not None or event.name == "incident.resolved"
    return Entry(
        id=EVENT_ID.write(event.id),
        at=event.at,
        kind="event" if written is None else "comment",
        actor_name=event.actor_name,
        icon=line.icon,
        hue=line.tone,
        words=line.text,
        detail="" if is_written else line.detail,
        body_html=pages.prose_or_none(line.detail if written is None else written.body) if is_written else None,
        comment=_view(who, incident, written.comment) if written is not None else None,
    )


def _days(entries: Sequence[Entry], now: datetime) -> list[Day]:
    """Put entries, the newest first, under the days of the reader's zone."""
    return [Day(label, list(group)) for label, group in groupby(entries, key=lambda each: formatting.day(each.at, now))]
