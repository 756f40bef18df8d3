"""Whoever was woken is told who took it and when it is over (F137), by their wishes, bundled, and nothing untrue."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.use_cases.paged_pair import MOMENT, end, give_back, news_deliveries, take, two_paged, wish
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.kit.errors import Denied, Invalid, Transient
from tocsin.notifications import queries as contact
from tocsin.notifications import telling
from tocsin.notifications.model import Tell
from tocsin.notifications.news import WINDOW, Wish


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


async def test_the_same_event_twice_is_told_once(world: World) -> None:
    """F137: a reaction may run twice."""
    ada, bob, alert = await two_paged(world)
    await take(world, bob, alert)
    for _ in range(3):
        async with world.db.begin() as tx:
            await alerts.note_news(tx, alert.id)
        await world.pass_time(WINDOW)
    assert world.mail.news(ada) == ["Bob took “Disk full” after 0 s."]


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


async def test_a_message_is_not_sent_while_what_is_in_it_changes_and_waits_for_nobody(world: World) -> None:
    """F137: whoever changes one part goes on to the others, so two who wait for each other would both be thrown out."""
    _, bob, alert = await two_paged(world)
    other = await world.alert("Node down")
    world.mail.down = Transient("451 later")
    await take(world, bob, alert)
    await take(world, bob, other)
    await world.pass_time(WINDOW)
    assert await world.db.pool.fetchval("SELECT count(*) FROM news_item WHERE delivery_id IS NOT NULL") == 2
    world.mail.down = None
    async with world.db.begin() as tx:
        connection = await tx.raw()
        await connection.execute("SELECT FROM news_item WHERE subject_id = $1 FOR UPDATE", other.id)
        await world.pass_time(MOMENT)
        assert world.mail.told == []
    assert await world.db.pool.fetchval("SELECT count(*) FROM job WHERE last_error IS NOT NULL") == 0
    await world.pass_time(MOMENT)
    assert len(world.mail.told) == 1
