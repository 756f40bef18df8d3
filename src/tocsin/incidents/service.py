"""What people do with an incident: declare it, move it, take it on, ask for help, link alerts, end it.

Every use case locks the incident first, then alerts, then escalation runs. A change of the incident itself makes older
copies stale; people, comments and links do not, so that somebody joining never spoils somebody else's edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.incidents import (
    AlertLinked,
    AlertUnlinked,
    CommentAdded,
    IncidentAcknowledged,
    IncidentCancelled,
    IncidentClosed,
    IncidentDeclared,
    IncidentReopened,
    IncidentResolved,
    IncidentSeverityChanged,
    IncidentStatusChanged,
    IncidentUpdated,
    ResponderDeclined,
    ResponderJoined,
    ResponderLeft,
    ResponderPaged,
    RoleChanged,
)
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity import service as organisation
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import (
    CancelReason,
    Incident,
    IncidentRole,
    Responder,
    ResponderSource,
    ResponderState,
    Status,
)
from tocsin.incidents.queries import Ref
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound
from tocsin.kit.ids import new_id
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageContent, PageTarget
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState

DEFAULT_SEVERITY = 3
TITLE_LIMIT = 200
SUMMARY_LIMIT = 20_000
COMMENT_LIMIT = 10_000
REASON_LIMIT = 1_000
# How many things one request may name.
MANY = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """What an incident would begin with when it is declared from an alert; people may change all of it."""

    alert_id: UUID
    title: str
    summary: str
    severity: int


async def prefill(tx: Tx, who: Actor, alert_id: UUID) -> Draft:
    """Return what declaring from this alert would fill in; raises `Conflict` when it belongs to an incident already."""
    who.must("incident.declare")
    alert = await alert_queries.get(tx, alert_id)
    await _must_be_free(tx, [alert])
    return _draft(alert)


async def declare(
    tx: Tx,
    who: Actor,
    *,
    title: str = "",
    summary: str = "",
    severity: int | None = None,
    alert_id: UUID | None = None,
    page_others: bool = False,
    started_at: datetime | None = None,
) -> Incident:
    """Declare an incident; the person who does becomes its lead and a joined responder.

    From an alert, what is left empty is filled in from it and the alert is linked. The person takes the alert on by
    this, which ends its escalation; with `page_others` it goes on. Everybody paged for it becomes a responder.
    """
    who.must("incident.declare")
    alert = await _free_alert(tx, alert_id) if alert_id is not None else None
    draft = _draft(alert) if alert is not None else None
    incident = _new_incident(
        tx,
        who,
        title=_title(title.strip() or (draft.title if draft else "")),
        summary=_summary(summary.strip() or (draft.summary if draft else "")),
        severity=_severity(severity or (draft.severity if draft else DEFAULT_SEVERITY)),
        started_at=_started_at(tx, started_at) or (alert.created_at if alert else tx.now),
    )
    incident.number, incident.reference = await organisation.next_incident_number(tx)
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
    )
    await emit(tx, declared)
    if who.user_id is not None:
        await _join(tx, who, incident, who.user_id, who.name, ResponderSource.SELF)
    if alert is not None:
        await _link(tx, who, incident, [alert])
        if who.user_id is not None and not page_others and alert.status == AlertStatus.TRIGGERED:
            await alerts.acknowledge(tx, who, alert.id, reason=f"{incident.reference} was declared from it")
    return incident


def _new_incident(tx: Tx, who: Actor, *, title: str, summary: str, severity: int, started_at: datetime) -> Incident:
    return Incident(
        id=new_id(),
        number=0,
        reference="",
        title=title,
        summary=summary,
        severity=severity,
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
        started_at=started_at,
        declared_at=tx.now,
        acknowledged_at=None,
        mitigated_at=None,
        resolved_at=None,
        closed_at=None,
        cancelled_at=None,
        updated_at=tx.now,
        version=1,
    )


async def update(
    tx: Tx,
    who: Actor,
    ref: Ref,
    *,
    title: str | None = None,
    summary: str | None = None,
    started_at: datetime | None = None,
    if_version: int | None = None,
) -> Incident:
    """Change title, summary or the time it started; None leaves a field as it is."""
    who.must("incident.edit")
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_current(incident, if_version)
    changes: list[Change] = []
    if title is not None and (new := _title(title)) != incident.title:
        changes.append(Change("title", incident.title, new))
        incident.title = new
    if summary is not None and (new := _summary(summary)) != incident.summary:
        changes.append(Change("summary", incident.summary, new))
        incident.summary = new
    if (start := _started_at(tx, started_at, incident)) is not None and start != incident.started_at:
        changes.append(Change("started_at", incident.started_at.isoformat(), start.isoformat()))
        incident.started_at = start
    if changes:
        lifecycle.touch(incident, at=tx.now)
        await emit(tx, IncidentUpdated(actor=who.ref, incident_id=incident.id, changes=changes))
    return incident


async def change_severity(tx: Tx, who: Actor, ref: Ref, severity: int, *, if_version: int | None = None) -> Incident:
    """Judge the incident to be worse or better, 1 (critical) to 5 (info); also afterwards, to set the record right."""
    who.must("incident.edit")
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_current(incident, if_version)
    old, new = incident.severity, _severity(severity)
    if new != old:
        incident.severity = new
        lifecycle.touch(incident, at=tx.now)
        await emit(tx, IncidentSeverityChanged(actor=who.ref, incident_id=incident.id, old=old, new=new))
    return incident


async def update_status(tx: Tx, who: Actor, ref: Ref, to: Status, *, if_version: int | None = None) -> Incident:
    """Move between open states; `Invalid` or `Conflict` say which verb leads to, or out of, an end state."""
    who.must("incident.edit")
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_current(incident, if_version)
    old = incident.status
    if lifecycle.move(incident, to, at=tx.now):
        await emit(tx, IncidentStatusChanged(actor=who.ref, incident_id=incident.id, old=old, new=to))
    return incident


async def acknowledge(tx: Tx, who: Actor, ref: Ref, *, if_version: int | None = None) -> Incident:
    """Take the incident on: join it, answer one's own pages about it, and begin to investigate.

    Idempotent. The first person's time counts; an incident that is over stays as it is.
    """
    who.must("incident.edit")
    who.must_be_someone()
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_current(incident, if_version)
    if lifecycle.is_open(incident):
        await _take_on(tx, who, incident)
    return incident


async def join(tx: Tx, who: Actor, ref: Ref) -> Incident:
    """Become a responder. Joining is an acknowledgement too; other people's escalations go on."""
    who.must("incident.edit")
    who.must_be_someone()
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_open(incident)
    await _take_on(tx, who, incident)
    return incident


