"""Incident types: the list, and the editor of one with the form that it makes beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import gates, type_queries
from tocsin.incidents.gates import ALWAYS, BUILT_IN
from tocsin.incidents.model import Status
from tocsin.incidents.service import types
from tocsin.incidents.service.types import TypeChanges
from tocsin.incidents.type_model import TYPE_ID, CustomField, IncidentType
from tocsin.kit.changes import limits_of
from tocsin.kit.search import has_words
from tocsin.web.base import forms, lists, pages, portions
from tocsin.web.base.actions import Action, Actions, Made
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Listing, ListOf, View
from tocsin.web.base.screens import DialogScreen, Shell, ShellScreen
from tocsin.web.parts.custom_fields import FieldInput, Known, inputs
from tocsin.web.parts.dialogs import Dialog, Opened, Question

_PLACE = "/organisation/types"
TYPES = ListOf(
    place=_PLACE,
    one="type",
    many="types",
    search="Name or short id",
    columns=(Column("ttl", "Type"), Column("asks", "Asks for", priority=2), Column("count", "Incidents")),
    views=(View("use", "In use"), View("archived", "Archived")),
)
_NAMES = {"title": "Title", "severity": "Severity", "summary": "Summary"}
_WORDS = {"title": "One line", "severity": "SEV1 to SEV5", "summary": "Long text"}
_MOST_COUNTED = 1_000
# When a field is needed: the state that is entered then.
NEEDED = (
    ("", "Optional"),
    (Status.DECLARED.value, "To declare it"),
    (Status.INVESTIGATING.value, "To investigate"),
    (Status.IDENTIFIED.value, "To enter Identified"),
    (Status.MITIGATED.value, "To enter Mitigated"),
    (Status.MONITORING.value, "To enter Monitoring"),
    (Status.RESOLVED.value, "To resolve"),
    (Status.CLOSED.value, "To close"),
    (Status.CANCELLED.value, "To cancel"),
)
# Built-in fields that a declaration does not ask for; the note is needed to resolve in any case.
_OTHERS = [key for key in BUILT_IN if key not in (*ALWAYS, "resolution_note")]


@dataclass(frozen=True, slots=True)
class TypeRow:
    """One type in the list."""

    id: str
    name: str
    short_id: str
    description: str
    asks: int
    incidents: str
    is_default: bool
    is_private: bool


@dataclass(frozen=True, slots=True)
class Sketch:
    """A type as it stands on the screen. `needed` is the state for each key, `more` what else is required."""

    name: str
    description: str
    default_severity: str
    auto_close_days: str
    is_private: bool
    layout: tuple[str, ...]
    needed: Mapping[str, str]
    more: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of the layout."""

    key: str
    name: str
    kind: str
    needed: str
    note: str
    is_always: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """One field of the form as it will be asked; `field` is None for a built-in one."""

    key: str
    name: str
    is_required: bool
    field: FieldInput | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypesScreen(ShellScreen):
    """A page of the types that are in use, or of those that are archived."""

    template: ClassVar = "incident_types/types.html"
    listing: Listing
    groups: list[lists.Group[TypeRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeScreen(ShellScreen):
    """One type in its editor. `offered` are fields that it does not ask for, `others` built-in ones it may need."""

    template: ClassVar = "incident_types/type.html"
    type: IncidentType
    id: str
    sketch: Sketch
    rows: Sequence[FieldRow]
    others: Sequence[FieldRow]
    offered: Sequence[tuple[str, str]]
    needed: Sequence[tuple[str, str]]
    preview: Sequence[Preview]
    incidents: str
    limits: Mapping[str, int]
    is_unsaved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTypeScreen(DialogScreen):
    """A type that is to be."""

    template: ClassVar = "incident_types/new_type.html"
    limits: Mapping[str, int]


@get(_PLACE, needs=P.USER_MANAGE)
async def type_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the types in the order in which they were added; with `?tab=archived` the archived ones."""
    asked = Asked.by(TYPES, request)
    archived = asked.view == "archived"
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        every = await type_queries.types(tx)
        counts = await type_queries.count_incidents(tx, [each.id for each in every], _MOST_COUNTED)
    rows = [each for each in every if (each.archived_at is not None) == archived]
    named = [each for each in rows if has_words(asked.words, each.name, each.short_id)]
    wanted = list(enumerate(named, start=1))
    found = await portions.read(asked, int, lambda row: row[0], portions.within(wanted, lambda row: row[0]))
    tabs = {"use": sum(each.archived_at is None for each in every)}
    tabs["archived"] = len(every) - tabs["use"]
    screen = TypesScreen(
        shell,
        listing=lists.listing_of(
            asked, found, tabs=lists.tabs_of(asked, tabs) if archived or tabs["archived"] else (), total=len(wanted)
        ),
        groups=lists.one_group([_row(each, counts[each.id]) for _, each in found.rows]),
    )
    return pages.render(screen)


def _row(row: IncidentType, count: int) -> TypeRow:
    return TypeRow(
        TYPE_ID.write(row.id),
        row.name,
        row.short_id,
        row.description,
        len(row.layout),
        _counted(count),
        row.is_default,
        row.is_private,
    )


def _counted(count: int) -> str:
    return f"{count}+" if count >= _MOST_COUNTED else str(count)


async def _new_type(opened: Opened) -> NewTypeScreen:
    """Show the form of a type that is to be."""
    opened.who.must(P.USER_MANAGE)
    return NewTypeScreen(opened.shell, limits=limits_of(TypeChanges), back=_PLACE, refused=opened.refused)


async def _create(tx: Tx, who: Actor, _: str, form: Form) -> Made:
    """Make a type. Form fields: name, short_id, description, form_id."""
    made = await types.create_type(
        tx, who, short_id=form.text("short_id"), name=form.text("name"), description=form.text("description")
    )
    return Made(TYPE_ID.page(made.id))


@get(f"{_PLACE}/{{id:str}}", needs=P.USER_MANAGE)
async def type_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show the editor of one type."""
    return await _show(request, context, who, id)


async def _show(
    request: AppRequest,
    context: Context,
    who: Actor,
    id: str,
    refused: Refused | None = None,
    sketch: Sketch | None = None,
) -> pages.Page:
    who.must(P.USER_MANAGE)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        row = await type_queries.incident_type(tx, TYPE_ID.read(id))
        screen = await _editor(tx, shell, who, row, sketch, refused)
    return pages.render(screen)


async def _editor(
    tx: Tx, shell: Shell, who: Actor, row: IncidentType, sketch: Sketch | None, refused: Refused | None
) -> TypeScreen:
    shown = sketch or _sketch_of(row)
    known = {each.key: each for each in await type_queries.custom_fields(tx)}
    words = await Known.read(tx)
    count = (await type_queries.count_incidents(tx, [row.id], _MOST_COUNTED))[row.id]
    return TypeScreen(
        shell,
        type=row,
        id=TYPE_ID.write(row.id),
        sketch=shown,
        rows=[_field_row(key, known.get(key), shown, words) for key in shown.layout],
        others=[FieldRow(key, BUILT_IN[key].name, "", shown.needed.get(key, ""), "", True) for key in _OTHERS],
        offered=[
            (key, each.name) for key, each in known.items() if key not in shown.layout and each.archived_at is None
        ],
        needed=NEEDED,
        preview=await _preview(tx, shell, who, shown, known),
        incidents=_counted(count),
        limits=limits_of(TypeChanges),
        is_unsaved=sketch is not None,
        refused=refused,
    )


def _field_row(key: str, field: CustomField | None, sketch: Sketch, words: Known) -> FieldRow:
    needed = sketch.needed.get(key, "")
    if field is None:
        return FieldRow(key, _NAMES.get(key, key), _WORDS.get(key, "Gone"), needed, "", key in ALWAYS)
    note = "Archived: it is asked for no more." if field.archived_at is not None else words.condition(field)
    return FieldRow(key, field.name, field.kind.replace("_", " ").capitalize(), needed, note, False)


async def _preview(tx: Tx, shell: Shell, who: Actor, sketch: Sketch, known: Mapping[str, CustomField]) -> list[Preview]:
    asked = [known[key] for key in sketch.layout if key in known and known[key].archived_at is None]
    required = [key for key, state in sketch.needed.items() if state == Status.DECLARED]
    defaults = {each.key: each.default_value for each in asked}
    zone = shell.now.tzinfo or UTC
    made = await inputs(tx, who, asked, defaults, zone=zone, in_sheet=False, refused=None, required=required)
    custom = {each.key: Preview(each.key, each.label, each.is_required, each) for each in made}
    return [
        custom.get(key) or Preview(key, _NAMES[key], key != "summary" or key in required, None)
        for key in sketch.layout
        if key in custom or key in ALWAYS
    ]


def _sketch_of(row: IncidentType) -> Sketch:
    needed: dict[str, str] = {}
    more: list[str] = []
    for line in row.requirements:
        state, key = gates.split(line)
        if key in needed or key == "resolution_note":
            more.append(line)
        else:
            needed[key] = state
    return Sketch(
        name=row.name,
        description=row.description,
        default_severity=str(row.default_severity or ""),
        auto_close_days=str(row.auto_close_days or ""),
        is_private=row.is_private,
        layout=tuple(row.layout),
        needed=needed,
        more=tuple(more),
    )


def _read(form: Form) -> Sketch:
    """Read what is on the screen, whatever it is."""
    layout = tuple(dict.fromkeys(form.texts("layout")))
    states = {state for state, _ in NEEDED if state}
    needed = {key: form.text(f"needed/{key}") for key in (*layout, *_OTHERS)}
    return Sketch(
        name=form.text("name"),
        description=form.text("description"),
        default_severity=form.text("default_severity"),
        auto_close_days=form.text("auto_close_days"),
        is_private=form.text("is_private") == "1",
        layout=layout,
        needed={key: state for key, state in needed.items() if state in states},
        more=tuple(line for line in form.texts("more") if gates.split(line)[0] in set(Status)),
    )


def _press(sketch: Sketch, do: str, form: Form) -> Sketch:
    """Apply a button of the editor; one that does not fit what is on the screen changes nothing."""
    verb, _, key = do.partition(":")
    layout = list(sketch.layout)
    at = layout.index(key) if key in layout else -1
    match verb:
        case "up" if at > 0:
            layout.insert(at - 1, layout.pop(at))
        case "down" if 0 <= at < len(layout) - 1:
            layout.insert(at + 1, layout.pop(at))
        case "remove" if at >= 0 and key not in ALWAYS:
            layout.remove(key)
        case "add" if form.text("new-field") and form.text("new-field") not in layout:
            layout.append(form.text("new-field"))
        case _:
            return sketch
    return replace(sketch, layout=tuple(layout))


@post(f"{_PLACE}/{{id:str}}", needs=P.USER_MANAGE)
async def update(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Save a type, or apply a button of the editor and show it again.

    Form fields: name, description, default_severity, auto_close_days (empty: none), is_private, layout (repeated, in
    order), needed/<key> for each of them and for built-in ones, more, new-field, version; do: nothing or "save" saves,
    "up:<key>", "down:<key>", "remove:<key>", "add", "test".
    """
    form = await forms.read(request)
    sketch = _read(form)
    if form.text("do") not in ("", "save"):
        return await _show(request, context, who, id, sketch=_press(sketch, form.text("do"), form))
    refused = await forms.attempt(context, form, f"edit-{id}", partial(_update, who, id, sketch, form))
    if refused is not None:
        return await _show(request, context, who, id, refused, sketch)
    return pages.go(TYPE_ID.page(id), "Type saved. It holds for incidents that are declared from now on.")


async def _update(who: Actor, id: str, sketch: Sketch, form: Form, tx: Tx) -> None:
    wanted: dict[Status, list[str]] = {}
    for key, state in [*sketch.needed.items(), *((key, state) for state, key in map(gates.split, sketch.more))]:
        wanted.setdefault(Status(state), []).append(key)
    changes = TypeChanges(
        name=sketch.name,
        description=sketch.description,
        default_severity=form.optional_whole("default_severity", least=1, most=5),
        auto_close_days=form.optional_whole("auto_close_days", least=1, most=365),
        is_private=sketch.is_private,
        layout=list(sketch.layout),
        requirements=types.written_requirements(wanted),
    )
    await types.update_type(tx, who, TYPE_ID.read(id), changes, if_version=form.version())


async def _set_default(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Make it the type of whatever is declared without one. No fields."""
    await types.set_default(tx, who, id)


async def _archive(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Offer it for nothing new. No fields."""
    await types.archive_type(tx, who, id)


async def _unarchive(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Offer it again. No fields."""
    await types.unarchive_type(tx, who, id)


async def _delete(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Delete it. No fields."""
    await types.delete_type(tx, who, id)


async def _ask_to_delete_type(opened: Opened) -> Question:
    """Ask before a type is deleted."""
    opened.who.must(P.USER_MANAGE)
    row = await type_queries.incident_type(opened.tx, opened.id)
    place = TYPE_ID.page(row.id)
    return Question(
        opened.shell,
        title=f"Delete {row.name}",
        text="Only a type of which there is no incident can be deleted. Any other one is archived instead.",
        label="Delete type",
        form="delete-type-form",
        action=f"{place}/delete",
        crumbs=[(_PLACE, "Incident types"), (place, row.name)],
        back=place,
        seen=str(row.version),
        refused=opened.refused,
    )


_NEW = Dialog(f"{_PLACE}/new", _new_type, P.USER_MANAGE)
_DELETE = Dialog(f"{_PLACE}/{{id:str}}/delete", _ask_to_delete_type, P.USER_MANAGE, ids=TYPE_ID)
HANDLERS = [
    type_list,
    _NEW.handler,
    *Actions(_PLACE, _NEW.show, needs=P.USER_MANAGE).handlers(
        Action("", _create, "Type created. Choose what it asks for.", form="new-type", once=True)
    ),
    type_page,
    update,
    _DELETE.handler,
    *Actions(f"{_PLACE}/{{id:str}}", _show, needs=P.USER_MANAGE, ids=TYPE_ID).handlers(
        Action("default", _set_default, "It is the default now.", form="default"),
        Action("archive", _archive, "Type archived. Its incidents stay as they are.", form="archive"),
        Action("unarchive", _unarchive, "Type restored.", form="unarchive"),
        Action("delete", _delete, "Type deleted.", form="delete-type-form", leads_to=_PLACE, show=_DELETE.show),
    ),
]
