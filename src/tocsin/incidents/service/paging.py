"""Asking for help from an incident, and answering the pages about incidents and alerts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.facts import CannotGoOn
from tocsin.events.incidents import ResponderDeclined, ResponderPaged
from tocsin.events.log import emit
from tocsin.events.reasons import said
from tocsin.identity import queries as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import Actor
from tocsin.incidents import checks, lifecycle, queries
from tocsin.incidents.model import Incident, ResponderSource, ResponderState
from tocsin.incidents.queries import Ref
from tocsin.incidents.service.people import add_paged, answer, may_answer, own_pages, take_on
from tocsin.kit.errors import Denied, Invalid, NotFound
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageContent, PageTarget
from tocsin.oncall.model import EscalationRun, Page, PageState
from tocsin.oncall.reasons import why_ended

REASON_LIMIT = 1_000
# How many things one request may name.
MANY = 100


@dataclass(frozen=True, slots=True)
class Already:
    """Somebody who was to be asked and is on it already, or is being asked, and what became of the wish."""

    target: PageTarget
    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Missed:
    """Somebody who was asked and to whom no page went out at once, and why."""

    target: PageTarget
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call for help came to: the runs that it began, and who was there or being asked before.

    `pages` went out at once, with whom each is for, the newest first; for `missed` there was none.
    """

    runs: Sequence[EscalationRun]
    already: Sequence[Already]
    pages: Sequence[tuple[Page, str]] = ()
    missed: Sequence[Missed] = ()


