"""The timeline of an incident: its record in lines, with the comments as they read now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID

from markupsafe import Markup

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest
from tocsin.events import words
from tocsin.events.base import EVENT_ID
from tocsin.events.incidents import RoleChanged
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import commenting, timeline_queries
from tocsin.incidents.folding import Act, Noted, fold
from tocsin.incidents.model import COMMENT_ID, INCIDENT_ID, Comment, Incident
from tocsin.incidents.retelling import Told, retell
from tocsin.incidents.timeline_queries import Recorded, Show
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


# A part of a sentence, and whether it is a name.
Words = Sequence[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record: when it happened, and when it was written if that was later."""

    id: str
    at: datetime
    recorded_at: datetime | None
    kind: str
    is_key: bool
    may_mark: bool
    actor_name: str
    icon: str
    hue: str
    words: Words
    detail: str
    body_html: Markup | None
    comment: CommentView | None
    # By what somebody wrote who was not signed in, in words.
    via: str


@dataclass(frozen=True, slots=True)
class ActView:
    """What somebody did at once: the line that leads, what else is shown of it, and what opens behind that."""

    lead: Entry
    also: list[Entry]
    folded: list[Entry]


@dataclass(frozen=True, slots=True)
class Day:
    """The acts of one day in the reader's zone."""

    label: str
    acts: list[ActView]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A part of the record, the newest first: `older` leads on, `here` to this part again."""

    days: list[Day]
    show: Show
    older: str | None
    here: str


async def read(tx: Tx, request: AppRequest, who: Actor, incident: Incident, now: datetime) -> Timeline:
    """Read what the query of the page asks for: `?show=key|comments|events`, and `?before=` for what is older."""
    asked = request.query_params.get("show", "")
    shown = _SHOWS.get(asked, "all")
    before = request.query_params.get("before", "")
    position = int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
    here, older = await timeline_queries.as_it_happened(
        tx, incident.id, before=position, show=shown, limit=pages.PAGE_SIZE
    )
    told = await retell(tx, who.access, [each.event for each in here])
    entries = {each.event.id: (each, said) for each, said in zip(here, told, strict=True)}
    writer = _Writer(who, incident, now, entries)
    acts = [writer.act(each) for each in fold([writer.noted(each) for each in here])]
    url = INCIDENT_ID.page(incident.reference)
    narrowed = "" if shown == "all" else shown
    return Timeline(
        days=_days(acts, now),
        show=shown,
        older=pages.address(url, show=narrowed, before=older) + "#panel" if older is not None else None,
        here=pages.address(url, show=narrowed, before=position),
    )


_SHOWS: Mapping[str, Show] = {"key": "key", "comments": "comments", "events": "events"}


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


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the events of a part of the record, each with what it says to this reader, in the zone of `now`."""

    who: Actor
    incident: Incident
    now: datetime
    entries: Mapping[UUID, tuple[Recorded, Told]]

    def noted(self, entry: Recorded) -> Noted:
        event = entry.event
        data = self.entries[event.id][1].data
        line = words.describe(event.name, event.actor_name, data, self.now.tzinfo or UTC)
        return Noted(event.id, entry.at, event.transaction, event.name, event.actor_name, data, line, entry.is_key)

    def act(self, act: Act) -> ActView:
        lead, *also = [self._entry(shown.noted, shown.text) for shown in act.shown]
        return ActView(lead, also, [self._entry(noted, noted.line.text) for noted in act.folded])

    def _entry(self, noted: Noted, text: str) -> Entry:
        """Write one line. What people wrote as Markdown is rendered, all else is shown as it is."""
        entry, told = self.entries[noted.id]
        line, written = noted.line, told.comment
        is_written = written is not None or noted.name == "incident.resolved"
        body = written.body if written is not None else line.detail
        return Entry(
            id=EVENT_ID.write(noted.id),
            at=noted.at,
            recorded_at=entry.event.at if entry.occurred_at is not None else None,
            kind="event" if written is None else "comment",
            is_key=noted.is_key,
            may_mark=self.who.may(P.INCIDENT_EDIT, on=self.incident),
            actor_name=noted.actor,
            icon=line.icon,
            hue=line.tone,
            words=emphasised(text, _names(noted)),
            detail="" if is_written else line.detail,
            body_html=pages.prose_or_none(body) if is_written else None,
            comment=_view(self.who, self.incident, written.comment) if written is not None else None,
            via=words.by_what(noted.data).strip(" ()"),
        )


# Where events keep the names of people and policies that stand in their sentences.
_NAMED = ("user_name", "author_name", "target", "policy_name")
_ROLES = ("old", "new")


def _names(noted: Noted) -> list[str]:
    fields = (*_NAMED, *_ROLES) if noted.name == RoleChanged.name else _NAMED
    return [noted.actor, *(str(noted.data.get(field) or "") for field in fields)]


def emphasised(text: str, names: Iterable[str]) -> Words:
    """Take a sentence apart, so that the names in it can be told from the rest."""
    known = sorted({name for name in names if name}, key=len, reverse=True)
    if not known:
        return [(text, False)]
    found = re.split(rf"(?<!\w)({'|'.join(map(re.escape, known))})(?!\w)", text)
    return [(part, part in known) for part in found if part]


def _days(acts: Sequence[ActView], now: datetime) -> list[Day]:
    """Put acts, the newest first, under the days of the reader's zone."""
    by_day = groupby(acts, key=lambda act: formatting.day(act.lead.at, now))
    return [Day(label, list(group)) for label, group in by_day]
