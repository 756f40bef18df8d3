"""What people set, change and take away leaves nobody's pager silent, and rings nobody's whom it should not."""

from datetime import timedelta

import pytest

from tests.use_cases.far_ends import AWAY, IMPOSSIBLE, NO, add_hook, set_rules
from tests.use_cases.test_fallback import set_fallback
from tests.world import World, minutes
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.notifications import queries as notification_queries
from tocsin.notifications import service as notifications
from tocsin.notifications.model import Urgency
from tocsin.notifications.news import WINDOW
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget


async def remove(world: World, person: User, kind: str) -> None:
    """Take away their only contact method of a channel."""
    async with world.db.begin() as tx:
        methods = {method.kind: method.id for method in await notification_queries.contact_methods(tx, person.id)}
        await oncall.remove_contact_method(
            tx, world.actor(person), user_id=person.id, method_id=methods[kind], confirmed=True
        )


async def set_deactivated(world: World, person: User) -> None:
    await world.db.pool.execute("UPDATE user_account SET is_active = false WHERE id = $1", person.id)


# What people wish for themselves


@pytest.mark.parametrize("delay", [5, 10, 60])
async def test_whoever_wants_to_be_asked_later_than_the_step_waits_is_asked_at_once(world: World, delay: int) -> None:
    """F053, G04: the step would pass each time before their first message, and nobody would ever be rung."""
    ada = await world.person("ada")
    await set_rules(world, ada, ("email", delay))
    await world.route(await world.policy([ada], wait=minutes(5)))
    await world.alert()
    assert len(world.mail.to(ada)) == 1
    await world.let_pass(minutes(30))
    assert len(world.mail.to(ada)) == 1


async def test_the_distance_between_ways_that_are_brought_forward_stays(world: World) -> None:
    """F053: first the mail and the other way two minutes later, as their person wants it."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await set_rules(world, ada, ("email", 10), ("webhook", 12))
    await world.route(await world.policy([ada], wait=minutes(5)))
    await world.alert()
    assert (len(world.mail.sent), len(world.hook.sent)) == (1, 0)
    await world.let_pass(minutes(2.5))
    assert (len(world.mail.sent), len(world.hook.sent)) == (1, 1)


async def test_a_wish_that_fits_into_the_step_is_kept(world: World) -> None:
    """F053: what goes out before the step passes goes out at its time, and what does not go on waits for ever."""
    ada = await world.person("ada")
    await set_rules(world, ada, ("email", 4))
    await world.route(await world.policy([ada], wait=minutes(5)))
    await world.alert()
    await world.let_pass(minutes(3.5))
    assert world.mail.sent == []
    await world.let_pass(minutes(1))
    assert len(world.mail.sent) == 1


async def test_what_can_wait_is_asked_as_late_as_its_person_wants(world: World) -> None:
    """F053: low urgency does not climb, so no step passes before the message goes out."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        (method,) = await notification_queries.contact_methods(tx, ada.id)
        rule = notifications.RuleDraft(Urgency.LOW, 60, method.id)
        await notifications.set_rules(tx, world.actor(ada), user_id=ada.id, rules=[rule])
    await world.route(await world.policy([ada], wait=minutes(5)))
    await world.alert(severity="warning", urgency="low")
    await world.let_pass(minutes(59))
    assert world.mail.sent == []
    await world.let_pass(minutes(2))
    assert len(world.mail.sent) == 1


async def test_a_direct_call_for_help_is_not_missed_by_a_late_wish(world: World) -> None:
    """F045, F053: a page to one person waits five minutes, whatever their rules say."""
    ada, bob = await world.people("ada", "bob")
    await set_rules(world, bob, ("email", 15))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Down", severity=1)
        await incidents.page(tx, world.actor(ada), incident.reference, [PageTarget("user", bob.id)])
    await world.settle()
    assert len(world.mail.to(bob)) == 1


async def test_an_address_that_is_none_has_the_other_ways_tried(world: World) -> None:
    """F059: it is believed at its first failure, which is the last one, so no second one brings the others."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await set_rules(world, ada, ("webhook", 0))
    world.hook.down = IMPOSSIBLE
    await world.route(await world.policy([ada], wait=minutes(30)))
    alert = await world.alert()
    assert len(world.mail.to(ada)) == 1
    assert await world.deliveries(alert) == ["Ada: failed", "Ada: sent"]
    assert "page.unreachable: Ada" not in await world.history(alert)


# What is taken away


@pytest.mark.parametrize("failure", [NO, AWAY], ids=["refused", "away"])
async def test_nothing_goes_to_a_contact_method_that_was_removed(world: World, failure: Exception) -> None:
    """F059, F141: a number that belongs to a stranger is rung no more, and the others know at once."""
    ada, bob = await world.people("ada", "bob")
    world.mail.down = failure  # pyright: ignore[reportAttributeAccessIssue]
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    alert = await world.alert()
    await remove(world, ada, "email")
    world.mail.down = None
    await world.settle()
    assert world.mail.to(ada) == []
    assert len(world.mail.to(bob)) == 1, "the next step follows at once, as nothing can reach her"
    assert await world.deliveries(alert) == ["Ada: failed", "Bob: sent"]
    await world.let_pass(minutes(60))
    assert world.mail.to(ada) == []


async def test_what_was_planned_for_a_removed_contact_method_goes_another_way(world: World) -> None:
    """F059: the person is still asked, by what is left."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await set_rules(world, ada, ("webhook", 10))
    await world.route(await world.policy([ada], wait=minutes(30)))
    await world.alert()
    await remove(world, ada, "webhook")
    await world.settle()
    assert (len(world.mail.to(ada)), world.hook.sent) == (1, [])
    await world.let_pass(minutes(15))
    assert world.hook.sent == []


