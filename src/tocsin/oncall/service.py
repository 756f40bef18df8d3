"""Use cases of paging: policies, starting and advancing runs, answering pages, ending runs.

Locks are taken in the order alert or incident (by the caller), run, page. A run changes only while its row is locked,
so two workers, a worker and a person, or two persons meet one after the other and the second finds what the first did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, update
from sqlalchemy.exc import IntegrityError

from tocsin.db.bulk import insert_rows
from tocsin.db.engine import Tx
from tocsin.events.base import ActorRef, Change
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.events.oncall import (
    EscalationEnded,
    EscalationExhausted,
    EscalationRepeated,
    EscalationStarted,
    EscalationStepSkipped,
    PageAcknowledged,
    PageDeclined,
    PageEscalated,
    PageStarted,
    PageUnreachable,
)
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.jobs import queue
from tocsin.jobs.queue import NewJob
from tocsin.kit.errors import Conflict, Invalid, Stale
from tocsin.kit.ids import new_id
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.model import DeliveryState, Urgency
from tocsin.oncall import queries
from tocsin.oncall.escalation import Decision, PageContent, PageTarget, Plan, Step, decide, reason_for
from tocsin.oncall.model import (
    EscalationPolicy,
    EscalationRun,
    EscalationStep,
    EscalationTarget,
    Page,
    PageState,
    RunState,
    TargetKind,
)
from tocsin.oncall.queries import Directory

ADVANCE = "oncall.advance"
SYSTEM = ActorRef(kind="system", name="Tocsin")
DIRECT_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Start:
    """One run that is to begin: for an alert or an incident, up a policy or at one person."""

    content: PageContent
    reason: str
    alert_id: UUID | None = None
    incident_id: UUID | None = None
    policy_id: UUID | None = None
    user_id: UUID | None = None
    linked_incident_id: UUID | None = None
    actor: ActorRef = SYSTEM


@dataclass(frozen=True, slots=True)
class StepDraft:
    """One step of a policy as people write it."""

    user_ids: Sequence[UUID]
    wait_minutes: int


async def start(tx: Tx, starts: Sequence[Start]) -> list[EscalationRun]:
    """Begin runs and take their first steps. One alert has at most one running run; a second start is left out."""
    busy = await queries.alerts_with_running_runs(tx, [s.alert_id for s in starts if s.alert_id is not None])
    wanted = [s for s in starts if s.alert_id is None or s.alert_id not in busy]
    if not wanted:
        return []
    runs = [_new_run(tx, s) for s in wanted]
    directory = await tx.cached("oncall.directory", queries.directory)
    for run in runs:
        run.policy_name = _plan_of(directory, run).name
    events = [
        EscalationStarted(
            actor=s.actor,
            alert_id=run.alert_id,
            incident_id=run.incident_id or run.linked_incident_id,
            run_id=run.id,
            policy_name=run.policy_name,
            reason=s.reason,
        )
        for run, s in zip(runs, wanted, strict=True)
    ]
    await _take_steps(tx, runs, directory, events=events, are_new=True)
    return runs


async def link_runs(tx: Tx, alert_ids: Sequence[UUID], incident_id: UUID | None) -> None:
    """Let what the running runs of these alerts do stand on an incident's timeline, or no longer."""
    for run in await queries.lock_running(tx, alert_ids=alert_ids):
        run.linked_incident_id = incident_id


def _new_run(tx: Tx, wanted: Start) -> EscalationRun:
    return EscalationRun(
        id=new_id(),
        alert_id=wanted.alert_id,
        incident_id=wanted.incident_id,
        linked_incident_id=wanted.linked_incident_id,
        policy_id=wanted.policy_id,
        direct_user_id=wanted.user_id,
        policy_name="",
        urgency=wanted.content.urgency,
        content=asdict(wanted.content),
        state=RunState.RUNNING,
        step=0,
        round=0,
        next_step_at=None,
        started_at=tx.now,
    )


