"""Every query about comments: what they say now, and what they said before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, delete, func, select, tuple_

from tocsin.db.engine import Tx
from tocsin.db.records import lock_record
from tocsin.events.live import Seen
from tocsin.events.log import LoggedEvent
from tocsin.events.words import COMMENTS
from tocsin.identity.access import Access
from tocsin.incidents import queries
from tocsin.incidents.inbox_model import InboxEntry
from tocsin.incidents.model import Comment, CommentRevision, Incident
from tocsin.incidents.queries import Ref
from tocsin.kit.errors import NotFound

# Something that the record has, wherever it was read.
Happened = LoggedEvent | Seen | InboxEntry


@dataclass(frozen=True, slots=True)
class WrittenComment:
    """A comment and what it says now; one that is erased says nothing."""

    comment: Comment
    body: str


def _present() -> Select[Comment, str]:
    is_newest = and_(CommentRevision.comment_id == Comment.id, CommentRevision.number == Comment.version)
    return select(Comment, func.coalesce(CommentRevision.body, "")).outerjoin(CommentRevision, is_newest)


async def comments(
    tx: Tx, access: Access, ref: Ref, *, before: tuple[datetime, UUID] | None = None, limit: int = 50
) -> list[WrittenComment]:
    """Return the comments of an incident, the newest first, older than `before`; raises `NotFound` for the incident."""
    return await _written(tx, access, ref, before, limit, are_key_events=False)


async def key_events(
    tx: Tx, access: Access, ref: Ref, *, before: tuple[datetime, UUID] | None = None, limit: int = 50
) -> list[WrittenComment]:
    """Return the key events that people wrote, the one that was written last first, older than `before`."""
    return await _written(tx, access, ref, before, limit, are_key_events=True)


async def _written(
    tx: Tx, access: Access, ref: Ref, before: tuple[datetime, UUID] | None, limit: int, *, are_key_events: bool
) -> list[WrittenComment]:
    incident = await queries.get(tx, access, ref)
    place = (Comment.created_at, Comment.id)
    query = _present().where(Comment.incident_id == incident.id, Comment.is_key_event == are_key_events)
    if before is not None:
        query = query.where(tuple_(*place) < tuple_(*before))
    newest = (Comment.created_at.desc(), Comment.id.desc())
    return [WrittenComment(*row) for row in (await tx.session.execute(query.order_by(*newest).limit(limit))).all()]


async def comment(tx: Tx, access: Access, ref: Ref, comment_id: UUID) -> tuple[Incident, WrittenComment]:
    """Return an incident and one of its comments; raises `NotFound`."""
    incident = await queries.get(tx, access, ref)
    query = _present().where(Comment.id == comment_id, Comment.incident_id == incident.id)
    row = (await tx.session.execute(query)).one_or_none()
    if row is None:
        raise _missing()
    return incident, WrittenComment(*row)


async def key_event(tx: Tx, access: Access, ref: Ref, comment_id: UUID) -> WrittenComment:
    """Return one of the key events that people wrote into an incident; raises `NotFound`."""
    _, found = await comment(tx, access, ref, comment_id)
    if not found.comment.is_key_event:
        raise NotFound("There is no such key event.")
    return found


async def lock(tx: Tx, access: Access, ref: Ref, comment_id: UUID) -> tuple[Incident, Comment]:
    """Return an incident and one of its comments as it is now, and keep others from changing the comment.

    Raises `NotFound`. The incident is not locked: what is written into it changes nothing of it.
    """
    incident = await queries.get(tx, access, ref)
    row = await lock_record(tx, Comment, comment_id, "comment")
    if row.incident_id != incident.id:
        raise _missing()
    return incident, row


def _missing() -> NotFound:
    return NotFound("There is no such comment.")


async def body_of(tx: Tx, comment: Comment) -> str:
    """Return what a comment says now."""
    query = select(CommentRevision.body).where(
        CommentRevision.comment_id == comment.id, CommentRevision.number == comment.version
    )
    return (await tx.session.scalars(query)).one_or_none() or ""


async def texts_of(tx: Tx, comment_id: UUID, numbers: Collection[int]) -> dict[int, str]:
    """Return these texts of a comment by their numbers; those that are erased, or never were, are left out."""
    query = select(CommentRevision.number, CommentRevision.body).where(
        CommentRevision.comment_id == comment_id, CommentRevision.number.in_(numbers)
    )
    return {number: body for number, body in await tx.session.execute(query)}


async def revisions_of(
    tx: Tx, comment: Comment, *, before: int | None = None, limit: int = 100
) -> list[CommentRevision]:
    """Return the texts of a comment, the newest first, older than number `before`; none of one that is erased."""
    query = select(CommentRevision).where(CommentRevision.comment_id == comment.id)
    if before is not None:
        query = query.where(CommentRevision.number < before)
    return list((await tx.session.scalars(query.order_by(CommentRevision.number.desc()).limit(limit))).all())


async def delete_revisions(tx: Tx, comment: Comment) -> None:
    """Take out every text of a comment that is locked."""
    gone = delete(CommentRevision).where(CommentRevision.comment_id == comment.id)
    await tx.session.execute(gone.execution_options(synchronize_session="fetch"))


async def written_in(tx: Tx, events: Iterable[Happened]) -> dict[UUID | None, WrittenComment]:
    """Return what the comments say now that these events brought, by the ids of the comments."""
    wanted = {id for event in events if (id := comment_of(event.name, event.data)) is not None}
    if not wanted:
        return {}
    rows: Sequence[Any] = (await tx.session.execute(_present().where(Comment.id.in_(wanted)))).all()
    return {comment.id: WrittenComment(comment, body) for comment, body in rows}


async def written_by_id(tx: Tx, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return what these comments say now; one that is erased says nothing."""
    if not ids:
        return {}
    return {comment.id: body for comment, body in await tx.session.execute(_present().where(Comment.id.in_(ids)))}


def comment_of(name: str, data: Mapping[str, Any]) -> UUID | None:
    """Return the comment that an event brought, None for every other event."""
    return UUID(data["comment_id"]) if name in COMMENTS and "comment_id" in data else None


async def dated(tx: Tx, incident_id: UUID) -> dict[UUID, datetime]:
    """Return when those comments of an incident happened that have a time of their own, by their ids."""
    query = select(Comment.id, Comment.occurred_at).where(
        Comment.incident_id == incident_id, Comment.occurred_at.is_not(None)
    )
    return {id: at for id, at in (await tx.session.execute(query)).all() if at is not None}
