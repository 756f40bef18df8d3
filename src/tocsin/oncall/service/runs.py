"""Runs that are under way: going on, starting anew, being answered and ending. How a step is taken is in `steps`.

Locks are taken as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import SYSTEM, ActorRef, Event
from tocsin.events.facts import AlertGotWorse, NoAnswerInTime, NotReachedInTime, Why
from tocsin.events.log import emit
from tocsin.events.oncall import EscalationEnded, PageAcknowledged, PageEscalated
from tocsin.identity.model import Actor
from tocsin.jobs import queue
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.model import Urgency
from tocsin.oncall import bulk_queries, queries
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState
from tocsin.oncall.service.steps import end_run, event_of, plan_of, take_steps

# A message that went out within this time does not lengthen the wait for its answer.
HARDLY_LATE = timedelta(seconds=5)
# A repeated signal starts a run that has reached nobody anew, but not more often than this.
LEAST_ROUND = timedelta(minutes=1)


async def start_anew(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Begin the runs of these alerts again that have reached nobody so far, because their signal came again."""
    await begin_again(tx, await queries.lock_running(tx, alert_ids=alert_ids))


async def begin_again(tx: Tx, running: Sequence[EscalationRun]) -> None:
    """Begin those of these runs again that have said that they reach nobody. The caller has locked them."""
    runs = [run for run in running if run.unreached_since is not None]
    reached = await queries.runs_that_reached(tx, [run.id for run in runs])
    # A signal that comes every second must not page every second.
    again = [run for run in runs if run.id not in reached and tx.now - run.round_started_at >= LEAST_ROUND]
    if not again:
        return
    await _close_pages(tx, again, PageState.NO_ANSWER, keep_trying=True)
    await queue.cancel(tx, *(queue.subject("run", run.id) for run in again))
    for run in again:
        run.step, run.round = 0, run.round + 1
    await take_steps(tx, again, await queries.known_directory(tx), events=[])


async def link_runs(tx: Tx, alert_ids: Sequence[UUID], incident_id: UUID | None) -> None:
    """Let what the running runs of these alerts do stand on an incident's timeline, or no longer."""
    for run in await queries.lock_running(tx, alert_ids=alert_ids):
        run.linked_incident_id = incident_id


async def advance(tx: Tx, run_id: UUID, *, step: int, round: int) -> datetime | None:
    """Go on to the next step, provided that the run still stands where the caller believes it to stand.

    The wait of a step counts from the first message that reached one of its people. When that was late, nothing is
    done yet, and the time to come back is returned.
    """
    run = await queries.lock_run(tx, run_id)
    if run.state != RunState.RUNNING or (run.step, run.round) != (step, round):
        return None
    until = await _wait_ends(tx, run)
    if until is not None and until - tx.now > HARDLY_LATE:
        run.next_step_at = until
        return until
    await pass_on(tx, run, SYSTEM, NotReachedInTime() if until is None else NoAnswerInTime())
    return None


async def _wait_ends(tx: Tx, run: EscalationRun) -> datetime | None:
    """Return until when the people of the present step have time to answer; None when nothing has reached them."""
    here = await queries.pages_of_step(tx, run)
    late = await contact.lateness(tx, [page.id for page in here])
    if not late:
        return None
    steps = plan_of(await queries.known_directory(tx), run).steps
    wait = steps[run.step - 1].wait if run.step <= len(steps) else timedelta()
    return min(page.paged_at for page in here) + wait + min(late.values())


async def pass_on(tx: Tx, run: EscalationRun, actor: ActorRef, why: Why) -> None:
    """Go on to the next step; an actor other than the system has asked for it. The caller has locked the run.

    What should have reached the people of this step by now is still tried: they are the ones who were wanted.
    """
    await _close_pages(tx, [run], PageState.NO_ANSWER, keep_trying=True)
    await queue.cancel(tx, queue.subject("run", run.id))
    events: list[Event] = []
    if run.step:
        asked = actor != SYSTEM
        if actor.id is not None:
            await bulk_queries.mark_passed_on(tx, run, actor.id)
        events.append(event_of(run, PageEscalated, actor=actor, run_id=run.id, step=run.step, why=why, asked=asked))
    await take_steps(tx, [run], await queries.known_directory(tx), events=events)


