"""What people wrote into the timeline of an incident: reading, writing, editing and erasing it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec

from tocsin.api.base.body import Body
from tocsin.api.base.http import Time, when
from tocsin.api.base.resource import IF_MATCH, AskedBy, Order, Resource, plainly
from tocsin.api.shapes.actors import ActorOut, write_who
from tocsin.api.shapes.refs import INCIDENT
from tocsin.db.engine import Tx
from tocsin.edge.cursors import read_moment, read_position
from tocsin.identity.access import Access, P
from tocsin.incidents import comment_queries, service
from tocsin.incidents.comment_queries import WrittenComment
from tocsin.incidents.model import COMMENT_ID, CommentRevision
from tocsin.incidents.service.comments import COMMENT_LIMIT
from tocsin.kit.clock import stamp

Text = Annotated[str, msgspec.Meta(max_length=COMMENT_LIMIT)]


class CommentOut(msgspec.Struct):
    """What somebody wrote, as it reads now (Markdown). `body` is empty once it is erased.

    `at` is when it was written; `occurred_at`, if it is there, when what it tells of happened.
    """

    id: str
    at: Time
    occurred_at: Time | None
    author: ActorOut
    body: str
    edited_at: Time | None
    erased_at: Time | None
    erased_by: ActorOut | None
    version: int


class CommentRevisionOut(msgspec.Struct):
    """One text that a comment had (Markdown), who wrote it and when. The largest number is what it says now."""

    revision: int
    at: Time
    author: ActorOut
    body: str


class AddComment(Body, kw_only=True):
    """What to write into the timeline (Markdown), and when that happened, if it was earlier."""

    example: ClassVar[Mapping[str, Any]] = {"body": "The database failed over at 14:05."}
    body: Text
    occurred_at: datetime | None = None


class EditComment(Body, kw_only=True):
    """What the comment says from now on (Markdown)."""

    example: ClassVar[Mapping[str, Any]] = {"body": "The database failed over at 14:07."}
    body: Text


def _write(written: WrittenComment) -> CommentOut:
    comment = written.comment
    return CommentOut(
        id=COMMENT_ID.write(comment.id),
        at=stamp(comment.created_at),
        occurred_at=when(comment.occurred_at),
        author=write_who(comment.author_kind, comment.author_id, comment.author_name),
        body=written.body,
        edited_at=when(comment.edited_at),
        erased_at=when(comment.erased_at),
        erased_by=write_who(comment.erased_by_kind, comment.erased_by_id, comment.erased_by_name or "")
        if comment.erased_by_kind is not None
        else None,
        version=comment.version,
    )


def _write_revision(revision: CommentRevision) -> CommentRevisionOut:
    author = write_who(revision.author_kind, revision.author_id, revision.author_name)
    return CommentRevisionOut(revision.number, stamp(revision.written_at), author, revision.body)


def _text(*, body: str) -> str:
    return body


async def _one(tx: Tx, access: Access, ref: str, id: UUID) -> WrittenComment:
    _, found = await comment_queries.comment(tx, access, ref, id)
    return found


COMMENTS = Resource(
    "/incidents/{id:str}/comments",
    COMMENT_ID,
    CommentOut,
    plainly(_write),
    view=P.INCIDENT_VIEW,
    manage=P.INCIDENT_COMMENT,
    tag="incidents",
    order=Order(attrgetter("comment.created_at", "comment.id"), read_moment, to="before"),
    below=INCIDENT,
    item="comment_id",
)
ROUTER = COMMENTS.router(
    COMMENTS.list(comment_queries.comments, "List what people wrote, the newest first."),
    COMMENTS.create(
        AddComment, service.comment, "Write into the timeline; also when the incident is over.", name="add_comment"
    ),
    COMMENTS.get(_one, "Show one comment."),
    COMMENTS.edit(
        EditComment,
        _text,
        service.edit_comment,
        "Let one's own comment say something else. What it said before is kept among its revisions.",
    ),
    COMMENTS.delete(
        service.erase_comment,
        """Take out for good what a comment says and said before. That it was there, and who erased it when, stays.

        For its author, and for whoever may edit the incident.
        """,
        name="erase_comment",
        asks=IF_MATCH,
    ),
    COMMENTS.list_of(
        "revisions",
        AskedBy(service.read_revisions),
        CommentRevisionOut,
        plainly(_write_revision),
        "List every text that a comment had, the newest first: for its author, and for whoever may edit the incident.",
        name="list_comment_revisions",
        order=Order(attrgetter("number"), read_position, to="before"),
    ),
)
