"""Whoever was woken is told who took it and when it is over (F137), by their wishes, bundled, and nothing untrue."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.incidents.model import CancelReason, Incident
from tocsin.kit.errors import Denied, Invalid, Patience, Refused, Transient
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications import telling
from tocsin.notifications.model import Tell
from tocsin.notifications.news import WINDOW, Wish
from tocsin.oncall.escalation import PageTarget

MOMENT = timedelta(seconds=10)


async def two_paged(world: World, title: str = "Disk full") -> tuple[User, User, Alert]:
    """Ada and Bob are paged together and have got it."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    alert = await world.alert(title)
    assert len(world.mail.to(ada)) == len(world.mail.to(bob)) == 1
    return ada, bob, alert


async def take(world: World, who: User, alert: Alert) -> None:
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(who), alert.id)
    await world.settle()


async def give_back(world: World, who: User, alert: Alert) -> None:
    async with world.db.begin() as tx:
        await alerts.unacknowledge(tx, world.actor(who), alert.id)
    await world.settle()


async def end(world: World, alert: Alert) -> None:
    await world.signal({"title": alert.title, "status": "resolved", "key": alert.title})
    await world.settle()


async def wish(world: World, person: User, wanted: Wish) -> None:
    async with world.db.begin() as tx:
        await telling.set_preference(tx, world.actor(person), user_id=person.id, wish=wanted)


async def news_deliveries(world: World) -> list[str]:
    rows = await world.db.pool.fetch("SELECT state FROM delivery WHERE kind = 'news' ORDER BY id")
    return [row["state"] for row in rows]


async def test_who_was_paged_is_told_who_took_it_and_when_it_is_over(world: World) -> None:
    """F137: and whoever took it is told the end alone."""
    ada, bob, alert = await two_paged(world)
    await world.pass_time(timedelta(seconds=40))
    await take(world, bob, alert)
    assert world.mail.news(ada) == [], "not before the window is over"
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["Bob took “Disk full” after 40 s."]
    assert world.mail.news(bob) == []
    await world.pass_time(minutes(11))
    await end(world, alert)
    await world.pass_time(WINDOW)
    over = "“Disk full” is over: resolved by Generic after 12 min."
    assert world.mail.news(ada) == ["Bob took “Disk full” after 40 s.", over]
    assert world.mail.news(bob) == [over]
    await world.let_pass(minutes(10))
    assert len(world.mail.news(ada)) == 2


async def test_what_follows_within_the_window_is_one_message_that_says_how_it_stands(world: World) -> None:
    """F137: taken, then over; and the end is not swallowed by the waiting for more (3.11)."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    await world.pass_time(MOMENT)
    await end(world, alert)
    await world.pass_time(MOMENT)
    assert world.mail.news(ada) == []
    await world.pass_time(MOMENT)
    assert world.mail.news(ada) == ["“Disk full” is over: resolved by Generic after 10 s."]
    await world.let_pass(minutes(5), every=MOMENT)
    assert len(world.mail.news(ada)) == 1


async def test_an_end_while_the_news_are_being_written_is_told_all_the_same(world: World) -> None:
    """F137, 3.11: the change is noted while the job of the window runs, and waits for its lock."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    await world.pass_time(WINDOW, settle=False)
    async with world.db.begin() as tx:
        assert await telling.tell_person(tx, {"alert": alerts.read_news}, ada.id) is None  # type: ignore[dict-item]

        async def end_it() -> None:
            async with world.db.begin() as other:
                await alerts.resolve(other, world.actor(bob), alert.id)
                await alerts.note_news(other, alert.id)

        ending = asyncio.create_task(end_it())
        await asyncio.sleep(0.2)
        assert not ending.done()
    await ending
    await world.settle()
    assert world.mail.news(ada) == [], "what was taken back is not sent"
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["“Disk full” is over: resolved by Bob after 30 s."]


async def test_not_more_than_one_message_per_window(world: World) -> None:
    """F137: a storm that ends is one message, and those that end a little later are the next one."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    many = [await world.alert(f"Node {n} is down") for n in range(25)]
    for alert in many[:23]:
        await end(world, alert)
    await world.pass_time(timedelta(seconds=20))
    await end(world, many[23])
    await world.pass_time(timedelta(seconds=15))
    assert world.mail.news(ada) == ["24 alerts that you were paged for are over."]
    body = next(message.body for _, message in world.mail.told)
    assert body.startswith("- “Node 0 is down” is over: resolved by Generic after ")
    assert body.endswith("\n- And 4 more.") and body.count("\n") == 20
    await end(world, many[24])
    await world.pass_time(timedelta(seconds=20))
    assert len(world.mail.news(ada)) == 1
    await world.pass_time(MOMENT)
    assert world.mail.news(ada)[1:] == ["“Node 24 is down” is over: resolved by Generic after 35 s."]


async def test_what_is_taken_back_within_the_window_is_not_told(world: World) -> None:
    """F137: taken and given back; the page that follows says that it is open."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    await world.pass_time(MOMENT)
    await give_back(world, bob, alert)
    await world.let_pass(minutes(3), every=MOMENT)
    assert world.mail.news(ada) == [] and world.mail.news(bob) == []
    assert len(world.mail.to(ada)) == 2