async def go_on_if_nobody_is_left(tx: Tx, run: EscalationRun, why: Why) -> None:
    """Go on at once when none of the people of the present step is still being asked. The caller has locked the run."""
    here = await queries.pages_of_step(tx, run)
    if run.state == RunState.RUNNING and all(page.state != PageState.PAGING for page in here):
        await pass_on(tx, run, SYSTEM, why)


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
    why: Why,
    who: Actor | None = None,
) -> None:
    """End the running runs of these alerts or of this incident, and take back every message not yet sent.

    With `who` and the state answered, that person's own open pages count as acknowledged.
    """
    runs = await queries.lock_running(tx, alert_ids=alert_ids, incident_id=incident_id)
    # What runs that ended unanswered still try to send is no longer needed either.
    await notifications.cancel_about(tx, alert_ids=alert_ids, incident_id=incident_id)
    if not runs:
        return
    if who is not None and state is RunState.ANSWERED:
        by_id = {run.id: run for run in runs}
        for page in await queries.open_pages(tx, list(by_id)):
            if page.user_id == who.user_id:
                await mark_answered(tx, who, by_id[page.run_id], page, "")
        await tx.session.flush()
    await finish_runs(tx, runs, state, why, actor=who.ref if who else SYSTEM)


async def end_calm_runs(tx: Tx, alert_ids: Sequence[UUID]) -> set[UUID]:
    """End the runs that only notify, because their alerts got worse; return the alerts whose runs climb.

    Their pages stay answerable: nobody has taken the alert.
    """
    runs = await queries.lock_running(tx, alert_ids=alert_ids)
    calm = [run for run in runs if run.urgency == Urgency.LOW]
    if calm:
        await finish_runs(tx, calm, RunState.CANCELLED, AlertGotWorse(), actor=SYSTEM, pages=PageState.NO_ANSWER)
    return {run.alert_id for run in runs if run.alert_id is not None and run not in calm}


async def finish_runs(
    tx: Tx,
    runs: Sequence[EscalationRun],
    state: RunState,
    why: Why,
    *,
    actor: ActorRef,
    pages: PageState = PageState.CANCELLED,
) -> None:
    for run in runs:
        end_run(tx, run, state, why)
    await _close_pages(tx, runs, pages)
    await queue.cancel(tx, *(queue.subject("run", run.id) for run in runs))
    await emit(tx, *(event_of(run, EscalationEnded, actor=actor, run_id=run.id, why=why) for run in runs))


async def take_back(tx: Tx, run: EscalationRun) -> None:
    """Take back every message of this run that has not gone out, whatever became of the run."""
    await _close_pages(tx, [run], PageState.CANCELLED)


async def _close_pages(tx: Tx, runs: Sequence[EscalationRun], state: PageState, *, keep_trying: bool = False) -> None:
    """Put the pages that nobody answered into their last state.

    Messages not yet sent are taken back for every page of these runs, also for the one that was answered. With
    `keep_trying` only those that were planned for later: what should have gone out by now still matters.
    """
    await tx.session.flush()
    run_ids = [run.id for run in runs]
    # What earlier steps planned for later was taken back when they were passed.
    states = {PageState.PAGING} if keep_trying else {PageState.PAGING, PageState.ACKNOWLEDGED, PageState.NO_ANSWER}
    closed = await bulk_queries.close_pages(tx, run_ids, state, were=states)
    cancel = notifications.cancel_planned if keep_trying else notifications.cancel_for_pages
    await cancel(tx, closed)
