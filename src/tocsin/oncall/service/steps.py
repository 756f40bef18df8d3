"""Starting runs and taking their steps: whom to page now, until when to wait, when to ask the fallback, when to end.

Locks are taken in the order alert or incident (by the caller), run, page. A run changes only while its row is locked,
so two workers, a worker and a person, or two persons meet one after the other and the second finds what the first did.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from tocsin.db.bulk import insert_rows
from tocsin.db.engine import Tx
from tocsin.events.base import SYSTEM, ActorRef, Event
from tocsin.events.facts import EveryMessageFailed, NobodyReachedYet, Why, paged_by, write
from tocsin.events.log import emit
from tocsin.events.oncall import (
    EscalationExhausted,
    EscalationRepeated,
    EscalationStarted,
    EscalationStepSkipped,
    EscalationUnreached,
    PageStarted,
)
from tocsin.events.reasons import said_to_them
from tocsin.jobs import queue
from tocsin.jobs.kinds import JobKind, Payload, soon
from tocsin.jobs.queue import NewJob
from tocsin.kit.ids import new_id
from tocsin.notifications import service as notifications
from tocsin.notifications.model import Urgency
from tocsin.notifications.patience import TRIED_FOR
from tocsin.oncall import fallback_queries, queries
from tocsin.oncall.escalation import (
    USUAL_WAIT,
    Decision,
    PageContent,
    PageTarget,
    Place,
    Plan,
    Step,
    decide,
    placed,
)
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState
from tocsin.oncall.queries import Directory

E = TypeVar("E", bound=Event)


class StepIsOver(Payload, frozen=True):
    """The timer of a step: the run goes on, if it still is where it was when the timer was set."""

    run_id: UUID
    step: int
    round: int


ADVANCE = JobKind("oncall.advance", StepIsOver, lane="page", retry_after=soon, max_attempts=1000)


@dataclass(frozen=True, slots=True)
class Start:
    """One run that is to begin: for an alert or an incident, up a policy or at one person."""

    content: PageContent
    why: Why
    alert_id: UUID | None = None
    incident_id: UUID | None = None
    policy_id: UUID | None = None
    user_id: UUID | None = None
    linked_incident_id: UUID | None = None
    actor: ActorRef = SYSTEM
    is_fallback: bool = False


async def start(tx: Tx, starts: Sequence[Start]) -> list[EscalationRun]:
    """Begin runs and take their first steps. One alert has at most one running run; a second start is left out."""
    busy = await queries.alerts_with_running_runs(tx, [s.alert_id for s in starts if s.alert_id is not None])
    wanted = [s for s in starts if s.alert_id is None or (s.alert_id, s.is_fallback) not in busy]
    if not wanted:
        return []
    runs = [_new_run(tx, s) for s in wanted]
    directory = await queries.known_directory(tx)
    for run in runs:
        run.policy_name = plan_of(directory, run).name
    events: list[Event] = [
        EscalationStarted(
            actor=s.actor,
            alert_id=run.alert_id,
            incident_id=run.incident_id or run.linked_incident_id,
            run_id=run.id,
            policy_name=run.policy_name,
            why=s.why,
            is_fallback=run.is_fallback,
            is_direct=run.direct_user_id is not None,
        )
        for run, s in zip(runs, wanted, strict=True)
    ]
    await take_steps(tx, runs, directory, events=events, are_new=True)
    return runs


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
        round_started_at=tx.now,
        is_fallback=wanted.is_fallback,
        started_at=tx.now,
    )


async def take_steps(
    tx: Tx, runs: Sequence[EscalationRun], directory: Directory, *, events: list[Event], are_new: bool = False
) -> None:
    """Take the next step of each run: page its people and set the timer, wait and look again, or end the run.

    `events` is what happened before; everything is written together, new runs first. Runs that have reached nobody or
    end without an answer have the fallback asked, also one that was chosen only after they had said so.
    """
    reached = set[UUID]() if are_new else await queries.runs_that_reached(tx, [run.id for run in runs])
    asked = await _asked_otherwise(tx, runs)
    before = {} if are_new else await queries.asked_by(tx, [run.id for run in runs if run.step or run.round])
    paged: list[tuple[EscalationRun, dict[str, Any]]] = []
    loud = await _still_loud(tx, [run for run in runs if run.id not in reached], directory)
    for run in runs:
        _follow(run, directory, has_reached=run.id in reached)
        decision = _decision(
            tx,
            run,
            directory,
            has_reached=run.id in reached,
            asked=asked.get(run.id, ()),
            before=before.get(run.id, {}),
        )
        events += _about(run, decision, has_reached=run.id in reached, has_asked=run.id in before)
        if why := _take(tx, run, decision, has_reached=run.id in reached, events=events):
            loud.append((run, why))
        paged += [(run, _page_row(tx, run, user_id)) for user_id in decision.page]
    if are_new:
        await insert_rows(tx, EscalationRun, [{c: getattr(run, c) for c in _RUN_COLUMNS} for run in runs])
    await _supersede(tx, paged, are_new=are_new)
    await insert_rows(tx, Page, [page for _, page in paged])
    channels = await notifications.queue_deliveries(
        tx, [_to_reach(run, page) for run, page in paged], directory.methods, directory.rules
    )
    events += [_page_started(run, page, directory, channels[page["id"]]) for run, page in paged]
    await queue.enqueue(tx, *(_timer(run) for run in runs if run.next_step_at is not None))
    await emit(tx, *events)
    await _ask_fallback(tx, directory, loud)


def _take(tx: Tx, run: EscalationRun, decision: Decision, *, has_reached: bool, events: list[Event]) -> Why | None:
    """Put the run where the decision leads; returns why the fallback is to be asked, if it is."""
    if decision.step > 0 and (run.step == 0 or decision.round != run.round):
        run.round_started_at = tx.now
    if has_reached:
        run.unreached_since = None
    had_steps = run.step > 0
    run.step, run.round = decision.step, decision.round
    if decision.end:
        end_run(tx, run, RunState.EXHAUSTED, decision.end)
        events.append(event_of(run, EscalationExhausted, run_id=run.id, why=decision.end, is_fallback=run.is_fallback))
        return decision.end
    run.next_step_at = tx.now + decision.wait if decision.wait is not None else None
    if not has_reached and run.unreached_since is None and (had_steps or decision.nobody):
        run.unreached_since = tx.now
        why = decision.nobody or EveryMessageFailed()
        events.append(event_of(run, EscalationUnreached, run_id=run.id, why=why, is_fallback=run.is_fallback))
        return why
    return None


async def _still_loud(
    tx: Tx, unreached: Sequence[EscalationRun], directory: Directory
) -> list[tuple[EscalationRun, Why]]:
    """Return the runs that said before that they reach nobody, and for which the present fallback was never asked."""
    loud = [run for run in unreached if run.unreached_since is not None and not run.is_fallback]
    if not loud or directory.fallback is None:
        return []
    asked = await fallback_queries.asked_as_fallback(tx, directory.fallback, loud)
    return [(run, NobodyReachedYet()) for run in loud if (run.alert_id or run.incident_id) not in asked]


def _follow(run: EscalationRun, directory: Directory, *, has_reached: bool) -> None:
    """Let a run that asks the fallback, and has not reached it, ask the present one from its first step on."""
    target = directory.fallback
    if not run.is_fallback or has_reached or target is None or _is_it(run, target):
        return
    run.policy_id = target.id if target.kind == "escalation_policy" else None
    run.direct_user_id = target.id if target.kind == "user" else None
    run.policy_name = plan_of(directory, run).name
    run.step, run.round = 0, run.round + 1


async def _supersede(
    tx: Tx, paged: Sequence[tuple[EscalationRun, Mapping[str, Any]]], *, are_new: bool = False
) -> None:
    """Take back what is still being tried of earlier pages of the same people: the new page says the same.

    That is of the same run, and for the fallback of every run about the same.
    """
    since = tx.now - 2 * TRIED_FOR
    again = {(run.id, page["user_id"]) for run, page in paged}
    earlier = [] if are_new else await queries.pages_since(tx, {run_id for run_id, _ in again}, since)
    closed = [page.id for page in earlier if (page.run_id, page.user_id) in again]
    last = {(_about_what(run), page["user_id"]) for run, page in paged if run.is_fallback}
    if last:
        found = await queries.pages_about(tx, {about for about, _ in last}, since)
        closed += [id for id, about, user_id in found if (about, user_id) in last]
    await notifications.cancel_for_pages(tx, closed)


def _about_what(run: EscalationRun) -> UUID:
    return run.alert_id or run.incident_id or run.id


async def _asked_otherwise(tx: Tx, runs: Sequence[EscalationRun]) -> dict[UUID, set[UUID]]:
    """Return, for those of these runs that ask the fallback, who is asked about the same by other runs, or just was."""
    about = {_about_what(run): run.id for run in runs if run.is_fallback}
    if not about:
        return {}
    found: dict[UUID, set[UUID]] = {}
    for id, user_id in await fallback_queries.asked_about(tx, about.keys(), tx.now - USUAL_WAIT):
        found.setdefault(about[id], set()).add(user_id)
    return found


async def ask_fallback_again(tx: Tx, run: EscalationRun) -> None:
    """Ask the present fallback about a run that said before that it reaches nobody, unless it was asked already."""
    directory = await queries.known_directory(tx)
    await _ask_fallback(tx, directory, await _still_loud(tx, [run], directory))


def asks_another(run: EscalationRun, directory: Directory) -> bool:
    """Say whether this run asks a fallback that is not the present one."""
    return run.is_fallback and directory.fallback is not None and not _is_it(run, directory.fallback)


async def set_timer(tx: Tx, run: EscalationRun, at: datetime) -> None:
    """Let the run look again at this time and not when it was to."""
    run.next_step_at = at
    await queue.cancel(tx, queue.subject("run", run.id))
    await queue.enqueue(tx, _timer(run))


async def _ask_fallback(tx: Tx, directory: Directory, loud: Sequence[tuple[EscalationRun, Why]]) -> None:
    """Ask the organisation's last resort about what nobody else has answered, once for each alert or incident."""
    target = directory.fallback
    asked = [(run, why) for run, why in loud if target is not None and _asks(run, target)]
    if target is None or not asked:
        return
    # Several runs may ask for help with one incident, and all of them at once.
    about = {run.alert_id or run.incident_id: (run, why) for run, why in asked}
    incident_ids = [run.incident_id for run, _ in about.values() if run.incident_id is not None]
    busy = await fallback_queries.incidents_with_fallback(tx, incident_ids) if incident_ids else set[UUID]()
    await start(
        tx,
        [
            Start(
                content=_content_of(run),
                why=why,
                alert_id=run.alert_id,
                incident_id=run.incident_id,
                linked_incident_id=run.linked_incident_id,
                policy_id=target.id if target.kind == "escalation_policy" else None,
                user_id=target.id if target.kind == "user" else None,
                is_fallback=True,
            )
            for run, why in about.values()
            if run.incident_id not in busy
        ],
    )