async def _take_steps(
    tx: Tx, runs: Sequence[EscalationRun], directory: Directory, *, events: list[Any], are_new: bool = False
) -> None:
    """Take the next step of each run: page its people and set the timer, or end the run.

    `events` is what happened before; everything is written together, new runs first.
    """
    pages: list[dict[str, Any]] = []
    requests: list[notifications.Request] = []
    timers: list[NewJob] = []
    paged: list[tuple[EscalationRun, dict[str, Any]]] = []
    for run in runs:
        decision = decide(
            _plan_of(directory, run),
            step=run.step,
            round=run.round,
            urgency=Urgency(run.urgency),
            reachable=directory.methods.keys(),
            names=directory.names,
        )
        events += _about(run, decision)
        run.step, run.round = decision.step, decision.round
        if decision.end:
            _end(tx, run, RunState.EXHAUSTED, decision.end)
            events.append(_event(run, EscalationExhausted, run_id=run.id, reason=decision.end))
            continue
        run.next_step_at = tx.now + decision.wait if decision.wait is not None else None
        reason = reason_for(
            run.policy_name, step=decision.step, round=decision.round, direct=run.direct_user_id is not None
        )
        for user_id in decision.page:
            page = _page_row(tx, run, user_id, reason)
            pages.append(page)
            paged.append((run, page))
            requests.append(_request(run, page))
        if run.next_step_at is not None:
            timers.append(_timer(run))
    if are_new:
        await insert_rows(tx, EscalationRun, [{c: getattr(run, c) for c in _RUN_COLUMNS} for run in runs])
    await insert_rows(tx, Page, pages)
    channels = await notifications.queue_deliveries(tx, requests, directory.methods, directory.rules)
    for run, page in paged:
        user_id = page["user_id"]
        events.append(
            _event(
                run,
                PageStarted,
                run_id=run.id,
                page_id=page["id"],
                user_id=user_id,
                user_name=directory.names[user_id],
                step=page["step"],
                round=page["round"],
                reason=page["reason"],
                channels=channels[page["id"]],
                wait_minutes=_minutes(run.next_step_at - tx.now) if run.next_step_at else None,
            )
        )
    await queue.enqueue(tx, *timers)
    await emit(tx, *events)


def _minutes(wait: timedelta) -> int:
    return round(wait.total_seconds() / 60)


_RUN_COLUMNS = tuple(column.key for column in EscalationRun.__table__.columns)


def _plan_of(directory: Directory, run: EscalationRun) -> Plan:
    if run.direct_user_id is not None:
        name = directory.names.get(run.direct_user_id, run.policy_name)
        return Plan(name=name, repeat=0, steps=(Step((run.direct_user_id,), DIRECT_WAIT),))
    if run.policy_id is not None and run.policy_id in directory.plans:
        return directory.plans[run.policy_id]
    return Plan(name=run.policy_name, repeat=0, steps=())


def _about(run: EscalationRun, decision: Decision) -> list[Any]:
    events: list[Any] = []
    for skipped in decision.skipped:
        if skipped.round > run.round and not any(isinstance(e, EscalationRepeated) for e in events):
            events.append(_event(run, EscalationRepeated, run_id=run.id, round=skipped.round))
        events.append(_event(run, EscalationStepSkipped, run_id=run.id, step=skipped.step, reason=skipped.reason))
    if decision.round > run.round and not any(isinstance(e, EscalationRepeated) for e in events):
        events.append(_event(run, EscalationRepeated, run_id=run.id, round=decision.round))
    return events


def _event(run: EscalationRun, kind: Any, *, actor: ActorRef = SYSTEM, **fields: Any) -> Any:
    return kind(actor=actor, alert_id=run.alert_id, incident_id=run.incident_id or run.linked_incident_id, **fields)


def _page_row(tx: Tx, run: EscalationRun, user_id: UUID, reason: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "run_id": run.id,
        "alert_id": run.alert_id,
        "incident_id": run.incident_id,
        "user_id": user_id,
        "step": run.step,
        "round": run.round,
        "state": PageState.PAGING,
        "reason": reason,
        "paged_at": tx.now,
    }


def _request(run: EscalationRun, page: Mapping[str, Any]) -> notifications.Request:
    return notifications.Request(
        page_id=page["id"],
        user_id=page["user_id"],
        urgency=Urgency(run.urgency),
        content=run.content | {"reason": page["reason"]},
        alert_id=run.alert_id,
        incident_id=run.incident_id,
    )


def _timer(run: EscalationRun) -> NewJob:
    return NewJob(
        kind=ADVANCE,
        lane="page",
        payload={"run_id": str(run.id), "step": run.step, "round": run.round},
        due=run.next_step_at,
        key=queue.subject("run", run.id),
        dedup=f"run:{run.id}:{run.round}:{run.step}",
        max_attempts=1000,
    )


