"""The last resort of an incident when two ask for it in the same instant, each for a call for help of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.races import Act, act, behind
from tests.use_cases.test_fallback_of_incidents import ask, last_page_of, runs_of_fallback, set_fallback
from tests.world import World, minutes
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.oncall import queries, service
from tocsin.oncall.model import RunState


async def timer_of(world: World, person: User) -> Act:
    """What the timer of the call for this person does when it is due."""
    page_id = await last_page_of(world, person)
    async with world.db.begin() as tx:
        run = await queries.run(tx, (await queries.page(tx, page_id)).run_id)
    return lambda tx: service.advance(tx, run.id, step=run.step, round=run.round)


async def decline_of(world: World, person: User) -> Act:
    page_id = await last_page_of(world, person)
    return lambda tx: incidents.decline_page(tx, world.actor(person), page_id)


@pytest.mark.parametrize("order", ["timer first", "decline first", "two timers"])
async def test_two_who_ask_the_last_resort_at_once_ask_it_once(world: World, order: str) -> None:
    """F054, F136, G04: the second waits, finds that it is being asked, and what it did itself counts all the same."""
    ada, bob, cyd, eve = await world.people("ada", "bob", "cyd", "eve")
    await set_fallback(world, eve)
    incident = await ask(world, ada, bob, cyd)
    acts: list[Any] = [
        await timer_of(world, bob),
        await (timer_of if order == "two timers" else decline_of)(world, cyd),
    ]
    await world.pass_time(minutes(5.5), settle=False)
    first, second = reversed(acts) if order == "decline first" else acts
    await behind(world.db, first, act(world, second))
    await world.settle()
    async with world.db.begin() as tx:
        runs = await queries.runs_of(tx, incident_id=incident.id)
    assert [run.state for run in runs if not run.is_fallback] == [RunState.EXHAUSTED] * 2
    assert await runs_of_fallback(world, incident) == [RunState.RUNNING]
    assert len(world.mail.to(eve)) == 1
