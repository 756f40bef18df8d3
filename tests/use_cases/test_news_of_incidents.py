"""Whoever was asked for help is told who came and when it is over; an incident speaks for its alerts (F137)."""

from __future__ import annotations

from tests.use_cases.paged_pair import MOMENT, news_deliveries, two_paged
from tests.world import World, minutes
from tocsin.alerts.model import Alert
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.incidents.jobs import NOTE_NEWS
from tocsin.incidents.model import CancelReason, Incident
from tocsin.kit.errors import Transient
from tocsin.notifications.news import WINDOW
from tocsin.oncall.escalation import PageTarget


async def incident_with(world: World, who: User, alert: Alert | None = None) -> Incident:
    async with world.db.begin() as tx:
        declared = await incidents.declare(
            tx, world.actor(who), title="Checkout is down", severity=1, alert_id=alert.id if alert else None
        )
    await world.settle()
    return declared


async def test_who_was_asked_for_help_is_told_that_somebody_came_and_that_it_is_over(world: World) -> None:
    """F137: by one act in an incident, people whose own page goes on are told as well."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await incident_with(world, cyd)
    async with world.db.begin() as tx:
        await incidents.page(
            tx, world.actor(cyd), incident.id, [PageTarget("user", ada.id), PageTarget("user", bob.id)]
        )
    await world.settle()
    async with world.db.begin() as tx:
        await incidents.join(tx, world.actor(bob), incident.id)
    await world.settle()
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["Bob took INC-1 “Checkout is down” after 0 s."]
    assert world.mail.news(bob) == [] and world.mail.news(cyd) == []
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(cyd), incident.id, "The disk was emptied.")
    await world.settle()
    await world.pass_time(WINDOW)
    over = "INC-1 “Checkout is down” is over: resolved by Cyd after 30 s."
    assert world.mail.news(ada)[1:] == [over] and world.mail.news(bob) == [over]
    last = [message for _, message in world.mail.told][-1]
    assert last.body == "The disk was emptied."
    assert last.incident_number == "INC-1" and last.url.endswith("/incidents/INC-1") and last.acknowledge_url is None
    assert not last.is_asked


async def test_an_incident_and_its_alerts_are_told_as_one(world: World) -> None:
    """F137: those who were paged for linked alerts get one message and not one for each."""
    ada, bob, alert = await two_paged(world)
    other = await world.alert("Node down")
    incident = await incident_with(world, bob, alert)
    async with world.db.begin() as tx:
        await incidents.link_alerts(tx, world.actor(bob), incident.id, [other.id])
    await world.settle()
    await world.pass_time(WINDOW)
    before = len(world.mail.news(ada))
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(bob), incident.id, "Done.")
    await world.settle()
    await world.pass_time(WINDOW)
    assert world.mail.news(ada)[before:] == ["INC-1 “Checkout is down” is over: resolved by Bob after 30 s."]
    assert world.mail.news(bob) == []


async def test_a_false_alarm_is_called_one(world: World) -> None:
    ada, bob, alert = await two_paged(world)
    incident = await incident_with(world, bob, alert)
    async with world.db.begin() as tx:
        await incidents.cancel(tx, world.actor(bob), incident.id, CancelReason.FALSE_ALARM)
    await world.settle()
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["INC-1 “Checkout is down” is over: called a false alarm by Bob after 0 s."]


async def test_after_a_reopening_nothing_of_an_earlier_round_is_told(world: World) -> None:
    """F036: neither what waits, nor what is being tried, nor to those who were paged in the round before."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await incident_with(world, cyd)
    for number, target in enumerate((ada, bob)):
        async with world.db.begin() as tx:
            await incidents.page(tx, world.actor(cyd), incident.id, [PageTarget("user", target.id)])
        await world.settle()
        if number == 0:
            async with world.db.begin() as tx:
                await incidents.resolve(tx, world.actor(cyd), incident.id, "Done.")
            await world.settle()
            await world.pass_time(MOMENT)
            async with world.db.begin() as tx:
                await incidents.reopen(tx, world.actor(cyd), incident.id, "It is back.")
            await world.let_pass(minutes(2), every=MOMENT)
            assert world.mail.news(ada) == []
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(cyd), incident.id, "Done again.")
    await world.settle()
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == []
    assert world.mail.news(bob) == ["INC-1 “Checkout is down” is over: resolved by Cyd after 2 min."]