async def advance(tx: Tx, run_id: UUID, *, step: int, round: int, reason: str = "No answer in time.") -> None:
    """Go on to the next step, provided that the run still stands where the caller believes it to stand."""
    run = await queries.lock_run(tx, run_id)
    if run.state != RunState.RUNNING or (run.step, run.round) != (step, round):
        return
    await _pass_on(tx, run, SYSTEM, reason)


async def _pass_on(tx: Tx, run: EscalationRun, actor: ActorRef, reason: str) -> None:
    await _close_pages(tx, [run], PageState.NO_ANSWER)
    await queue.cancel(tx, queue.subject("run", run.id))
    events = [_event(run, PageEscalated, actor=actor, run_id=run.id, step=run.step, reason=reason)]
    await _take_steps(tx, [run], await tx.cached("oncall.directory", queries.directory), events=events)


async def escalate_run(tx: Tx, who: Actor, run_id: UUID) -> EscalationRun:
    """Go on to the next step now, because somebody asks for it."""
    run = await queries.lock_run(tx, run_id)
    if run.state != RunState.RUNNING:
        raise Conflict("This escalation has ended already.")
    await _pass_on(tx, run, who.ref, f"{who.name} asked for the next step.")
    return run


async def give_up_on_page(tx: Tx, page_id: UUID) -> None:
    """Note that a page did not reach its person; go on at once when the step reached nobody else.

    May be called twice: only a page that is still waiting for its answer changes.
    """
    run = await queries.lock_run(tx, (await queries.page(tx, page_id)).run_id)
    page = await queries.page(tx, page_id)
    await tx.session.refresh(page)
    states = await contact.states_of_page(tx, page_id)
    if page.state != PageState.PAGING or any(state != DeliveryState.FAILED for state in states):
        return
    page.state = PageState.UNREACHABLE
    names = await queries.people(tx, [page.user_id])
    name = names[page.user_id][0]
    reason = "every message to them failed"
    await emit(tx, _event(run, PageUnreachable, page_id=page.id, user_id=page.user_id, user_name=name, reason=reason))
    await _go_on_if_nobody_is_left(tx, run, "The page reached nobody on this step.")


async def _go_on_if_nobody_is_left(tx: Tx, run: EscalationRun, reason: str) -> None:
    here = await queries.pages_of_step(tx, run)
    if run.state == RunState.RUNNING and all(page.state != PageState.PAGING for page in here):
        await _pass_on(tx, run, SYSTEM, reason)


async def page(
    tx: Tx,
    who: Actor,
    *,
    incident_id: UUID,
    content: PageContent,
    targets: Sequence[PageTarget],
    message: str = "",
) -> list[EscalationRun]:
    """Page people or policies about an incident: one run per target, each answered on its own."""
    who.must("incident.page")
    if not targets:
        raise Invalid("targets", "Say whom to page.")
    reason = f"{who.name} asked for help" + (f": “{message}”" if message else "")
    starts: list[Start] = []
    for target in targets:
        if target.kind == "user":
            await identity.user(tx, target.id)
        else:
            await queries.policy(tx, target.id)
        starts.append(
            Start(
                content=content,
                reason=reason,
                incident_id=incident_id,
                user_id=target.id if target.kind == "user" else None,
                policy_id=target.id if target.kind != "user" else None,
                actor=who.ref,
            )
        )
    return await start(tx, starts)


async def answer_page(tx: Tx, who: Actor, page_id: UUID, channel: str = "") -> Page:
    """Acknowledge one page and end its run. A second answer changes nothing and returns what happened first."""
    run = await queries.lock_run(tx, (await queries.page(tx, page_id)).run_id)
    page = await queries.page(tx, page_id)
    await tx.session.refresh(page)
    if page.state == PageState.ACKNOWLEDGED or run.state != RunState.RUNNING:
        return page
    await _mark_answered(tx, who, run, page, channel)
    await _finish_runs(tx, [run], RunState.ANSWERED, f"{who.name} acknowledged.", actor=who.ref)
    return page


async def _mark_answered(tx: Tx, who: Actor, run: EscalationRun, page: Page, channel: str) -> None:
    page.state, page.answered_at = PageState.ACKNOWLEDGED, tx.now
    await emit(
        tx,
        _event(
            run,
            PageAcknowledged,
            actor=who.ref,
            page_id=page.id,
            user_id=page.user_id,
            user_name=who.name,
            channel=channel,
        ),
    )


