"""How an incident looks in answers, and how a list of them is put together with few queries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from tocsin.alerts import queries as alert_queries
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.shapes.alerts import BeingPagedOut, Pagings
from tocsin.api.shapes.owners import TeamRef, owning_teams
from tocsin.api.shapes.people import Person
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.events import vocabulary
from tocsin.identity import queries as identity
from tocsin.identity.model import TEAM_ID, USER_ID, Actor, User
from tocsin.incidents import action_item_queries, lifecycle, queries, text_template_queries, type_queries
from tocsin.incidents.model import ACTION_ITEM_ID, INCIDENT_ID, ActionItem, Category, Incident, Priority, Status
from tocsin.incidents.text_template_model import TEMPLATE_ID, TextTemplate
from tocsin.incidents.type_model import TYPE_ID, IncidentType, Kind
from tocsin.incidents.vocabularies import Native, is_recognised
from tocsin.kit.addresses import at
from tocsin.kit.clock import stamp
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import PagingTrouble

# Of what is still to be done so much is named.
_MOST_OPEN = 20


class Reporter(msgspec.Struct):
    """Who declared it; the id is null when it was not a person."""

    id: str | None
    name: str


class Roles(msgspec.Struct):
    """Who coordinates, who is responsible for the fix, who speaks outward."""

    commander: Person | None
    lead: Person | None
    communicator: Person | None


class Stamps(msgspec.Struct):
    """When it started, was detected and declared, and reached each state of its present round.

    Where nobody has set `detected_at`, it is when the first of its alerts that you may see triggered, at the latest the
    declaration. One that was mitigated without being identified before has both at the same moment.

    A round that nobody acknowledged counts as acknowledged when it was resolved: `acknowledged_by_end` says so.
    """

    started_at: Time
    detected_at: Time
    declared_at: Time
    acknowledged_at: Time | None
    acknowledged_by_end: bool
    identified_at: Time | None
    mitigated_at: Time | None
    resolved_at: Time | None
    closed_at: Time | None
    cancelled_at: Time | None


class Duplicate(msgspec.Struct):
    """An incident that was cancelled as a duplicate of this one."""

    id: str
    number: str
    title: str


class NativeSeverity(msgspec.Struct):
    """The word of another product that the severity was read from, and whether its vocabulary knows that word."""

    vocabulary: str
    value: str
    recognised: bool


class CustomerImpact(msgspec.Struct):
    """What it does to customers: how many users, or what share of them in per cent, in which regions, and in words."""

    users: int | None
    percent: float | None
    regions: list[str]
    consequence: str


class OpenActionItem(msgspec.Struct):
    """Something that is still to be done because of the incident."""

    id: str
    description: str
    assignee: Person | None
    due_date: date | None


class TypeRef(msgspec.Struct):
    """The type of an incident, and the version of it that it was declared with or moved to since."""

    id: str
    short_id: str
    name: str
    version: int


class TemplateRef(msgspec.Struct):
    """The text template that an incident was declared with."""

    id: str
    short_id: str
    name: str


class IncidentOut(msgspec.Struct):
    """An incident. `severity` is 1 (critical) to 5 (info), `category` its kind; a drill is an exercise.

    `urgency` is the highest of its alerts. `priority` is a label for sorting, by the severity and urgency where it
    `priority_is_derived`, else as somebody has set it. `duration_seconds` runs until it ended, or until now.

    `paging` says that help was asked for in vain: `unreached` when no message has reached anybody so far, `unanswered`
    when it ended without an answer and nobody has joined since. Of its alerts it says nothing: they have a field of
    their own.

    `open_action_item_count` says how much is still to be done because of it, and `open_action_items` what, up to 20 of
    them by their due dates; to close it stops none of that.
    """

    id: str
    number: str
    title: str
    summary: str
    tags: list[str]
    type: TypeRef
    template: TemplateRef | None
    fields: dict[str, Any]
    status: Status
    severity: int
    severity_label: str
    native_severity: NativeSeverity | None
    impact: CustomerImpact
    category: Category | None
    is_drill: bool
    urgency: Urgency
    priority: Priority
    priority_is_derived: bool
    round: int
    reporter: Reporter
    roles: Roles
    stamps: Stamps
    resolution_note: str
    cancel_reason: str | None
    duplicate_of_id: str | None
    duplicates: list[Duplicate]
    linked_alert_count: int
    open_action_item_count: int
    open_action_items: list[OpenActionItem]
    responders_joined: int
    responders_asked: int
    duration_seconds: int
    paging: PagingTrouble | None
    being_paged: list[BeingPagedOut]
    teams: list[TeamRef]
    is_private: bool
    declared_at: Time
    updated_at: Time
    version: int
    url: str


async def shape(tx: Tx, context: Context, who: Actor, incident: Incident) -> IncidentOut:
    """Write one incident."""
    return (await shape_all(tx, context, who, [incident]))[0]


async def shape_all(tx: Tx, context: Context, who: Actor, incidents: Sequence[Incident]) -> list[IncidentOut]:
    """Write several incidents, in their order."""
    ids = [incident.id for incident in incidents]
    holders = {id for i in incidents for id in (i.commander_id, i.lead_id, i.communicator_id) if id is not None}
    to_do = await action_item_queries.open_in(tx, who.access, ids)
    holders |= {id for items in to_do.values() for item in items if (id := item.assignee_id) is not None}
    people = await identity.users_by_id(tx, holders)
    alerts = await alert_queries.linked_counts(tx, who.access, ids) if ids else {}
    triggers = await alert_queries.first_triggers(tx, who.access, ids) if ids else {}
    turnout = await queries.joined_counts(tx, ids) if ids else {}
    doubles = await queries.duplicates(tx, who.access, ids)
    named = [incident.duplicate_of_id for incident in incidents if incident.duplicate_of_id is not None]
    survivors = await queries.by_id(tx, who.access, named)
    teams = await owning_teams(tx, who, incidents)
    types = await type_queries.versions_of(tx, incidents)
    templates = await text_template_queries.templates_by_id(
        tx, [incident.template_id for incident in incidents if incident.template_id is not None]
    )
    fields = await _fields(tx, who, incidents)
    paged = Pagings(await queries.troubles(tx, ids), await oncall.being_paged(tx, incident_ids=ids))
    return [
        _write(
            incident,
            people,
            now=tx.now,
            base_url=context.settings.base_url,
            alerts=alerts.get(incident.id, 0),
            first_alert_at=triggers.get(incident.id),
            to_do=to_do.get(incident.id, []),
            turnout=turnout[incident.id],
            type=_type(incident, types[incident.id].type),
            template=_template(templates.get(incident.template_id)) if incident.template_id is not None else None,
            fields=fields[incident.id],
            doubles=[double for double in doubles if double.duplicate_of_id == incident.id],
            paging=paged.of(incident.id),
            survivor=survivors.get(incident.duplicate_of_id) if incident.duplicate_of_id is not None else None,
            teams=[teams[id] for id in incident.team_ids if id in teams],
        )
        for incident in incidents
    ]


def _write(
    incident: Incident,
    people: dict[UUID, User],
    *,
    now: datetime,
    base_url: str,
    alerts: int,
    first_alert_at: datetime | None,
    to_do: Sequence[ActionItem],
    turnout: queries.Turnout,
    type: TypeRef,
    template: TemplateRef | None,
    fields: dict[str, Any],
    doubles: Sequence[Incident],
    paging: tuple[PagingTrouble | None, list[BeingPagedOut]],
    survivor: Incident | None,
    teams: list[TeamRef],
) -> IncidentOut:
    return copied(
        IncidentOut,
        incident,
        INCIDENT_ID,
        number=incident.reference,
        type=type,
        template=template,
        fields=fields,
        status=Status(incident.status),
        severity_label=vocabulary.severity(incident.severity),
        native_severity=_native(incident),
        impact=CustomerImpact(
            incident.affected_users, incident.affected_percent, incident.affected_regions, incident.consequence
        ),
        category=Category(incident.category) if incident.category is not None else None,
        urgency=Urgency(incident.urgency),
        priority=Priority(incident.priority),
        priority_is_derived=not incident.is_priority_set,
        reporter=Reporter(USER_ID.write_or_none(incident.reporter_id), incident.reporter_name),
        roles=Roles(
            commander=_person(people, incident.commander_id),
            lead=_person(people, incident.lead_id),
            communicator=_person(people, incident.communicator_id),
        ),
        stamps=copied(
            Stamps,
            incident,
            INCIDENT_ID,
            detected_at=stamp(lifecycle.detected_at(incident, first_alert_at)),
            acknowledged_by_end=incident.acknowledged_at is not None and not lifecycle.was_acknowledged(incident),
        ),
        duplicate_of_id=INCIDENT_ID.write_or_none(survivor.id if survivor is not None else None),
        duplicates=[Duplicate(INCIDENT_ID.write(each.id), each.reference, each.title) for each in doubles],
        linked_alert_count=alerts,
        open_action_item_count=len(to_do),
        open_action_items=[
            OpenActionItem(
                ACTION_ITEM_ID.write(each.id), each.description, _person(people, each.assignee_id), each.due_date
            )
            for each in to_do[:_MOST_OPEN]
        ],
        responders_joined=turnout.joined,
        responders_asked=turnout.asked,
        duration_seconds=int(lifecycle.lasted(incident, now).total_seconds()),
        paging=paging[0],
        being_paged=paging[1],
        teams=teams,
        url=at(base_url, INCIDENT_ID.page(incident.reference)),
    )


def _template(row: TextTemplate | None) -> TemplateRef | None:
    return TemplateRef(TEMPLATE_ID.write(row.id), row.short_id, row.name) if row is not None else None


def _type(incident: Incident, type: IncidentType) -> TypeRef:
    return TypeRef(TYPE_ID.write(type.id), type.short_id, type.name, incident.type_version)


async def _fields(tx: Tx, who: Actor, incidents: Sequence[Incident]) -> dict[UUID, dict[str, Any]]:
    """Return the custom fields of each; a team that the caller does not see is null."""
    keys = {key for incident in incidents for key in incident.fields}
    known = await type_queries.fields_called(tx, keys)
    of_teams = {key for key, field in known.items() if field.kind == Kind.TEAM}
    named = {incident.fields[key] for incident in incidents for key in of_teams & incident.fields.keys()}
    seen = await identity.teams_by_id(tx, who.access, [TEAM_ID.read(each) for each in named])
    hidden = named - {TEAM_ID.write(id) for id in seen}
    return {
        incident.id: {
            key: None if key in of_teams and value in hidden else value
            for key, value in incident.fields.items()
            if key in known
        }
        for incident in incidents
    }


def _native(incident: Incident) -> NativeSeverity | None:
    if incident.native_vocabulary is None or incident.native_severity is None:
        return None
    native = Native(incident.native_vocabulary, incident.native_severity)
    return NativeSeverity(native.vocabulary, native.value, is_recognised(native))


def _person(people: dict[UUID, User], id: UUID | None) -> Person | None:
    return Person(USER_ID.write(id), people[id].name) if id is not None and id in people else None