async def page(tx: Tx, who: Actor, ref: Ref, targets: Sequence[PageTarget], message: str = "") -> Asked:
    """Ask people or policies for help, each with a run of its own; whoever is reached first becomes a responder.

    Who is being asked for help with this incident now is not asked a second time; a policy that climbs for it and has
    reached nobody begins again. Who has joined is paged all the same,
    as they may have fallen asleep. Of both it is said.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_PAGE, on=incident)
    wanted = list(dict.fromkeys(targets))
    if not 1 <= len(wanted) <= MANY:
        raise Invalid("targets", f"Say whom to page: between 1 and {MANY} people or policies.", code="count")
    said = checks.text("message", message, REASON_LIMIT, required=False)
    lifecycle.must_be_open(incident)
    names = dict(zip(wanted, await _target_names(tx, wanted), strict=True))
    busy, silent = await _being_asked(tx, incident)
    await oncall.begin_again(tx, [run for target, run in silent.items() if target in wanted])
    already = await _already(tx, incident, names, busy)
    wanted = [target for target in wanted if target not in busy]
    if not wanted:
        return Asked([], already)
    asked = [
        ResponderPaged(actor=who.ref, incident_id=incident.id, target=names[target], message=said) for target in wanted
    ]
    await emit(tx, *asked)
    content = PageContent(
        title=incident.headline,
        body=incident.summary,
        severity=incident.severity,
        urgency=Urgency.HIGH,
        source=who.name,
        labels={},
        incident_number=incident.reference,
        request=f"{who.name} asks for your help" + (f": {said}" if said else ""),
    )
    runs = await oncall.page(tx, who, incident_id=incident.id, content=content, targets=wanted, message=said)
    await tx.session.flush()
    pages = await oncall_queries.pages_of_runs(tx, runs)
    people = [sent.user_id for sent, _ in pages] + [target.id for target in wanted if target.kind == "user"]
    await add_paged(tx, incident, people, ResponderSource.PAGED)
    paged = {sent.run_id for sent, _ in pages}
    return Asked(runs, already, pages, [await _missed(tx, run) for run in runs if run.id not in paged])


async def _missed(tx: Tx, run: EscalationRun) -> Missed:
    # A run that has reached nobody goes on, so it may have no reason to have ended.
    follows = await oncall.what_follows(tx, run)
    why = why_ended(run) or said(follows.nobody or follows.end)
    if run.direct_user_id is not None:
        return Missed(PageTarget("user", run.direct_user_id), run.policy_name, why)
    assert run.policy_id is not None, "a run climbs a policy or pages one person"
    return Missed(PageTarget("escalation_policy", run.policy_id), run.policy_name, why)


async def _being_asked(tx: Tx, incident: Incident) -> tuple[set[PageTarget], dict[PageTarget, EscalationRun]]:
    """Return who is being paged for help with the incident now, and the policies that are climbing for it.

    And those of these policies by which nobody is being asked at the moment.
    """
    running = [
        run for run in await oncall_queries.lock_running(tx, incident_id=incident.id) if run.incident_id == incident.id
    ]
    pages = await oncall_queries.open_pages(tx, [run.id for run in running])
    asked, asking = {PageTarget("user", page.user_id) for page in pages}, {page.run_id for page in pages}
    climbing = {PageTarget("escalation_policy", run.policy_id): run for run in running if run.policy_id is not None}
    silent = {target: run for target, run in climbing.items() if run.id not in asking}
    return asked | climbing.keys(), silent


async def _already(
    tx: Tx, incident: Incident, names: Mapping[PageTarget, str], busy: Collection[PageTarget]
) -> list[Already]:
    known = await queries.responders_by_user(tx, incident.id, [t.id for t in names if t.kind == "user"])
    found: list[Already] = []
    for target, name in names.items():
        row = known.get(target.id)
        if target in busy:
            words = f"{name} is being paged for {incident.reference} already, so nothing more was sent."
            found.append(Already(target, name, words))
        elif row is not None and row.state == ResponderState.JOINED:
            words = f"{name} has joined {incident.reference} already, and is paged all the same."
            found.append(Already(target, name, words))
    return found


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


async def note_page(tx: Tx, page_id: UUID) -> None:
    """Make somebody whom a later step of an escalation pages a responder of the incident that it is about.

    Only a page that still waits for its answer counts: an answer has made them a responder already.
    """
    incident, _, sent = await _lock_for_page(tx, page_id)
    if incident is None or sent.state != PageState.PAGING or not lifecycle.is_open(incident):
        return
    row = await queries.responder(tx, incident.id, sent.user_id)
    if row is None or (row.state != ResponderState.JOINED and (row.paged_at is None or row.paged_at < sent.paged_at)):
        await add_paged(tx, incident, [sent.user_id], _source_of(sent), at=sent.paged_at)


async def answer_page(tx: Tx, who: Actor, page_id: UUID, channel: str = "") -> Page:
    """Acknowledge the page that one was sent, and by it the alert or the incident that it is about.

    Idempotent: a second answer, or one after somebody else's, changes nothing and returns what happened first. An alert
    that was given back since then still wants an answer, and any of its pages may give it. `channel` says where the
    answer came from, such as `email`.
    """
    incident, alert, sent = await _lock_for_page(tx, page_id)
    _must_be_theirs(who, sent)
    still_wanted = alert is not None and alert.status == AlertStatus.TRIGGERED
    if sent.state in (PageState.ACKNOWLEDGED, PageState.CANCELLED) and not still_wanted:
        return sent
    if still_wanted or (alert is None and (incident is None or lifecycle.is_open(incident))):
        await answer(tx, who, sent, channel)
    else:
        await oncall.answer_page(tx, who, page_id, channel)
    if incident is not None and lifecycle.is_open(incident):
        await take_on(tx, who, incident)
    return await _fresh_page(tx, page_id)


async def decline_page(tx: Tx, who: Actor, page_id: UUID) -> Page:
    """Say that one cannot take it; the escalation goes on when nobody else is being asked. Idempotent."""
    incident, alert, sent = await _lock_for_page(tx, page_id)
    _must_be_theirs(who, sent)
    if sent.state != PageState.PAGING:
        return sent
    if alert is not None and alert.status == AlertStatus.ACKNOWLEDGED:
        # A reminder to the owner: whoever cannot go on with it gives it back, and the route pages somebody.
        await alerts.give_back(tx, who, alert, why=CannotGoOn(who.name))
        return await _fresh_page(tx, page_id)
    await oncall.decline_page(tx, who, page_id)
    if incident is not None:
        await _decline(tx, who, incident, sent)
    return await _fresh_page(tx, page_id)


async def _decline(tx: Tx, who: Actor, incident: Incident, sent: Page) -> None:
    row = await queries.responder(tx, incident.id, sent.user_id)
    if row is None:
        await add_paged(tx, incident, [sent.user_id], _source_of(sent), at=sent.paged_at)
        row = await queries.responder(tx, incident.id, sent.user_id)
    if row is None or row.state in (ResponderState.JOINED, ResponderState.DECLINED):
        return
    row.state = ResponderState.DECLINED
    declined = ResponderDeclined(actor=who.ref, incident_id=incident.id, user_id=sent.user_id, user_name=who.name)
    await emit(tx, declined)


async def escalate_page(tx: Tx, who: Actor, page_id: UUID, *, seen: tuple[int, int] | None = None) -> Page:
    """Ask for the next step of the escalation now; one's own page, or with the right to page people any page.

    Raises `Conflict` when no step follows. `seen`: at which round and step the run was when this was asked for; a
    second press of the same screen then does nothing.
    """
    incident, alert, sent = await _lock_for_page(tx, page_id)
    if who.user_id != sent.user_id:
        await _must_page_others(tx, who, incident, alert)
    else:
        _must_be_theirs(who, sent)
    await oncall.escalate_run(tx, who, sent.run_id, seen=seen)
    return await _fresh_page(tx, page_id)


async def read_page(tx: Tx, who: Actor, page_id: UUID) -> Page:
    """Return one's own page, or one about what one may see; raises `NotFound`."""
    sent = await oncall_queries.page(tx, page_id)
    if sent.user_id != who.user_id:
        if sent.incident_id is not None and await queries.by_id(tx, who.access, [sent.incident_id]):
            return sent
        if sent.alert_id is None:
            raise NotFound("There is no such page.")
        await alert_queries.get(tx, who.access.reach, sent.alert_id)
    return sent