async def leave(tx: Tx, who: Actor, ref: Ref) -> Incident:
    """Stop being a responder; raises `Conflict` for somebody with a role, which has to be handed over first."""
    who.must("incident.edit")
    user_id = who.must_be_someone()
    incident = await queries.lock(tx, ref)
    if roles := lifecycle.roles_of(incident, user_id):
        raise Conflict(
            f"You are {' and '.join(roles)} of {incident.reference}. Hand that over before you leave.",
            code="incident.has_role",
        )
    row = await queries.responder(tx, incident.id, user_id)
    if row is not None and row.state != ResponderState.LEFT:
        row.state, row.left_at = ResponderState.LEFT, tx.now
        await emit(tx, ResponderLeft(actor=who.ref, incident_id=incident.id, user_id=user_id, user_name=who.name))
    return incident


async def _take_on(tx: Tx, who: Actor, incident: Incident) -> None:
    user_id = who.must_be_someone()
    await _join(tx, who, incident, user_id, who.name, ResponderSource.SELF)
    old = incident.status
    if old == Status.DECLARED and lifecycle.effective_lead(incident) is None:
        lifecycle.give_role(incident, IncidentRole.LEAD, user_id, at=tx.now)
        await emit(tx, _role_changed(who, incident, IncidentRole.LEAD, None, who.name))
    if lifecycle.acknowledge(incident, at=tx.now):
        await emit(tx, IncidentAcknowledged(actor=who.ref, incident_id=incident.id))
    if incident.status != old:
        await emit(tx, IncidentStatusChanged(actor=who.ref, incident_id=incident.id, old=old, new=incident.status))
    await oncall.answer_incident_pages(tx, who, incident.id)


