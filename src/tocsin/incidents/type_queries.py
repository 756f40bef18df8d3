"""Every query about incident types and custom fields. Both are few, and the same for everybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, any_, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB, insert

from tocsin.db.engine import Tx
from tocsin.db.locks import for_change
from tocsin.db.records import get_record, has_words, list_records, lock_record, lock_to_delete
from tocsin.incidents.model import Incident
from tocsin.incidents.type_model import TYPE_ID, CustomField, IncidentType, IncidentTypeVersion
from tocsin.kit.errors import Invalid, NotFound
from tocsin.kit.text import storable

_NONE = UUID(int=0)
# More than anybody would look through.
MOST = 500


@dataclass(frozen=True, slots=True)
class AsVersioned:
    """A type, and what it asks for at one of its versions."""

    type: IncidentType
    version: IncidentTypeVersion


async def custom_fields(
    tx: Tx,
    *,
    after: UUID | None = None,
    limit: int = MOST,
    is_archived: bool | None = None,
    words: Collection[str] = (),
) -> list[CustomField]:
    """Return the custom fields in the order in which they were added."""
    of_state = [] if is_archived is None else [CustomField.archived_at.is_not(None) == is_archived]
    only = [*of_state, *has_words(words, CustomField.name, CustomField.key)]
    return await list_records(tx, CustomField, *only, after=after, limit=limit)


async def custom_field(tx: Tx, id: UUID) -> CustomField:
    """Return one custom field; raises `NotFound`."""
    return await get_record(tx, CustomField, id, "custom field")


async def lock_custom_field(tx: Tx, id: UUID) -> CustomField:
    """Return one custom field, and keep others from changing it until the commit; raises `NotFound`."""
    return await lock_record(tx, CustomField, id, "custom field")


async def lock_custom_field_to_delete(tx: Tx, id: UUID) -> CustomField:
    """Return one custom field once nobody fills it in, and let nobody; raises `NotFound`."""
    return await lock_to_delete(tx, CustomField, id, "custom field")


async def keep_fields_called(tx: Tx, keys: Collection[str]) -> dict[str, CustomField]:
    """Return those of these custom fields that there are, and let nobody delete them until the commit."""
    return await _by_key(tx, _called(keys).with_for_update(key_share=True, read=True)) if keys else {}


async def fields_called(tx: Tx, keys: Collection[str]) -> dict[str, CustomField]:
    """Return those of these custom fields that there are, by their keys."""
    return await _by_key(tx, _called(keys)) if keys else {}


async def lock_fields_called(tx: Tx, keys: Collection[str]) -> dict[str, CustomField]:
    """Return those of these custom fields that there are, and keep them there until the commit."""
    return await _by_key(tx, for_change(_called(keys), CustomField))


def _called(keys: Collection[str]) -> Select[CustomField]:
    return select(CustomField).where(CustomField.key.in_([storable(key) for key in keys]))


async def _by_key(tx: Tx, query: Select[CustomField]) -> dict[str, CustomField]:
    return {field.key: field for field in await tx.session.scalars(query)}


async def types(
    tx: Tx,
    *,
    after: UUID | None = None,
    limit: int = MOST,
    is_archived: bool | None = None,
    words: Collection[str] = (),
) -> list[IncidentType]:
    """Return the incident types in the order in which they were added."""
    of_state = [] if is_archived is None else [IncidentType.archived_at.is_not(None) == is_archived]
    only = [*of_state, *has_words(words, IncidentType.name, IncidentType.short_id)]
    return await list_records(tx, IncidentType, *only, after=after, limit=limit)


async def incident_type(tx: Tx, id: UUID) -> IncidentType:
    """Return one incident type; raises `NotFound`."""
    return await get_record(tx, IncidentType, id, "incident type")


async def lock_type(tx: Tx, id: UUID) -> IncidentType:
    """Return one incident type, and keep others from changing it until the commit; raises `NotFound`."""
    return await lock_record(tx, IncidentType, id, "incident type")


async def lock_type_to_delete(tx: Tx, id: UUID) -> IncidentType:
    """Return one incident type once nobody declares an incident of it, and let nobody; raises `NotFound`."""
    return await lock_to_delete(tx, IncidentType, id, "incident type")


async def lock_types(tx: Tx) -> list[IncidentType]:
    """Return all types, and keep others from changing them until the commit."""
    return list((await tx.session.scalars(for_change(select(IncidentType), IncidentType))).all())


async def keep_type(tx: Tx, called: str) -> IncidentType:
    """Return the type of this short id, or id, or the default one for none, and keep it as it is until the commit.

    Raises `Invalid` for one that there is not.
    """
    query = select(IncidentType).with_for_update(key_share=True, read=True)
    query = query.execution_options(populate_existing=True)
    if not called:
        query = query.where(IncidentType.is_default)
    elif called.startswith(f"{TYPE_ID.prefix}_"):
        try:
            query = query.where(IncidentType.id == TYPE_ID.read(called))
        except NotFound as problem:
            raise Invalid("type", problem.message, code="unknown") from None
    else:
        query = query.where(IncidentType.short_id == storable(called).strip().lower())
    found = (await tx.session.scalars(query)).one_or_none()
    if found is None:
        raise Invalid("type", f"There is no incident type “{called[:60]}”.", code="unknown")
    return found


async def ids_of_types(tx: Tx, called: Collection[str]) -> list[UUID]:
    """Return the ids of the types of these short ids, or ids; one that there is not has an id that nothing has."""
    if not called:
        return []
    every = await types(tx)
    known = {name: each.id for each in every for name in (each.short_id, TYPE_ID.write(each.id))}
    return [known.get(each.strip().lower(), _NONE) for each in called]


async def keep_version(tx: Tx, row: IncidentType) -> None:
    """Write down what a type asks for at its present version."""
    said = {
        "type_id": row.id,
        "number": row.version,
        "layout": row.layout,
        "requirements": row.requirements,
        "auto_close_days": row.auto_close_days,
        "made_at": tx.now,
    }
    await tx.session.execute(insert(IncidentTypeVersion).values(said).on_conflict_do_nothing())


async def versions_of(tx: Tx, incidents: Sequence[Incident]) -> dict[UUID, AsVersioned]:
    """Return the type of each of these incidents at the version that it has, by the incident's id."""
    wanted = {(incident.type_id, incident.type_version) for incident in incidents}
    if not wanted:
        return {}
    query = (
        select(IncidentType, IncidentTypeVersion)
        .join(IncidentTypeVersion, IncidentTypeVersion.type_id == IncidentType.id)
        .where(tuple_(IncidentTypeVersion.type_id, IncidentTypeVersion.number).in_(wanted))
    )
    found = {(row.id, version.number): AsVersioned(row, version) for row, version in await tx.session.execute(query)}
    return {incident.id: found[incident.type_id, incident.type_version] for incident in incidents}


