"""The last resort of an alert when it is somebody who is paged for it already; and what is said meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.world import World, minutes
from tocsin.alerts.model import Alert
from tocsin.events import log
from tocsin.events.words import describe
from tocsin.identity.model import User
from tocsin.kit.errors import Conflict, Patience, Refused
from tocsin.oncall import queries, service
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import EscalationRun, Page, PageState

NO = Refused("550 not now", answered=True)


async def set_fallback(world: World, target: PageTarget) -> None:
    async with world.db.begin() as tx:
        await service.set_fallback(tx, world.root, target)


async def asked_now(world: World, person: User) -> int:
    async with world.db.begin() as tx:
        query = select(Page.id).where(Page.user_id == person.id, Page.state == PageState.PAGING)
        return len((await tx.session.scalars(query)).all())


async def run_of(world: World, alert: Alert) -> EscalationRun:
    async with world.db.begin() as tx:
        return next(run for run in await queries.runs_of(tx, alert_ids=[alert.id]) if not run.is_fallback)


async def decline(world: World, person: User, alert: Alert) -> None:
    async with world.db.begin() as tx:
        pages = [page for page, _ in await queries.pages_of(tx, alert_ids=[alert.id]) if page.user_id == person.id]
        await service.decline_page(tx, world.actor(person), pages[0].id)
    await world.settle()


async def test_somebody_who_is_being_paged_is_not_paged_as_the_last_resort_as_well(world: World) -> None:
    """F136: one message, not two, when the gateway is back; the last resort comes when the run has gone by."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await set_fallback(world, PageTarget("user", ada.id))
    world.mail.down = NO
    alert = await world.alert()
    await world.let_pass(minutes(12))
    assert "escalation.unreached" in await world.history(alert)
    assert await asked_now(world, ada) == 1
    world.mail.down = None
    await world.let_pass(minutes(3))
    assert len(world.mail.to(ada)) == 1
    await world.let_pass(minutes(12))
    assert ["last resort" in message.reason for message in world.mail.to(ada)] == [False, True]


async def test_what_is_still_tried_for_a_person_is_taken_back_when_the_last_resort_asks_them(world: World) -> None:
    """F136: their page has passed on to somebody else, but its message still waits for the gateway."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(10)))
    await set_fallback(world, PageTarget("user", ada.id))
    world.mail.down = NO
    await world.alert()
    await world.let_pass(minutes(11))
    assert (await asked_now(world, ada), await asked_now(world, bob)) == (1, 1)
    world.mail.down = None
    await world.let_pass(minutes(5))
    assert [message.reason.startswith("You are the last resort") for message in world.mail.to(ada)] == [True]


async def test_the_last_resort_asks_those_first_who_have_not_just_declined(world: World) -> None:
    """F136: and the one who did is left in peace."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada]))
    await set_fallback(world, PageTarget("escalation_policy", (await world.policy([ada, bob], name="Last")).id))
    alert = await world.alert()
    await world.pass_time(timedelta(seconds=30))
    await decline(world, ada, alert)
    assert (len(world.mail.to(ada)), len(world.mail.to(bob))) == (1, 1)
    await world.let_pass(minutes(4))
    assert len(world.mail.to(ada)) == 1


async def test_whoever_just_declined_is_the_last_resort_only_minutes_later(world: World) -> None:
    """F136: nobody else is there, and the alert is not left to nobody."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await set_fallback(world, PageTarget("user", ada.id))
    alert = await world.alert()
    await decline(world, ada, alert)
    await world.let_pass(minutes(4))
    assert len(world.mail.to(ada)) == 1
    await world.let_pass(minutes(2))
    assert ["last resort" in message.reason for message in world.mail.to(ada)] == [False, True]


@pytest.mark.parametrize("last", ["person", "policy"])
async def test_the_record_says_of_nobody_who_was_reached_that_no_message_reached_them(world: World, last: str) -> None:
    """F136, G01: one person is the policy and the last resort; the run that waits for them has sent nothing yet."""
    ada = await world.person("ada")
    policy = await world.policy([ada])
    await world.route(policy)
    again = await world.policy([ada], name="Last") if last == "policy" else None
    target = PageTarget("escalation_policy", again.id) if again else PageTarget("user", ada.id)
    await set_fallback(world, target)
    alert = await world.alert()
    await decline(world, ada, alert)
    await world.let_pass(minutes(6))
    async with world.db.begin() as tx:
        events = (await log.chain_of(tx, alert_id=alert.id)).events
    told = [describe(event.name, event.actor_name, event.data) for event in events]
    assert [line.text for line in told if "No message" in f"{line.text} {line.detail}"] == []
    assert "There is nobody else to ask yet; the escalation looks again until there is" in [line.text for line in told]
    assert "Nobody could be asked by it; the escalation started again (repeat 1)" in [line.text for line in told]


async def test_an_escalation_that_waits_for_its_next_round_still_knows_that_it_asked(world: World) -> None:
    """F136: it sent messages, and none of them arrived; that it stands before its first step again is no excuse."""
    await world.route(await world.policy([await world.person("ada")], wait=minutes(5)))
    world.mail.down = Refused("550 no such user", patience=Patience.SHORT)
    alert = await world.alert()
    await world.let_pass(minutes(4))
    run = await run_of(world, alert)
    assert (run.step, run.round) == (0, 1)
    await world.let_pass(minutes(2))
    assert await said(world, alert, "escalation.repeated") == [
        "No message reached anybody; the escalation started again (repeat 1)"
    ]


async def said(world: World, alert: Alert, name: str) -> list[str]:
    async with world.db.begin() as tx:
        events = (await log.chain_of(tx, alert_id=alert.id)).events
    lines = [describe(event.name, event.actor_name, event.data) for event in events if event.name == name]
    return [line.detail or line.text for line in lines]


@pytest.mark.parametrize(
    ("is_down", "repeat", "follows", "started_again", "passed_on"),
    [
        (False, 0, "end", None, "No answer in time."),
        (False, 1, "page", "Nobody took it", "No answer in time."),
        (True, 0, "page", "No message reached anybody", "No message reached them in time."),
        (True, 1, "page", "No message reached anybody", "No message reached them in time."),
    ],
)
async def test_what_is_said_of_the_last_step_is_what_happens(
    world: World, is_down: bool, repeat: int, follows: str, started_again: str | None, passed_on: str
) -> None:
    """F053, F136: a run that reached nobody goes on after it, one that did ends; and neither says what is not so."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], repeat=repeat))
    world.mail.down = NO if is_down else None
    alert = await world.alert()
    await world.pass_time(minutes(1))
    run = await run_of(world, alert)
    async with world.db.begin() as tx:
        decision = await service.what_follows(tx, run)
        at_once = await service.what_follows(tx, run, at_once=True)
        with pytest.raises(Conflict, match="There is no next step"):
            await service.escalate_run(tx, world.root, run.id)
    assert ("page" if decision.page else "end" if decision.end else "wait") == follows
    assert at_once.page == ()
    await world.let_pass(minutes(5))
    assert (await said(world, alert, "page.escalated"))[0] == passed_on
    again = await said(world, alert, "escalation.repeated")
    assert [words.partition(";")[0] for words in again[:1]] == ([started_again] if started_again else [])
    ended = "escalation.exhausted" in await world.history(alert)
    assert ended == (follows == "end")
