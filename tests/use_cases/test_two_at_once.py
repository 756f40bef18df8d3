"""Two who act on the same page at the same moment: whoever comes second finds what the first did."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select

from tests.races import Act, act, behind
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Transient
from tocsin.notifications import service as notifications
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries, service
from tocsin.oncall.model import Page, PageState

AWAY = Transient("away")


async def page_of(world: World, person: User) -> UUID:
    async with world.db.begin() as tx:
        newest = select(Page.id).where(Page.user_id == person.id).order_by(Page.id.desc()).limit(1)
        return (await tx.session.scalars(newest)).one()


async def state_of(world: World, page_id: UUID) -> str:
    async with world.db.begin() as tx:
        return (await queries.page(tx, page_id)).state


async def timer_of(world: World, alert: Alert) -> Act:
    """What the timer of the present step does when it is due."""
    async with world.db.begin() as tx:
        run = (await queries.runs_of(tx, alert_ids=[alert.id]))[0]
    return lambda tx: service.advance(tx, run.id, step=run.step, round=run.round)


async def test_a_timer_that_two_workers_have_pages_the_next_step_once(world: World) -> None:
    """F053, G04: the second one waits, and finds that the run has moved on."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([ada, bob, cyd]))
    alert = await world.alert()
    timer = await timer_of(world, alert)
    await world.pass_time(minutes(6), settle=False)
    await behind(world.db, timer, act(world, timer))
    await world.settle()
    assert (await world.history(alert)).count("page.started: Bob") == 1
    assert (len(world.mail.to(bob)), world.mail.to(cyd)) == (1, [])


async def test_who_takes_an_alert_as_its_last_step_goes_by_leaves_the_escalation_as_it_ended(world: World) -> None:
    """F136: nobody answered it in time, and it is not shown as answered because somebody came later."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    timer = await timer_of(world, alert)
    await world.pass_time(minutes(6), settle=False)
    await behind(world.db, timer, act(world, lambda tx: alerts.acknowledge(tx, world.actor(ada), alert.id)))
    async with world.db.begin() as tx:
        assert [run.state for run in await queries.runs_of(tx, alert_ids=[alert.id])] == ["exhausted"]
    assert "escalation.ended" not in await world.history(alert)


async def test_who_declines_as_the_time_is_over_has_not_answered(world: World) -> None:
    """F061: the page went by first, and the record does not say that it was declined as well."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([ada, bob, cyd]))
    alert = await world.alert()
    timer, page_id = await timer_of(world, alert), await page_of(world, ada)
    await world.pass_time(minutes(6), settle=False)
    await behind(world.db, timer, act(world, lambda tx: incidents.decline_page(tx, world.actor(ada), page_id)))
    await world.settle()
    assert await state_of(world, page_id) == PageState.NO_ANSWER
    assert "page.declined: Ada" not in await world.history(alert)
    assert (len(world.mail.to(bob)), world.mail.to(cyd)) == (1, [])


async def test_who_answers_as_the_last_message_fails_is_not_called_unreachable(world: World) -> None:
    """F059, F061: they have seen it somewhere, so it is theirs, whatever became of the message."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert()
    page_id = await page_of(world, ada)
    await world.db.pool.execute("UPDATE delivery SET state = 'failed', sent_at = NULL, ended_at = tocsin_now()")
    await behind(
        world.db,
        lambda tx: incidents.answer_page(tx, world.actor(ada), page_id),
        act(world, lambda tx: service.give_up_on_page(tx, page_id)),
    )
    assert await state_of(world, page_id) == PageState.ACKNOWLEDGED
    assert "page.unreachable: Ada" not in await world.history(alert)
    await world.settle()
    assert world.mail.to(bob) == []


async def test_who_declines_as_other_ways_are_tried_is_left_alone(world: World) -> None:
    """F060, F061: nobody is rung on their second telephone for what they have just declined."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        methods = [
            await notifications.add_contact_method(
                tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address="https://pager.example/ada"
            )
        ]
        rule = notifications.RuleDraft(Urgency.LOW, 0, methods[0].id)
        await notifications.set_rules(tx, world.root, user_id=ada.id, rules=[rule])
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    world.mail.down = world.hook.down = AWAY
    alert = await world.alert()
    page_id = await page_of(world, ada)
    await world.db.pool.execute(
        "DELETE FROM delivery WHERE user_id = $1 AND contact_method_id = $2", ada.id, methods[0].id
    )
    await behind(
        world.db,
        lambda tx: service.decline_page(tx, world.actor(ada), page_id),
        act(world, lambda tx: service.try_other_ways(tx, page_id)),
    )
    world.mail.down = world.hook.down = None
    await world.let_pass(minutes(3))
    assert (world.hook.sent, world.mail.to(ada)) == ([], [])
    assert "Bob: sent" in await world.deliveries(alert)


async def test_an_alert_that_two_workers_route_pages_once(world: World) -> None:
    """F050, G04: routing jobs may run twice, also at once."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(30)))
    await world.signal({"title": "Disk", "status": "firing", "severity": "critical", "key": "Disk"})
    async with world.db.begin() as tx:
        id = (await tx.session.scalars(select(Alert.id))).one()
    await behind(world.db, lambda tx: alerts.route(tx, [id]), act(world, lambda tx: alerts.route(tx, [id])))
    await world.settle()
    assert world.mail.subjects(ada) == ["Disk"]
    assert (await world.history(await world.again(Alert(id=id)))).count("alert.routed") == 1


@pytest.mark.parametrize("what", ["taken", "over"])
async def test_what_is_answered_as_it_comes_again_is_not_paged_anew(world: World, what: str) -> None:
    """F058, F136: nobody was reached, so a repeat would page; but somebody takes it, or it ends, in this moment."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada], wait=minutes(5)))
    world.mail.down = AWAY
    alert = await world.alert()
    await world.let_pass(minutes(12))
    before = (await world.history(alert)).count("page.started: Ada")
    how = alerts.acknowledge if what == "taken" else alerts.resolve
    await behind(
        world.db,
        lambda tx: how(tx, world.actor(bob), alert.id),
        act(world, lambda tx: alerts.page_anew(tx, [alert.id])),
    )
    world.mail.down = None
    await world.let_pass(minutes(10))
    assert (await world.history(alert)).count("page.started: Ada") == before
    assert world.mail.to(ada) == []
