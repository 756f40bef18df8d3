"""One note of an incident: reading it and what it said before, writing, editing and deleting it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from litestar import get, post
from litestar.params import FromPath
from markupsafe import Markup

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import noting, queries
from tocsin.incidents.model import INCIDENT_ID, Incident
from tocsin.incidents.note_model import NOTE_ID, NoteRevision
from tocsin.incidents.service import notes
from tocsin.incidents.service.notes import NoteChanges
from tocsin.kit.changes import limits_of
from tocsin.kit.errors import NotFound
from tocsin.web.base import forms, pages
from tocsin.web.base.actions import Action, Actions, Made
from tocsin.web.base.forms import Form
from tocsin.web.base.screens import DialogScreen, ShellScreen
from tocsin.web.incidents import incident as page
from tocsin.web.incidents.dialogs import Asked, always, dialog_of
from tocsin.web.parts.dialogs import Dialog, NotAnyMore, Opened, Question

_LIMITS = limits_of(NoteChanges)


@dataclass(frozen=True, slots=True)
class NoteText:
    """One text that a note had."""

    number: int
    at: datetime
    author_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteScreen(ShellScreen):
    """A note with the text `shown`, of the `texts` that the reader may see, the newest first."""

    template: ClassVar = "incidents/note.html"
    incident: Incident
    note_id: str
    title: str
    body_html: Markup | None
    shown: NoteText
    is_newest: bool
    texts: list[NoteText]
    may_change: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteNoteScreen(DialogScreen):
    """Writing a note, or writing it anew; without an id it is a new one."""

    template: ClassVar = "incidents/note_write.html"
    incident: Incident
    note_id: str
    title: str
    body: str
    version: int
    limits: dict[str, int]


@get("/incidents/{ref:str}/notes/{note_id:str}", needs=P.INCIDENT_VIEW)
async def note(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str], note_id: FromPath[str]) -> pages.Page:
    """Show one note; `?revision=2` shows what it said then, to those who may read that."""
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        incident, written, texts = await notes.read_note(tx, who, ref, NOTE_ID.read(note_id))
        shown = _chosen(texts, request.query_params.get("revision", ""))
        screen = NoteScreen(
            shell,
            incident=incident,
            note_id=note_id,
            title=shown.title,
            body_html=pages.prose_or_none(shown.body),
            shown=_text(shown),
            is_newest=shown.number == written.text.number,
            texts=[_text(each) for each in texts],
            may_change=noting.may_change(who, incident, written.note),
            live=(INCIDENT_ID.write(incident.id),),
        )
    return pages.render(screen)


def _text(text: NoteRevision) -> NoteText:
    return NoteText(text.number, text.written_at, text.author_name)


def _chosen(texts: list[NoteRevision], number: str) -> NoteRevision:
    """Return the text of this number, the newest where none is named; raises `NotFound`."""
    found = texts[0] if not number else next((each for each in texts if str(each.number) == number), None)
    if found is None:
        raise NotFound("There is no such text of this note.")
    return found


async def _write(asked: Asked) -> DialogScreen:
    return WriteNoteScreen(
        asked.shell,
        incident=asked.incident,
        note_id="",
        title="",
        body="",
        version=0,
        limits=_LIMITS,
        back=_list(asked.incident.reference),
        refused=asked.opened.refused,
    )


async def _edit_note(opened: Opened) -> DialogScreen:
    """Show the form that writes a note anew."""
    ref, note_id = opened.named["ref"], opened.named["note_id"]
    try:
        incident, written, _ = await notes.read_note(opened.tx, opened.who, ref, NOTE_ID.read(note_id))
    except NotFound:
        if opened.refused is None:
            raise
        # Somebody has deleted it while it was written anew: what was typed is shown all the same.
        incident = await queries.get(opened.tx, opened.who.access, ref)
        return _form(opened, incident, note_id, "", "", 0)
    if not noting.may_change(opened.who, incident, written.note) and opened.refused is None:
        raise NotAnyMore(_place(ref, note_id), "Only its author and those who work on the incident edit a note.")
    return _form(opened, incident, note_id, written.text.title, written.text.body, written.text.number)


def _form(opened: Opened, incident: Incident, note_id: str, title: str, body: str, version: int) -> WriteNoteScreen:
    return WriteNoteScreen(
        opened.shell,
        incident=incident,
        note_id=note_id,
        title=title,
        body=body,
        version=version,
        limits=_LIMITS,
        back=_place(incident.reference, note_id),
        refused=opened.refused,
    )


async def _delete_note(opened: Opened) -> DialogScreen:
    """Ask before a note is deleted."""
    ref, note_id = opened.named["ref"], opened.named["note_id"]
    incident, written, _ = await notes.read_note(opened.tx, opened.who, ref, NOTE_ID.read(note_id))
    place = _place(incident.reference, note_id)
    if not noting.may_change(opened.who, incident, written.note):
        raise NotAnyMore(place, "Only its author and those who work on the incident delete a note.")
    return Question(
        opened.shell,
        title="Delete this note",
        text=f"What “{written.text.title}” says, and said before, is taken out for good. The timeline keeps its title, "
        "and who deleted it.",
        label="Delete note",
        form="delete-note",
        action=f"{place}/delete",
        crumbs=[("/incidents", "Incidents"), (INCIDENT_ID.page(incident.reference), incident.reference)],
        back=place,
        refused=opened.refused,
    )


def _list(ref: str) -> str:
    return f"{INCIDENT_ID.page(ref)}/notes"


def _place(ref: str, note_id: str) -> str:
    return f"{_list(ref)}/{note_id}"


_NEW = dialog_of("notes/new", _write, P.INCIDENT_COMMENT, always)
_EDIT = Dialog("/incidents/{ref:str}/notes/{note_id:str}/edit", _edit_note, P.INCIDENT_COMMENT)
_DELETE = Dialog("/incidents/{ref:str}/notes/{note_id:str}/delete", _delete_note, P.INCIDENT_COMMENT)


async def _add_note(tx: Tx, who: Actor, ref: str, form: Form) -> Made:
    """Form fields: title, body (Markdown), form_id."""
    written = await notes.add_note(tx, who, ref, title=form.text("title"), body=form.text("body"))
    return Made(_place(ref, NOTE_ID.write(written.note.id)))


@post("/incidents/{ref:str}/notes/{note_id:str}/edit", needs=P.INCIDENT_COMMENT)
async def edit_note(
    request: AppRequest, context: Ctx, who: Who, ref: FromPath[str], note_id: FromPath[str]
) -> pages.Page:
    """Form fields: title, body (Markdown), version."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, "note-form", partial(_edit, who, ref, note_id, form))
    if refused is not None:
        return await _EDIT.again(request, context, who, {"ref": ref, "note_id": note_id}, refused)
    return pages.go(_place(ref, note_id), "Note saved.")


async def _edit(who: Actor, ref: str, note_id: str, form: Form, tx: Tx) -> None:
    changes = form.written(NoteChanges)
    await notes.edit_note(tx, who, ref, NOTE_ID.read(note_id), changes, if_version=form.version())


@post("/incidents/{ref:str}/notes/{note_id:str}/delete", needs=P.INCIDENT_COMMENT)
async def delete_note(context: Ctx, who: Who, ref: FromPath[str], note_id: FromPath[str]) -> pages.Page:
    """Whatever it says by now. No fields."""
    async with context.db.begin() as tx:
        await notes.delete_note(tx, who, ref, NOTE_ID.read(note_id))
    return pages.go(_list(ref), "Note deleted.")


HANDLERS = [
    _NEW.handler,
    note,
    _EDIT.handler,
    edit_note,
    _DELETE.handler,
    delete_note,
    *Actions("/incidents/{ref:str}", page.show, needs=P.INCIDENT_COMMENT).handlers(
        Action("notes", _add_note, "Note saved.", form="note-form", once=True, show=_NEW.show),
    ),
]
