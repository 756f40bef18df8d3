"""Who is asked now, by what, and who is asked next: what pages and the API say of paging that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.facts import Why, paged_by
from tocsin.oncall import queries
from tocsin.oncall.model import EscalationRun, PageState, RunState
from tocsin.oncall.service.steps import what_follows


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody who is asked now and has not answered."""

    user_id: UUID
    name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Going:
    """An escalation that goes on: whom it asks now and why, until when it waits, and whom it asks then.

    `asked` is empty while nobody can be reached and it looks again; `next_at` is None where nothing follows by itself.
    `then` is empty when nobody else is asked after it.
    """

    run_id: UUID
    why: Why
    asked: tuple[Asked, ...]
    next_at: datetime | None
    then: tuple[tuple[UUID, str], ...]


async def going(tx: Tx, runs: Sequence[EscalationRun]) -> list[Going]:
    """Return those of these escalations that go on, the oldest first."""
    running = sorted((run for run in runs if run.state == RunState.RUNNING), key=lambda run: run.id)
    if not running:
        return []
    pages = [(page, name) for page, name in await queries.pages_of_runs(tx, running) if page.state == PageState.PAGING]
    names = (await queries.known_directory(tx)).names
    found: list[Going] = []
    for run in running:
        asked = [Asked(page.user_id, name, page.paged_at) for page, name in pages if page.run_id == run.id]
        follows = await what_follows(tx, run) if run.next_step_at is not None else None
        direct = run.direct_user_id is not None
        found.append(
            Going(
                run_id=run.id,
                why=paged_by(run.policy_name, step=run.step, round=run.round, direct=direct, fallback=run.is_fallback),
                asked=tuple(sorted(asked, key=lambda each: (each.since, each.name))),
                next_at=run.next_step_at,
                then=tuple((id, names.get(id, "")) for id in follows.page) if follows is not None else (),
            )
        )
    return found
