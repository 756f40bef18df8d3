"""The last resort when people who were asked for help with an incident cannot be reached or do not answer."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from tests.world import World, minutes
from tocsin.events import log
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.kit.errors import OutsideFailure, Refused
from tocsin.notifications import service as notifications
from tocsin.oncall import queries, service
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import Page, PageState, RunState

NO = Refused("550 not now", answered=True)


async def set_fallback(world: World, person: User) -> None:
    async with world.db.begin() as tx:
        await service.set_fallback(tx, world.root, PageTarget("user", person.id))


async def ask(world: World, who: User, *whom: User) -> Incident:
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(who), title="Checkout is down")
        targets = [PageTarget("user", person.id) for person in whom]
        await incidents.page(tx, world.actor(who), incident.id, targets)
    await world.settle()
    return incident


async def last_page_of(world: World, person: User) -> UUID:
    async with world.db.begin() as tx:
        newest = select(Page.id).where(Page.user_id == person.id).order_by(Page.id.desc()).limit(1)
        return (await tx.session.scalars(newest)).one()


async def state_of_page(world: World, person: User) -> str:
    page_id = await last_page_of(world, person)
    async with world.db.begin() as tx:
        return (await queries.page(tx, page_id)).state


async def answer(world: World, person: User) -> None:
    page_id = await last_page_of(world, person)
    async with world.db.begin() as tx:
        await incidents.answer_page(tx, world.actor(person), page_id)


async def runs_of_fallback(world: World, incident: Incident) -> list[str]:
    async with world.db.begin() as tx:
        return [run.state for run in await queries.runs_of(tx, incident_id=incident.id) if run.is_fallback]


async def test_the_fallback_is_asked_once_for_all_who_cannot_be_reached(world: World) -> None:
    """F136: one incident, one call for the last resort, also when several people were asked at once."""
    ada, eve = await world.people("ada", "eve")
    bob, cyd = await world.person("bob", reachable=False), await world.person("cyd", reachable=False)
    await set_fallback(world, eve)
    incident = await ask(world, ada, bob, cyd)
    assert len(world.mail.to(eve)) == 1
    assert await runs_of_fallback(world, incident) == [RunState.RUNNING]


@pytest.mark.parametrize("down", [None, NO], ids=["unanswered", "unreached"])
async def test_the_fallback_is_left_in_peace_when_whoever_was_asked_answers(
    world: World, down: OutsideFailure | None
) -> None:
    """F029, F136: also when the answer comes after the escalation has ended."""
    ada, bob, eve = await world.people("ada", "bob", "eve")
    await set_fallback(world, eve)
    world.mail.down = down
    incident = await ask(world, ada, bob)
    await world.let_pass(minutes(6))
    assert await runs_of_fallback(world, incident) == [RunState.RUNNING]
    await answer(world, bob)
    assert await runs_of_fallback(world, incident) == [RunState.ANSWERED]
    world.mail.down = None
    before = len(world.mail.sent)
    await world.let_pass(minutes(30))
    assert len(world.mail.sent) == before


async def test_the_fallback_stands_in_for_whoever_has_not_answered_yet(world: World) -> None:
    """F136: two were asked and neither answered; one of them alone does not take the other's call away."""
    ada, bob, cyd, eve = await world.people("ada", "bob", "cyd", "eve")
    await set_fallback(world, eve)
    incident = await ask(world, ada, bob, cyd)
    await world.let_pass(minutes(6))
    assert len(world.mail.to(eve)) == 1
    await answer(world, bob)
    assert await runs_of_fallback(world, incident) == [RunState.RUNNING]
    await answer(world, cyd)
    assert await runs_of_fallback(world, incident) == [RunState.ANSWERED]