async def answer_incident_pages(tx: Tx, who: Actor, incident_id: UUID) -> int:
    """Acknowledge a person's own open pages about an incident; runs that did not page them go on."""
    pages = await queries.open_pages_of_user(tx, who.must_be_someone(), incident_id=incident_id)
    for page in pages:
        await answer_page(tx, who, page.id)
    return len(pages)


async def decline_page(tx: Tx, who: Actor, page_id: UUID) -> Page:
    """Say that one cannot take it; when nobody else on the step is being asked, the next step follows at once."""
    run = await queries.lock_run(tx, (await queries.page(tx, page_id)).run_id)
    page = await queries.page(tx, page_id)
    await tx.session.refresh(page)
    if page.state != PageState.PAGING:
        return page
    page.state, page.answered_at = PageState.DECLINED, tx.now
    await notifications.cancel_for_pages(tx, [page.id])
    await emit(
        tx,
        _event(run, PageDeclined, actor=who.ref, page_id=page.id, user_id=page.user_id, user_name=who.name),
    )
    await _go_on_if_nobody_is_left(tx, run, f"{who.name} declined.")
    return page


async def end_runs(
    tx: Tx,
    *,
    alert_ids: Sequence[UUID] = (),
    incident_id: UUID | None = None,
    state: RunState,
    reason: str,
    who: Actor | None = None,
) -> None:
    """End the running runs of these alerts or of this incident, and take back every message not yet sent.

    With `who` and the state answered, that person's own open pages count as acknowledged.
    """
    runs = await queries.lock_running(tx, alert_ids=alert_ids, incident_id=incident_id)
    if not runs:
        return
    if who is not None and state is RunState.ANSWERED:
        by_id = {run.id: run for run in runs}
        for page in await queries.open_pages(tx, list(by_id)):
            if page.user_id == who.user_id:
                await _mark_answered(tx, who, by_id[page.run_id], page, "")
        await tx.session.flush()
    await _finish_runs(tx, runs, state, reason, actor=who.ref if who else SYSTEM)


async def _finish_runs(tx: Tx, runs: Sequence[EscalationRun], state: RunState, reason: str, *, actor: ActorRef) -> None:
    for run in runs:
        _end(tx, run, state, reason)
    await _close_pages(tx, runs, PageState.CANCELLED)
    await queue.cancel(tx, *(queue.subject("run", run.id) for run in runs))
    await emit(tx, *(_event(run, EscalationEnded, actor=actor, run_id=run.id, reason=reason) for run in runs))


def _end(tx: Tx, run: EscalationRun, state: RunState, reason: str) -> None:
    run.state, run.ended_at, run.end_reason, run.next_step_at = state, tx.now, reason, None


async def _close_pages(tx: Tx, runs: Sequence[EscalationRun], state: PageState) -> None:
    """Put the pages that nobody answered into their last state.

    Messages not yet sent are taken back for every page of these runs, also for the one that was answered.
    """
    await tx.session.flush()
    run_ids = [run.id for run in runs]
    closed = await tx.session.execute(
        update(Page)
        .where(Page.run_id.in_(run_ids), Page.state.in_((PageState.PAGING, PageState.ACKNOWLEDGED)))
        .values(state=case((Page.state == PageState.ACKNOWLEDGED, Page.state), else_=state))
        .returning(Page.id)
        .execution_options(synchronize_session=False)
    )
    await notifications.cancel_for_pages(tx, list(closed.scalars()))


async def create_policy(
    tx: Tx, who: Actor, *, name: str, description: str = "", steps: Sequence[StepDraft], repeat: int = 0
) -> EscalationPolicy:
    """Write a new policy; names are unique."""
    who.must("oncall.manage")
    title = await _check_policy(tx, name, steps, repeat)
    policy = EscalationPolicy(
        id=new_id(),
        name=title,
        description=description.strip()[:2000],
        repeat=repeat,
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
    )
    tx.session.add(policy)
    await tx.session.flush()
    await _write_steps(tx, policy.id, steps)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="escalation_policy", id=policy.id, title=title))
    return policy