async def _must_page_others(tx: Tx, who: Actor, incident: Incident | None, alert: Alert | None) -> None:
    """Raise `NotFound` or `Denied` unless the actor sees what a page is about and may page people for it."""
    if alert is not None:
        await alert_queries.get(tx, who.access.reach, alert.id)
        if not (incident is not None and who.may(P.INCIDENT_PAGE, on=incident)):
            for source in await alert_queries.sources_of(tx, [alert.source_id]):
                who.must(P.INCIDENT_PAGE, on=source)
    elif incident is not None:
        await queries.get(tx, who.access.reach, incident.id)
        who.must(P.INCIDENT_PAGE, on=incident)


async def _lock_for_page(tx: Tx, page_id: UUID) -> tuple[Incident | None, Alert | None, Page]:
    """Lock what a page is about: its incident, or its alert and the incident which that is linked to."""
    sent = await oncall_queries.page(tx, page_id)
    if sent.alert_id is None:
        incident = await queries.lock(tx, EVERYTHING, sent.incident_id) if sent.incident_id is not None else None
        return incident, None, await _fresh_page(tx, page_id)
    linked_to = (await alert_queries.get(tx, EVERYTHING, sent.alert_id)).incident_id
    incident = await queries.lock(tx, EVERYTHING, linked_to) if linked_to is not None else None
    # Whoever answers one page of an incident answers all that they have of it, so those alerts are locked here, too.
    others = await own_pages(tx, incident, sent.user_id) if incident is not None else []
    wanted = {sent.alert_id, *(page.alert_id for page in others if page.alert_id is not None)}
    alert = next(
        each for each in await alert_queries.lock_many(tx, EVERYTHING, list(wanted)) if each.id == sent.alert_id
    )
    # Between the two reads the alert may have been linked elsewhere; locking that now could deadlock.
    return (incident if alert.incident_id == linked_to else None), alert, await _fresh_page(tx, page_id)


async def _fresh_page(tx: Tx, page_id: UUID) -> Page:
    page = await oncall_queries.page(tx, page_id)
    await tx.session.refresh(page)
    return page


def _must_be_theirs(who: Actor, page: Page) -> None:
    """Raise `Denied` unless the page was sent to the actor: to be paged is the right to answer, whatever the role."""
    if who.must_be_someone() != page.user_id:
        raise Denied("This page was sent to somebody else.", hint="Acknowledge the alert or the incident itself.")
    if not who.access.reaches(page.alert_id, page.incident_id):
        raise NotFound("There is no such page.")
    if not may_answer(who):
        who.must(P.SELF_EDIT)


def _source_of(sent: Page) -> ResponderSource:
    return ResponderSource.LINKED_ALERT if sent.alert_id is not None else ResponderSource.PAGED