async def test_a_contact_method_that_is_removed_while_it_is_called_is_not_tried_again(world: World) -> None:
    """F059: the call under way is the last one."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await set_rules(world, ada, ("email", 0))
    world.mail.down = AWAY

    async def taken_away() -> None:
        world.mail.meanwhile = None
        await remove(world, ada, "email")

    world.mail.meanwhile = taken_away
    await world.route(await world.policy([ada], wait=minutes(30)))
    alert = await world.alert()
    world.mail.down = None
    await world.let_pass(minutes(5))
    assert world.mail.sent == []
    assert len(world.hook.sent) == 1
    assert await world.deliveries(alert) == ["Ada: failed", "Ada: delivered"]


async def test_a_call_whose_worker_died_is_not_made_again_where_its_contact_method_is_gone(world: World) -> None:
    """F060: nobody knows whether it arrived; it is not sent to what may be a stranger's."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await set_rules(world, ada, ("email", 0))
    world.mail.down = AWAY
    await world.route(await world.policy([ada], wait=minutes(30)))
    alert = await world.alert()
    await world.db.pool.execute(
        "UPDATE delivery SET state = 'sending', unsure_until = tocsin_now() + interval '20 s' WHERE channel = 'email'"
    )
    await remove(world, ada, "email")
    world.mail.down = None
    await world.let_pass(minutes(2))
    assert world.mail.sent == []
    assert len(world.hook.sent) == 1
    assert "Ada: unknown" in await world.deliveries(alert)


async def test_news_go_another_way_where_their_contact_method_is_gone(world: World) -> None:
    """F137: whoever was woken is told all the same, and not where they are no longer reached."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(30)))
    alert = await world.alert()
    world.mail.down = AWAY
    await world.signal({"title": alert.title, "key": alert.title, "status": "resolved"})
    await world.settle()
    await world.pass_time(WINDOW)
    await add_hook(world, ada)
    await remove(world, ada, "email")
    world.mail.down = None
    await world.settle()
    await world.let_pass(2 * WINDOW + timedelta(seconds=60))
    assert world.mail.told == []
    assert len(world.hook.told) == 1


# Who is the last resort


async def unreachable(world: World) -> None:
    """An alert that nobody can be paged for."""
    ada = await world.person("ada", reachable=False)
    await world.route(await world.policy([ada], wait=minutes(5)))
    await world.alert()


async def test_a_fallback_that_is_chosen_late_is_asked_for_what_reaches_nobody(world: World) -> None:
    """F054, F136: what is loud already has it asked at its next step, and once."""
    await unreachable(world)
    bob = await world.person("bob")
    await world.let_pass(minutes(12))
    await set_fallback(world, bob)
    await world.let_pass(minutes(6))
    assert len(world.mail.to(bob)) == 1
    await world.let_pass(minutes(60))
    assert len(world.mail.to(bob)) == 1


async def test_a_call_for_help_that_reaches_nobody_has_a_late_fallback_asked_once(world: World) -> None:
    """F054: also where several runs ask for help with one incident."""
    ada, bob = await world.people("ada", "bob")
    cyd, dan = await world.person("cyd", reachable=False), await world.person("dan", reachable=False)
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Down", severity=1)
        targets = [PageTarget("user", person.id) for person in (cyd, dan)]
        await incidents.page(tx, world.actor(ada), incident.reference, targets)
    await world.let_pass(minutes(6))
    await set_fallback(world, bob)
    await world.let_pass(minutes(30))
    assert len(world.mail.to(bob)) == 1


async def test_another_fallback_is_asked_when_the_one_before_did_not_answer(world: World) -> None:
    """F054: whom the organisation chose since then has not been asked yet."""
    await unreachable(world)
    bob, cyd = await world.people("bob", "cyd")
    await set_fallback(world, bob)
    await world.let_pass(minutes(12))
    await set_fallback(world, cyd)
    await world.let_pass(minutes(30))
    assert [len(world.mail.to(person)) for person in (bob, cyd)] == [1, 1]


@pytest.mark.parametrize("is_off", [False, True], ids=["out of reach", "switched off"])
async def test_a_fallback_that_cannot_be_reached_gives_way_to_another(world: World, *, is_off: bool) -> None:
    """F054, F135: the run that asks it never ends by itself, and would hold the place of the one that can be."""
    await unreachable(world)
    bob = await world.person("bob", reachable=is_off)
    cyd = await world.person("cyd")
    await set_fallback(world, bob)
    if is_off:
        await set_deactivated(world, bob)
    await world.let_pass(minutes(12))
    await set_fallback(world, cyd)
    await world.let_pass(minutes(6))
    assert len(world.mail.to(cyd)) == 1
    await world.let_pass(minutes(60))
    assert len(world.mail.to(cyd)) == 1
