"""Text templates: making and changing them, showing what they make, and what declaring takes from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict, Unpack, cast
from uuid import UUID

from msgspec import Meta

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.events import vocabulary
from tocsin.events.base import Change, Subject, yes_or_no
from tocsin.events.since import left_alone
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.accounts import LONGEST_NAME
from tocsin.identity.configuring import Configuration
from tocsin.identity.model import Actor
from tocsin.identity.service.owners import MOST_OWNERS
from tocsin.incidents import checks, placeholders, text_template_queries, type_queries
from tocsin.incidents.fields import Tag
from tocsin.incidents.model import Category, Incident
from tocsin.incidents.placeholders import (
    NO_ALERT,
    SUMMARY_TEMPLATE_LIMIT,
    TITLE_TEMPLATE_LIMIT,
    AlertSaid,
    Known,
    Preview,
)
from tocsin.incidents.service.filling_in import chosen_type
from tocsin.incidents.service.types import SHORT_ID
from tocsin.incidents.text_template_model import TextTemplate
from tocsin.incidents.type_model import TYPE_ID, IncidentType
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Conflict, Invalid
from tocsin.kit.templates import BadTemplate


class PlainFields(TypedDict, total=False):
    """What to change about a text template itself; what is not there stays as it is."""

    name: Annotated[str, Meta(max_length=LONGEST_NAME)]
    description: Annotated[str, Meta(max_length=500)]
    title: Annotated[str, Meta(max_length=TITLE_TEMPLATE_LIMIT, description="With placeholders; may be empty.")]
    summary: Annotated[
        str, Meta(max_length=SUMMARY_TEMPLATE_LIMIT, description="Markdown with placeholders; may be empty.")
    ]
    severity: Annotated[int, Meta(ge=1, le=5)] | None
    category: Category | None
    tags: Annotated[list[Tag], Meta(max_length=checks.MOST_TAGS)]


class TemplateChanges(PlainFields, total=False):
    """And about what it names: a type by its short id or id, empty for none, and the teams that own the incident."""

    type: str
    team_ids: Sequence[UUID]


def _severity(value: int | None) -> int | None:
    return checks.severity(value) if value is not None else None


_TEMPLATES = Configuration(
    TextTemplate,
    PlainFields,
    {
        "title": placeholders.title_checked,
        "summary": placeholders.summary_checked,
        "severity": _severity,
        "category": checks.category,
        "tags": checks.tags,
    },
)


async def create_template(tx: Tx, who: Actor, *, short_id: str, **written: Unpack[TemplateChanges]) -> TextTemplate:
    """Add a template. Its short id stays as it is; raises `Invalid` for one, or a name, that is taken."""
    who.must(P.USER_MANAGE)
    short_id = short_id.strip().lower()
    if SHORT_ID.fullmatch(short_id) is None:
        raise Invalid("short_id", "Use small letters, digits, - and _; at most 20 characters.", code="invalid")
    if short_id in {each.short_id for each in await text_template_queries.text_templates(tx)}:
        raise Invalid("short_id", f"There is a template with the short id “{short_id}” already.", code="taken")
    type = await _named_type(tx, written.get("type", ""), None)
    teams = await _named_teams(tx, who, written.get("team_ids", ()), ())
    plain = _plain(written)
    return await _TEMPLATES.create(
        tx, who, plain, short_id=short_id, type_id=type.id if type is not None else None, team_ids=list(teams)
    )


async def update_template(
    tx: Tx, who: Actor, id: UUID, changes: TemplateChanges, *, if_version: Copy = None
) -> TextTemplate:
    """Change a template. What was declared with it stays as it is."""
    who.must(P.USER_MANAGE)
    row = await text_template_queries.lock_text_template(tx, id)
    told: list[Change] = []
    new: dict[str, Any] = {}
    if "type" in changes:
        type = await _named_type(tx, changes["type"], row.type_id)
        new["type"] = type.id if type is not None else None
        if new["type"] != row.type_id:
            old = await type_queries.incident_type(tx, row.type_id) if row.type_id is not None else None
            told.append(Change("type", old.name if old is not None else None, type.name if type is not None else None))
    if "team_ids" in changes:
        teams = await _named_teams(tx, who, changes["team_ids"], row.team_ids)
        new["teams"] = list(teams)
        if set(teams) != set(row.team_ids):
            before = await identity.teams_by_id(tx, EVERYTHING, row.team_ids)
            told.append(Change("teams", _names(before), _names(await identity.teams_by_id(tx, EVERYTHING, teams))))
    left = await left_alone(tx, Subject("text_template", row.id), row.version, if_version, told, "this text template")
    told = [each for each in told if each.field not in left]
    for each in told:
        setattr(row, {"type": "type_id", "teams": "team_ids"}[each.field], new[each.field])
    return await _TEMPLATES.change(tx, who, row, _plain(changes), *told, if_version=if_version)


def _plain(written: TemplateChanges) -> Mapping[str, Any]:
    return {name: value for name, value in written.items() if name not in ("type", "team_ids")}


def _names(teams: Mapping[UUID, Any]) -> str:
    return ", ".join(sorted("a private team" if team.is_private else team.name for team in teams.values()))


async def _named_type(tx: Tx, called: str, present: UUID | None) -> IncidentType | None:
    return await chosen_type(tx, called, present) if called else None


async def _named_teams(tx: Tx, who: Actor, ids: Sequence[UUID], present: Sequence[UUID]) -> Sequence[UUID]:
    """Return the teams that it is to name: those asked for, and those of now that the actor does not see."""
    wanted = set(ids)
    found = await identity.teams_by_id(tx, who.access, wanted)
    if wanted - found.keys():
        raise Invalid("team_ids", "One of these teams does not exist.", code="unknown")
    if gone := [team.name for team in found.values() if team.archived_at is not None and team.id not in present]:
        raise Invalid("team_ids", f"The team {gone[0]} is archived.", code="archived")
    seen = await identity.teams_by_id(tx, who.access, present)
    after = wanted | {id for id in present if id not in seen}
    if len(after) > MOST_OWNERS:
        raise Invalid("team_ids", f"At most {MOST_OWNERS} teams can own an incident.", code="count")
    return sorted(after)


async def archive_template(tx: Tx, who: Actor, id: UUID) -> TextTemplate:
    """Offer a template no more; what was declared with it stays as it is. Idempotent."""
    return await _set_archived(tx, who, id, archived=True)


async def unarchive_template(tx: Tx, who: Actor, id: UUID) -> TextTemplate:
    """Offer a template again. Idempotent."""
    return await _set_archived(tx, who, id, archived=False)


async def _set_archived(tx: Tx, who: Actor, id: UUID, *, archived: bool) -> TextTemplate:
    who.must(P.USER_MANAGE)
    row = await text_template_queries.lock_text_template(tx, id)
    if (row.archived_at is not None) == archived:
        return row
    row.archived_at = tx.now if archived else None
    return await _TEMPLATES.change(tx, who, row, {}, Change("archived", yes_or_no(not archived), yes_or_no(archived)))


async def delete_template(tx: Tx, who: Actor, id: UUID) -> None:
    """Delete a template with which no incident was declared; `Conflict` for any other one."""
    who.must(P.USER_MANAGE)
    row = await text_template_queries.lock_text_template_to_delete(tx, id)
    if (await text_template_queries.used_templates(tx, [row.id]))[row.id]:
        raise Conflict(
            f"Incidents were declared with the template {row.name}.",
            code="text_template.in_use",
            hint="Archive it instead: it is offered no more, and its incidents go on naming it.",
        )
    await _TEMPLATES.delete(tx, who, row)


async def preview_template(
    tx: Tx, who: Actor, *, title: str = "", summary: str = "", alert_id: UUID | None = None
) -> Preview:
    """Return what a template would make, for an alert or for an invented one; nothing is stored.

    The number of the incident is not known yet, so its placeholder stays. Raises `Invalid` with what is wrong in it.
    """
    who.must(P.INCIDENT_DECLARE)
    alert = await alert_queries.get(tx, who.access.reach, alert_id) if alert_id is not None else None
    if alert is None:
        return placeholders.preview(title, summary)
    type = await chosen_type(tx, "")
    known = Known(alert.severity, type.name, who.name, tx.now, said_of(alert))
    return placeholders.preview(title, summary, known)


async def usable_template(tx: Tx, called: str) -> TextTemplate:
    """Return a template to declare with, and keep it there until the commit; raises `Invalid` for one not in use."""
    found = await text_template_queries.keep_text_template(tx, called)
    if found.archived_at is not None:
        raise Invalid("template", f"The template {found.name} is archived.", code="archived")
    return found


async def type_with(tx: Tx, template: TextTemplate | None, called: str) -> IncidentType:
    """Return the type that an incident is declared of: the one that is named, else that of the template.

    Raises `Invalid` for one that is archived, and says by which of the two it is named.
    """
    if template is None or template.type_id is None or called:
        return await chosen_type(tx, called)
    type = await type_queries.keep_type(tx, TYPE_ID.write(template.type_id))
    if type.archived_at is not None:
        raise Invalid(
            "template",
            f"The template {template.name} is for the type {type.name}, which is archived. Name another type.",
            code="archived",
        )
    return type


def texts_of(template: TextTemplate, known: Known) -> tuple[str, str]:
    """Return the title and the summary that a template makes; raises `Invalid` where it makes too much."""
    try:
        return placeholders.title(template.title, known), placeholders.summary(template.summary, known)
    except BadTemplate as problem:
        raise Invalid("template", f"The template {template.name} cannot be used: {problem}", code="template") from None


def said_of(alert: Alert | None) -> AlertSaid:
    """Return what templates can say of an alert."""
    if alert is None:
        return NO_ALERT
    return AlertSaid(
        number=vocabulary.called_alert(alert.number),
        title=alert.title,
        description=alert.description,
        severity=vocabulary.severity(alert.severity),
        urgency=alert.urgency,
        labels=cast("Mapping[str, str]", alert.labels),
    )


async def teams_in_use(tx: Tx, template: TextTemplate, incident: Incident) -> list[UUID]:
    """Return the teams that an incident gets by its template: those that are in use, else those that it has."""
    found = await identity.teams_by_id(tx, EVERYTHING, template.team_ids)
    return sorted(id for id, team in found.items() if team.archived_at is None) or list(incident.team_ids)
