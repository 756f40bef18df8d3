"""The outside misbehaves: gateways that say no for a while, providers that are away, addresses that are gone."""

from typing import Any

import pytest

from tests.use_cases.far_ends import AWAY, BAD, GONE, IMPOSSIBLE, NO, SILENT, add_hook, seconds, set_rules
from tests.world import World, minutes
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.kit.errors import OutsideFailure
from tocsin.notifications import queries as notification_queries
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.base import PageMessage
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget


async def run_of(world: World, alert: Alert) -> Any:
    async with world.db.begin() as tx:
        runs = await oncall_queries.runs_of(tx, alert_ids=[alert.id])
    return next(run for run in runs if not run.is_fallback)


async def acknowledge(world: World, alert: Alert, person: User) -> None:
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(person), alert.id)


@pytest.mark.parametrize("failure", [NO, GONE, AWAY, BAD], ids=["550", "410", "away", "503"])
async def test_a_blip_does_not_burn_the_policy(world: World, failure: OutsideFailure) -> None:
    """F060, G04: whatever a gateway says for some seconds, the first person is paged, and nobody else."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([ada, bob, cyd], repeat=9, wait=minutes(5)))
    world.mail.down = failure
    alert = await world.alert()
    await world.let_pass(seconds(5), every=seconds(1))
    world.mail.down = None
    await world.let_pass(minutes(1), every=seconds(5))
    assert [world.mail.subjects(person) for person in (ada, bob, cyd)] == [["Checkout is down"], [], []]
    assert await world.deliveries(alert) == ["Ada: sent"]
    run = await run_of(world, alert)
    assert (run.state, run.step, run.round, run.unreached_since) == ("running", 1, 0, None)


async def test_a_refusal_that_lasts_is_believed_and_the_next_one_is_asked(world: World) -> None:
    """F054, F060: an address that is gone passes the page on, but not before it said so several times over minutes."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    world.mail.down = GONE
    alert = await world.alert()
    await world.let_pass(seconds(55), every=seconds(5))
    assert await world.deliveries(alert) == ["Ada: queued"]
    world.mail.down = None
    world.mail.failures = [GONE]
    await world.let_pass(minutes(1), every=seconds(5))
    assert await world.deliveries(alert) == ["Ada: failed", "Bob: sent"]
    assert "page.unreachable: Ada" in await world.history(alert)


async def test_impossible_addresses_do_not_make_a_policy_spin(world: World) -> None:
    """F054: each step is passed at once, but a round takes as long as the policy's first wait."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], repeat=9, wait=minutes(5)))
    world.mail.down = IMPOSSIBLE
    alert = await world.alert()
    await world.let_pass(minutes(21))
    run = await run_of(world, alert)
    assert (run.state, run.round) == ("running", 5)
    assert len(await world.deliveries(alert)) == 10


async def test_a_run_that_has_reached_nobody_goes_on(world: World) -> None:
    """F136, G04: the repeats of the policy are used up, but nobody knows yet; it is said once, and loudly."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    world.mail.down = NO
    alert = await world.alert()
    await world.let_pass(minutes(47))
    history = await world.history(alert)
    assert history.count("escalation.unreached") == 1
    assert "escalation.exhausted" not in history
    world.mail.down = None
    await world.let_pass(minutes(6))
    assert len(world.mail.sent) >= 1
    await world.let_pass(minutes(30))
    run = await run_of(world, alert)
    assert (run.state, run.unreached_since) == ("exhausted", None)
    assert (await world.history(alert)).count("escalation.unreached") == 1


async def test_what_was_late_is_taken_back_when_somebody_answers(world: World) -> None:
    """F059: also for a run that went unanswered, whose messages are still being tried."""
    ada, bob = await world.people("ada", "bob")
    await add_hook(world, ada)
    await world.route(await world.policy([ada], wait=minutes(1)))
    world.mail.down = AWAY
    alert = await world.alert()
    await world.let_pass(minutes(3))
    assert (await run_of(world, alert)).state == "exhausted"
    assert "Ada: queued" in await world.deliveries(alert)
    await acknowledge(world, alert, bob)
    world.mail.down = None
    await world.let_pass(minutes(10))
    assert world.mail.sent == []
    assert await world.deliveries(alert) == ["Ada: cancelled", "Ada: delivered"]


