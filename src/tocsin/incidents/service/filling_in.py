"""The type of an incident and what stands in its custom fields: looking at what somebody wrote, and at its gates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import TEAM_ID, USER_ID, Actor
from tocsin.incidents import custom_fields, gates, type_queries
from tocsin.incidents.gates import ALWAYS
from tocsin.incidents.missing import missing_for
from tocsin.incidents.model import Incident, Status
from tocsin.incidents.type_model import CustomField, IncidentType, Kind
from tocsin.kit.errors import FieldError, Invalid, NotFound
from tocsin.kit.ids import IdKind


@dataclass(frozen=True, slots=True)
class Filled:
    """What somebody says of an incident's type and custom fields: the type by its short id or id, empty for as it is.

    A value is what `custom_fields.checked` takes; None takes it away.
    """

    type: str = ""
    values: Mapping[str, object] = field(default_factory=dict[str, object])


AS_IT_IS = Filled()


@dataclass(frozen=True, slots=True)
class NewFields:
    """What an incident is to say, checked; `told` is what that changes, for the record."""

    type: IncidentType | None
    values: Mapping[str, Any]
    told: Sequence[Change]

    def give(self, incident: Incident, left: Collection[str] = ()) -> list[Change]:
        """Let it say that, but for the fields that are to stay as they are; returns what changed."""
        told = [change for change in self.told if change.field not in left]
        if self.type is not None and "type" not in left:
            incident.type_id, incident.type_version = self.type.id, self.type.version
        new = {key: value for key, value in self.values.items() if custom_fields.pointer(key) not in left}
        if new:
            whole: dict[str, Any] = {**incident.fields, **new}
            incident.fields = {key: value for key, value in whole.items() if value is not None}
        return told


async def first_fields(
    tx: Tx, who: Actor, type: IncidentType, filled: Filled
) -> tuple[dict[str, Any], list[CustomField]]:
    """Return what the custom fields of a new incident say, with the defaults of its type, and the fields that it asks.

    Raises `Invalid` with every field that is wrong.
    """
    asked = await _asked(tx, type.layout)
    values = {each.key: each.default_value for each in asked if each.key not in filled.values}
    values |= await _checked(tx, who, filled.values, {each.key: each for each in asked}, {}, type.name)
    return {key: value for key, value in values.items() if value is not None}, asked


async def new_fields(tx: Tx, who: Actor, incident: Incident, filled: Filled) -> NewFields:
    """Look at what somebody would write. The caller has locked the incident, and checked the right to change it.

    Raises `Invalid` with every field that is wrong, and for a type that there is not or that is archived. What is
    stored already is not looked at again. Another type is taken as it is now; the same one stays at its version.
    """
    if not filled.type and not filled.values:
        return NewFields(None, {}, ())
    old = (await type_queries.versions_of(tx, [incident]))[incident.id]
    new = await chosen_type(tx, filled.type, old.type.id) if filled.type else old.type
    told = [Change("type", old.type.name, new.name)] if new.id != old.type.id else []
    layout = old.version.layout if new.id == old.type.id else new.layout
    keys = [*layout, *incident.fields]
    known = await type_queries.keep_fields_called(tx, {key for key in filled.values if key in keys})
    values = await _checked(tx, who, filled.values, known, incident.fields, new.name)
    names = await names_in(tx, [*values.values(), *(incident.fields.get(key) for key in values)], known.values())
    for key, value in values.items():
        before, now = (custom_fields.said(known[key], each, names) for each in (incident.fields.get(key), value))
        told.append(Change(custom_fields.pointer(key), before, now, called=known[key].name))
    return NewFields(new if new.id != old.type.id else None, values, told)


async def chosen_type(tx: Tx, called: str, present: UUID | None = None) -> IncidentType:
    """Return a type that something can be declared of, the default one for an empty text.

    An archived one can be kept (`present`), and not be chosen.
    """
    found = await type_queries.keep_type(tx, called)
    if found.archived_at is not None and found.id != present:
        raise Invalid("type", f"The type {found.name} is archived.", code="archived")
    return found


async def _asked(tx: Tx, layout: Sequence[str]) -> list[CustomField]:
    """Return the fields of a layout that are asked for, in its order."""
    known = await type_queries.keep_fields_called(tx, {key for key in layout if key not in ALWAYS})
    return [known[key] for key in layout if key in known and known[key].archived_at is None]


async def _checked(
    tx: Tx,
    who: Actor,
    written: Mapping[str, object],
    known: Mapping[str, CustomField],
    stored: Mapping[str, Any],
    type_name: str,
) -> dict[str, Any]:
    """Return what was written as it is stored, without what is stored already."""
    found: dict[str, Any] = {}
    wrong: list[FieldError] = []
    for key, value in written.items():
        definition = known.get(key)
        if definition is None:
            sentence = f"An incident of the type {type_name} has no field “{key[:60]}”."
            wrong.append(FieldError(f"#/{custom_fields.pointer(key[:60])}", sentence, "unknown_field"))
            continue
        if key in stored and value == stored[key]:
            continue
        try:
            checked = custom_fields.checked(definition, value)
            if checked != stored.get(key):
                await _must_be_there(tx, who, definition, checked)
                found[key] = checked
        except Invalid as problem:
            wrong += problem.errors
    if wrong:
        raise Invalid.of(tuple(wrong))
    return found


async def _must_be_there(tx: Tx, who: Actor, definition: CustomField, value: Any) -> None:
    """Raise `Invalid` for a person or a team that there is not, or that nothing new may name."""
    if value is None:
        return
    there = True
    if definition.kind == Kind.USER:
        person = (await identity.users_by_id(tx, [USER_ID.read(value)])).get(USER_ID.read(value))
        there = person is not None and person.is_active
    elif definition.kind == Kind.TEAM:
        team = (await identity.teams_by_id(tx, who.access, [TEAM_ID.read(value)])).get(TEAM_ID.read(value))
        there = team is not None and team.archived_at is None
    if not there:
        sentence = f"“{definition.name}” takes a {definition.kind} that there is, and that is in use."
        raise Invalid(custom_fields.pointer(definition.key), sentence, code="unknown")


async def names_in(tx: Tx, values: Sequence[Any], known: Collection[CustomField]) -> dict[str, str]:
    """Return what the record calls people and teams that stand in these values: a private team is not named."""
    if not any(Kind(each.kind) in custom_fields.NAMED for each in known):
        return {}
    ids = {kind: [value for value in values if _is_id(value, kind)] for kind in (USER_ID, TEAM_ID)}
    people = await identity.users_by_id(tx, [USER_ID.read(each) for each in ids[USER_ID]])
    teams = await identity.teams_by_id(tx, EVERYTHING, [TEAM_ID.read(each) for each in ids[TEAM_ID]])
    named = {USER_ID.write(id): person.name for id, person in people.items()}
    return named | {TEAM_ID.write(id): "a private team" if team.is_private else team.name for id, team in teams.items()}


def _is_id(value: object, ids: IdKind) -> bool:
    # A text of another field may look like an id, and a list of choices be none.
    if not isinstance(value, str):
        return False
    try:
        ids.read(value)
    except NotFound:
        return False
    return True


async def must_pass(tx: Tx, incident: Incident, to: Status, *, note: str = "") -> None:
    """Raise `Invalid` that names each field that is missing for this state (G08).

    `note` is the resolution note that comes with the move.
    """
    found = (await missing_for(tx, incident, to))[to]
    found = [each for each in found if each.key != "resolution_note" or not note.strip()]
    if found:
        raise gates.refusal(found, to, incident.reference)


async def may_pass(tx: Tx, incident: Incident, to: Status) -> bool:
    """Say whether nothing is missing for this state."""
    return not (await missing_for(tx, incident, to))[to]