async def versions(tx: Tx, type_id: UUID, *, before: int | None = None, limit: int = 50) -> list[IncidentTypeVersion]:
    """Return the versions of a type, the newest first, older than the number `before`."""
    query = select(IncidentTypeVersion).where(IncidentTypeVersion.type_id == type_id)
    if before is not None:
        query = query.where(IncidentTypeVersion.number < before)
    return list((await tx.session.scalars(query.order_by(IncidentTypeVersion.number.desc()).limit(limit))).all())


async def count_incidents(tx: Tx, type_ids: Collection[UUID], most: int = 1_000) -> Mapping[UUID, int]:
    """Count the incidents of each of these types, and stop at `most` of one: whoever may see them."""
    found: dict[UUID, int] = {}
    for id in type_ids:
        some = select(Incident.id).where(Incident.type_id == id).limit(most).subquery()
        found[id] = await tx.session.scalar(select(func.count()).select_from(some)) or 0
    return found


async def is_filled_in(tx: Tx, key: str) -> bool:
    """Say whether any incident has this custom field."""
    has_key = Incident.fields.op("?", is_comparison=True)(key)
    some = Incident.fields != literal(dict[str, Any](), JSONB)
    return (await tx.session.execute(select(Incident.id).where(has_key, some).limit(1))).first() is not None


async def types_with(tx: Tx, key: str) -> list[IncidentType]:
    """Return the types that ask for this field now, by name."""
    query = select(IncidentType).where(literal(key) == any_(IncidentType.layout)).order_by(IncidentType.name)
    return list((await tx.session.scalars(query)).all())


async def asked_by_conditions(tx: Tx, key: str) -> list[CustomField]:
    """Return the fields whose condition speaks of this one, as far as their text tells."""
    query = select(CustomField).where(CustomField.required_when.contains(key, autoescape=True))
    return list((await tx.session.scalars(query.order_by(CustomField.name))).all())
