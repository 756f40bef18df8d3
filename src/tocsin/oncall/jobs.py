"""Timers and reactions of paging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.configuration import (
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
    ContactMethodRecovered,
)
from tocsin.events.oncall import EscalationExhausted, EscalationUnreached, PageAttemptFailed, PageFailed
from tocsin.events.reactions import Reaction, on
from tocsin.jobs.clockwatch import Waits
from tocsin.jobs.kinds import Run, in_one, in_several, soon
from tocsin.oncall import service, waking_queries
from tocsin.oncall.service import ADVANCE, MATTERS, StepIsOver

Changed = ConfigurationCreated | ConfigurationChanged | ConfigurationDeleted | ContactMethodRecovered

GIVE_UP_ON_PAGE = Reaction("oncall.give_up_on_page", PageFailed, lane="page", retry_after=soon)
TRY_OTHER_WAYS = Reaction("oncall.try_other_ways", PageAttemptFailed, lane="page", retry_after=soon)
LOOK_AGAIN = Reaction(
    "oncall.look_again",
    ConfigurationCreated,
    ConfigurationChanged,
    ConfigurationDeleted,
    ContactMethodRecovered,
    lane="page",
    retry_after=soon,
)
COUNT_IN_VAIN = Reaction("oncall.count_in_vain", EscalationUnreached, EscalationExhausted)


@dataclass(frozen=True, slots=True)
class InVain:
    """Counts escalations that reached nobody, or that nobody answered, for the figures of this process."""

    count: Callable[[str], None]


async def advance(tx: Tx, timer: StepIsOver) -> datetime | None:
    """The wait of a step is over: go on, unless the run has moved or ended since the timer was set.

    When the people of the step were reached late, the timer is put off.
    """
    return await service.advance(tx, timer.run_id, step=timer.step, round=timer.round)


async def give_up_on_page(tx: Tx, event: PageFailed) -> None:
    """React to a message that was given up.

    May run twice: only a page that still waits for its answer changes.
    """
    if event.page_id is not None:
        await service.give_up_on_page(tx, event.page_id)


async def try_other_ways(tx: Tx, event: PageAttemptFailed) -> None:
    """React to a failed attempt: the second one, or a refusal, has the person's other methods tried at once.

    May run twice: each contact method gets one message of a page.
    """
    if event.page_id is not None and (event.refused or event.attempt > 1):
        await service.try_other_ways(tx, event.page_id)


async def look_again(run: Run, event: Changed) -> datetime | None:
    """React to a change of the configuration: what waits though somebody could be asked by now goes on.

    May run twice, and comes back for what was looked at a moment ago. Each run is looked at by itself.
    """
    runs, pages = await _concerned(run, event)
    later: list[datetime | None] = []
    for page_id in pages:
        async with run.begin() as tx:
            later.append(await service.use_new_way(tx, page_id))
    for run_id in runs:
        async with run.begin() as tx:
            later.append(await service.look_again(tx, run_id))
    return max((at for at in later if at is not None), default=None)


async def _concerned(run: Run, event: Changed) -> tuple[list[UUID], list[UUID]]:
    """Return the runs and the pages that the change may matter to; none where a later change of the same waits."""
    async with run.db.look() as tx:
        if await waking_queries.comes_again(tx, run.job, event.name, event.kind, event.id):
            return [], []
        if isinstance(event, ConfigurationDeleted):
            return [], await waking_queries.pages_without_method(tx)
        if isinstance(event, ContactMethodRecovered):
            return await waking_queries.waiting_for_origin(tx, event.id), []
        runs = await waking_queries.waiting_to_reach(tx, event.kind, event.id)
        return runs, await waking_queries.pages_of_method(tx, event.id) if event.kind == "contact_method" else []


async def count_in_vain(_tx: Tx, event: EscalationUnreached | EscalationExhausted, in_vain: InVain) -> None:
    """React to an escalation that reaches nobody, or that nobody answered: count it for the figures of this process.

    May run twice: a figure that is one too high for a while is better than none.
    """
    in_vain.count("unreached" if isinstance(event, EscalationUnreached) else "unanswered")


JOBS = (
    in_one(ADVANCE, advance),
    in_one(GIVE_UP_ON_PAGE, give_up_on_page),
    in_one(TRY_OTHER_WAYS, try_other_ways),
    in_several(LOOK_AGAIN, look_again),
    in_one(COUNT_IN_VAIN, count_in_vain, needs=InVain),
)
REACTIONS = (
    on(PageFailed, GIVE_UP_ON_PAGE),
    on(PageAttemptFailed, TRY_OTHER_WAYS),
    on(ConfigurationCreated, LOOK_AGAIN, when=lambda event: event.kind in MATTERS),
    on(ConfigurationChanged, LOOK_AGAIN, when=lambda event: event.kind in MATTERS),
    on(ConfigurationDeleted, LOOK_AGAIN, when=lambda event: event.kind == "contact_method"),
    on(ContactMethodRecovered, LOOK_AGAIN),
    on(EscalationUnreached, COUNT_IN_VAIN),
    on(EscalationExhausted, COUNT_IN_VAIN),
)
WAITS = (
    Waits("escalation_run", ("next_step_at", "round_started_at", "unreached_since"), "state = 'running'"),
    # The time to answer counts from here.
    Waits("page", ("paged_at",), "state = 'paging'"),
)
