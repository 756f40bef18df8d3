"""Whether work gets done: the store answers and takes writes, the schema fits, and every lane is asked for work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.db import migrate
from tocsin.db.errors import STORE_ERRORS
from tocsin.edge.context import Context
from tocsin.jobs import queue
from tocsin.jobs.queue import LANES
from tocsin.jobs.worker import SILENT_AFTER, workers_alive

_WITHIN = 3.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane of the queue; times in seconds, None what cannot be said: no worker here, or no answer from the store."""

    lane: str
    last_claim_ago: float | None
    due: int | None
    oldest_due_for: float | None


@dataclass(slots=True)
class Readiness:
    """The checks by name, a sentence for each thing that is wrong, and the lanes.

    What `warnings` tell is wrong elsewhere: this process does its own part, and taking it away would mend nothing.
    """

    checks: dict[str, bool] = field(
        default_factory=lambda: dict.fromkeys(("database", "writable", "schema", "worker"), False)
    )
    problems: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    lanes: list[Lane] = field(default_factory=list[Lane])

    @property
    def is_ready(self) -> bool:
        return not self.problems

    def check(self, name: str, holds: bool, otherwise: str) -> None:
        """Note the outcome of a check, and the sentence for whoever has to mend it."""
        self.checks[name] = holds
        if not holds:
            self.problems.append(otherwise)


async def examine(context: Context) -> Readiness:
    """Look at everything that work depends on; takes a few seconds at most."""
    found = Readiness()
    waiting: Mapping[str, tuple[int, float]] = {}
    alive_elsewhere: bool | None = None
    try:
        async with asyncio.timeout(_WITHIN):
            have = await migrate.current(context.db)
            # A later version may have upgraded the database; this one goes on until it is replaced.
            fits = have == migrate.newest() or migrate.is_ahead(have)
            found.checks["database"] = True
            found.check("schema", fits, "The database schema is not the one this program needs. Run `tocsin migrate`.")
            trouble = await context.db.find_trouble()
            found.check("writable", trouble is None, trouble or "")
            async with context.db.look() as tx:
                waiting = await queue.waiting(tx)
            # Without locks a worker elsewhere cannot be seen from here, so it is not held against this process.
            alive_elsewhere = not context.settings.worker_locks or await workers_alive(context.db.pool) > 0
    except STORE_ERRORS:
        # A database that is there and takes nothing is told apart from one that is away.
        trouble = context.db.condition.trouble
        found.check("database", False, trouble or "The database does not answer.")
    silent_for = context.lanes_silent_for()
    _check_worker(found, silent_for, alive_elsewhere)
    found.lanes = [_lane(name, silent_for, waiting) for name in LANES]
    return found


def _check_worker(found: Readiness, silent_for: Mapping[str, float] | None, alive_elsewhere: bool | None) -> None:
    if silent_for is None:
        # A process that only serves takes alerts in and shows pages without one: a load balancer must not turn
        # senders away because the workers are gone.
        if alive_elsewhere is not None:
            found.checks["worker"] = alive_elsewhere
        if alive_elsewhere is False:
            found.warnings.append("No worker is alive, so nobody is paged. Run `tocsin worker`.")
        return
    silent = {lane: seconds for lane, seconds in silent_for.items() if seconds >= SILENT_AFTER}
    found.checks["worker"] = not silent
    for lane, seconds in silent.items():
        found.problems.append(f"The worker could not ask for work in the lane {lane} for {seconds:.0f} s.")


def _lane(name: str, silent_for: Mapping[str, float] | None, waiting: Mapping[str, tuple[int, float]]) -> Lane:
    number, age = waiting.get(name, (None, None))
    ago = None if silent_for is None else round(silent_for[name], 1)
    return Lane(name, ago, number, None if age is None else round(age, 1))