async def _join(tx: Tx, who: Actor, incident: Incident, user_id: UUID, name: str, source: ResponderSource) -> None:
    """Make the person a joined responder; how they first came to be one stays."""
    row = await queries.responder(tx, incident.id, user_id)
    if row is not None and row.state == ResponderState.JOINED:
        return
    if row is None:
        row = Responder(incident_id=incident.id, user_id=user_id, source=source, paged_at=None)
        tx.session.add(row)
    row.state, row.joined_at, row.left_at = ResponderState.JOINED, tx.now, None
    await tx.session.flush()
    joined = ResponderJoined(actor=who.ref, incident_id=incident.id, user_id=user_id, user_name=name, source=row.source)
    await emit(tx, joined)


async def resolve(tx: Tx, who: Actor, ref: Ref, note: str, *, if_version: int | None = None) -> Incident:
    """Resolve the incident and, with it, the alerts that are linked to it; nobody is paged for it any more.

    Idempotent: the first note stays. `note` is required, 1 to 10,000 characters.
    """
    who.must("incident.resolve")
    incident = await queries.lock(tx, ref)
    if incident.status == Status.RESOLVED:
        return incident
    lifecycle.must_be_current(incident, if_version)
    old = incident.status
    lifecycle.resolve(incident, note, at=tx.now)
    await _after_resolving(tx, who, incident, old)
    return incident


async def close(tx: Tx, who: Actor, ref: Ref, note: str = "", *, if_version: int | None = None) -> Incident:
    """Declare that nothing more is to be done; an open incident is resolved with the note on the way. Idempotent."""
    who.must("incident.resolve")
    incident = await queries.lock(tx, ref)
    if incident.status == Status.CLOSED:
        return incident
    lifecycle.must_be_current(incident, if_version)
    old, was_open = incident.status, lifecycle.is_open(incident)
    lifecycle.close(incident, note, at=tx.now)
    if was_open:
        await _after_resolving(tx, who, incident, old)
        old = Status.RESOLVED
    await emit(tx, IncidentClosed(actor=who.ref, incident_id=incident.id, old=old))
    return incident


async def _after_resolving(tx: Tx, who: Actor, incident: Incident, old: str) -> None:
    count = await _resolve_alerts(tx, who, incident, f"{incident.reference} was resolved")
    await _stop_paging(tx, incident, f"{incident.reference} was resolved.")
    resolved = IncidentResolved(
        actor=who.ref, incident_id=incident.id, old=old, note=incident.resolution_note, alerts_resolved=count
    )
    await emit(tx, resolved)


async def cancel(
    tx: Tx,
    who: Actor,
    ref: Ref,
    reason: CancelReason,
    *,
    note: str = "",
    duplicate_of: Ref | None = None,
    if_version: int | None = None,
) -> Incident:
    """Declare that it was no incident. Idempotent: the first reason stays.

    The alerts of a false alarm resolve with it, those of a duplicate move to the incident that goes on, those of
    any other stay as they are.
    """
    who.must("incident.resolve")
    incident, other = await _lock_with_other(tx, ref, duplicate_of)
    if incident.status == Status.CANCELLED:
        return incident
    lifecycle.must_be_current(incident, if_version)
    if other is not None and other.status == Status.CANCELLED:
        raise Conflict(f"{other.reference} is cancelled itself. Name the incident that goes on.")
    old = incident.status
    said = _text("note", note, REASON_LIMIT, required=False)
    lifecycle.cancel(incident, reason, duplicate_of_id=other.id if other else None, at=tx.now)
    if reason is CancelReason.FALSE_ALARM:
        await _resolve_alerts(tx, who, incident, f"{incident.reference} was a false alarm")
    if other is not None:
        moved = await _lock_alerts(tx, await queries.linked_alert_ids(tx, incident.id))
        await _unlink(tx, who, incident, moved)
        await _link(tx, who, other, moved)
    await _stop_paging(tx, incident, f"{incident.reference} was cancelled.")
    cancelled = IncidentCancelled(
        actor=who.ref,
        incident_id=incident.id,
        old=old,
        reason=reason,
        note=said,
        duplicate_of=other.reference if other else "",
    )
    await emit(tx, cancelled)
    return incident