async def test_who_was_told_that_it_was_taken_is_told_that_it_is_open_again(world: World) -> None:
    """F137: unless they have been paged anew meanwhile."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    # Only Bob is paged from now on.
    await world.db.pool.execute("DELETE FROM escalation_target WHERE user_id = $1", ada.id)
    await give_back(world, bob, alert)
    await world.pass_time(WINDOW)
    told = ["Bob took “Disk full” after 0 s.", "“Disk full” is open again: Bob gave it back. You may be paged again."]
    assert world.mail.news(ada) == told
    assert world.mail.news(bob) == []


async def test_taken_by_somebody_else_is_news_and_taken_again_is_none(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    cyd = await world.person("cyd", reachable=False)
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    alert = await world.alert("Disk full")
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    for who in (bob, cyd):
        await give_back(world, bob, alert)
        await take(world, who, alert)
        await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["Bob took “Disk full” after 0 s.", "Cyd took “Disk full” after 60 s."]
    assert world.mail.news(bob) == ["Cyd took “Disk full” after 60 s."]


async def test_taken_at_its_source(world: World) -> None:
    ada, _, alert = await two_paged(world)
    await world.signal({"title": alert.title, "status": "acknowledged", "key": alert.title})
    await world.settle()
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["“Disk full” was acknowledged in Generic after 0 s."]


async def test_nobody_gets_news_of_a_page_that_never_reached_them(world: World) -> None:
    """F137: the message failed and was recalled, or was planned for later, or there is none at all."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    world.mail.failures = [Transient("no"), Transient("no")]
    alert = await world.alert("Disk full")
    await take(world, bob, alert)
    await end(world, alert)
    await world.let_pass(minutes(2))
    assert world.mail.sent == world.mail.told == []
    assert await news_deliveries(world) == []


async def test_who_was_never_paged_hears_nothing(world: World) -> None:
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([ada, cyd], wait=minutes(30)))
    alert = await world.alert("Disk full")
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) and not world.mail.news(cyd) and not world.mail.news(bob)


@pytest.mark.parametrize(
    ("wanted", "told"), [(Wish(Tell.NONE), 0), (Wish(Tell.OVER), 1), (Wish(Tell.ALL), 2)], ids=["none", "over", "all"]
)
async def test_people_are_told_what_they_wish(world: World, wanted: Wish, told: int) -> None:
    """F137: by their preferences."""
    ada, bob, alert = await two_paged(world)
    await wish(world, ada, wanted)
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    await end(world, alert)
    await world.let_pass(minutes(5))
    said = ["Bob took “Disk full” after 0 s.", "“Disk full” is over: resolved by Generic after 30 s."]
    assert world.mail.news(ada) == said[2 - told :]


async def test_low_urgency_is_told_only_to_those_who_wish_it(world: World) -> None:
    """F137: nobody was woken, so nobody is told."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    await wish(world, bob, Wish(low_urgency=True))
    alert = await world.alert("Disk nearly full", severity="warning")
    assert [message.urgency for message in world.mail.to(ada)] == ["low"]
    await end(world, alert)
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == []
    assert world.mail.news(bob) == ["“Disk nearly full” is over: resolved by Generic after 0 s."]


async def test_who_has_left_is_told_nothing(world: World) -> None:
    """F137, F135: whether the account was switched off before the window ended or while the message was tried."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, ada.id, UserChanges(is_active=False))
    await world.pass_time(WINDOW)
    assert await news_deliveries(world) == []
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, ada.id, UserChanges(is_active=True))
    world.mail.down = Transient("451 later")
    await end(world, alert)
    await world.pass_time(WINDOW)
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, ada.id, UserChanges(is_active=False))
    world.mail.down = None
    await world.let_pass(minutes(10))
    assert world.mail.news(ada) == []
    assert world.mail.news(bob) == ["“Disk full” is over: resolved by Generic after 30 s."]


