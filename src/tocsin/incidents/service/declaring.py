"""Declaring an incident, by hand or from an alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack, cast
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.facts import DeclaredFromIt
from tocsin.events.incidents import IncidentDeclared
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity import service as organisation
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.identity.service.owners import AS_THEY_ARE, Owners, new_owners
from tocsin.incidents import checks, gates, placeholders
from tocsin.incidents.drafting import Draft
from tocsin.incidents.fields import Written, write
from tocsin.incidents.model import Category, Incident, IncidentRole, Priority, ResponderSource, Status
from tocsin.incidents.placeholders import Known
from tocsin.incidents.service import leading
from tocsin.incidents.service.filling_in import AS_IT_IS, Filled, first_fields
from tocsin.incidents.service.linking import link, must_be_free
from tocsin.incidents.service.paging import page
from tocsin.incidents.service.people import add_joined, give_role, note_taken_on
from tocsin.incidents.service.templating import said_of, teams_in_use, texts_of, type_with, usable_template
from tocsin.incidents.text_template_model import TextTemplate
from tocsin.incidents.type_model import IncidentType
from tocsin.incidents.vocabularies import read_severity
from tocsin.kit.errors import Denied
from tocsin.kit.ids import new_id
from tocsin.notifications.model import Urgency
from tocsin.oncall.escalation import PageTarget

DEFAULT_SEVERITY = 3


async def prefill(tx: Tx, who: Actor, alert_id: UUID | None, template: str = "") -> Draft:
    """Return what declaring from this alert, and with this template, would fill in.

    Raises `Conflict` when the alert belongs to an incident already, and `Invalid` for a template that cannot be used.
    """
    who.must(P.INCIDENT_DECLARE)
    alert = await alert_queries.get(tx, who.access.reach, alert_id) if alert_id is not None else None
    await must_be_free(tx, who, [alert] if alert is not None else [])
    if not template:
        usual = await type_with(tx, None, "")
        return replace(_draft(alert) if alert is not None else Draft(), type=usual.short_id)
    chosen = await usable_template(tx, template)
    type = await type_with(tx, chosen, "")
    begun = _begun(tx, who, {}, alert, type, chosen)
    return Draft(
        begun.get("title", ""),
        begun.get("summary", ""),
        chosen.severity or (alert.severity if alert is not None else None),
        chosen.category,
        type.short_id,
    )


async def declare(
    tx: Tx,
    who: Actor,
    *,
    alert_id: UUID | None = None,
    page_others: bool = False,
    lead_id: UUID | None = None,
    targets: Sequence[PageTarget] = (),
    owners: Owners = AS_THEY_ARE,
    filled: Filled = AS_IT_IS,
    template: str = "",
    **written: Unpack[Written],
) -> Incident:
    """Declare an incident; the person who does becomes a joined responder and, unless `lead_id` names one, its lead.

    From an alert, what is left empty is filled in from it and the alert is linked. The person takes the alert on by
    this, which ends its escalation; with `page_others` it goes on. Everybody paged for it becomes a responder, and
    whoever had acknowledged it a joined one.

    An alert that somebody has taken on makes an acknowledged incident. One declared by hand waits for somebody else to
    join, or for anybody to move it on. The teams of the alert’s source own it, unless `owners` says who. `targets` are
    paged for it, which needs the permission to page people. What its type requires to be declared has to be said.

    A `template`, by its short id or id, fills in what is left out or blank, before the alert does.
    """
    who.must(P.INCIDENT_DECLARE)
    if not who.access.reaches(alert_id):
        raise Denied("By this page link an incident can be declared from its alert only.", hint="Sign in for more.")
    if who.by_link_until is not None and lead_id not in (None, who.user_id):
        raise Denied("By page link nobody else is given the lead.", hint="Sign in for more.")
    chosen = await usable_template(tx, template) if template else None
    type = await type_with(tx, chosen, filled.type)
    alert = (await alert_queries.lock_many(tx, who.access.reach, [alert_id]))[0] if alert_id is not None else None
    await identity.must_stay_active(tx, who.user_id)
    await must_be_free(tx, who, [alert] if alert else [])
    incident = _new_incident(tx, who)
    if alert is not None:
        incident.urgency = alert.urgency
    incident.type_id, incident.type_version = type.id, type.version
    write(tx, incident, _filled_in(tx, who, written, alert, type, chosen))
    incident.fields, asked = await first_fields(tx, who, type, filled)
    if alert is not None:
        # What is private to a source stays so in the incident, unless somebody decides otherwise.
        (source,) = await alert_queries.sources_of(tx, [alert.source_id])
        incident.team_ids, incident.is_private = list(source.team_ids), source.is_private
    if chosen is not None:
        incident.template_id = chosen.id
        # What is private to the teams of a source stays with them.
        incident.team_ids = incident.team_ids if incident.is_private else await teams_in_use(tx, chosen, incident)
    incident.is_private = incident.is_private or type.is_private
    (await new_owners(tx, who, incident, owners)).give(incident)
    incident.lead_id = lead_id or incident.lead_id
    missing = gates.missing(incident, type.requirements, asked, type.short_id, Status.DECLARED)
    incident.lead_id = who.user_id
    if missing:
        raise gates.refusal(missing, Status.DECLARED, "")
    incident.number, incident.reference = await organisation.next_incident_number(tx)
    if chosen is not None:
        incident.title = placeholders.numbered(incident.title, incident.reference)
        incident.summary = placeholders.numbered(incident.summary, incident.reference)
    tx.session.add(incident)
    await tx.session.flush()
    declared = IncidentDeclared(
        actor=who.ref,
        incident_id=incident.id,
        alert_id=alert.id if alert else None,
        reference=incident.reference,
        title=incident.title,
        severity=incident.severity,
        from_alert=alert.title if alert else "",
        is_drill=incident.is_drill,
        template=chosen.name if chosen is not None else "",
    )
    await emit(tx, declared)
    if who.user_id is not None:
        await add_joined(tx, who, incident, who.user_id, who.name, ResponderSource.SELF)
    if alert is not None:
        await link(tx, who, incident, [alert])
        if who.user_id is not None and not page_others and alert.status == AlertStatus.TRIGGERED:
            await alerts.take_on(tx, who, alert.id, why=DeclaredFromIt(incident.reference))
            await note_taken_on(
                tx, who.ref, incident, who.user_id, who.name, may_lead=leading.may_have(who.access, incident)
            )
    if lead_id is not None:
        await give_role(tx, who, incident, IncidentRole.LEAD, lead_id, field="lead_id")
    if targets:
        await page(tx, who, incident.id, targets)
    return incident


def _new_incident(tx: Tx, who: Actor) -> Incident:
    return Incident(
        id=new_id(),
        number=0,
        reference="",
        affected_regions=[],
        consequence="",
        category=None,
        is_drill=False,
        urgency=Urgency.HIGH,
        priority=Priority.P3,
        is_priority_set=False,
        status=Status.DECLARED,
        round=0,
        reporter_id=who.user_id,
        reporter_name=who.name,
        commander_id=None,
        lead_id=who.user_id,
        communicator_id=None,
        resolution_note="",
        cancel_reason=None,
        duplicate_of_id=None,
        declared_at=tx.now,
        acknowledged_at=None,
        detected_at=None,
        identified_at=None,
        mitigated_at=None,
        resolved_at=None,
        closed_at=None,
        cancelled_at=None,
        team_ids=[],
        is_private=False,
        fields={},
        updated_at=tx.now,
        version=1,
    )


def _filled_in(
    tx: Tx, who: Actor, written: Written, alert: Alert | None, type: IncidentType, template: TextTemplate | None
) -> Written:
    """Return all that the incident begins with: what somebody wrote, and where that is blank what is known besides."""
    begins: Written = {"title": "", "severity": type.default_severity or DEFAULT_SEVERITY, "started_at": tx.now}
    said = {name: value for name, value in written.items() if _says(value)}
    return cast("Written", {**begins, **_begun(tx, who, written, alert, type, template), **said})


def _says(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else True


def _begun(
    tx: Tx, who: Actor, written: Written, alert: Alert | None, type: IncidentType, template: TextTemplate | None
) -> Written:
    """Return what the alert says, and in front of that the template."""
    draft: Written = {}
    if alert is not None:
        said = _draft(alert)
        draft = {
            "title": said.title,
            "summary": said.summary,
            "severity": alert.severity,
            "started_at": alert.created_at,
        }
    if template is None:
        return draft
    begun: Written = {**draft}
    if template.severity is not None:
        begun["severity"] = template.severity
    judged = written.get("severity", begun.get("severity", type.default_severity or DEFAULT_SEVERITY))
    known = Known(read_severity(judged), type.name, who.name, tx.now, said_of(alert))
    title, summary = texts_of(template, known)
    begun["title"] = title or draft.get("title", "")
    begun["summary"] = summary or draft.get("summary", "")
    if template.category is not None:
        begun["category"] = Category(template.category)
    if template.tags:
        begun["tags"] = template.tags
    return begun


def _draft(alert: Alert) -> Draft:
    # Labels stay where they are, on the alert: a summary is for people.
    summary = alert.description.strip()[: checks.SUMMARY_LIMIT]
    return Draft(alert.title.strip()[: checks.TITLE_LIMIT], summary, alert.severity)