async def _lock_with_other(tx: Tx, ref: Ref, other: Ref | None) -> tuple[Incident, Incident | None]:
    if other is None:
        return await queries.lock(tx, ref), None
    here = (await queries.get(tx, ref)).id
    there = (await queries.get(tx, other)).id
    locked = await queries.lock_many(tx, [here, there])
    return locked[here], locked[there]


async def reopen(tx: Tx, who: Actor, ref: Ref, reason: str, *, if_version: int | None = None) -> Incident:
    """Begin another round of an incident that was not over after all; alerts that were resolved stay so.

    Idempotent. The time and the note of the round that ended are kept in the record.
    """
    who.must("incident.resolve")
    incident = await queries.lock(tx, ref)
    if lifecycle.is_open(incident):
        return incident
    lifecycle.must_be_current(incident, if_version)
    why = _text("reason", reason, REASON_LIMIT)
    reopened = IncidentReopened(
        actor=who.ref,
        incident_id=incident.id,
        old=incident.status,
        reason=why,
        round=incident.round + 1,
        resolved_at=incident.resolved_at.isoformat() if incident.resolved_at else "",
        resolution_note=incident.resolution_note,
    )
    lifecycle.reopen(incident, at=tx.now)
    await emit(tx, reopened)
    return incident


async def comment(tx: Tx, who: Actor, ref: Ref, body: str) -> Incident:
    """Write into the timeline (Markdown, 1 to 10,000 characters); also when the incident is over."""
    who.must("incident.edit")
    text = _text("body", body, COMMENT_LIMIT)
    incident = await queries.get(tx, ref)
    await emit(tx, CommentAdded(actor=who.ref, incident_id=incident.id, body=text))
    return incident


async def assign_role(
    tx: Tx, who: Actor, ref: Ref, role: IncidentRole, user_id: UUID | None, *, if_version: int | None = None
) -> Incident:
    """Give a role to one person, who joins by this, or to nobody."""
    who.must("incident.edit")
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_current(incident, if_version)
    old = lifecycle.holder(incident, role)
    if old == user_id:
        return incident
    people = await identity.users_by_id(tx, [id for id in (old, user_id) if id is not None])
    if user_id is not None:
        if user_id not in people or not people[user_id].is_active:
            raise Invalid("user_id", "Choose a person who can sign in.", code="unknown")
        await _join(tx, who, incident, user_id, people[user_id].name, ResponderSource.ROLE)
    lifecycle.give_role(incident, role, user_id, at=tx.now)
    names = [people[id].name if id is not None else None for id in (old, user_id)]
    await emit(tx, _role_changed(who, incident, role, *names))
    return incident


def _role_changed(who: Actor, incident: Incident, role: IncidentRole, old: str | None, new: str | None) -> RoleChanged:
    return RoleChanged(actor=who.ref, incident_id=incident.id, role=role, old=old, new=new)


