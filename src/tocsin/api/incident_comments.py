"""What people wrote into the timeline of an incident: reading, writing, editing and erasing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody

from tocsin.api.base.body import Body
from tocsin.api.base.http import (
    Cursor,
    Id,
    IfMatch,
    Limit,
    Listing,
    Time,
    answer,
    listing,
    read_if_match,
    reference,
    when,
)
from tocsin.api.shapes.actors import ActorOut, write_who
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_moment, read_position
from tocsin.identity.access import P
from tocsin.incidents import comment_queries, service
from tocsin.incidents.comment_queries import Written
from tocsin.incidents.model import COMMENT_ID, CommentRevision
from tocsin.incidents.service.comments import COMMENT_LIMIT
from tocsin.kit.clock import stamp

Text = Annotated[str, msgspec.Meta(max_length=COMMENT_LIMIT)]


class CommentOut(msgspec.Struct):
    """What somebody wrote, as it reads now (Markdown). `body` is empty once it is erased."""

    id: str
    at: Time
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
    """What to write into the timeline (Markdown)."""

    example: ClassVar[Mapping[str, Any]] = {"body": "The database failed over at 14:05."}
    body: Text


class EditComment(Body, kw_only=True):
    """What the comment says from now on (Markdown)."""

    example: ClassVar[Mapping[str, Any]] = {"body": "The database failed over at 14:07."}
    body: Text


def _write(written: Written) -> CommentOut:
    comment = written.comment
    return CommentOut(
        id=COMMENT_ID.write(comment.id),
        at=stamp(comment.created_at),
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


@get("/{id:str}/comments", needs=P.INCIDENT_VIEW)
async def list_comments(
    request: AppRequest, context: Ctx, who: Who, id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[CommentOut]]:
    """List what people wrote, the newest first."""
    before = read_moment(cursor)
    async with context.begin() as tx:
        rows = await comment_queries.comments(tx, who.access, reference(id), before=before, limit=limit + 1)
    return listing(request, rows, limit, _write, lambda row: (row.comment.created_at, row.comment.id))


@post("/{id:str}/comments", needs=P.INCIDENT_COMMENT)
async def add_comment(context: Ctx, who: Who, id: Id, data: JSONBody[AddComment]) -> Response[CommentOut]:
    """Write into the timeline; also when the incident is over."""
    async with context.begin() as tx:
        written = _write(await service.comment(tx, who, reference(id), data.body))
    return answer(written, version=written.version, status=201)


@get("/{id:str}/comments/{comment_id:str}", needs=P.INCIDENT_VIEW)
async def get_comment(context: Ctx, who: Who, id: Id, comment_id: Id) -> Response[CommentOut]:
    """Show one comment."""
    async with context.begin() as tx:
        _, found = await comment_queries.comment(tx, who.access, reference(id), COMMENT_ID.read(comment_id))
    return answer(_write(found), version=found.comment.version)


@patch("/{id:str}/comments/{comment_id:str}", needs=P.INCIDENT_COMMENT)
async def edit_comment(
    context: Ctx, who: Who, id: Id, comment_id: Id, data: JSONBody[EditComment], if_match: IfMatch = None
) -> Response[CommentOut]:
    """Let one's own comment say something else. What it said before is kept among its revisions."""
    async with context.begin() as tx:
        edited = await service.edit_comment(
            tx, who, reference(id), COMMENT_ID.read(comment_id), data.body, if_version=read_if_match(if_match)
        )
        written = _write(edited)
    return answer(written, version=written.version)


@delete("/{id:str}/comments/{comment_id:str}", needs=P.INCIDENT_COMMENT)
async def erase_comment(context: Ctx, who: Who, id: Id, comment_id: Id, if_match: IfMatch = None) -> None:
    """Take out for good what a comment says and said before. That it was there, and who erased it when, stays.

    For its author, and for whoever may edit the incident.
    """
    async with context.begin() as tx:
        await service.erase_comment(
            tx, who, reference(id), COMMENT_ID.read(comment_id), if_version=read_if_match(if_match)
        )


@get("/{id:str}/comments/{comment_id:str}/revisions", needs=P.INCIDENT_VIEW)
async def list_comment_revisions(
    request: AppRequest, context: Ctx, who: Who, id: Id, comment_id: Id, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[CommentRevisionOut]]:
    """List every text that a comment had, the newest first: for its author, and for whoever may edit the incident."""
    before = read_position(cursor)
    async with context.begin() as tx:
        found = await service.read_revisions(
            tx, who, reference(id), COMMENT_ID.read(comment_id), before=before, limit=limit + 1
        )
    return listing(request, found, limit, _write_revision, lambda revision: revision.number)


ROUTER = Router(
    "/incidents",
    route_handlers=[list_comments, add_comment, get_comment, edit_comment, erase_comment, list_comment_revisions],
    tags=["incidents"],
)
