"""Looking at runs again because the configuration has changed, so that none of them waits for what is there by now.

A run waits for its next step, for a day at most. Meanwhile somebody may get a contact method, another fallback may be
chosen, or the policy may ask for another wait.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import SYSTEM
from tocsin.events.facts import ConfigurationHasChanged
from tocsin.notifications import queries as contact
from tocsin.notifications.model import UNDER_WAY, DeliveryState, Urgency
from tocsin.oncall import queries
from tocsin.oncall.escalation import can_reach
from tocsin.oncall.model import EscalationRun, RunState
from tocsin.oncall.service.answers import try_other_ways
from tocsin.oncall.service.runs import LEAST_ROUND, pass_on
from tocsin.oncall.service.steps import ask_fallback_again, asks_another, plan_of, set_timer

# A change of these may let a run reach somebody whom it could not reach.
MATTERS = frozenset({"contact_method", "user", "escalation_policy", "fallback_target"})

# A message that has not been tried so long after its time waits for an origin that does not answer.
SOON = timedelta(minutes=1)


async def look_again(tx: Tx, run_id: UUID) -> datetime | None:
    """Go on at once with a run that waits though it could ask somebody; returns when to come back, if it is too early.

    Only a run that has reached nobody is moved on, at most once a minute, so that its people are not rung with every
    change. A step whose wait was shortened ends when it would have ended.
    """
    run = await queries.lock_run(tx, run_id)
    if run.state != RunState.RUNNING:
        return None
    directory = await queries.known_directory(tx)
    if run.id in await queries.runs_that_reached(tx, [run.id]):
        await _shorten(tx, run)
        return None
    asks_nobody = run.step == 0 and can_reach(plan_of(directory, run), directory.methods.keys())
    if asks_nobody or asks_another(run, directory):
        if (until := run.round_started_at + LEAST_ROUND) > tx.now:
            return until
        await pass_on(tx, run, SYSTEM, ConfigurationHasChanged())
        return None
    await _shorten(tx, run)
    await ask_fallback_again(tx, run)
    return None


async def _shorten(tx: Tx, run: EscalationRun) -> None:
    """Let the wait of the present step end earlier, if its policy says so by now."""
    plan = plan_of(await queries.known_directory(tx), run)
    if run.next_step_at is None or run.urgency != Urgency.HIGH or run.step > len(plan.steps):
        return
    until = run.round_started_at + plan.first_wait
    if run.step and (here := await queries.pages_of_step(tx, run)):
        late = await contact.lateness(tx, [page.id for page in here])
        wait = plan.steps[run.step - 1].wait
        until = min(page.paged_at for page in here) + wait + min(late.values(), default=timedelta())
    if until < run.next_step_at:
        await set_timer(tx, run, max(until, tx.now))


async def use_new_way(tx: Tx, page_id: UUID) -> datetime | None:
    """Send a page also on what its person has got since, if what they had before does not deliver.

    Neither does an address that is theirs no longer, whoever has taken the message there. While a message is on its way
    to one, the time to come back is returned.
    """
    await queries.lock_run(tx, (await queries.page(tx, page_id)).run_id)
    here = await contact.deliveries_of_page(tx, page_id)
    astray = await contact.astray(tx, [delivery.id for delivery in here])
    is_failing = any(d.attempt > 1 or d.refusals > 0 or (not d.attempt and tx.now - d.wanted_at > SOON) for d in here)
    if is_failing or any(d.id in astray and d.state not in UNDER_WAY for d in here):
        await try_other_ways(tx, page_id)
    on_their_way = [d.unsure_until for d in here if d.id in astray and d.state == DeliveryState.SENDING]
    return max((at for at in on_their_way if at is not None), default=None)