async def page(tx: Tx, who: Actor, ref: Ref, targets: Sequence[PageTarget], message: str = "") -> list[EscalationRun]:
    """Ask people or policies for help, each with a run of its own; whoever is reached first becomes a responder."""
    who.must("incident.page")
    wanted = list(dict.fromkeys(targets))
    if not 1 <= len(wanted) <= MANY:
        raise Invalid("targets", f"Say whom to page: between 1 and {MANY} people or policies.", code="count")
    said = _text("message", message, REASON_LIMIT, required=False)
    incident = await queries.lock(tx, ref)
    lifecycle.must_be_open(incident)
    for name in await _target_names(tx, wanted):
        await emit(tx, ResponderPaged(actor=who.ref, incident_id=incident.id, target=name, message=said))
    content = PageContent(
        title=incident.title,
        body=said or incident.summary,
        severity=incident.severity,
        urgency=Urgency.HIGH,
        source=who.name,
        labels={},
        incident_number=incident.reference,
    )
    runs = await oncall.page(tx, who, incident_id=incident.id, content=content, targets=wanted, message=said)
    await tx.session.flush()
    started = {run.id for run in runs}
    reached = [sent for sent, _ in await oncall_queries.pages_of(tx, incident_id=incident.id) if sent.run_id in started]
    people = [sent.user_id for sent in reached] + [target.id for target in wanted if target.kind == "user"]
    await _note_paged(tx, incident, people, ResponderSource.PAGED)
    return runs


async def _target_names(tx: Tx, targets: Sequence[PageTarget]) -> list[str]:
    people = await identity.users_by_id(tx, [target.id for target in targets if target.kind == "user"])
    policies = await oncall_queries.policy_names(tx, [target.id for target in targets if target.kind != "user"])
    names: list[str] = []
    for index, target in enumerate(targets):
        person = people.get(target.id)
        if target.kind == "user" and (person is None or not person.is_active):
            raise Invalid(f"targets/{index}", "Choose a person who can sign in.", code="unknown")
        if target.kind != "user" and target.id not in policies:
            raise Invalid(f"targets/{index}", "There is no such escalation policy.", code="unknown")
        names.append(person.name if person is not None else policies[target.id])
    return names


async def _note_paged(tx: Tx, incident: Incident, user_ids: Iterable[UUID], source: ResponderSource) -> None:
    """Make these people responders who have been asked; whoever has joined stays joined."""
    for user_id in sorted(set(user_ids)):
        row = await queries.responder(tx, incident.id, user_id)
        if row is None:
            row = Responder(incident_id=incident.id, user_id=user_id, source=source, joined_at=None, left_at=None)
            row.state = ResponderState.PAGED
            tx.session.add(row)
        elif row.state != ResponderState.JOINED:
            row.state = ResponderState.PAGED
        row.paged_at = tx.now
    await tx.session.flush()


async def note_page(tx: Tx, page_id: UUID) -> None:
    """Make somebody whom a later step of an escalation pages a responder of the incident that it is about.

    Only a page that still waits for its answer counts: an answer has made them a responder already.
    """
    incident, _, sent = await _lock_for_page(tx, page_id)
    if incident is None or sent.state != PageState.PAGING or not lifecycle.is_open(incident):
        return
    row = await queries.responder(tx, incident.id, sent.user_id)
    if row is None or (row.state != ResponderState.JOINED and (row.paged_at is None or row.paged_at < sent.paged_at)):
        await _note_paged(tx, incident, [sent.user_id], _source_of(sent))


def _source_of(sent: Page) -> ResponderSource:
    return ResponderSource.LINKED_ALERT if sent.alert_id is not None else ResponderSource.PAGED


async def answer_page(tx: Tx, who: Actor, page_id: UUID, channel: str = "") -> Page:
    """Acknowledge the page that one was sent, and by it the alert or the incident that it is about.

    Idempotent: a second answer, or one after somebody else's, changes nothing and returns what happened first.
    `channel` says where the answer came from, such as `email`.
    """
    incident, alert, sent = await _lock_for_page(tx, page_id)
    _must_be_theirs(who, sent)
    if sent.state in (PageState.ACKNOWLEDGED, PageState.CANCELLED):
        return sent
    await oncall.answer_page(tx, who, page_id, channel)
    if alert is not None and alert.status == AlertStatus.TRIGGERED:
        await alerts.acknowledge(tx, who, alert.id)
    if incident is not None and lifecycle.is_open(incident):
        await _take_on(tx, who, incident)
    return await _fresh_page(tx, page_id)


