"""Custom fields in forms: what each offers and begins with, and reading what was sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, cast

from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Actor
from tocsin.incidents import custom_fields, gates, type_queries
from tocsin.incidents.custom_fields import LIMITED, NAMED, number_in_words, pointer
from tocsin.incidents.type_model import CustomField, Kind
from tocsin.web.base.forms import Form, Refused
from tocsin.web.parts.picking import Option, Picker, kind_for, picker

# As a field of the kind `datetime-local` writes it.
_WRITTEN = "%Y-%m-%dT%H:%M:%S"
_TYPES: Mapping[Kind, str] = {Kind.LINK: "url", Kind.DATE_TIME: "datetime-local"}
_PICKED: Mapping[Kind, str] = {Kind.USER: "people", Kind.TEAM: "teams"}
YES_OR_NO = (("yes", "Yes"), ("no", "No"))


@dataclass(frozen=True, slots=True)
class FieldInput:
    """One custom field of a form. `options` are what one chooses of, `chosen` what several of them begin with.

    `picks` is the kind of what `picker` finds.
    """

    key: str
    name: str
    label: str
    kind: str
    type: str
    hint: str
    value: str
    is_required: bool
    options: Sequence[tuple[str, str]] = ()
    chosen: Sequence[str] = ()
    attrs: Mapping[str, str] = field(default_factory=dict[str, str])
    picker: Picker | None = None
    picks: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What conditions and refusals call fields and types."""

    names: Mapping[str, str]
    types: Mapping[str, str]

    @classmethod
    async def read(cls, tx: Tx) -> Known:
        names = {each.key: each.name for each in await type_queries.custom_fields(tx)}
        return cls(names, {each.short_id: each.name for each in await type_queries.types(tx)})

    def condition(self, definition: CustomField) -> str:
        """Say when a field is needed by its own condition; nothing where it has none."""
        if not definition.required_when:
            return ""
        said = gates.sentence(definition.required_when, self.names, self.types)
        return f"Needed when {said}." if said else f"Needed when {definition.required_when}"


def is_shown(who: Actor, definition: CustomField) -> bool:
    """Say whether the reader may choose what the field takes."""
    if Kind(definition.kind) not in NAMED:
        return True
    is_signed_in = who.by_link_until is None
    kinds = {Kind.USER: (P.INCIDENT_EDIT, P.INCIDENT_DECLARE, P.USER_VIEW), Kind.TEAM: (P.USER_VIEW,)}
    return is_signed_in and any(who.access.may_somewhere(right) for right in kinds[Kind(definition.kind)])


async def inputs(
    tx: Tx,
    who: Actor,
    definitions: Iterable[CustomField],
    values: Mapping[str, Any],
    *,
    zone: tzinfo,
    in_sheet: bool,
    refused: Refused | None,
    required: Collection[str] = (),
    notes: Mapping[str, str] = {},
) -> list[FieldInput]:
    """Return the fields of a form; `required` are the keys of those that have to be said, `notes` are said of them."""
    return [
        await _input(
            tx, who, each, values.get(each.key), zone, in_sheet, refused, each.key in required, notes.get(each.key, "")
        )
        for each in definitions
        if is_shown(who, each)
    ]


async def _input(
    tx: Tx,
    who: Actor,
    definition: CustomField,
    value: Any,
    zone: tzinfo,
    in_sheet: bool,
    refused: Refused | None,
    is_required: bool,
    note: str,
) -> FieldInput:
    kind = Kind(definition.kind)
    name = pointer(definition.key)
    picks = _PICKED.get(kind, "")
    chosen = [Option(value, label) for label in [await _label_of(tx, who, kind, value)] if label] if picks else []
    kind_for(who, picks) if picks else None
    return FieldInput(
        key=definition.key,
        name=name,
        label=definition.name,
        kind=kind,
        type=_TYPES.get(kind, "text"),
        hint=" ".join(part for part in (definition.hint, _limits(definition), note) if part),
        value=written(definition, value, zone),
        is_required=is_required,
        options=_options(definition, value),
        chosen=_several(value),
        attrs=_attrs(definition),
        picker=await picker(tx, who, picks, in_sheet=in_sheet, name=name, refused=refused, chosen=chosen)
        if picks
        else None,
        picks=picks,
    )