async def update_policy(
    tx: Tx,
    who: Actor,
    id: UUID,
    *,
    name: str | None = None,
    description: str | None = None,
    steps: Sequence[StepDraft] | None = None,
    repeat: int | None = None,
    if_version: int | None = None,
) -> EscalationPolicy:
    """Change a policy. Runs that are under way follow the new steps from their next one on."""
    who.must("oncall.manage")
    policy = await queries.lock_policy(tx, id)
    if if_version is not None and if_version != policy.version:
        raise Stale("Somebody changed this policy in the meantime. Look at it again before you save.")
    before = await _in_words(tx, policy)
    title = await _check_policy(
        tx, policy.name if name is None else name, steps, policy.repeat if repeat is None else repeat, id=id
    )
    policy.name = title
    policy.description = policy.description if description is None else description.strip()[:2000]
    policy.repeat = policy.repeat if repeat is None else repeat
    policy.updated_at = tx.now
    policy.version += 1
    if steps is not None:
        await tx.session.execute(delete(EscalationStep).where(EscalationStep.policy_id == id))
        await _write_steps(tx, id, steps)
    await tx.session.flush()
    after = await _in_words(tx, policy)
    changes = [Change(field=f, old=before[f], new=after[f]) for f in before if before[f] != after[f]]
    await emit(tx, ConfigurationChanged(actor=who.ref, kind="escalation_policy", id=id, title=title, changes=changes))
    return policy


async def delete_policy(tx: Tx, who: Actor, id: UUID) -> None:
    """Remove a policy that nothing uses or has used; raises `Conflict` for any other."""
    who.must("oncall.manage")
    policy = await queries.lock_policy(tx, id)
    if not await queries.unused(tx, id):
        raise Conflict("This policy has paged people, so the record needs it. Take it out of the routes instead.")
    await tx.session.delete(policy)
    try:
        await tx.session.flush()
    except IntegrityError as error:
        # Routes live in a domain above this one, so only the database can say that one of them leads here.
        raise Conflict("A route leads to this policy. Let it lead somewhere else first.") from error
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind="escalation_policy", id=id, title=policy.name))


async def _check_policy(
    tx: Tx, name: str, steps: Sequence[StepDraft] | None, repeat: int, id: UUID | None = None
) -> str:
    title = name.strip()
    if not 1 <= len(title) <= 100:
        raise Invalid("name", "Give the policy a name of at most 100 characters.")
    same = [p for p in await queries.policies(tx, after="", limit=10_000) if p.name == title and p.id != id]
    if same:
        raise Invalid("name", "There is a policy of this name already.", code="taken")
    if not 0 <= repeat <= 9:
        raise Invalid("repeat", "Repeat between 0 and 9 times.")
    if steps is None:
        return title
    if not 1 <= len(steps) <= 20:
        raise Invalid("steps", "A policy has between 1 and 20 steps.")
    known = await identity.users_by_id(tx, {user_id for step in steps for user_id in step.user_ids})
    for index, step in enumerate(steps):
        if not 1 <= len(step.user_ids) <= 50:
            raise Invalid(f"steps/{index}/targets", "A step pages between 1 and 50 people.")
        if len(set(step.user_ids)) != len(step.user_ids):
            raise Invalid(f"steps/{index}/targets", "A step names each person once.")
        if any(user_id not in known for user_id in step.user_ids):
            raise Invalid(f"steps/{index}/targets", "A step names somebody who does not exist.")
        if not 1 <= step.wait_minutes <= 1440:
            raise Invalid(f"steps/{index}/wait_minutes", "Wait between 1 and 1440 minutes.")
    return title


async def _write_steps(tx: Tx, policy_id: UUID, steps: Sequence[StepDraft]) -> None:
    for position, step in enumerate(steps, start=1):
        row = EscalationStep(id=new_id(), policy_id=policy_id, position=position, wait_minutes=step.wait_minutes)
        tx.session.add(row)
        await tx.session.flush()
        tx.session.add_all(
            EscalationTarget(step_id=row.id, position=at, kind=TargetKind.USER, user_id=user_id)
            for at, user_id in enumerate(step.user_ids, start=1)
        )
    await tx.session.flush()


async def _in_words(tx: Tx, policy: EscalationPolicy) -> dict[str, str]:
    plan = (await queries.plans(tx, [policy.id]))[policy.id]
    names = await queries.people(tx, {id for step in plan.steps for id in step.user_ids})
    steps = "; ".join(
        f"{', '.join(names[id][0] for id in step.user_ids)}, then {step.wait.total_seconds() / 60:.0f} min"
        for step in plan.steps
    )
    return {
        "name": policy.name,
        "description": policy.description,
        "repeat": str(policy.repeat),
        "steps": steps,
    }
