"""The last resort of the organisation, for alerts that nobody answers: whom it wakes, and whom not twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.kit.errors import OutsideFailure, Refused
from tocsin.notifications.channels.base import PageMessage
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget

NO = Refused("550 no such user", answered=True)


async def set_fallback(world: World, person: User) -> None:
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("user", person.id))


@pytest.mark.parametrize("failure", [None, NO], ids=["unanswered", "unreached"])
async def test_the_fallback_is_asked_once_when_nobody_answers(world: World, failure: OutsideFailure | None) -> None:
    """F054, F136: somebody is the last resort, and whoever takes it ends it for all."""
    ada, bob = await world.people("ada", "bob")
    await set_fallback(world, bob)
    await world.route(await world.policy([ada], wait=minutes(5)))
    send = world.mail.send

    async def only_bob(address: str, message: PageMessage, *, within: float = 15.0) -> Any:
        if failure is not None and address == ada.email:
            raise failure
        return await send(address, message, within=within)

    world.mail.send = only_bob
    alert = await world.alert()
    await world.let_pass(minutes(4))
    assert world.mail.to(bob) == []
    await world.let_pass(minutes(2))
    assert [message.reason for message in world.mail.to(bob)] == [
        "You are the last resort: nobody else answered or could be reached"
    ]
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(bob), alert.id)
    before = len(world.mail.sent)
    await world.let_pass(minutes(30))
    assert len(world.mail.sent) == before
    async with world.db.begin() as tx:
        assert all(run.state != "running" for run in await oncall_queries.runs_of(tx, alert_ids=[alert.id]))


async def test_a_fallback_that_does_not_answer_calls_no_further_fallback(world: World) -> None:
    """F136: the last resort is the last."""
    ada, bob = await world.people("ada", "bob")
    await set_fallback(world, bob)
    await world.route(await world.policy([ada], wait=minutes(5)))
    alert = await world.alert()
    await world.let_pass(minutes(60))
    assert len(world.mail.to(bob)) == 1
    assert (await world.history(alert)).count("escalation.exhausted") == 2


@pytest.mark.parametrize("failure", [None, NO], ids=["unanswered", "unreached"])
async def test_a_policy_that_is_the_last_resort_itself_is_not_asked_a_second_time(
    world: World, failure: OutsideFailure | None
) -> None:
    """F136: those who have just let it pass are not woken once more for the same."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada, bob], wait=minutes(5))
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("escalation_policy", policy.id))
    await world.route(policy)
    world.mail.down = failure
    alert = await world.alert()
    await world.let_pass(minutes(20))
    history = await world.history(alert)
    assert history.count("escalation.started") == 1
    assert history.count("escalation.exhausted" if failure is None else "escalation.unreached") == 1
    if failure is None:
        assert len(world.mail.to(ada)) == len(world.mail.to(bob)) == 1


async def test_the_last_resort_who_did_not_come_is_not_asked_once_more(world: World) -> None:
    """F136: asked for help directly, with no answer; the same person again would be a second page for nothing."""
    ada, bob = await world.people("ada", "bob")
    await set_fallback(world, bob)
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Checkout is down")
        await incidents.page(tx, world.actor(ada), incident.id, [PageTarget("user", bob.id)])
    await world.settle()
    await world.let_pass(minutes(60))
    assert len(world.mail.to(bob)) == 1