async def decline_page(tx: Tx, who: Actor, page_id: UUID) -> Page:
    """Say that one cannot take it; the escalation goes on when nobody else is being asked. Idempotent."""
    incident, _, sent = await _lock_for_page(tx, page_id)
    _must_be_theirs(who, sent)
    if sent.state != PageState.PAGING:
        return sent
    await oncall.decline_page(tx, who, page_id)
    if incident is not None:
        await _decline(tx, who, incident, sent)
    return await _fresh_page(tx, page_id)


async def _decline(tx: Tx, who: Actor, incident: Incident, sent: Page) -> None:
    row = await queries.responder(tx, incident.id, sent.user_id)
    if row is None:
        await _note_paged(tx, incident, [sent.user_id], _source_of(sent))
        row = await queries.responder(tx, incident.id, sent.user_id)
    if row is None or row.state in (ResponderState.JOINED, ResponderState.DECLINED):
        return
    row.state = ResponderState.DECLINED
    declined = ResponderDeclined(actor=who.ref, incident_id=incident.id, user_id=sent.user_id, user_name=who.name)
    await emit(tx, declined)


async def escalate_page(tx: Tx, who: Actor, page_id: UUID) -> Page:
    """Ask for the next step of the escalation now; one's own page, or with the right to page people any page."""
    _, _, sent = await _lock_for_page(tx, page_id)
    if who.user_id != sent.user_id:
        who.must("incident.page")
    await oncall.escalate_run(tx, who, sent.run_id)
    return await _fresh_page(tx, page_id)


async def _lock_for_page(tx: Tx, page_id: UUID) -> tuple[Incident | None, Alert | None, Page]:
    """Lock what a page is about: its incident, or its alert and the incident which that is linked to."""
    sent = await oncall_queries.page(tx, page_id)
    if sent.alert_id is None:
        incident = await queries.lock(tx, sent.incident_id) if sent.incident_id is not None else None
        return incident, None, await _fresh_page(tx, page_id)
    linked_to = (await alert_queries.get(tx, sent.alert_id)).incident_id
    incident = await queries.lock(tx, linked_to) if linked_to is not None else None
    alert = (await _lock_alerts(tx, [sent.alert_id]))[0]
    # Between the two reads the alert may have been linked elsewhere; locking that now could deadlock.
    return (incident if alert.incident_id == linked_to else None), alert, await _fresh_page(tx, page_id)


async def _fresh_page(tx: Tx, page_id: UUID) -> Page:
    page = await oncall_queries.page(tx, page_id)
    await tx.session.refresh(page)
    return page


def _must_be_theirs(who: Actor, page: Page) -> None:
    if who.must_be_someone() != page.user_id:
        raise Denied("This page was sent to somebody else.", hint="Acknowledge the alert or the incident itself.")


async def link_alerts(tx: Tx, who: Actor, ref: Ref, alert_ids: Sequence[UUID]) -> Incident:
    """Link alerts; those linked already stay, one that belongs to another incident is a `Conflict` and links none."""
    who.must("incident.edit")
    if not 1 <= len(alert_ids) <= MANY:
        raise Invalid("alert_ids", f"Name between 1 and {MANY} alerts.", code="count")
    incident = await queries.lock(tx, ref)
    if incident.status == Status.CANCELLED:
        raise Conflict(f"{incident.reference} is cancelled. Reopen it first.", code="incident.not_open")
    wanted = [alert for alert in await _lock_alerts(tx, alert_ids) if alert.incident_id != incident.id]
    await _must_be_free(tx, wanted)
    await _link(tx, who, incident, wanted)
    return incident


async def unlink_alert(tx: Tx, who: Actor, ref: Ref, alert_id: UUID) -> Incident:
    """Take an alert out of the incident; one that is not in it stays where it is."""
    who.must("incident.edit")
    incident = await queries.lock(tx, ref)
    alert = (await _lock_alerts(tx, [alert_id]))[0]
    if alert.incident_id == incident.id:
        await _unlink(tx, who, incident, [alert])
    return incident


