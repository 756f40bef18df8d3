"""Custom fields: the list, and the editor of one with the field as it is asked beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any, ClassVar
from uuid import UUID

from litestar import get
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import custom_fields as rules
from tocsin.incidents import type_queries
from tocsin.incidents.custom_fields import LIMITED, NAMED, number_in_words, pointer, read_duration
from tocsin.incidents.service import custom_fields
from tocsin.incidents.service.custom_fields import FieldChanges
from tocsin.incidents.type_model import FIELD_ID, TYPE_ID, CustomField, Kind
from tocsin.kit.changes import limits_of
from tocsin.kit.errors import Invalid
from tocsin.kit.search import has_words
from tocsin.web.base import lists, pages, portions
from tocsin.web.base.actions import Action, Actions, Made
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Listing, ListOf, View
from tocsin.web.base.screens import DialogScreen, ShellScreen
from tocsin.web.parts.custom_fields import FieldInput, Known, inputs, sent
from tocsin.web.parts.dialogs import Dialog, Opened, Question

_PLACE = "/organisation/fields"
FIELDS = ListOf(
    place=_PLACE,
    one="field",
    many="fields",
    search="Name or key",
    columns=(Column("ttl", "Field"), Column("kind", "Kind", priority=2), Column("types", "Asked for by")),
    views=(View("use", "In use"), View("archived", "Archived")),
)
KINDS = (
    (Kind.TEXT, "One line"),
    (Kind.LONG_TEXT, "Long text"),
    (Kind.NUMBER, "Number"),
    (Kind.YES_NO, "Yes or no"),
    (Kind.SELECT, "One of some options"),
    (Kind.MULTI_SELECT, "Several of some options"),
    (Kind.DATE_TIME, "Date and time"),
    (Kind.DURATION, "Duration"),
    (Kind.USER, "Person"),
    (Kind.TEAM, "Team"),
    (Kind.LINK, "Web address"),
)
_KIND_WORDS: Mapping[str, str] = dict(KINDS)


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field in the list, with the names of the types that ask for it."""

    id: str
    name: str
    key: str
    kind: str
    types: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldsScreen(ShellScreen):
    """A page of the fields that are in use, or of those that are archived."""

    template: ClassVar = "incident_types/fields.html"
    listing: Listing
    groups: list[lists.Group[FieldRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldScreen(ShellScreen):
    """One field in its editor. `limited` is what its limits are about, None where it has none; `used_by` are types."""

    template: ClassVar = "incident_types/field.html"
    field: CustomField
    id: str
    kind: str
    has_options: bool
    has_pattern: bool
    limited: str | None
    minimum: str
    maximum: str
    default: FieldInput | None
    preview: FieldInput | None
    condition: str
    used_by: Sequence[tuple[str, str]]
    limits: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFieldScreen(DialogScreen):
    """A field that is to be."""

    template: ClassVar = "incident_types/new_field.html"
    kinds: Sequence[tuple[str, str]]
    limits: Mapping[str, int]


@get(_PLACE, needs=P.USER_MANAGE)
async def field_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the custom fields in the order in which they were added; with `?tab=archived` the archived ones."""
    asked = Asked.by(FIELDS, request)
    archived = asked.view == "archived"
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        every = await type_queries.custom_fields(tx)
        types = await type_queries.types(tx)
    rows = [each for each in every if (each.archived_at is not None) == archived]
    named = [each for each in rows if has_words(asked.words, each.name, each.key)]
    wanted = list(enumerate(named, start=1))
    found = await portions.read(asked, int, lambda row: row[0], portions.within(wanted, lambda row: row[0]))
    tabs = {"use": sum(each.archived_at is None for each in every)}
    tabs["archived"] = len(every) - tabs["use"]
    screen = FieldsScreen(
        shell,
        listing=lists.listing_of(
            asked, found, tabs=lists.tabs_of(asked, tabs) if archived or tabs["archived"] else (), total=len(wanted)
        ),
        groups=lists.one_group(
            [
                FieldRow(
                    FIELD_ID.write(each.id),
                    each.name,
                    each.key,
                    _KIND_WORDS[each.kind],
                    ", ".join(type.name for type in types if each.key in type.layout),
                )
                for _, each in found.rows
            ]
        ),
    )
    return pages.render(screen)


async def _new_field(opened: Opened) -> NewFieldScreen:
    """Show the form of a field that is to be."""
    opened.who.must(P.USER_MANAGE)
    kinds = [(kind.value, words) for kind, words in KINDS]
    return NewFieldScreen(
        opened.shell, kinds=kinds, limits=limits_of(FieldChanges), back=_PLACE, refused=opened.refused
    )


async def _create(tx: Tx, who: Actor, _: str, form: Form) -> Made:
    """Make a field. Form fields: name, key, kind, options (a line each), form_id."""
    if form.text("kind") not in set(Kind):
        raise Invalid("kind", "Choose one of the list.")
    kind = Kind(form.text("kind"))
    options = _lines(form) if kind in rules.CHOOSING else []
    name, key = form.text("name"), form.text("key").strip()
    made = await custom_fields.create_custom_field(tx, who, key=key, kind=kind, name=name, options=options)
    return Made(FIELD_ID.page(made.id))


def _lines(form: Form) -> list[str]:
    return form.text("options").splitlines()


@get(f"{_PLACE}/{{id:str}}", needs=P.USER_MANAGE)
async def field_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show the editor of one field."""
    return await _show(request, context, who, id)


async def _show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    who.must(P.USER_MANAGE)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        field = await type_queries.custom_field(tx, FIELD_ID.read(id))
        zone = shell.now.tzinfo or UTC
        asked = await _input(tx, who, field, zone)
        kind = Kind(field.kind)
        screen = FieldScreen(
            shell,
            field=field,
            id=id,
            kind=_KIND_WORDS[kind],
            has_options=kind in rules.CHOOSING,
            has_pattern=kind is Kind.TEXT,
            limited=LIMITED[kind][0] if kind in LIMITED else None,
            minimum=_limit(kind, field.minimum),
            maximum=_limit(kind, field.maximum),
            default=replace(asked, name="default_value", label="Begins with", hint="", is_required=False)
            if asked is not None and kind not in NAMED
            else None,
            preview=asked,
            condition=(await Known.read(tx)).condition(field),
            used_by=[(TYPE_ID.page(each.id), each.name) for each in await type_queries.types_with(tx, field.key)],
            limits=limits_of(FieldChanges),
            refused=refused,
        )
    return pages.render(screen)


async def _input(tx: Tx, who: Actor, field: CustomField, zone: tzinfo) -> FieldInput | None:
    values = {field.key: field.default_value}
    notes = {field.key: (await Known.read(tx)).condition(field)}
    found = await inputs(tx, who, [field], values, zone=zone, in_sheet=False, refused=None, notes=notes)
    return found[0] if found else None


def _limit(kind: Kind, limit: float | None) -> str:
    if limit is None:
        return ""
    return rules.duration_in_words(int(limit)) if kind is Kind.DURATION else number_in_words(limit)


async def _edit(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Change a field.

    Form fields: name, hint, required_when, version, and by its kind options (a line each), minimum, maximum, pattern,
    default_value.
    """
    field = await type_queries.custom_field(tx, id)
    kind = Kind(field.kind)
    changes = FieldChanges(name=form.text("name"), hint=form.text("hint"), required_when=form.text("required_when"))
    if kind in rules.CHOOSING:
        changes["options"] = _lines(form)
    if kind in LIMITED:
        changes["minimum"] = _read_limit(form, "minimum", kind)
        changes["maximum"] = _read_limit(form, "maximum", kind)
    if kind is Kind.TEXT:
        changes["pattern"] = form.text("pattern")
    if kind not in NAMED:
        zone = await identity.zone_of(tx, who.user_id)
        named = Form({pointer(field.key): form.texts("default_value")})
        stored: dict[str, Any] = {field.key: field.default_value}
        changes["default_value"] = sent(named, [field], stored, zone)[field.key]
    await custom_fields.update_custom_field(tx, who, id, changes, if_version=form.version())


def _read_limit(form: Form, name: str, kind: Kind) -> float | None:
    text = form.text(name).strip()
    if not text:
        return None
    try:
        return float(read_duration(text)) if kind is Kind.DURATION else float(text.replace(",", "."))
    except ValueError as problem:
        words = str(problem) if kind is Kind.DURATION else "Give a number."
        raise Invalid(name, words) from None


async def _archive(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Ask for it no more. No fields."""
    await custom_fields.archive_custom_field(tx, who, id)


async def _unarchive(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Ask for it again. No fields."""
    await custom_fields.unarchive_custom_field(tx, who, id)


async def _delete(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Delete it. No fields."""
    await custom_fields.delete_custom_field(tx, who, id)


async def _ask_to_delete_field(opened: Opened) -> Question:
    """Ask before a field is deleted."""
    opened.who.must(P.USER_MANAGE)
    field = await type_queries.custom_field(opened.tx, opened.id)
    place = FIELD_ID.page(field.id)
    return Question(
        opened.shell,
        title=f"Delete {field.name}",
        text="Only a field that no type asks for and that no incident has can be deleted. Any other one is archived.",
        label="Delete field",
        form="delete-field-form",
        action=f"{place}/delete",
        crumbs=[(_PLACE, "Custom fields"), (place, field.name)],
        back=place,
        seen=str(field.version),
        refused=opened.refused,
    )


_NEW = Dialog(f"{_PLACE}/new", _new_field, P.USER_MANAGE)
_DELETE = Dialog(f"{_PLACE}/{{id:str}}/delete", _ask_to_delete_field, P.USER_MANAGE, ids=FIELD_ID)
HANDLERS = [
    field_list,
    _NEW.handler,
    *Actions(_PLACE, _NEW.show, needs=P.USER_MANAGE).handlers(
        Action(
            "", _create, "Field created. Say more about it, and have a type ask for it.", form="new-field", once=True
        )
    ),
    field_page,
    _DELETE.handler,
    *Actions(f"{_PLACE}/{{id:str}}", _show, needs=P.USER_MANAGE, ids=FIELD_ID).handlers(
        Action("", _edit, "Field saved.", form="edit-{id}"),
        Action("archive", _archive, "Field archived. What was said in it stays.", form="archive"),
        Action("unarchive", _unarchive, "Field restored.", form="unarchive"),
        Action("delete", _delete, "Field deleted.", form="delete-field-form", leads_to=_PLACE, show=_DELETE.show),
    ),
]
