"""Custom fields: making and changing them, and taking them away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, Unpack
from uuid import UUID

from msgspec import Meta

from tocsin.db.engine import Tx
from tocsin.events.base import Change, yes_or_no
from tocsin.identity.access import P
from tocsin.identity.accounts import LONGEST_NAME, clean_name
from tocsin.identity.configuring import Configuration
from tocsin.identity.model import Actor
from tocsin.incidents import custom_fields, gates, type_queries
from tocsin.incidents.custom_fields import KEY, Draft
from tocsin.incidents.type_model import FIELD_ID, TYPE_ID, CustomField, Kind
from tocsin.kit.changes import Copy
from tocsin.kit.conditions import MAX_LENGTH
from tocsin.kit.errors import Conflict, InUse, Invalid, Use

Text = Annotated[str, Meta(max_length=200)]
Option = Annotated[str, Meta(max_length=custom_fields.OPTION_LIMIT)]


class FieldChanges(TypedDict, total=False):
    """What to change about a custom field; what is not there stays as it is.

    `minimum` and `maximum` are of a number itself, of a text its length, of several choices how many they are, of a
    duration its seconds. `pattern` has to match all of a text. `default_value` is what a declaration begins with.
    `required_when` is a condition (CEL) over severity, status, type and fields.
    """

    name: Annotated[str, Meta(max_length=LONGEST_NAME)]
    hint: Text
    options: Annotated[list[Option], Meta(max_length=custom_fields.MOST_OPTIONS)]
    minimum: float | None
    maximum: float | None
    pattern: Annotated[str, Meta(max_length=200)]
    default_value: Any
    required_when: Annotated[str, Meta(max_length=MAX_LENGTH)]


def _as_it_is(value: Any) -> Any:
    return value


def _name(text: str) -> str:
    name = clean_name(text)
    if name.casefold() in {each.name.casefold() for each in gates.BUILT_IN.values()} | {"title", "severity", "status"}:
        raise Invalid("name", f"Every incident has a field “{name}” already.", code="taken")
    return name


_FIELDS = Configuration(
    CustomField,
    FieldChanges,
    {
        "name": _name,
        "options": custom_fields.clean_options,
        "pattern": custom_fields.check_pattern,
        # The rest of them is looked at together, before anything is stored.
        **dict.fromkeys(("minimum", "maximum", "default_value", "required_when"), _as_it_is),
    },
)


async def create_custom_field(
    tx: Tx, who: Actor, *, key: str, kind: Kind, **written: Unpack[FieldChanges]
) -> CustomField:
    """Add a field. Its key and its kind stay as they are; raises `Invalid` for a key or a name that is taken."""
    who.must(P.USER_MANAGE)
    if KEY.fullmatch(key) is None:
        raise Invalid("key", "Use small letters, digits and _, and begin with a letter; at most 40.", code="invalid")
    if key in gates.BUILT_IN or key in ("title", "severity", "status", "type", "fields"):
        raise Invalid("key", f"Every incident has a field “{key}” already.", code="taken")
    if await type_queries.fields_called(tx, [key]):
        raise Invalid("key", f"There is a field with the key “{key}” already.", code="taken")
    draft = await _fitting(tx, {"key": key, "kind": kind}, written)
    return await _FIELDS.create(tx, who, draft, key=key, kind=kind.value)


async def update_custom_field(
    tx: Tx, who: Actor, id: UUID, changes: FieldChanges, *, if_version: Copy = None
) -> CustomField:
    """Change a field. What incidents say in it stays, also where it would not be accepted any more."""
    who.must(P.USER_MANAGE)
    field = await type_queries.lock_custom_field(tx, id)
    draft = await _fitting(tx, {name: getattr(field, name) for name in ("key", "kind", *_CHANGED)}, changes)
    return await _FIELDS.change(tx, who, field, draft, if_version=if_version)


_CHANGED = ("name", "hint", "options", "minimum", "maximum", "pattern", "default_value", "required_when")


async def _fitting(tx: Tx, before: Mapping[str, Any], written: FieldChanges) -> FieldChanges:
    """Return what was written as it is stored, once all of the field goes together."""
    said: FieldChanges = {**written}
    if "options" in said:
        said["options"] = custom_fields.clean_options(said["options"])
    if "pattern" in said:
        said["pattern"] = custom_fields.check_pattern(said["pattern"].strip())
    if "required_when" in said:
        known = {field.key for field in await type_queries.custom_fields(tx)}
        said["required_when"] = gates.check_condition(said["required_when"], known)
    whole: dict[str, Any] = {**before, **said}
    draft = Draft(
        key=whole["key"],
        name=whole.get("name", ""),
        kind=whole["kind"],
        options=whole.get("options", []),
        minimum=whole.get("minimum"),
        maximum=whole.get("maximum"),
        pattern=whole.get("pattern", ""),
    )
    custom_fields.must_fit_together(draft)
    if "default_value" in said:
        said["default_value"] = _default(draft, said["default_value"])
    return said


def _default(draft: Draft, value: object) -> Any:
    if value is not None and Kind(draft.kind) in custom_fields.NAMED:
        raise Invalid("default_value", "People and teams come and go, so they are no default.", code="unexpected")
    try:
        return custom_fields.checked(draft, value)
    except Invalid as problem:
        raise Invalid("default_value", problem.errors[0].detail, code=problem.errors[0].code) from None


async def archive_custom_field(tx: Tx, who: Actor, id: UUID) -> CustomField:
    """Ask for a field no more; incidents keep what they say in it. Idempotent."""
    return await _set_archived(tx, who, id, archived=True)


async def unarchive_custom_field(tx: Tx, who: Actor, id: UUID) -> CustomField:
    """Ask for a field again, where types name it. Idempotent."""
    return await _set_archived(tx, who, id, archived=False)


async def _set_archived(tx: Tx, who: Actor, id: UUID, *, archived: bool) -> CustomField:
    who.must(P.USER_MANAGE)
    field = await type_queries.lock_custom_field(tx, id)
    if (field.archived_at is not None) == archived:
        return field
    field.archived_at = tx.now if archived else None
    change = Change(field="archived", old=yes_or_no(not archived), new=yes_or_no(archived))
    return await _FIELDS.change(tx, who, field, {}, change)


async def delete_custom_field(tx: Tx, who: Actor, id: UUID) -> None:
    """Delete a field that no type asks for and no incident has; raises `InUse` or `Conflict` for any other one."""
    who.must(P.USER_MANAGE)
    field = await type_queries.lock_custom_field_to_delete(tx, id)
    uses = [
        Use("incident_type", TYPE_ID.write(each.id), each.name, "")
        for each in await type_queries.types_with(tx, field.key)
    ]
    uses += [
        Use("custom_field", FIELD_ID.write(each.id), each.name, "its condition")
        for each in await type_queries.asked_by_conditions(tx, field.key)
        if field.key in gates.fields_in(each.required_when) and each.id != field.id
    ]
    hint = "Archive it instead: it is asked for no more, and what was said in it stays."
    if uses:
        raise InUse(f"“{field.name}” is used by", uses, code="custom_field.in_use", hint=hint)
    if await type_queries.is_filled_in(tx, field.key):
        raise Conflict(
            f"There are incidents in which “{field.name}” is filled in.", code="custom_field.in_use", hint=hint
        )
    await _FIELDS.delete(tx, who, field)
