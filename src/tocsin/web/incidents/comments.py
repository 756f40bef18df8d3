"""One comment: what it says and said before it was edited, editing it and erasing it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from litestar import get, post
from litestar.params import FromPath
from markupsafe import Markup

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import commenting
from tocsin.incidents import service as incidents
from tocsin.incidents.model import COMMENT_ID, INCIDENT_ID
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import DialogScreen, ShellScreen


@dataclass(frozen=True, slots=True)
class TextView:
    """One text that a comment had."""

    number: int
    at: datetime
    author_name: str
    body_html: Markup | None


@dataclass(frozen=True, slots=True)
class CommentView:
    """The comment, and what the reader may do with it."""

    id: str
    ref: str
    author_name: str
    # The Markdown, for its author to edit.
    body: str
    version: int
    erased_at: datetime | None
    erased_by: str
    may_edit: bool
    may_erase: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentScreen(ShellScreen):
    """One comment and the texts that it had, as far as the reader may see them."""

    template: ClassVar = "incidents/comment.html"
    comment: CommentView
    texts: list[TextView]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditCommentScreen(DialogScreen):
    """Writing a comment anew."""

    template: ClassVar = "incidents/comment_edit.html"
    comment: CommentView


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseCommentScreen(DialogScreen):
    """Taking out all that a comment says."""

    template: ClassVar = "incidents/comment_erase.html"
    comment: CommentView


@get("/incidents/{ref:str}/comments/{comment_id:str}", needs=P.INCIDENT_VIEW)
async def comment(
    request: AppRequest, context: Ctx, who: Who, ref: FromPath[str], comment_id: FromPath[str]
) -> pages.Page:
    """Show one comment; what it said before, to its author and to whoever may edit the incident."""
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        view, texts = await _read(tx, who, ref, comment_id)
    return pages.render(CommentScreen(shell, comment=view, texts=texts))


async def _read(tx: Tx, who: Actor, ref: str, comment_id: str) -> tuple[CommentView, list[TextView]]:
    incident, written, texts = await incidents.read_comment(tx, who, ref, COMMENT_ID.read(comment_id))
    shown = written.comment
    view = CommentView(
        id=comment_id,
        ref=incident.reference,
        author_name=shown.author_name,
        body=written.body,
        version=shown.version,
        erased_at=shown.erased_at,
        erased_by=shown.erased_by_name or "",
        may_edit=commenting.may_edit(who, incident, shown),
        may_erase=commenting.may_erase(who, incident, shown),
    )
    found = [TextView(each.number, each.written_at, each.author_name, pages.prose_or_none(each.body)) for each in texts]
    return view, found


@get("/incidents/{ref:str}/comments/{comment_id:str}/edit", needs=P.INCIDENT_COMMENT)
async def show_edit(
    request: AppRequest, context: Ctx, who: Who, ref: FromPath[str], comment_id: FromPath[str]
) -> pages.Page:
    """Show the form that writes it anew."""
    return await _show_edit(request, context, who, ref, comment_id)


async def _show_edit(
    request: AppRequest, context: Context, who: Actor, ref: str, comment_id: str, refused: Refused | None = None
) -> pages.Page:
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        view, _ = await _read(tx, who, ref, comment_id)
    if not view.may_edit and refused is None:
        return pages.go(_place(ref, comment_id))
    return pages.render(EditCommentScreen(shell, comment=view, back=INCIDENT_ID.page(view.ref), refused=refused))


@get("/incidents/{ref:str}/comments/{comment_id:str}/erase", needs=P.INCIDENT_COMMENT)
async def show_erase(
    request: AppRequest, context: Ctx, who: Who, ref: FromPath[str], comment_id: FromPath[str]
) -> pages.Page:
    """Ask whether it is to be erased."""
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        view, _ = await _read(tx, who, ref, comment_id)
    if not view.may_erase:
        return pages.go(_place(ref, comment_id))
    return pages.render(EraseCommentScreen(shell, comment=view, back=INCIDENT_ID.page(view.ref)))


def _place(ref: str, comment_id: str) -> str:
    return f"{INCIDENT_ID.page(ref)}/comments/{comment_id}"


@post("/incidents/{ref:str}/comments/{comment_id:str}/edit", needs=P.INCIDENT_COMMENT)
async def edit(
    request: AppRequest, context: Ctx, who: Who, ref: FromPath[str], comment_id: FromPath[str]
) -> pages.Page:
    """Form fields: body (Markdown), version."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "edit-comment", partial(_edit, who, ref, comment_id, form))
    if refused is not None:
        return await _show_edit(request, context, who, ref, comment_id, refused)
    return pages.go(INCIDENT_ID.page(ref), "Comment saved.")


async def _edit(who: Actor, ref: str, comment_id: str, form: Form, tx: Tx) -> None:
    id = COMMENT_ID.read(comment_id)
    await incidents.edit_comment(tx, who, ref, id, form.text("body"), if_version=form.version())


@post("/incidents/{ref:str}/comments/{comment_id:str}/erase", needs=P.INCIDENT_COMMENT)
async def erase(context: Ctx, who: Who, ref: FromPath[str], comment_id: FromPath[str]) -> pages.Page:
    """Whatever it says by now. No fields."""
    async with context.db.begin() as tx:
        await incidents.erase_comment(tx, who, ref, COMMENT_ID.read(comment_id))
    return pages.go(INCIDENT_ID.page(ref), "Comment erased.")


HANDLERS = [comment, show_edit, edit, show_erase, erase]