def _asks(run: EscalationRun, target: PageTarget) -> bool:
    return not run.is_fallback and not _is_it(run, target)


def _is_it(run: EscalationRun, target: PageTarget) -> bool:
    return target.id in (run.policy_id, run.direct_user_id)


def _content_of(run: EscalationRun) -> PageContent:
    content: dict[str, Any] = run.content | {"urgency": Urgency(run.urgency)}
    return PageContent(**content)


def _page_started(
    run: EscalationRun, page: Mapping[str, Any], directory: Directory, channels: list[str]
) -> PageStarted:
    return event_of(
        run,
        PageStarted,
        run_id=run.id,
        page_id=page["id"],
        user_id=page["user_id"],
        user_name=directory.names[page["user_id"]],
        step=page["step"],
        round=page["round"],
        channels=channels,
        policy_name=run.policy_name,
        is_direct=run.direct_user_id is not None,
        is_fallback=run.is_fallback,
        wait_minutes=_minutes(run.next_step_at - page["paged_at"]) if run.next_step_at else None,
    )


async def what_follows(tx: Tx, run: EscalationRun, *, at_once: bool = False) -> Decision:
    """Say what the run would do next when the wait of its step is over and nobody has answered, or `at_once`.

    By what is known now: a run that has reached nobody does not end with its last step.
    """
    return (await what_follow(tx, [run], at_once=at_once))[run.id]


