"""Writing into the timeline of an incident, writing it anew, and taking it out for good.

The log says that somebody wrote, edited or erased; the texts stand in the revisions of the comment and nowhere else,
so what is erased is gone.
"""

from __future__ import annotations

from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.incidents import CommentAdded, CommentEdited, CommentErased
from tocsin.events.log import emit
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.identity.service import forget_answers
from tocsin.incidents import checks, comment_queries, commenting, queries
from tocsin.incidents.comment_queries import WrittenComment
from tocsin.incidents.model import COMMENT_ID, Comment, CommentRevision, Incident
from tocsin.incidents.queries import Ref
from tocsin.kit.changes import Copy
from tocsin.kit.ids import new_id

COMMENT_LIMIT = 10_000


async def comment(tx: Tx, who: Actor, ref: Ref, body: str) -> WrittenComment:
    """Write into the timeline (Markdown, 1 to 10,000 characters); also when the incident is over."""
    incident = await queries.get(tx, who.access.reach, ref)
    who.must(P.INCIDENT_COMMENT, on=incident)
    text = _checked(body)
    written = Comment(
        id=new_id(),
        incident_id=incident.id,
        author_kind=who.ref.kind,
        author_id=who.ref.id,
        author_name=who.ref.name,
        created_at=tx.now,
        version=1,
    )
    tx.session.add(written)
    await _say(tx, who, written, text)
    await emit(tx, CommentAdded(actor=who.ref, incident_id=incident.id, comment_id=written.id))
    return WrittenComment(written, text)


async def edit_comment(
    tx: Tx, who: Actor, ref: Ref, comment_id: UUID, body: str, *, if_version: Copy = None
) -> WrittenComment:
    """Let a comment say something else; only its author may. What it said before is kept. The same text is no edit."""
    incident, written = await comment_queries.lock(tx, who.access.reach, ref, comment_id)
    commenting.must_edit(who, incident, written)
    commenting.must_be_current(written, if_version)
    text = _checked(body)
    if text == await comment_queries.body_of(tx, written):
        return WrittenComment(written, text)
    written.version += 1
    written.edited_at = tx.now
    await _say(tx, who, written, text)
    edited = CommentEdited(actor=who.ref, incident_id=incident.id, comment_id=written.id, revision=written.version)
    await emit(tx, edited)
    return WrittenComment(written, text)


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