async def test_a_message_of_an_earlier_round_that_is_still_tried_is_taken_back(world: World) -> None:
    """F036: over was told to a mail server that was away; then it was reopened."""
    ada, cyd = await world.people("ada", "cyd")
    incident = await incident_with(world, cyd)
    async with world.db.begin() as tx:
        await incidents.page(tx, world.actor(cyd), incident.id, [PageTarget("user", ada.id)])
    await world.settle()
    world.mail.down = Transient("451 later")
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(cyd), incident.id, "Done.")
    await world.settle()
    await world.pass_time(WINDOW)
    assert await news_deliveries(world) == ["queued"]
    async with world.db.begin() as tx:
        await incidents.reopen(tx, world.actor(cyd), incident.id, "It is back.")
    world.mail.down = None
    await world.let_pass(minutes(5))
    assert world.mail.news(ada) == [] and await news_deliveries(world) == ["cancelled"]


async def ask(world: World, who: User, incident: Incident, whom: User) -> None:
    async with world.db.begin() as tx:
        await incidents.page(tx, world.actor(who), incident.id, [PageTarget("user", whom.id)])


async def resolve(world: World, who: User, incident: Incident) -> None:
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(who), incident.id, "Done.")


async def put_off_reactions(world: World, by: str = "1 hour") -> None:
    """What has just happened is noted for those whom it concerns only much later, as when a worker has died."""
    await world.db.pool.execute(
        "UPDATE job SET due = tocsin_now() + $2::text::interval WHERE kind = $1", NOTE_NEWS.name, by
    )


async def opened_and_over_again(world: World, who: User, incident: Incident, whom: User) -> None:
    """Reopened, paged for once more and over again, while nobody has been told of it yet."""
    async with world.db.begin() as tx:
        await incidents.reopen(tx, world.actor(who), incident.id, "It is back.")
    await ask(world, who, incident, whom)
    await put_off_reactions(world)
    await world.settle()
    await resolve(world, who, incident)
    await put_off_reactions(world)


async def test_the_end_of_a_second_round_is_not_told_by_what_waited_for_the_first(world: World) -> None:
    """F036, F137: it is told once, when it has been noted for that round, and not a second time then."""
    ada, cyd = await world.people("ada", "cyd")
    incident = await incident_with(world, cyd)
    await ask(world, cyd, incident, ada)
    await world.settle()
    await resolve(world, cyd, incident)
    await world.settle()
    await opened_and_over_again(world, cyd, incident, ada)
    assert len(world.mail.to(ada)) == 2
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == []
    await put_off_reactions(world, "0")
    await world.let_pass(minutes(3))
    assert world.mail.news(ada) == ["INC-1 “Checkout is down” is over: resolved by Cyd after 0 s."]


async def test_that_the_first_round_is_over_is_not_told_in_the_second_though_that_is_over_too(world: World) -> None:
    """F036, F137: the mail server was away when the first one ended; its message reads the same and is not true."""
    ada, cyd = await world.people("ada", "cyd")
    incident = await incident_with(world, cyd)
    await ask(world, cyd, incident, ada)
    await world.settle()
    await world.pass_time(minutes(7))
    await resolve(world, cyd, incident)
    await world.settle()
    world.mail.failures = [Transient("451 later")]
    await world.pass_time(WINDOW)
    assert await news_deliveries(world) == ["queued"]
    await opened_and_over_again(world, cyd, incident, ada)
    await world.pass_time(MOMENT)
    assert (world.mail.news(ada), await news_deliveries(world)) == ([], ["cancelled"])
    await put_off_reactions(world, "0")
    await world.let_pass(minutes(3))
    assert world.mail.news(ada) == ["INC-1 “Checkout is down” is over: resolved by Cyd after 0 s."]