async def what_follow(tx: Tx, runs: Sequence[EscalationRun], *, at_once: bool = False) -> dict[UUID, Decision]:
    """Say what each of these runs would do next, see `what_follows`."""
    ids = [run.id for run in runs]
    if not ids:
        return {}
    reached = await queries.runs_that_reached(tx, ids)
    asked = await _asked_otherwise(tx, runs)
    directory = await queries.known_directory(tx)
    before = await queries.asked_by(tx, ids)
    return {
        run.id: _decision(
            tx,
            run,
            directory,
            has_reached=run.id in reached,
            asked=asked.get(run.id, ()),
            before=before.get(run.id, {}),
            at=tx.now if at_once else max(run.next_step_at or tx.now, tx.now),
        )
        for run in runs
    }


def _decision(
    tx: Tx,
    run: EscalationRun,
    known: Directory,
    *,
    has_reached: bool,
    asked: Collection[UUID],
    before: Mapping[tuple[int, int], set[UUID]],
    at: datetime | None = None,
) -> Decision:
    plan = plan_of(known, run)
    place = Place(run.step, run.round, (at or tx.now) - run.round_started_at, has_reached)
    in_round = {id for (round, _), ids in before.items() if round == run.round for id in ids}
    return decide(
        plan,
        placed(plan, place, before.get((run.round, run.step), set()), in_round),
        urgency=Urgency(run.urgency),
        reachable=known.methods.keys(),
        names=known.names,
        asked=asked,
    )


