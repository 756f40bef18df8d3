"""The type of an incident and its custom fields on its page: what stands there, what is missing, and editing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from markupsafe import Markup

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Actor
from tocsin.incidents import custom_fields, gates, queries, type_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.gates import ENTERED, ORDER
from tocsin.incidents.missing import missing_for
from tocsin.incidents.model import INCIDENT_ID, Incident, Status
from tocsin.incidents.type_model import CustomField, Kind
from tocsin.kit.errors import NotFound
from tocsin.kit.text import markdown
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form
from tocsin.web.base.screens import DialogScreen
from tocsin.web.parts import custom_fields as parts
from tocsin.web.parts import since
from tocsin.web.parts.custom_fields import FieldInput, Known
from tocsin.web.parts.dialogs import Dialog, Opened

# What the path of the dialog says instead of a key: all fields, or those that a state needs.
_ALL, _FOR = "all", "for-"
# Where a built-in field is filled in.
_PLACES: Mapping[str, str] = {
    **{key: f"/{key}" for key in ("summary", "category", "tags")},
    **{role: f"/roles/{role}" for role in ("lead", "commander", "communicator")},
    **dict.fromkeys(("detected_at", "identified_at", "mitigated_at"), "/times"),
}


@dataclass(frozen=True, slots=True)
class FieldShown:
    """One custom field as the page shows it: in one of these ways, or not filled in."""

    key: str
    name: str
    text: str = ""
    html: Markup | None = None
    at: datetime | None = None
    link: str = ""
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the type of an incident asks for, and for each state what is missing, in words."""

    type: str
    fields: Sequence[FieldShown]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A built-in field that is missing, and where it is filled in."""

    name: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldsScreen(DialogScreen):
    """Some of the custom fields of an incident; `entered` is what they are needed for, if one came by that."""

    template: ClassVar = "incidents/fields.html"
    incident: Incident
    what: str
    title: str
    fields: Sequence[FieldInput]
    elsewhere: Sequence[Elsewhere]
    entered: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeScreen(DialogScreen):
    """The type of an incident, and those that it can be moved to."""

    template: ClassVar = "incidents/type.html"
    incident: Incident
    type: str
    types: Sequence[tuple[str, str]]


async def asked_of(tx: Tx, who: Actor, incident: Incident) -> Asked:
    """Return what the page of an incident shows of its type."""
    kind = (await type_queries.versions_of(tx, [incident]))[incident.id]
    known = await _known(tx, incident)
    names = await _names(tx, who, incident, known)
    ahead = await missing_for(tx, incident, *ORDER, Status.CANCELLED)
    return Asked(
        kind.type.name,
        [_shown(field, incident.fields.get(field.key), names) for field in known],
        {state.value: _named(found) for state, found in ahead.items()},
    )


async def needed_to(tx: Tx, incident: Incident, to: Status) -> str:
    """Name what is missing for a state; nothing where nothing is."""
    return _named((await missing_for(tx, incident, to))[to])


def _named(missing: Sequence[gates.Missing]) -> str:
    found = _before(missing)
    return gates.in_words(found) if found else ""


def _before(found: Sequence[gates.Missing]) -> list[gates.Missing]:
    """Leave out what the move itself asks for."""
    return [each for each in found if each.key != "resolution_note"]


async def _known(tx: Tx, incident: Incident) -> list[CustomField]:
    """Return the fields that the type asks for, in its order, and then what else the incident says."""
    layout = (await type_queries.versions_of(tx, [incident]))[incident.id].version.layout
    keys = list(dict.fromkeys([*layout, *incident.fields]))
    known = await type_queries.fields_called(tx, keys)
    found = [known[key] for key in keys if key in known]
    return [field for field in found if field.archived_at is None or field.key in incident.fields]


async def _names(tx: Tx, who: Actor, incident: Incident, known: Sequence[CustomField]) -> dict[str, str]:
    """Return what people and teams are called that the fields hold: teams as far as the reader sees them."""
    said = {
        kind: [incident.fields[each.key] for each in known if each.kind == kind and each.key in incident.fields]
        for kind in (Kind.USER, Kind.TEAM)
    }
    people = await identity.users_by_id(tx, [USER_ID.read(each) for each in said[Kind.USER]])
    teams = await identity.teams_by_id(tx, who.access, [TEAM_ID.read(each) for each in said[Kind.TEAM]])
    named = {USER_ID.write(id): person.name for id, person in people.items()}
    return (
        dict.fromkeys(said[Kind.TEAM], "A private team")
        | named
        | {TEAM_ID.write(id): team.name for id, team in teams.items()}
    )


def _shown(field: CustomField, value: Any, names: Mapping[str, str]) -> FieldShown:
    if value is None:
        return FieldShown(field.key, field.name)
    match Kind(field.kind):
        case Kind.LONG_TEXT:
            return FieldShown(field.key, field.name, html=markdown(value))
        case Kind.DATE_TIME:
            return FieldShown(field.key, field.name, at=datetime.fromisoformat(value))
        case Kind.LINK:
            return FieldShown(field.key, field.name, link=value)
        case Kind.MULTI_SELECT:
            return FieldShown(field.key, field.name, tags=value)
        case _:
            text = custom_fields.said(field, value, names)
            return FieldShown(field.key, field.name, text.capitalize() if field.kind == Kind.YES_NO else text)


async def _read(opened: Opened) -> Incident:
    incident = await queries.get(opened.tx, opened.who.access, opened.id)
    opened.who.must(P.INCIDENT_EDIT, on=incident)
    return incident


async def _news(request: AppRequest, opened: Opened) -> since.SinceScreen:
    return await since.of_incident(opened.tx, request, opened.shell, opened.who, await _read(opened))


def _about(opened: Opened, incident: Incident) -> dict[str, Any]:
    return {
        "incident": incident,
        "back": INCIDENT_ID.page(incident.reference),
        "seen": str(incident.version),
        "refused": opened.refused,
    }


async def _incident_fields(opened: Opened) -> FieldsScreen:
    """Show the form of one custom field, of those that a state needs (`for-resolved`), or of all."""
    incident = await _read(opened)
    what = opened.named["what"]
    known = await _known(opened.tx, incident)
    to = _state(what)
    missing = (await missing_for(opened.tx, incident, to))[to] if to is not None else []
    chosen = _chosen(known, what, {each.key for each in missing if each.is_custom})
    words = await Known.read(opened.tx)
    fields = await parts.inputs(
        opened.tx,
        opened.who,
        chosen,
        incident.fields,
        zone=opened.shell.now.tzinfo or UTC,
        in_sheet=opened.shell.in_sheet,
        refused=opened.refused,
        required={each.key for each in missing},
        notes={each.key: words.condition(each) for each in chosen},
    )
    return FieldsScreen(
        opened.shell,
        what=what,
        title=fields[0].label if len(fields) == 1 and to is None else "Fields",
        fields=fields,
        elsewhere=[
            Elsewhere(each.name, f"/incidents/{incident.reference}{_PLACES[each.key]}")
            if each.key in _PLACES
            else Elsewhere(each.name, INCIDENT_ID.page(incident.reference))
            for each in _before(missing)
            if not each.is_custom
        ],
        entered=ENTERED[to] if to is not None else "",
        **_about(opened, incident),
    )


def _state(what: str) -> Status | None:
    word = what.removeprefix(_FOR)
    return Status(word) if what.startswith(_FOR) and word in set(Status) else None


def _chosen(known: Sequence[CustomField], what: str, missing: set[str]) -> list[CustomField]:
    if what == _ALL:
        return list(known)
    found = [each for each in known if each.key == what or (what.startswith(_FOR) and each.key in missing)]
    if not found and not what.startswith(_FOR):
        raise NotFound("There is no such field.")
    return found


async def _set_fields(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Fill in custom fields. Form fields: fields/<key> of those that the dialog has, what, version."""
    incident = await queries.get(tx, who.access, ref)
    zone = await identity.zone_of(tx, who.user_id)
    values = parts.sent(form, await _known(tx, incident), incident.fields, zone)
    changes = incidents.IncidentChanges(filled=incidents.Filled(values=values))
    await incidents.update(tx, who, ref, changes, if_version=form.version())


