"""The record of an incident as it is read: in the order in which it was written, or in which things happened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import and_, or_, select

from tocsin.db.engine import Tx
from tocsin.events import words
from tocsin.events.log import LoggedEvent
from tocsin.incidents import comment_queries
from tocsin.incidents.comment_queries import comment_of
from tocsin.incidents.model import TimelineMark
from tocsin.kit.errors import NotFound

# What of a timeline is wanted: all of it, what tells the story, what people wrote, or all but that.
Show = Literal["all", "key", "comments", "events"]
_NAMES: Mapping[Show, Collection[str]] = {"comments": words.COMMENTS, "events": words.ALL_BUT_COMMENTS}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One entry: the event, whether it is a key event, and when it happened, if earlier than it was written."""

    event: LoggedEvent
    is_key: bool
    occurred_at: datetime | None = None

    @property
    def at(self) -> datetime:
        """When it happened."""
        return self.occurred_at or self.event.at


@dataclass(frozen=True, slots=True)
class _Since:
    """What was said of the record of an incident since: which entries lead, by position, and when comments happened."""

    marks: Mapping[int, bool]
    dated: Mapping[UUID, datetime]

    def of(self, event: LoggedEvent) -> Recorded:
        comment_id = comment_of(event.name, event.data)
        is_key = self.marks.get(event.position, event.name in words.KEY)
        return Recorded(event, is_key, self.dated.get(comment_id) if comment_id is not None else None)


async def _since(tx: Tx, incident_id: UUID) -> _Since:
    query = select(TimelineMark.position, TimelineMark.is_key).where(TimelineMark.incident_id == incident_id)
    marks = {position: is_key for position, is_key in (await tx.session.execute(query)).all()}
    return _Since(marks, await comment_queries.dated(tx, incident_id))


async def as_written(
    tx: Tx, incident_id: UUID, *, before: int | None = None, show: Show = "all", limit: int = 50
) -> list[Recorded]:
    """Return the record of an incident, what was written last first, older than the position `before`."""
    return await _written(tx, incident_id, await _since(tx, incident_id), before, show, limit)


async def _written(
    tx: Tx, incident_id: UUID, since: _Since, before: int | None, show: Show, limit: int
) -> list[Recorded]:
    query = select(LoggedEvent).where(LoggedEvent.incident_id == incident_id)
    if before is not None:
        query = query.where(LoggedEvent.position < before)
    if show == "key":
        is_key = LoggedEvent.name.in_(words.KEY)
        said = {is_marked: [at for at, mark in since.marks.items() if mark is is_marked] for is_marked in (True, False)}
        query = query.where(
            or_(and_(is_key, LoggedEvent.position.not_in(said[False])), LoggedEvent.position.in_(said[True]))
        )
    elif show in _NAMES:
        query = query.where(LoggedEvent.name.in_(_NAMES[show]))
    found = await tx.session.scalars(query.order_by(LoggedEvent.position.desc()).limit(limit))
    return [since.of(event) for event in found.all()]


async def as_it_happened(
    tx: Tx, incident_id: UUID, *, before: int | None = None, show: Show = "all", limit: int = 50
) -> tuple[list[Recorded], int | None]:
    """Return a part of the record, what happened last first, and the position before which the next part begins.

    The part is what was written between two positions. What has a time of its own stands in the part of that time,
    and not in the one in which it was written.
    """
    since = await _since(tx, incident_id)
    found = await _written(tx, incident_id, since, before, show, limit + 1)
    here = found[:limit]
    following = here[-1].event.position if len(found) > limit else None
    begins = here[-1].event.at if following is not None else None
    ends = await _written_at(tx, incident_id, before) if before is not None else None
    placed = [
        each
        for each in await _dated(tx, incident_id, since, show)
        if (begins is None or each.at >= begins) and (ends is None or each.at < ends)
    ]
    stay = [each for each in here if each.occurred_at is None]
    return sorted([*stay, *placed], key=lambda each: (each.at, each.event.position), reverse=True), following


async def _dated(tx: Tx, incident_id: UUID, since: _Since, show: Show) -> Sequence[Recorded]:
    """Return the entries with a time of their own: they are few, and an incident has many without any."""
    if not since.dated or show == "events":
        return ()
    wanted = {str(id) for id in since.dated}
    query = select(LoggedEvent).where(
        LoggedEvent.incident_id == incident_id,
        LoggedEvent.name.in_(words.COMMENTS),
        LoggedEvent.data["comment_id"].as_string().in_(wanted),
    )
    found = [since.of(event) for event in (await tx.session.scalars(query)).all()]
    return [each for each in found if show != "key" or each.is_key]


async def _written_at(tx: Tx, incident_id: UUID, position: int) -> datetime | None:
    """Return when the newest entry at or before a position was written."""
    query = select(LoggedEvent.at).where(LoggedEvent.incident_id == incident_id, LoggedEvent.position <= position)
    return await tx.session.scalar(query.order_by(LoggedEvent.position.desc()).limit(1))


async def entry(tx: Tx, incident_id: UUID, event_id: UUID) -> LoggedEvent:
    """Return one entry of the record of an incident; raises `NotFound`."""
    query = select(LoggedEvent).where(LoggedEvent.incident_id == incident_id, LoggedEvent.id == event_id)
    found = (await tx.session.scalars(query)).one_or_none()
    if found is None:
        raise NotFound("The incident has no such entry.")
    return found


async def recorded(tx: Tx, event: LoggedEvent) -> Recorded:
    """Return an entry of the record of an incident with what was said of it since."""
    assert event.incident_id is not None
    return (await _since(tx, event.incident_id)).of(event)


async def mark(tx: Tx, incident_id: UUID, position: int) -> TimelineMark | None:
    """Return what was said of an entry, None when nobody has marked it."""
    return await tx.session.get(TimelineMark, (incident_id, position))
