"""Fields that an organisation has thought of, which incident types ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from litestar.params import QueryParameter

from tocsin.api.base.body import Body, writes
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.base.resource import ForAll, Resource, by_words
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import gates, type_queries
from tocsin.incidents.service import custom_fields
from tocsin.incidents.type_model import FIELD_ID, CustomField, Kind


class CustomFieldOut(msgspec.Struct):
    """A custom field. `required_words` says its condition as a sentence; null where none can.

    What a value is, by kind: `text`, `long_text` (Markdown), `select` and `link` a text; `number` a number; `yes_no`
    true or false; `multi_select` a list of options; `date_time` a time with its zone; `duration` whole seconds (taken
    as `1h 30m`, too); `user` and `team` an id.
    """

    id: str
    name: str
    key: str
    kind: Kind
    hint: str
    options: list[str]
    minimum: float | None
    maximum: float | None
    pattern: str
    default_value: Any
    required_when: str
    required_words: str | None
    archived_at: Time | None
    created_at: Time
    updated_at: Time
    version: int


@writes(custom_fields.FieldChanges, require=["name"])
class CreateCustomField(Body, kw_only=True):
    """A name and a key that no other field has. Key and kind stay as they are."""

    example: ClassVar[Mapping[str, Any]] = {
        "name": "Customer impact",
        "key": "customer_impact",
        "kind": "long_text",
        "hint": "What customers notice, in their words.",
        "required_when": "severity <= 2 && status == 'resolved'",
    }
    key: Annotated[str, msgspec.Meta(max_length=40, description="Small letters, digits and _.")]
    kind: Kind


@writes(custom_fields.FieldChanges)
class EditCustomField(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"hint": "What customers notice.", "maximum": 400}


async def _write_all(tx: Tx, _context: Context, _who: Actor, rows: Sequence[CustomField]) -> list[CustomFieldOut]:
    names = {field.key: field.name for field in await type_queries.custom_fields(tx)}
    types = {each.short_id: each.name for each in await type_queries.types(tx)}
    return [
        copied(
            CustomFieldOut,
            row,
            FIELD_ID,
            kind=Kind(row.kind),
            required_words=gates.sentence(row.required_when, names, types) if row.required_when else None,
        )
        for row in rows
    ]


_Archived = Annotated[bool | None, QueryParameter(description="Only archived ones, or only those in use.")]
CUSTOM_FIELDS = Resource(
    "/custom_fields",
    FIELD_ID,
    CustomFieldOut,
    _write_all,
    view=P.INCIDENT_VIEW,
    manage=P.USER_MANAGE,
    tag="incidents",
)
ROUTER = CUSTOM_FIELDS.router(
    CUSTOM_FIELDS.list(
        ForAll(type_queries.custom_fields),
        "List custom fields in the order in which they were added.",
        asks={**by_words("name and key"), "is_archived": (_Archived, None)},
    ),
    CUSTOM_FIELDS.create(CreateCustomField, custom_fields.create_custom_field, "Add a custom field."),
    CUSTOM_FIELDS.get(ForAll(type_queries.custom_field), "Show one custom field."),
    CUSTOM_FIELDS.edit(
        EditCustomField,
        custom_fields.FieldChanges,
        custom_fields.update_custom_field,
        "Change a custom field (JSON merge patch). What incidents say in it stays.",
    ),
    CUSTOM_FIELDS.action(
        "archive", custom_fields.archive_custom_field, "Ask for the field no more; what was said in it stays."
    ),
    CUSTOM_FIELDS.action("unarchive", custom_fields.unarchive_custom_field, "Ask for the field again."),
    CUSTOM_FIELDS.delete(
        custom_fields.delete_custom_field,
        "Delete a field that no type asks for and no incident has; 409 says what uses it.",
    ),
)
