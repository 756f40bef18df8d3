"""Starting runs, taking their steps and ending them.

Locks are taken in the order alert or incident (by the caller), run, page. A run changes only while its row is locked,
so two workers, a worker and a person, or two persons meet one after the other and the second finds what the first did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, update

from tocsin.db.bulk import insert_rows
from tocsin.db.engine import Tx
from tocsin.events.base import SYSTEM, ActorRef
from tocsin.events.log import emit
from tocsin.events.oncall import (
    EscalationEnded,
    EscalationExhausted,
    EscalationRepeated,
    EscalationStarted,
    EscalationStepSkipped,
    PageAcknowledged,
    PageEscalated,
    PageStarted,
)
from tocsin.identity.model import Actor
from tocsin.jobs import queue
from tocsin.jobs.queue import NewJob
from tocsin.kit.ids import new_id
from tocsin.notifications import service as notifications
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries
from tocsin.oncall.escalation import Decision, PageContent, Plan, Step, decide, reason_for, reason_to_send
from tocsin.oncall.model import (
    EscalationRun,
    Page,
    PageState,
    RunState,
)
from tocsin.oncall.queries import Directory

ADVANCE = "oncall.advance"
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


async def start(tx: Tx, starts: Sequence[Start]) -> list[EscalationRun]:
    """Begin runs and take their first steps. One alert has at most one running run; a second start is left out."""
    busy = await queries.alerts_with_running_runs(tx, [s.alert_id for s in starts if s.alert_id is not None])
    wanted = [s for s in starts if s.alert_id is None or s.alert_id not in busy]
    if not wanted:
        return []
    runs = [_new_run(tx, s) for s in wanted]
    directory = await queries.known_directory(tx)
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
        decision = _decision(run, directory)
        events += _about(run, decision)
        run.step, run.round = decision.step, decision.round
        if decision.end:
            _end(tx, run, RunState.EXHAUSTED, decision.end)
            events.append(event_of(run, EscalationExhausted, run_id=run.id, reason=decision.end))
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
            event_of(
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
                policy_name=run.policy_name,
                is_direct=run.direct_user_id is not None,
                wait_minutes=_minutes(run.next_step_at - tx.now) if run.next_step_at else None,
            )
        )
    await queue.enqueue(tx, *timers)
    await emit(tx, *events)


async def what_follows(tx: Tx, run: EscalationRun) -> Decision:
    """Say what the run would do next if nobody answered; it pages nobody when the present step is the last one."""
    known = await queries.known_directory(tx)
    return _decision(run, known)


def _decision(run: EscalationRun, known: Directory) -> Decision:
    return decide(
        _plan_of(known, run),
        step=run.step,
        round=run.round,
        urgency=Urgency(run.urgency),
        reachable=known.methods.keys(),
        names=known.names,
    )


def _minutes(wait: timedelta) -> int:
    return round(wait.total_seconds() / 60)


_RUN_COLUMNS = tuple(column.key for column in EscalationRun.__table__.columns)


def _plan_of(directory: Directory, run: EscalationRun) -> Plan:
    if run.direct_user_id is not None:
        name = directory.names.get(run.direct_user_id, run.policy_name)
        return Plan(name=name, repeat=0, steps=(Step((run.direct_user_id,), DIRECT_WAIT),), is_direct=True)
    if run.policy_id is not None and run.policy_id in directory.plans:
        return directory.plans[run.policy_id]
    return Plan(name=run.policy_name, repeat=0, steps=())


def _about(run: EscalationRun, decision: Decision) -> list[Any]:
    events: list[Any] = []
    for skipped in decision.skipped:
        if skipped.round > run.round and not any(isinstance(e, EscalationRepeated) for e in events):
            events.append(event_of(run, EscalationRepeated, run_id=run.id, round=skipped.round))
        events.append(event_of(run, EscalationStepSkipped, run_id=run.id, step=skipped.step, reason=skipped.reason))
    if decision.round > run.round and not any(isinstance(e, EscalationRepeated) for e in events):
        events.append(event_of(run, EscalationRepeated, run_id=run.id, round=decision.round))
    return events


def event_of(run: EscalationRun, kind: Any, *, actor: ActorRef = SYSTEM, **fields: Any) -> Any:
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
        content=run.content | {"reason": reason_to_send(run.content.get("request", ""), page["reason"])},
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
    await pass_on(tx, run, SYSTEM, reason)


async def pass_on(tx: Tx, run: EscalationRun, actor: ActorRef, reason: str) -> None:
    """Go on to the next step; an actor other than the system has asked for it. The caller has locked the run."""
    await _close_pages(tx, [run], PageState.NO_ANSWER)
    await queue.cancel(tx, queue.subject("run", run.id))
    events = [
        event_of(run, PageEscalated, actor=actor, run_id=run.id, step=run.step, reason=reason, asked=actor != SYSTEM)
    ]
    await _take_steps(tx, [run], await queries.known_directory(tx), events=events)


async def go_on_if_nobody_is_left(tx: Tx, run: EscalationRun, reason: str) -> None:
    """Go on at once when none of the people of the present step is still being asked. The caller has locked the run."""
    here = await queries.pages_of_step(tx, run)
    if run.state == RunState.RUNNING and all(page.state != PageState.PAGING for page in here):
        await pass_on(tx, run, SYSTEM, reason)


async def mark_answered(tx: Tx, who: Actor, run: EscalationRun, page: Page, channel: str) -> None:
    """Note that this person answered this page; the caller ends the run."""
    page.state, page.answered_at = PageState.ACKNOWLEDGED, tx.now
    await emit(
        tx,
        event_of(
            run,
            PageAcknowledged,
            actor=who.ref,
            page_id=page.id,
            user_id=page.user_id,
            user_name=who.name,
            channel=channel,
        ),
    )


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
                await mark_answered(tx, who, by_id[page.run_id], page, "")
        await tx.session.flush()
    await finish_runs(tx, runs, state, reason, actor=who.ref if who else SYSTEM)


async def end_calm_runs(tx: Tx, alert_ids: Sequence[UUID]) -> set[UUID]:
    """End the runs that only notify, because their alerts got worse; return the alerts whose runs climb.

    Their pages stay answerable: nobody has taken the alert.
    """
    runs = await queries.lock_running(tx, alert_ids=alert_ids)
    calm = [run for run in runs if run.urgency == Urgency.LOW]
    if calm:
        reason = "The alert got worse."
        await finish_runs(tx, calm, RunState.CANCELLED, reason, actor=SYSTEM, pages=PageState.NO_ANSWER)
    return {run.alert_id for run in runs if run.alert_id is not None and run not in calm}


async def finish_runs(
    tx: Tx,
    runs: Sequence[EscalationRun],
    state: RunState,
    reason: str,
    *,
    actor: ActorRef,
    pages: PageState = PageState.CANCELLED,
) -> None:
    for run in runs:
        _end(tx, run, state, reason)
    await _close_pages(tx, runs, pages)
    await queue.cancel(tx, *(queue.subject("run", run.id) for run in runs))
    await emit(tx, *(event_of(run, EscalationEnded, actor=actor, run_id=run.id, reason=reason) for run in runs))


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