async def test_a_page_for_help_that_is_late_is_taken_back_when_the_incident_ends(world: World) -> None:
    """F059, F031: nobody is asked to help with what is over."""
    ada, bob = await world.people("ada", "bob")
    world.mail.down = AWAY
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(bob), title="Shop is down")
        await incidents.page(tx, world.actor(bob), incident.reference, [PageTarget("user", ada.id)])
    await world.let_pass(minutes(7))
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(bob), incident.reference, note="Rolled back.")
    world.mail.down = None
    await world.let_pass(minutes(7))
    assert world.mail.sent == []


async def test_a_signal_that_comes_again_starts_a_run_anew_that_reached_nobody(world: World) -> None:
    """F136: the sender insists, so the first person is tried again at once, but not with each of many repeats."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    world.mail.down = NO
    alert = await world.alert()
    await world.let_pass(minutes(20))
    assert (await run_of(world, alert)).step == 2
    async with world.db.begin() as tx:
        await oncall.start_anew(tx, [alert.id])
    run = await run_of(world, alert)
    assert (run.step, run.round) == (1, 1)
    await world.settle()
    async with world.db.begin() as tx:
        await oncall.start_anew(tx, [alert.id])
    assert (await run_of(world, alert)).round == 1, "not with each of many repeats"
    world.mail.down = None
    await world.let_pass(minutes(2))
    async with world.db.begin() as tx:
        await oncall.start_anew(tx, [alert.id])
    assert (await run_of(world, alert)).round == 1, "somebody has been reached"


async def test_the_wait_for_an_answer_counts_from_a_page_that_reached_somebody(world: World) -> None:
    """F053: whoever was reached after four of five minutes has five minutes to answer, not one."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    world.mail.down = NO
    await world.alert()
    await world.let_pass(minutes(3))
    world.mail.down = None
    await world.let_pass(minutes(1.5), every=seconds(5))
    assert len(world.mail.to(ada)) == 1
    await world.let_pass(minutes(3))
    assert world.mail.to(bob) == []
    await world.let_pass(minutes(3))
    assert len(world.mail.to(bob)) == 1


async def test_a_person_who_wants_to_be_reached_later_is_not_waited_for_longer(world: World) -> None:
    """F053, F059: only what is late lengthens the wait, not what was planned for later."""
    ada, bob = await world.people("ada", "bob")
    await set_rules(world, ada, ("email", 3))
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    await world.alert()
    await world.let_pass(minutes(5.5))
    assert [len(world.mail.to(person)) for person in (ada, bob)] == [1, 1]


async def test_other_ways_to_a_person_are_tried_meanwhile(world: World) -> None:
    """F059, F060: a refusal has the page sent on everything else the person has, once."""
    ada = await world.person("ada")
    await set_rules(world, ada, ("email", 0))
    await add_hook(world, ada)
    await world.route(await world.policy([ada], wait=minutes(30)))
    world.mail.down = NO
    alert = await world.alert()
    assert [message.title for _, message in world.hook.sent] == ["Checkout is down"]
    await world.let_pass(minutes(2))
    assert len(world.hook.sent) == 1
    assert await world.deliveries(alert) == ["Ada: queued", "Ada: delivered"]


async def test_a_person_who_was_reached_is_not_rung_on_everything_else(world: World) -> None:
    """F059: one way of two failed, and the other one rang; a third one, which the rules do not name, stays silent."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await set_rules(world, ada, ("email", 0), ("webhook", 0))
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="email", address="ada@home.example.org"
        )
    await world.route(await world.policy([ada], wait=minutes(30)))
    world.hook.down = NO
    await world.alert()
    await world.let_pass(minutes(2))
    assert [address for address, _ in world.mail.sent] == [ada.email]


async def test_what_can_wait_is_not_sent_where_its_person_does_not_want_it(world: World) -> None:
    """F059: a mail that fails does not make the phone ring for low urgency."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    async with world.db.begin() as tx:
        methods = {method.kind: method.id for method in await notification_queries.contact_methods(tx, ada.id)}
        rule = notifications.RuleDraft(Urgency.LOW, 0, methods["email"])
        await notifications.set_rules(tx, world.actor(ada), user_id=ada.id, rules=[rule])
    await world.route(await world.policy([ada], wait=minutes(30)))
    world.mail.down = NO
    await world.alert(severity="warning", urgency="low")
    await world.let_pass(minutes(2))
    assert world.hook.sent == []