async def test_news_that_are_no_longer_true_are_taken_back(world: World) -> None:
    """F137: the mail server was away when it was taken; by the time it is back, it is over."""
    ada, bob, alert = await two_paged(world)
    world.mail.down = Transient("451 later")
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    assert await news_deliveries(world) == ["queued"]
    await end(world, alert)
    world.mail.down = None
    await world.let_pass(minutes(5))
    assert world.mail.news(ada) == ["“Disk full” is over: resolved by Generic after 30 s."]
    assert (await news_deliveries(world))[0] == "cancelled"


async def test_who_was_never_told_that_it_was_taken_is_not_told_that_it_is_open_again(world: World) -> None:
    """F137: giving it back takes back what is still being tried, and with it what the person would have known."""
    ada, bob, alert = await two_paged(world)
    world.mail.down = Transient("451 later")
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    assert await news_deliveries(world) == ["queued"]
    await world.db.pool.execute("DELETE FROM escalation_target WHERE user_id = $1", ada.id)
    await give_back(world, bob, alert)
    world.mail.down = None
    await world.let_pass(minutes(3))
    assert world.mail.news(ada) == []
    # And the end is told.
    await end(world, alert)
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["“Disk full” is over: resolved by Generic after 3 min."]


async def test_what_else_was_in_a_message_that_was_taken_back_is_told_with_the_next(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    disk, node = [await world.alert(title) for title in ("Disk full", "Node down")]
    world.mail.down = Transient("451 later")
    await take(world, bob, disk)
    await end(world, node)
    await world.pass_time(WINDOW)
    await end(world, disk)
    world.mail.down = None
    await world.let_pass(minutes(5))
    assert world.mail.news(ada) == ["2 alerts that you were paged for are over."]


async def test_news_are_tried_for_an_hour_and_harm_no_page(world: World) -> None:
    """F137, F141: a contact method that failed for news alone is used for the next page, and nothing escalates."""
    ada, _bob, alert = await two_paged(world)
    world.mail.down = Transient("451 later")
    await end(world, alert)
    await world.let_pass(minutes(65), every=minutes(1))
    assert await news_deliveries(world) == ["failed", "failed"]
    assert await world.db.pool.fetchval("SELECT count(*) FROM contact_method_health") == 0
    assert not [name for name in await world.history(alert) if "failed" in name or "unreachable" in name]
    world.mail.down = None
    await world.let_pass(minutes(65), every=minutes(5))
    assert world.mail.news(ada) == []
    await world.alert("Node down")
    assert world.mail.subjects(ada) == ["Disk full", "Node down"]


async def test_what_is_older_than_an_hour_is_no_news(world: World) -> None:
    """F137: no worker ran for a night."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    await world.pass_time(minutes(61))
    assert world.mail.news(ada) == []


async def test_a_message_that_waited_for_an_hour_is_dropped_unsent(world: World) -> None:
    """F137: it was queued, and then no worker ran."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    await world.pass_time(WINDOW, settle=False)
    async with world.db.begin() as tx:
        await telling.tell_person(tx, {"alert": alerts.read_news}, ada.id)  # type: ignore[dict-item]
    await world.pass_time(minutes(61))
    assert world.mail.news(ada) == [] and await news_deliveries(world) == ["cancelled"]


async def test_a_second_copy_after_a_death_is_marked_and_the_only_one(world: World) -> None:
    """G04, F137: the worker died while it sent the news."""
    ada, bob, alert = await two_paged(world)
    died = """
        UPDATE delivery SET state = 'sending', attempt = 1, sending_at = tocsin_now(),
               unsure_until = tocsin_now() + interval '20 seconds'
        WHERE state = 'queued' AND kind = 'news'
    """
    await take(world, bob, alert)
    await world.pass_time(WINDOW, settle=False)
    async with world.db.begin() as tx:
        await telling.tell_person(tx, {"alert": alerts.read_news}, ada.id)  # type: ignore[dict-item]
    await world.db.pool.execute(died)
    await world.settle()
    assert world.mail.news(ada) == []
    await world.let_pass(minutes(5), every=MOMENT)
    told = [message for _, message in world.mail.told]
    assert [message.possible_duplicate for message in told] == [True]
    assert told[0].notes == ["You may have received this message before."]


async def test_the_same_event_twice_is_told_once(world: World) -> None:
    """F137: a reaction may run twice."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    for _ in range(3):
        async with world.db.begin() as tx:
            await alerts.note_news(tx, alert.id)
        await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["Bob took “Disk full” after 0 s."]


async def test_news_go_where_they_are_wished_else_by_the_quietest_way_that_reached(world: World) -> None:
    """F137: a webhook may ring; the mail that was sent as well does not."""
    ada, bob, alert0 = await two_paged(world)
    async with world.db.begin() as tx:
        hook = await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address="https://pager.example/ada"
        )
    alert = await world.alert("Node down")
    assert [message.title for _, message in world.hook.sent] == ["Node down"]
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["Bob took “Node down” after 0 s."]
    await wish(world, ada, Wish(method_id=hook.id))
    await end(world, alert)
    await world.pass_time(WINDOW)
    assert [message.title for _, message in world.hook.told] == ["“Node down” is over: resolved by Generic after 30 s."]
    assert len(world.mail.news(ada)) == 1
    # Once the wished one is gone, it is as if nothing had been wished.
    async with world.db.begin() as tx:
        await notifications.remove_contact_method(tx, world.root, user_id=ada.id, method_id=hook.id)
    await end(world, alert0)
    await world.pass_time(WINDOW)
    assert len(world.mail.news(ada)) == 2


async def test_news_have_a_lane_and_shares_of_their_own(world: World) -> None:
    """F137, G05: they never take a place from a page, also of one to the same receiver."""
    _, bob, alert = await two_paged(world)
    world.mail.down = Transient("451 later")
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    rows = await world.db.pool.fetch("SELECT lane, shares FROM job WHERE kind = 'notifications.send'")
    assert [(row["lane"], row["shares"]) for row in rows] == [("news", ["news:email"])]


async def test_an_origin_in_trouble_is_not_probed_by_news_nor_judged_by_them(world: World) -> None:
    """F137: while an origin leaves pages unanswered, the one probe belongs to a page."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    silent = Transient("No answer.", may_have_arrived=True)
    origins = world.app._origins
    async with world.db.begin() as tx:
        now = tx.now
    for _ in range(4):
        origins.failed("email", silent, now)
    await world.let_pass(minutes(3))
    assert world.mail.news(ada) == [] and origins.is_probed_only("email")
    origins.answered("email", now)
    await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["Bob took “Disk full” after 0 s."]
    world.mail.down = silent
    await end(world, alert)
    await world.let_pass(minutes(20))
    attempts = await world.db.pool.fetchval(
        "SELECT sum(attempt) FROM delivery WHERE kind = 'news' AND state = 'queued'"
    )
    assert attempts > 8 and not origins.is_probed_only("email")


async def test_refused_news_are_not_tried_for_a_day(world: World) -> None:
    _ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    world.mail.failures = [Refused("550 no", patience=Patience.NONE)]
    await world.let_pass(minutes(5))
    assert await news_deliveries(world) == ["failed"]
    assert await world.db.pool.fetchval("SELECT count(*) FROM contact_method_health") == 0


# Incidents


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


# Preferences


async def test_a_preference_is_kept_recorded_and_belongs_to_its_person(world: World) -> None:
    """F137: nobody else's contact method, and nobody else's wishes."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        theirs = (await contact.contact_methods(tx, bob.id))[0]
        with pytest.raises(Invalid):
            await telling.set_preference(tx, world.actor(ada), user_id=ada.id, wish=Wish(method_id=theirs.id))
        with pytest.raises(Denied):
            await telling.set_preference(tx, world.actor(ada), user_id=bob.id, wish=Wish(Tell.NONE))
    await wish(world, ada, Wish(Tell.OVER, low_urgency=True))
    await wish(world, ada, Wish(Tell.OVER, low_urgency=True))
    async with world.db.begin() as tx:
        assert telling.wish_of(await contact.news_preference(tx, ada.id)) == Wish(Tell.OVER, low_urgency=True)
        assert telling.wish_of(await contact.news_preference(tx, bob.id)) == Wish()
    rows = await world.db.pool.fetch("SELECT data FROM event WHERE data ->> 'kind' = 'news_preference'")
    assert len(rows) == 1


async def test_news_that_wait_stay_news_when_their_address_is_corrected(world: World) -> None:
    """F137, F141: they go to the new address, in the lane of news, and take no place from a test or a page."""
    ada, bob = await world.person("ada", reachable=False), await world.person("bob")
    async with world.db.begin() as tx:
        method = await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address="https://old.example/a"
        )
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    alert = await world.alert()
    world.hook.down = Transient("away")
    await take(world, bob, alert)
    await world.pass_time(WINDOW)
    async with world.db.begin() as tx:
        await notifications.update_contact_method(
            tx,
            world.root,
            world.app.channels,
            user_id=ada.id,
            method_id=method.id,
            changes=notifications.MethodChanges(address="https://new.example/a"),
        )
    rows = await world.db.pool.fetch("SELECT lane, shares FROM job WHERE kind = 'notifications.send'")
    assert [(row["lane"], row["shares"]) for row in rows] == [("news", ["news:https://new.example"])]
    world.hook.down = None
    await world.settle()
    assert world.hook.told[-1][0] == "https://new.example/a"