async def _label_of(tx: Tx, who: Actor, kind: Kind, value: str | None) -> str:
    if value is None:
        return ""
    if kind is Kind.USER:
        return next((each.name for each in (await identity.users_by_id(tx, [USER_ID.read(value)])).values()), "")
    found = await identity.teams_by_id(tx, who.access, [TEAM_ID.read(value)])
    return next((each.name for each in found.values()), "")


def _several(value: Any) -> list[str]:
    return cast("list[str]", value) if isinstance(value, list) else [value] if value else []


def _options(definition: CustomField, value: Any) -> list[tuple[str, str]]:
    if definition.kind == Kind.YES_NO:
        return [("", "Not known"), *YES_OR_NO]
    if Kind(definition.kind) not in custom_fields.CHOOSING:
        return []
    # What is chosen can be kept, also where it is offered no more.
    kept = [each for each in _several(value) if each not in definition.options]
    every = [(each, each) for each in [*definition.options, *kept]]
    return every if definition.kind == Kind.MULTI_SELECT else [("", "Choose one"), *every]


def _limits(definition: CustomField) -> str:
    if definition.kind == Kind.DURATION:
        return "Such as 1h 30m."
    if definition.kind not in (Kind.NUMBER, Kind.MULTI_SELECT):
        return ""
    least, most = definition.minimum, definition.maximum
    unit = " of them" if definition.kind == Kind.MULTI_SELECT else ""
    match least, most:
        case (None | 0, None):
            return ""
        case float(), None:
            return f"At least {number_in_words(least)}{unit}."
        case None, float():
            return f"At most {number_in_words(most)}{unit}."
        case _:
            return f"{number_in_words(least or 0)} to {number_in_words(most or 0)}{unit}."


def _attrs(definition: CustomField) -> dict[str, str]:
    kind = Kind(definition.kind)
    if kind in (Kind.TEXT, Kind.LONG_TEXT):
        most = min(definition.maximum or LIMITED[kind][1], LIMITED[kind][1])
        return {"maxlength": f"{int(most)}", "autocomplete": "off"}
    if kind is Kind.NUMBER:
        return {"inputmode": "decimal", "autocomplete": "off"}
    if kind is Kind.DATE_TIME:
        return {"step": "1"}
    return {"autocomplete": "off"} if kind in (Kind.DURATION, Kind.LINK) else {}


def written(definition: CustomField, value: Any, zone: tzinfo) -> str:
    """Write a value as its field has it."""
    if value is None or isinstance(value, list):
        return ""
    if definition.kind == Kind.DATE_TIME:
        return datetime.fromisoformat(value).astimezone(zone).strftime(_WRITTEN)
    return custom_fields.said(definition, value)


def sent(form: Form, definitions: Iterable[CustomField], stored: Mapping[str, Any], zone: tzinfo) -> dict[str, object]:
    """Read the custom fields that a form has, as a use case takes them; one that was not sent is left out.

    What reads as it is stored is that, to the millisecond. What is no number or time is handed on, and refused there.
    """
    return {
        each.key: _read(form, each, stored.get(each.key), zone)
        for each in definitions
        if pointer(each.key) in form.names
    }


def _read(form: Form, definition: CustomField, stored: Any, zone: tzinfo) -> object:
    name = pointer(definition.key)
    kind, text = Kind(definition.kind), form.text(name)
    if kind is Kind.MULTI_SELECT:
        return [each for each in form.texts(name) if each] or None
    if not text.strip():
        return None
    if kind is Kind.YES_NO:
        return {"yes": True, "no": False}.get(text, text)
    if kind is Kind.NUMBER:
        return _number(text)
    if kind is Kind.DATE_TIME:
        said = written(definition, stored, zone)
        return stored if stored and text in (said, said.removesuffix(":00")) else _time(text, zone)
    return text


def _number(text: str) -> object:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return text


def _time(text: str, zone: tzinfo) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).isoformat()