async def _link(tx: Tx, who: Actor, incident: Incident, wanted: Sequence[Alert]) -> None:
    if not wanted:
        return
    ids = [alert.id for alert in wanted]
    await alerts.link(tx, ids, incident.id)
    for alert in wanted:
        linked = AlertLinked(actor=who.ref, incident_id=incident.id, alert_id=alert.id, alert_title=alert.title)
        await emit(tx, linked)
    known = {person.responder.user_id for person in await queries.responders(tx, incident.id)}
    paged = [id for id in await oncall_queries.people_paged_for(tx, ids) if id not in known]
    await _note_paged(tx, incident, paged, ResponderSource.LINKED_ALERT)


async def _unlink(tx: Tx, who: Actor, incident: Incident, wanted: Sequence[Alert]) -> None:
    if not wanted:
        return
    await alerts.link(tx, [alert.id for alert in wanted], None)
    for alert in wanted:
        gone = AlertUnlinked(actor=who.ref, incident_id=incident.id, alert_id=alert.id, alert_title=alert.title)
        await emit(tx, gone)


async def _lock_alerts(tx: Tx, alert_ids: Iterable[UUID]) -> list[Alert]:
    ids = sorted(set(alert_ids))
    found = await alert_queries.lock_many(tx, ids)
    if len(found) < len(ids):
        raise NotFound("There is no such alert.")
    return found


async def _free_alert(tx: Tx, alert_id: UUID) -> Alert:
    found = await _lock_alerts(tx, [alert_id])
    await _must_be_free(tx, found)
    return found[0]


async def _must_be_free(tx: Tx, wanted: Iterable[Alert]) -> None:
    """Raise `Conflict` when one of these alerts belongs to an incident, and name both."""
    for alert in wanted:
        if alert.incident_id is not None:
            owner = await queries.get(tx, alert.incident_id)
            raise Conflict(
                f"The alert “{alert.title}” belongs to {owner.reference} already.",
                code="alert.linked",
                hint=f"Work in {owner.reference}, or unlink the alert there first.",
            )


async def _resolve_alerts(tx: Tx, who: Actor, incident: Incident, reason: str) -> int:
    open_ids = await queries.linked_alert_ids(tx, incident.id, open_only=True)
    return await alerts.resolve_many(tx, who, open_ids, reason=reason) if open_ids else 0


async def _stop_paging(tx: Tx, incident: Incident, reason: str) -> None:
    await oncall.end_runs(tx, incident_id=incident.id, state=RunState.CANCELLED, reason=reason)


def _draft(alert: Alert) -> Draft:
    labels = "\n".join(f"- {key}: {value}" for key, value in sorted(alert.labels.items()))
    summary = "\n\n".join(part for part in (alert.description.strip(), labels) if part)
    return Draft(alert.id, alert.title.strip()[:TITLE_LIMIT], summary[:SUMMARY_LIMIT], alert.severity)


def _title(title: str) -> str:
    one_line = " ".join(title.split())
    if not one_line:
        raise Invalid("title", "Give the incident a title.", code="required")
    if len(one_line) > TITLE_LIMIT:
        raise Invalid("title", f"The title is longer than {TITLE_LIMIT} characters.", code="too_long")
    return one_line


def _summary(summary: str) -> str:
    return _text("summary", summary, SUMMARY_LIMIT, required=False)


def _severity(severity: int) -> int:
    if not 1 <= severity <= 5:
        raise Invalid("severity", "Severity goes from 1 (critical) to 5 (info).", code="range")
    return severity


def _started_at(tx: Tx, at: datetime | None, incident: Incident | None = None) -> datetime | None:
    if at is None:
        return None
    if at > tx.now:
        raise Invalid("started_at", "It cannot have started in the future.", code="range")
    if incident is not None and incident.resolved_at is not None and at > incident.resolved_at:
        raise Invalid("started_at", "It cannot have started after it was resolved.", code="range")
    return at


def _text(field: str, text: str, limit: int, *, required: bool = True) -> str:
    told = text.strip()
    if required and not told:
        raise Invalid(field, f"The {field} is missing. Write at least one character.", code="required")
    if len(told) > limit:
        raise Invalid(field, f"The {field} is longer than {limit:,} characters.", code="too_long")
    return told
