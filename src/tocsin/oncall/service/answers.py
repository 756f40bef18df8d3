"""What people do about pages: ask for help, answer, decline, pass on; and what happens when a page gets nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.facts import (
    Acknowledged,
    AskedForHelp,
    AskedForNextStep,
    Declined,
    MessagesFailed,
    StepReachedNobody,
    SwitchedOff,
    Why,
)
from tocsin.events.log import emit
from tocsin.events.oncall import (
    PageDeclined,
    PageUnreachable,
)
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.kit.errors import Conflict, Invalid
from tocsin.notifications import other_ways
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.model import GIVEN_UP
from tocsin.oncall import queries
from tocsin.oncall.escalation import PageContent, PageTarget
from tocsin.oncall.model import (
    EscalationRun,
    Page,
    PageState,
    RunState,
)
from tocsin.oncall.service.runs import (
    finish_runs,
    go_on_if_nobody_is_left,
    mark_answered,
    pass_on,
    take_back,
)
from tocsin.oncall.service.steps import Start, event_of, start, what_follows


async def page(
    tx: Tx,
    who: Actor,
    *,
    incident_id: UUID,
    content: PageContent,
    targets: Sequence[PageTarget],
    message: str = "",
) -> list[EscalationRun]:
    """Page people or policies about an incident: one run per target, each answered on its own.

    As for all that is here, the caller has checked that the actor may.
    """
    if not targets:
        raise Invalid("targets", "Say whom to page.")
    starts: list[Start] = []
    for target in targets:
        if target.kind == "user":
            await identity.user(tx, target.id)
        else:
            await queries.policy(tx, target.id)
        starts.append(
            Start(
                content=content,
                why=AskedForHelp(who.name, message),
                incident_id=incident_id,
                user_id=target.id if target.kind == "user" else None,
                policy_id=target.id if target.kind != "user" else None,
                actor=who.ref,
            )
        )
    return await start(tx, starts)


async def escalate_run(tx: Tx, who: Actor, run_id: UUID, *, seen: tuple[int, int] | None = None) -> EscalationRun:
    """Go on to the next step now, because somebody whom the run paged or who may page others asks for it.

    Raises `Conflict` where nobody else would be paged now: after the last step that would end the run, before another
    round it would have to wait, and nobody would be asked meanwhile. Each time goes one step further, so whoever has
    looked says at which round and step the run was (`seen`): once it has gone on from there, nothing happens.
    """
    run = await queries.lock_run(tx, run_id)
    if run.state != RunState.RUNNING:
        raise Conflict("This escalation has ended already.", code="escalation.ended")
    if seen is not None and seen != (run.round, run.step):
        return run
    if not (await what_follows(tx, run, at_once=True)).page:
        asked = {page.user_id for page in await queries.open_pages(tx, [run.id])}
        still = "You are still being paged." if who.user_id in asked else "Whoever is being paged still is."
        raise Conflict(f"There is no next step, so nobody else can be paged now. {still}", code="escalation.last_step")
    await pass_on(tx, run, who.ref, AskedForNextStep(who.name))
    return run


async def give_up_on_page(tx: Tx, page_id: UUID) -> None:
    """Note that a page did not reach its person; go on at once when nobody else on the step is being asked.

    May be called twice: only a page that is still waiting for its answer changes.
    """
    run, page = await _lock_page(tx, page_id)
    if page.state != PageState.PAGING or await _pass_on_if_gone(tx, run, page):
        return
    # The message may be the first one that failed, as at an address that is none.
    await other_ways.try_other_ways(tx, page_id)
    if all(state in GIVEN_UP for state in await contact.states_of_page(tx, page_id)):
        await _set_unreachable(tx, run, page, MessagesFailed())
        await go_on_if_nobody_is_left(tx, run, StepReachedNobody())


async def pass_on_if_gone(tx: Tx, page_id: UUID) -> None:
    """Go on as if the person were unreachable, when their account has been switched off; others keep their time."""
    run, page = await _lock_page(tx, page_id)
    if page.state == PageState.PAGING:
        await _pass_on_if_gone(tx, run, page)


async def _pass_on_if_gone(tx: Tx, run: EscalationRun, page: Page) -> bool:
    name, is_active = (await queries.people(tx, [page.user_id]))[page.user_id]
    if not is_active:
        await _set_unreachable(tx, run, page, SwitchedOff(name))
        await go_on_if_nobody_is_left(tx, run, SwitchedOff(name))
    return not is_active


async def _lock_page(tx: Tx, page_id: UUID) -> tuple[EscalationRun, Page]:
    page = await queries.page(tx, page_id)
    run = await queries.lock_run(tx, page.run_id)
    await tx.session.refresh(page)
    return run, page


async def _set_unreachable(tx: Tx, run: EscalationRun, page: Page, why: Why) -> None:
    page.state = PageState.UNREACHABLE
    name = (await queries.people(tx, [page.user_id]))[page.user_id][0]
    await notifications.cancel_for_pages(tx, [page.id])
    await emit(tx, event_of(run, PageUnreachable, page_id=page.id, user_id=page.user_id, user_name=name, why=why))


async def try_other_ways(tx: Tx, page_id: UUID) -> None:
    """A message of a page failed and is tried again: meanwhile use what else the person has, while they are asked.

    May be called twice: each contact method gets one message of a page.
    """
    run, page = await _lock_page(tx, page_id)
    if run.state == RunState.RUNNING and page.state == PageState.PAGING:
        await other_ways.try_other_ways(tx, page_id)


async def answer_page(tx: Tx, who: Actor, page_id: UUID, channel: str = "", *, is_wanted: bool = False) -> Page:
    """Acknowledge one page and end its run. A second answer changes nothing and returns what happened first.

    Nor does one after the end, unless an answer is still wanted (`is_wanted`) and the run ended for want of one: what
    it still tries to send is taken back then, and it stays a run that nobody answered.
    """
    page = await queries.page(tx, page_id)
    run = await queries.lock_run(tx, page.run_id)
    await identity.must_stay_active(tx, who.user_id)
    await tx.session.refresh(page)
    is_late = is_wanted and run.state == RunState.EXHAUSTED
    if page.state == PageState.ACKNOWLEDGED or not (run.state == RunState.RUNNING or is_late):
        return page
    await mark_answered(tx, who, run, page, channel)
    if is_late:
        await take_back(tx, run)
    else:
        await finish_runs(tx, [run], RunState.ANSWERED, Acknowledged(who.name), actor=who.ref)
    if run.incident_id is not None:
        await _end_stand_ins(tx, who, run, run.incident_id)
    return page


async def _end_stand_ins(tx: Tx, who: Actor, answered: EscalationRun, incident_id: UUID) -> None:
    """End what an answer about an incident makes needless, as its runs are answered one by one.

    The fallback answers for all that reached nobody or went unanswered, and is itself not asked any more once none of
    these is left. The caller has locked the incident, so nobody else locks several of its runs.
    """
    running = await queries.lock_running(tx, incident_id=incident_id)
    ended = [r for r in await queries.runs_of(tx, incident_id=incident_id) if r.state == RunState.EXHAUSTED]
    heard = {page.run_id for page, _ in await queries.pages_of_runs(tx, ended) if page.state == PageState.ACKNOWLEDGED}
    unheard = [r for r in ended if r.id not in heard and not r.is_fallback]
    unreached = [r for r in running if r.unreached_since is not None and not r.is_fallback]
    needless = unreached
    if answered.is_fallback:
        for run in unheard:
            await take_back(tx, run)
    else:
        needless = [] if unheard or unreached else [r for r in running if r.is_fallback]
    if needless:
        await finish_runs(tx, needless, RunState.ANSWERED, Acknowledged(who.name), actor=who.ref)


async def decline_page(tx: Tx, who: Actor, page_id: UUID) -> Page:
    """Say that one cannot take it; when nobody else on the step is being asked, the next step follows at once."""
    page = await queries.page(tx, page_id)
    run = await queries.lock_run(tx, page.run_id)
    await tx.session.refresh(page)
    if page.state != PageState.PAGING:
        return page
    page.state, page.answered_at = PageState.DECLINED, tx.now
    await notifications.cancel_for_pages(tx, [page.id])
    await emit(
        tx,
        event_of(run, PageDeclined, actor=who.ref, page_id=page.id, user_id=page.user_id, user_name=who.name),
    )
    await go_on_if_nobody_is_left(tx, run, Declined(who.name))
    return page