async def _incident_type(opened: Opened) -> TypeScreen:
    """Show the types that an incident can be moved to."""
    incident = await _read(opened)
    known = await type_queries.types(opened.tx)
    return TypeScreen(
        opened.shell,
        type=next(each.short_id for each in known if each.id == incident.type_id),
        types=[(each.short_id, each.name) for each in known if each.archived_at is None or each.id == incident.type_id],
        **_about(opened, incident),
    )


async def _set_type(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Move it to another type. Form fields: type (a short id), version."""
    changes = incidents.IncidentChanges(filled=incidents.Filled(form.text("type")))
    await incidents.update(tx, who, ref, changes, if_version=form.version())


_FIELDS = Dialog("/incidents/{ref:str}/fields/{what:str}", _incident_fields, P.INCIDENT_EDIT, news=_news)
_TYPE = Dialog("/incidents/{ref:str}/type", _incident_type, P.INCIDENT_EDIT, news=_news)
HANDLERS = [
    _FIELDS.handler,
    _TYPE.handler,
    *Actions("/incidents/{ref:str}", _TYPE.show, needs=P.INCIDENT_EDIT).handlers(
        Action("fields", _set_fields, "Saved.", form="fields-form", show=_FIELDS.show),
        Action("type", _set_type, "Type changed.", form="type-form"),
    ),
]