async def test_what_was_planned_for_later_goes_out_when_the_first_way_fails(world: World) -> None:
    """F059: at the second failure, and not once more at its own time."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await set_rules(world, ada, ("email", 0), ("webhook", 15))
    await world.route(await world.policy([ada], wait=minutes(30)))
    world.mail.failures = [AWAY]
    await world.alert()
    assert world.hook.sent == [], "one failure that passes is nothing yet"
    world.mail.failures = [AWAY]
    await world.pass_time(seconds(3))
    assert len(world.hook.sent) == 1
    await world.let_pass(minutes(29))
    assert len(world.hook.sent) == 1


async def test_what_should_have_gone_out_is_sent_though_the_next_step_was_taken(world: World) -> None:
    """F060, G04: no worker came to it in time; what its person wanted only later is taken back."""
    ada, bob = await world.people("ada", "bob")
    await add_hook(world, ada)
    await set_rules(world, ada, ("email", 0), ("webhook", 30))
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    await world.signal({"title": "Disk", "status": "firing", "severity": "critical", "key": "Disk"})
    async with world.db.begin() as tx:
        alert = (await alert_queries.listed(tx, EVERYTHING, alert_queries.Filter(), limit=1))[0][0]
        await alerts.route(tx, [alert.id])
        await (await tx.raw()).execute(
            "UPDATE job SET due = tocsin_now() + interval '10 minutes' WHERE kind = $1 AND due <= $2",
            notifications.SEND.name,
            tx.now + minutes(1),
        )
    await world.pass_time(minutes(6))
    assert sorted(await world.deliveries(alert)) == ["Ada: cancelled", "Ada: queued", "Bob: sent"]
    await world.let_pass(minutes(30))
    assert (len(world.mail.to(ada)), world.hook.sent) == (1, [])


async def test_what_was_tried_is_not_planned_for_later_because_the_clock_went_back(world: World) -> None:
    """G04: what failed a moment ago is tried on when the next step is asked for, whatever the clock says of it."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    world.mail.failures = [AWAY]
    alert = await world.alert()
    await world.pass_time(-minutes(10), settle=False)
    async with world.db.begin() as tx:
        await alerts.escalate(tx, world.actor(ada), alert.id)
    assert await world.deliveries(alert) == ["Ada: queued", "Bob: queued"]


async def test_nobody_who_has_answered_is_tried_on_other_ways(world: World) -> None:
    """F059: the answer came while the first way was failing."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(30)))
    world.mail.down = AWAY
    alert = await world.alert()
    await add_hook(world, ada)
    async with world.db.begin() as tx:
        page, _ = (await oncall_queries.pages_of(tx, alert_ids=[alert.id]))[0]
    await acknowledge(world, alert, ada)
    async with world.db.begin() as tx:
        await oncall.try_other_ways(tx, page.id)
    await world.settle()
    assert world.hook.sent == []


async def test_one_failed_way_of_two_does_not_give_the_page_up(world: World) -> None:
    """F054: the other one rang; its person has the whole wait to answer."""
    ada, bob = await world.people("ada", "bob")
    await add_hook(world, ada)
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    world.mail.failures = [IMPOSSIBLE]
    alert = await world.alert()
    await world.let_pass(minutes(4))
    assert await world.deliveries(alert) == ["Ada: failed", "Ada: delivered"]
    assert world.mail.to(bob) == []
    assert "page.unreachable: Ada" not in await world.history(alert)


async def test_a_late_timer_of_an_earlier_round_moves_nothing(world: World) -> None:
    """F036, G04: step 1 of round 1 is not moved on by the timer of step 1 of round 0."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(5), repeat=3))
    alert = await world.alert()
    await world.let_pass(minutes(5))
    assert (await run_of(world, alert)).round == 1
    await world.pass_time(minutes(6), settle=False)
    run = await run_of(world, alert)
    async with world.db.begin() as tx:
        await oncall.advance(tx, run.id, step=1, round=0)
    assert (await run_of(world, alert)).round == 1


async def test_a_timer_that_comes_early_is_put_off(world: World) -> None:
    """G04: a skewed clock neither moves a run on early nor uses up its timer."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    alert = await world.alert()
    await world.db.pool.execute("UPDATE job SET due = tocsin_now() WHERE kind = 'oncall.advance'")
    await world.settle()
    assert (await run_of(world, alert)).step == 1
    await world.let_pass(minutes(5.5))
    assert len(world.mail.to(bob)) == 1


async def test_two_recipients_of_one_step_and_the_end_in_between(world: World) -> None:
    """F031: whoever has not been paged yet when it is over is not paged any more."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]]))

    async def resolve() -> None:
        world.mail.meanwhile = None
        await world.signal({"title": "Disk", "status": "resolved", "key": "Disk"})

    world.mail.meanwhile = resolve
    alert = await world.alert("Disk")
    await world.let_pass(minutes(10))
    assert sorted(await world.deliveries(alert)) == ["Ada: sent", "Bob: cancelled"]
    assert world.mail.to(bob) == []


