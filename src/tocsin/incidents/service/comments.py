"""Writing into the timeline of an incident, writing it anew, and taking it out for good.

The log says that somebody wrote, edited or erased; the texts stand in the revisions of the comment and nowhere else,
so what is erased is gone.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.incidents import CommentAdded, CommentEdited, CommentErased
from tocsin.events.log import emit
from tocsin.events.timeline import KeyEventAdded, KeyEventMoved
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.identity.service import forget_answers
from tocsin.incidents import checks, comment_queries, commenting, queries
from tocsin.incidents.comment_queries import WrittenComment
from tocsin.incidents.model import COMMENT_ID, Comment, CommentRevision, Incident
from tocsin.incidents.queries import Ref
from tocsin.kit.changes import UNSET, Copy, UnsetType
from tocsin.kit.ids import new_id

COMMENT_LIMIT = 10_000
KEY_EVENT_LIMIT = 2_000


async def comment(tx: Tx, who: Actor, ref: Ref, body: str, *, occurred_at: datetime | None = None) -> WrittenComment:
    """Write into the timeline (Markdown, 1 to 10,000 characters); also when the incident is over.

    `occurred_at` is for what happened before it was written: it stands there in the timeline, with both times.
    """
    incident = await queries.get(tx, who.access.reach, ref)
    who.must(P.INCIDENT_COMMENT, on=incident)
    written = await _write(tx, who, incident, _checked(body), _earlier(tx, occurred_at), is_key_event=False)
    await emit(tx, CommentAdded(actor=who.ref, incident_id=incident.id, comment_id=written.comment.id))
    return written


async def add_key_event(
    tx: Tx, who: Actor, ref: Ref, text: str, *, occurred_at: datetime | None = None
) -> WrittenComment:
    """Write a milestone into the timeline (Markdown, 1 to 2,000 characters), where it happened if that was earlier.

    It is edited and erased as a comment is.
    """
    incident = await queries.get(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    told = checks.text("text", text, KEY_EVENT_LIMIT)
    at = _earlier(tx, occurred_at)
    written = await _write(tx, who, incident, told, at, is_key_event=True)
    added = KeyEventAdded(actor=who.ref, incident_id=incident.id, comment_id=written.comment.id, occurred_at=_said(at))
    await emit(tx, added)
    return written


class KeyEventChanges(TypedDict, total=False):
    """What a key event says from now on, and when it happened; None is when it was written."""

    text: str
    occurred_at: datetime | None


async def edit_key_event(
    tx: Tx, who: Actor, ref: Ref, comment_id: UUID, changes: KeyEventChanges, *, if_version: Copy = None
) -> WrittenComment:
    """Let a key event say something else, or have happened at another time; only its author may."""
    await comment_queries.key_event(tx, who.access.reach, ref, comment_id)
    return await edit_comment(
        tx,
        who,
        ref,
        comment_id,
        changes.get("text", UNSET),
        occurred_at=changes.get("occurred_at", UNSET),
        if_version=if_version,
    )


async def erase_key_event(tx: Tx, who: Actor, ref: Ref, comment_id: UUID, *, if_version: Copy = None) -> WrittenComment:
    """Take out all that a key event says and said, as a comment is erased."""
    await comment_queries.key_event(tx, who.access.reach, ref, comment_id)
    return await erase_comment(tx, who, ref, comment_id, if_version=if_version)


def _earlier(tx: Tx, at: datetime | None) -> datetime | None:
    return checks.earlier(tx, "occurred_at", at, "happened") if at is not None else None


def _said(at: datetime | None) -> str:
    return at.isoformat() if at is not None else ""


async def _write(
    tx: Tx, who: Actor, incident: Incident, text: str, occurred_at: datetime | None, *, is_key_event: bool
) -> WrittenComment:
    written = Comment(
        id=new_id(),
        incident_id=incident.id,
        author_kind=who.ref.kind,
        author_id=who.ref.id,
        author_name=who.ref.name,
        created_at=tx.now,
        occurred_at=occurred_at,
        is_key_event=is_key_event,
        version=1,
    )
    tx.session.add(written)
    await _say(tx, who, written, text)
    return WrittenComment(written, text)


async def edit_comment(
    tx: Tx,
    who: Actor,
    ref: Ref,
    comment_id: UUID,
    body: str | UnsetType = UNSET,
    *,
    occurred_at: datetime | UnsetType | None = UNSET,
    if_version: Copy = None,
) -> WrittenComment:
    """Let a comment or key event say something else, or have happened at another time; only its author may.

    What it said before is kept. The same text is no edit.
    """
    incident, written = await comment_queries.lock(tx, who.access.reach, ref, comment_id)
    commenting.must_edit(who, incident, written)
    commenting.must_be_current(written, if_version)
    if not isinstance(occurred_at, UnsetType):
        await _move(tx, who, incident, written, _earlier(tx, occurred_at))
    before = await comment_queries.body_of(tx, written)
    text = before if isinstance(body, UnsetType) else _checked_of(written, body)
    if text == before:
        return WrittenComment(written, text)
    written.version += 1
    written.edited_at = tx.now
    await _say(tx, who, written, text)
    edited = CommentEdited(actor=who.ref, incident_id=incident.id, comment_id=written.id, revision=written.version)
    await emit(tx, edited)
    return WrittenComment(written, text)


def _checked_of(written: Comment, body: str) -> str:
    return checks.text("text", body, KEY_EVENT_LIMIT) if written.is_key_event else _checked(body)


async def _move(tx: Tx, who: Actor, incident: Incident, written: Comment, at: datetime | None) -> None:
    if at == written.occurred_at:
        return
    old, written.occurred_at = written.occurred_at, at
    moved = KeyEventMoved(actor=who.ref, incident_id=incident.id, comment_id=written.id, old=_said(old), new=_said(at))
    await emit(tx, moved)


async def erase_comment(tx: Tx, who: Actor, ref: Ref, comment_id: UUID, *, if_version: Copy = None) -> WrittenComment:
    """Take out all that a comment says and said, for good; that it was there, and who erased it, stays.

    For its author and for whoever may edit the incident. A comment that is erased already stays as it is.
    """
    incident, written = await comment_queries.lock(tx, who.access.reach, ref, comment_id)
    commenting.must_erase(who, incident, written)
    if written.erased_at is not None:
        return WrittenComment(written, "")
    commenting.must_be_current(written, if_version)
    await comment_queries.delete_revisions(tx, written)
    # The answer to whoever wrote it holds the text as well; 0.1.0 gave it the id of its event, which is the same.
    await forget_answers(tx, COMMENT_ID.write(written.id).partition("_")[2])
    written.version += 1
    written.erased_at = tx.now
    written.erased_by_kind, written.erased_by_id, written.erased_by_name = who.ref.kind, who.ref.id, who.ref.name
    erased = CommentErased(
        actor=who.ref, incident_id=incident.id, comment_id=written.id, author_name=written.author_name
    )
    await emit(tx, erased)
    return WrittenComment(written, "")


async def read_comment(
    tx: Tx, who: Actor, ref: Ref, comment_id: UUID
) -> tuple[Incident, WrittenComment, list[CommentRevision]]:
    """Return a comment with what it says, and to those who may read that, with what it said before."""
    incident, written = await comment_queries.comment(tx, who.access, ref, comment_id)
    limit = 100 if commenting.may_read_earlier(who, incident, written.comment) else 1
    return incident, written, await comment_queries.revisions_of(tx, written.comment, limit=limit)


async def read_revisions(
    tx: Tx, who: Actor, ref: Ref, comment_id: UUID, *, before: int | None = None, limit: int = 100
) -> list[CommentRevision]:
    """Return the texts that a comment had, the newest first; raises `Denied` for who may not read the earlier ones."""
    incident, written = await comment_queries.comment(tx, who.access, ref, comment_id)
    commenting.must_read_earlier(who, incident, written.comment)
    return await comment_queries.revisions_of(tx, written.comment, before=before, limit=limit)


def _checked(body: str) -> str:
    return checks.text("body", body, COMMENT_LIMIT)


async def _say(tx: Tx, who: Actor, written: Comment, text: str) -> None:
    await tx.session.flush()
    tx.session.add(
        CommentRevision(
            comment_id=written.id,
            number=written.version,
            body=text,
            written_at=tx.now,
            author_kind=who.ref.kind,
            author_id=who.ref.id,
            author_name=who.ref.name,
        )
    )