async def test_a_late_answer_counts_once_and_the_escalation_stays_as_it_ended(world: World) -> None:
    """F029: the page says acknowledged, as its person does; nothing of it changes once the incident is over."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await ask(world, ada, bob, cyd)
    await world.let_pass(minutes(6))
    for _ in range(2):
        await answer(world, bob)
    assert await state_of_page(world, bob) == PageState.ACKNOWLEDGED
    async with world.db.begin() as tx:
        assert {run.state for run in await queries.runs_of(tx, incident_id=incident.id)} == {RunState.EXHAUSTED}
        told = [event.name for event in await log.newest_first(tx, incident_id=incident.id)]
    assert told.count("page.acknowledged") == 1
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(ada), incident.id, "Done.")
    await answer(world, cyd)
    assert await state_of_page(world, cyd) == PageState.NO_ANSWER


async def test_the_last_resort_is_the_last_also_when_another_one_is_chosen_meanwhile(world: World) -> None:
    """F136: the one who was chosen later is asked about what comes later."""
    ada, bob, cyd, eve = await world.people("ada", "bob", "cyd", "eve")
    await set_fallback(world, eve)
    await ask(world, ada, bob)
    await world.let_pass(minutes(6))
    await set_fallback(world, cyd)
    await world.let_pass(minutes(20))
    assert (len(world.mail.to(eve)), len(world.mail.to(cyd))) == (1, 0)


async def test_what_the_fallback_answers_ends_the_call_that_reached_nobody(world: World) -> None:
    """F136: the last resort answers for whoever could not be reached."""
    ada, eve = await world.people("ada", "eve")
    bob = await world.person("bob", reachable=False)
    await set_fallback(world, eve)
    incident = await ask(world, ada, bob)
    await answer(world, eve)
    async with world.db.begin() as tx:
        states = {run.is_fallback: run.state for run in await queries.runs_of(tx, incident_id=incident.id)}
    assert states == {True: RunState.ANSWERED, False: RunState.ANSWERED}


@pytest.mark.parametrize("is_late", [False, True])
async def test_nothing_of_a_page_goes_out_after_its_answer(world: World, is_late: bool) -> None:
    """F029: one method got through and was answered, in time or not; the other one is not tried any more."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=bob.id, kind="webhook", address=bob.email
        )
    world.hook.down = NO
    await ask(world, ada, bob)
    await world.let_pass(minutes(6 if is_late else 2))
    assert len(world.mail.to(bob)) == 1
    await answer(world, bob)
    world.hook.down = None
    await world.let_pass(minutes(10))
    assert world.hook.to(bob) == []


@pytest.mark.parametrize("down", [None, NO], ids=["reached", "unreached"])
async def test_nothing_of_an_earlier_round_pages_after_a_reopening(world: World, down: OutsideFailure | None) -> None:
    """F036: neither a timer, nor a message that is still tried, nor the fallback outlives the end of its round."""
    ada, bob, eve = await world.people("ada", "bob", "eve")
    await set_fallback(world, eve)
    world.mail.down = down
    incident = await ask(world, ada, bob)
    await world.let_pass(minutes(2))
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(ada), incident.id, "Done.")
    async with world.db.begin() as tx:
        await incidents.reopen(tx, world.actor(ada), incident.id, "It is back.")
    world.mail.down = None
    before = len(world.mail.sent)
    await world.let_pass(minutes(60))
    assert len(world.mail.sent) == before


@pytest.mark.parametrize("last", ["person", "policy"])
async def test_who_asked_for_help_is_the_last_resort_as_anybody_else(world: World, last: str) -> None:
    """F136: they may not know that nobody came; and somebody else may want help meanwhile, with the same incident."""
    ada, bob, cyd, dan = await world.people("ada", "bob", "cyd", "dan")
    if last == "person":
        await set_fallback(world, ada)
    else:
        policy = await world.policy([ada], name="Last")
        async with world.db.begin() as tx:
            await service.set_fallback(tx, world.root, PageTarget("escalation_policy", policy.id))
    await ask(world, ada, bob)
    await ask(world, cyd, dan)
    await world.let_pass(minutes(60))
    assert len(world.mail.to(bob)) == len(world.mail.to(dan)) == 1
    assert ["last resort" in message.reason for message in world.mail.to(ada)][:1] == [True]
