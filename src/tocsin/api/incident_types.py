"""Incident types: what is asked of an incident, and what it has to say before it may move on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, ClassVar

import msgspec
from litestar.params import QueryParameter

from tocsin.api.base.body import Body, writes
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.base.resource import ForAll, Order, Resource, by_words, plainly
from tocsin.db.engine import Tx
from tocsin.edge.cursors import read_place
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import type_queries
from tocsin.incidents.model import Status
from tocsin.incidents.service import types
from tocsin.incidents.type_model import TYPE_ID, IncidentType, IncidentTypeVersion


class Requirement(msgspec.Struct, forbid_unknown_fields=True):
    """The fields that a state needs, and every state behind it: keys of custom fields, or of built-in ones.

    Those are summary, category, tags, teams, lead, commander, communicator, detected_at, identified_at, mitigated_at
    and resolution_note.
    """

    state: Status
    fields: Annotated[list[types.Key], msgspec.Meta(max_length=types.MOST_FIELDS)]


Requirements = Annotated[list[Requirement], msgspec.Meta(max_length=20)]


class IncidentTypeOut(msgspec.Struct):
    """An incident type at its newest `version`, which each change counts up.

    `layout` are the keys of the fields that a declaration asks for, in their order. With `is_private`, incidents are
    for their teams only unless whoever declares one says otherwise. The default one is taken where none is named.
    """

    id: str
    name: str
    short_id: str
    description: str
    default_severity: int | None
    layout: list[str]
    requirements: list[Requirement]
    auto_close_days: int | None
    is_private: bool
    is_default: bool
    archived_at: Time | None
    created_at: Time
    updated_at: Time
    version: int


class TypeVersionOut(msgspec.Struct):
    """What a type asked for at one of its versions."""

    number: int
    layout: list[str]
    requirements: list[Requirement]
    auto_close_days: int | None
    made_at: Time


@writes(types.TypeChanges, require=["name"])
class CreateIncidentType(Body, kw_only=True):
    """A name and a short id that no other type has. The short id stays as it is."""

    example: ClassVar[Mapping[str, Any]] = {
        "name": "Third party",
        "short_id": "third_party",
        "description": "Somebody else’s service is down, and ours with it.",
        "default_severity": 3,
        "requirements": [{"state": "resolved", "fields": ["summary"]}],
        "auto_close_days": 14,
    }
    short_id: Annotated[str, msgspec.Meta(max_length=20, description="Small letters, digits, - and _.")]
    requirements: Requirements | msgspec.UnsetType = msgspec.UNSET


@writes(types.TypeChanges)
class EditIncidentType(Body, kw_only=True):
    """A merge patch: only the fields that are there change; `layout` and `requirements` are all of them."""

    example: ClassVar[Mapping[str, Any]] = {"auto_close_days": 7}
    requirements: Requirements | msgspec.UnsetType = msgspec.UNSET


def _changes(**fields: Any) -> types.TypeChanges:
    wanted: Sequence[Requirement] | None = fields.pop("requirements", None)
    if wanted is None:
        return types.TypeChanges(**fields)
    by_state: dict[Status, list[str]] = {}
    for each in wanted:
        by_state.setdefault(each.state, []).extend(each.fields)
    return types.TypeChanges(**fields, requirements=types.written_requirements(by_state))


async def _create(tx: Tx, who: Actor, *, short_id: str, **fields: Any) -> IncidentType:
    return await types.create_type(tx, who, short_id=short_id, **_changes(**fields))


def _requirements(stored: Sequence[str]) -> list[Requirement]:
    return [Requirement(state, keys) for state, keys in types.read_requirements(stored).items()]


def _write(row: IncidentType) -> IncidentTypeOut:
    return copied(IncidentTypeOut, row, TYPE_ID, requirements=_requirements(row.requirements))


def _write_version(row: IncidentTypeVersion) -> TypeVersionOut:
    return copied(TypeVersionOut, row, TYPE_ID, requirements=_requirements(row.requirements))


_Archived = Annotated[bool | None, QueryParameter(description="Only archived types, or only those in use.")]
TYPES = Resource(
    "/incident_types",
    TYPE_ID,
    IncidentTypeOut,
    plainly(_write),
    view=P.INCIDENT_VIEW,
    manage=P.USER_MANAGE,
    tag="incidents",
)
ROUTER = TYPES.router(
    TYPES.list(
        ForAll(type_queries.types),
        "List incident types in the order in which they were added.",
        asks={**by_words("name and short id"), "is_archived": (_Archived, None)},
    ),
    TYPES.create(CreateIncidentType, _create, "Add an incident type."),
    TYPES.get(ForAll(type_queries.incident_type), "Show one incident type."),
    TYPES.edit(
        EditIncidentType,
        _changes,
        types.update_type,
        "Change an incident type (JSON merge patch), which makes a version; incidents keep the one that they have.",
    ),
    TYPES.action("archive", types.archive_type, "Offer the type for nothing new. Its incidents stay as they are."),
    TYPES.action("unarchive", types.unarchive_type, "Offer the type again."),
    TYPES.action("set_default", types.set_default, "Make it the type of whatever is declared without one."),
    TYPES.delete(types.delete_type, "Delete a type of which there is no incident, and which is not the default."),
    TYPES.list_of(
        "versions",
        ForAll(type_queries.versions),
        TypeVersionOut,
        plainly(_write_version),
        "List the versions of a type, the newest first.",
        name="list_incident_type_versions",
        order=Order(attrgetter("number"), lambda cursor: read_place(cursor, int), "before"),
    ),
)