def _minutes(wait: timedelta) -> int:
    return round(wait.total_seconds() / 60)


_RUN_COLUMNS = tuple(column.key for column in EscalationRun.__table__.columns)


def plan_of(directory: Directory, run: EscalationRun) -> Plan:
    if run.direct_user_id is not None:
        name = directory.names.get(run.direct_user_id, run.policy_name)
        return Plan(name=name, repeat=0, steps=(Step((run.direct_user_id,), USUAL_WAIT),), is_direct=True)
    if run.policy_id is not None and run.policy_id in directory.plans:
        return directory.plans[run.policy_id]
    return Plan(name=run.policy_name, repeat=0, steps=())


def _about(run: EscalationRun, decision: Decision, *, has_reached: bool, has_asked: bool) -> list[Event]:
    # What was found once is not told again with every look: the run goes on as long as nobody was reached.
    if decision.nobody and run.unreached_since is not None:
        return []
    events: list[Event] = []
    known: dict[str, Any] = {"run_id": run.id, "has_reached": has_reached, "has_asked": has_asked}
    for skipped in decision.skipped:
        if skipped.round > run.round and not any(isinstance(e, EscalationRepeated) for e in events):
            events.append(event_of(run, EscalationRepeated, round=skipped.round, **known))
        events.append(event_of(run, EscalationStepSkipped, run_id=run.id, step=skipped.step, why=skipped.why))
    # Also after the wait between two rounds, in which the run stands before the first step of the next one.
    begins = decision.step > 0 and (decision.round > run.round or (run.step == 0 and run.round > 0))
    if begins and not any(isinstance(e, EscalationRepeated) for e in events):
        events.append(event_of(run, EscalationRepeated, round=decision.round, **known))
    return events


def event_of(run: EscalationRun, kind: type[E], *, actor: ActorRef = SYSTEM, **fields: Any) -> E:
    return kind(actor=actor, alert_id=run.alert_id, incident_id=run.incident_id or run.linked_incident_id, **fields)


def _page_row(tx: Tx, run: EscalationRun, user_id: UUID) -> dict[str, Any]:
    return {
        "id": new_id(),
        "run_id": run.id,
        "alert_id": run.alert_id,
        "incident_id": run.incident_id,
        "user_id": user_id,
        "step": run.step,
        "round": run.round,
        "state": PageState.PAGING,
        "why": write(_why_them(run)),
        "paged_at": tx.now,
    }


def _why_them(run: EscalationRun) -> Why:
    direct = run.direct_user_id is not None
    return paged_by(run.policy_name, step=run.step, round=run.round, direct=direct, fallback=run.is_fallback)


def _to_reach(run: EscalationRun, page: Mapping[str, Any]) -> notifications.ToReach:
    # A message says at the moment why it is them, and is final then.
    reason = _after(run.content.get("request", ""), said_to_them(_why_them(run)))
    return notifications.ToReach(
        page_id=page["id"],
        user_id=page["user_id"],
        urgency=Urgency(run.urgency),
        content=run.content | {"reason": reason},
        wait=run.next_step_at - page["paged_at"] if run.next_step_at is not None else None,
        alert_id=run.alert_id,
        incident_id=run.incident_id,
    )


def _after(request: str, reason: str) -> str:
    """Put what somebody who asks for help says before why it is this person."""
    if not request:
        return reason
    return f"{request if request.endswith(('.', '!', '?')) else f'{request}.'} {reason}"


def _timer(run: EscalationRun) -> NewJob:
    return ADVANCE.job(
        StepIsOver(run.id, run.step, run.round),
        due=run.next_step_at,
        key=queue.subject("run", run.id),
        dedup=f"run:{run.id}:{run.round}:{run.step}",
    )


def end_run(tx: Tx, run: EscalationRun, state: RunState, why: Why) -> None:
    run.state, run.ended_at, run.end_why, run.next_step_at = state, tx.now, write(why), None
