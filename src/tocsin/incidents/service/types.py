"""Incident types: making and changing them. Each change makes a version, and incidents keep the one that they have."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, TypedDict, Unpack, cast
from uuid import UUID

from msgspec import Meta

from tocsin.db.engine import Tx
from tocsin.events.base import Change, yes_or_no
from tocsin.identity.access import P
from tocsin.identity.accounts import LONGEST_NAME
from tocsin.identity.configuring import Configuration
from tocsin.identity.model import Actor
from tocsin.incidents import gates, text_template_queries, type_queries
from tocsin.incidents.gates import ALWAYS
from tocsin.incidents.model import Status
from tocsin.incidents.type_model import IncidentType
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Conflict, Invalid

MOST_FIELDS = 40
SHORT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,19}")
Key = Annotated[str, Meta(max_length=40)]
# For each state what it needs: `{"resolved": ["root_cause"]}`.
Requirements = Mapping[Status, Sequence[str]]


class TypeChanges(TypedDict, total=False):
    """What to change about an incident type; what is not there stays as it is.

    `layout` are the keys of the fields that a declaration asks for, in their order; title, severity and summary are
    always asked for, and stand in front where they are not named. `requirements` are lines of `state:key`.
    """

    name: Annotated[str, Meta(max_length=LONGEST_NAME)]
    description: Annotated[str, Meta(max_length=500)]
    default_severity: Annotated[int, Meta(ge=1, le=5)] | None
    layout: Annotated[list[Key], Meta(max_length=MOST_FIELDS)]
    requirements: list[str]
    auto_close_days: Annotated[int, Meta(ge=1, le=365)] | None
    is_private: bool


def _severity(value: int | None) -> int | None:
    if value is not None and not 1 <= value <= 5:
        raise Invalid("default_severity", "Severity goes from 1 (critical) to 5 (info).", code="range")
    return value


def _days(value: int | None) -> int | None:
    if value is not None and not 1 <= value <= 365:
        raise Invalid("auto_close_days", "Give 1 to 365 days, or nothing.", code="range")
    return value


_TYPES = Configuration(
    IncidentType,
    TypeChanges,
    {"default_severity": _severity, "auto_close_days": _days, "layout": list, "requirements": list},
)


def written_requirements(wanted: Requirements) -> list[str]:
    """Return requirements as they are stored, `state:key`, in the order of the states."""
    order = [*gates.ORDER, Status.CANCELLED]
    return [f"{state}:{key}" for state in order for key in dict.fromkeys(wanted.get(state, ()))]


def read_requirements(stored: Sequence[str]) -> dict[Status, list[str]]:
    """Return stored requirements by their states."""
    found: dict[Status, list[str]] = {}
    for state, key in map(gates.split, stored):
        found.setdefault(Status(state), []).append(key)
    return found


async def create_type(tx: Tx, who: Actor, *, short_id: str, **written: Unpack[TypeChanges]) -> IncidentType:
    """Add a type. Its short id stays as it is; raises `Invalid` for one, or a name, that is taken."""
    who.must(P.USER_MANAGE)
    short_id = short_id.strip().lower()
    if SHORT_ID.fullmatch(short_id) is None:
        raise Invalid("short_id", "Use small letters, digits, - and _; at most 20 characters.", code="invalid")
    if short_id in {each.short_id for each in await type_queries.types(tx)}:
        raise Invalid("short_id", f"There is a type with the short id “{short_id}” already.", code="taken")
    fitting = await _fitting(tx, {"layout": written.get("layout", []), **written}, (), ())
    row = await _TYPES.create(tx, who, fitting, short_id=short_id)
    await type_queries.keep_version(tx, row)
    return row


async def update_type(tx: Tx, who: Actor, id: UUID, changes: TypeChanges, *, if_version: Copy = None) -> IncidentType:
    """Change a type, which makes another version: incidents that there are keep theirs."""
    who.must(P.USER_MANAGE)
    seen = await type_queries.incident_type(tx, id)
    fitting = await _fitting(tx, changes, seen.layout, seen.requirements)
    row = await type_queries.lock_type(tx, id)
    before = row.version
    await _TYPES.change(tx, who, row, fitting, if_version=if_version)
    if row.version != before:
        await type_queries.keep_version(tx, row)
    return row


async def _fitting(tx: Tx, changes: TypeChanges, layout: Sequence[str], requirements: Sequence[str]) -> TypeChanges:
    """Return what was written as it is stored: with fields that there are, and requirements of fields that are asked.

    The fields are locked, so that nobody deletes one that is named here.
    """
    said: TypeChanges = {**changes}
    if "layout" not in said and "requirements" not in said:
        return said
    asked = list(dict.fromkeys(said.get("layout", layout)))
    wanted = list(dict.fromkeys(said.get("requirements", requirements)))
    custom = {key for key in asked if key not in ALWAYS} | {
        key for _, key in map(gates.split, wanted) if key not in gates.BUILT_IN
    }
    known = await type_queries.lock_fields_called(tx, custom)
    archived = {key for key, field in known.items() if field.archived_at is not None}
    _must_be_known(asked, known, archived - set(layout))
    asked = [*(key for key in ALWAYS if key not in asked), *asked]
    # A field that is needed is asked for.
    asked += [
        key for key in dict.fromkeys(key for _, key in map(gates.split, wanted)) if key in known and key not in asked
    ]
    _must_be_required_once(wanted, asked)
    if len(asked) > MOST_FIELDS:
        raise Invalid("layout", f"At most {MOST_FIELDS} fields can be asked for.", code="count")
    if "layout" in said or asked != list(layout):
        said["layout"] = asked
    if "requirements" in said:
        said["requirements"] = wanted
    return said


def _must_be_known(asked: Sequence[str], known: Collection[str], gone: Collection[str]) -> None:
    for at, key in enumerate(asked):
        if key not in known and key not in ALWAYS:
            raise Invalid(f"layout/{at}", f"There is no custom field “{key[:60]}”.", code="unknown")
        if key in gone:
            raise Invalid(f"layout/{at}", f"The field “{key}” is archived.", code="archived")


def _must_be_required_once(wanted: Sequence[str], asked: Collection[str]) -> None:
    for state, key in map(gates.split, wanted):
        if state not in set(Status):
            raise Invalid("requirements", f"There is no state “{state[:40]}”.", code="unknown")
        if key not in gates.BUILT_IN and key not in asked:
            raise Invalid("requirements", f"There is no field “{key[:60]}”.", code="unknown")
        if key == "resolution_note" and state not in (Status.RESOLVED, Status.CLOSED):
            raise Invalid("requirements", "The resolution note is written when it is resolved.", code="unexpected")


async def set_default(tx: Tx, who: Actor, id: UUID) -> IncidentType:
    """Make this the type of whatever is declared without one. Idempotent; raises `Conflict` for an archived one."""
    who.must(P.USER_MANAGE)
    known = {each.id: each for each in await type_queries.lock_types(tx)}
    row = known.get(id) or await type_queries.incident_type(tx, id)
    if row.is_default:
        return row
    if row.archived_at is not None:
        raise Conflict(f"{row.name} is archived. Restore it first.", code="incident_type.archived")
    for each in known.values():
        if each.is_default:
            each.is_default = False
            await _changed(tx, who, each, "is_default", now=False)
    row.is_default = True
    return await _changed(tx, who, row, "is_default", now=True)


async def archive_type(tx: Tx, who: Actor, id: UUID) -> IncidentType:
    """Offer a type for nothing new; its incidents stay its own. Idempotent; raises `Conflict` for the default one."""
    return await _set_archived(tx, who, id, archived=True)


async def unarchive_type(tx: Tx, who: Actor, id: UUID) -> IncidentType:
    """Offer a type again. Idempotent."""
    return await _set_archived(tx, who, id, archived=False)


async def _set_archived(tx: Tx, who: Actor, id: UUID, *, archived: bool) -> IncidentType:
    who.must(P.USER_MANAGE)
    row = await type_queries.lock_type(tx, id)
    if (row.archived_at is not None) == archived:
        return row
    if row.is_default:
        raise _is_default(row)
    row.archived_at = tx.now if archived else None
    return await _changed(tx, who, row, "archived", now=archived)


async def _changed(tx: Tx, who: Actor, row: IncidentType, what: str, *, now: bool) -> IncidentType:
    await _TYPES.change(tx, who, row, cast("TypeChanges", {}), Change(what, yes_or_no(not now), yes_or_no(now)))
    await type_queries.keep_version(tx, row)
    return row


def _is_default(row: IncidentType) -> Conflict:
    return Conflict(
        f"{row.name} is the type of whatever is declared without one.",
        code="incident_type.default",
        hint="Make another one the default first.",
    )


async def delete_type(tx: Tx, who: Actor, id: UUID) -> None:
    """Delete a type of which there is no incident, and which is not the default; `Conflict` for any other one."""
    who.must(P.USER_MANAGE)
    row = await type_queries.lock_type_to_delete(tx, id)
    if row.is_default:
        raise _is_default(row)
    if count := (await type_queries.count_incidents(tx, [row.id]))[row.id]:
        raise Conflict(
            f"There {'is an incident' if count == 1 else 'are incidents'} of the type {row.name}.",
            code="incident_type.in_use",
            hint="Archive it instead: it is offered for nothing new, and its incidents stay as they are.",
        )
    if templates := await text_template_queries.templates_of_type(tx, row.id):
        raise Conflict(
            f"The text template {templates[0].name} declares incidents of the type {row.name}.",
            code="incident_type.in_use",
            hint="Let the template name another type first, or none.",
        )
    await _TYPES.delete(tx, who, row)