@pytest.mark.parametrize(
    ("failure", "marked"),
    [(AWAY, False), (SILENT, True), (BAD, True), (NO, False)],
    ids=["away", "silent", "503", "550"],
)
async def test_repeats_are_marked_when_an_earlier_one_may_have_arrived(
    world: World, failure: OutsideFailure, marked: bool
) -> None:
    """G04: a time-out after the request was written, a 5xx; not a connection that failed."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(60)))
    world.mail.failures = [failure]
    await world.alert()
    await world.let_pass(minutes(1), every=seconds(5))
    assert [message.possible_duplicate for _, message in world.mail.sent] == [marked]


async def test_a_receiver_that_answers_late_is_given_time_and_rung_once_more(world: World) -> None:
    """F141: the second call may take a minute; a method that is known to be slow is given it at once."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(60)))
    given: list[float] = []
    send = world.mail.send

    async def slowly(address: str, message: PageMessage, *, within: float = 15.0) -> Any:
        given.append(within)
        if within < 20:
            raise SILENT
        return await send(address, message, within=within)

    world.mail.send = slowly
    await world.alert("Disk")
    await world.let_pass(minutes(1), every=seconds(5))
    assert given == [15.0, 60.0]
    await world.db.pool.execute(
        "INSERT INTO contact_method_health (contact_method_id, answers_after) SELECT id, 31 FROM contact_method"
    )
    await world.alert("Cart")
    assert given == [15.0, 60.0, 60.0]


@pytest.mark.parametrize("failure", [BAD, AWAY], ids=["503", "away"])
async def test_one_that_answered_or_was_not_reached_is_not_waited_for_longer(
    world: World, failure: OutsideFailure
) -> None:
    """F141: the minute is for those who took the message and said nothing."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(60)))
    given: list[float] = []

    async def fail(address: str, message: PageMessage, *, within: float = 15.0) -> Any:
        given.append(within)
        raise failure

    world.mail.send = fail
    await world.alert("Disk")
    await world.let_pass(minutes(2), every=seconds(5))
    assert len(given) > 1 and set(given) == {15.0}


async def test_the_health_of_a_contact_method_is_known(world: World) -> None:
    """F141: failing since when and why; avoided while another one works; well again when it works."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await world.route(await world.policy([ada], wait=minutes(60)))
    async with world.db.begin() as tx:
        mail, hook = await notification_queries.contact_methods(tx, ada.id)
    world.mail.down = NO
    await world.alert("Disk")
    await world.let_pass(minutes(4))
    async with world.db.begin() as tx:
        known = await notification_queries.conditions(tx, [mail.id, hook.id], world.app.channels)
    assert (known[mail.id].state, known[mail.id].error) == ("failing", "550 no such user")
    assert known[hook.id].state == "confirmed"
    cart = await world.alert("Cart")
    assert await world.deliveries(cart) == ["Ada: delivered"]
    world.mail.down = None
    await world.let_pass(minutes(6))
    async with world.db.begin() as tx:
        known = await notification_queries.conditions(tx, [mail.id, hook.id], world.app.channels)
    assert [known[id].state for id in (mail.id, hook.id)] == ["accepted", "confirmed"]
    door = await world.alert("Door")
    assert sorted(await world.deliveries(door)) == ["Ada: delivered", "Ada: sent"]


async def test_a_round_that_had_to_wait_for_its_time_stands_in_the_record(world: World) -> None:
    """F053, F005: whoever declined at once is paged again minutes later, and the record says why."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], repeat=1, wait=minutes(5)))
    alert = await world.alert()
    async with world.db.begin() as tx:
        page = (await oncall_queries.pages_of(tx, alert_ids=[alert.id]))[0][0]
        await oncall.decline_page(tx, world.actor(ada), page.id)
    await world.let_pass(minutes(4))
    assert "escalation.repeated" not in await world.history(alert)
    await world.let_pass(minutes(2))
    assert len(world.mail.to(ada)) == 2
    assert (await world.history(alert)).count("escalation.repeated") == 1
    await world.let_pass(minutes(30))
    assert (await world.history(alert)).count("escalation.repeated") == 1
