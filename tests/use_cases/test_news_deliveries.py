"""How news are sent: by which way, for how long, in a lane of their own, and never in a page's way (F137)."""

from __future__ import annotations

from tests.use_cases.paged_pair import MOMENT, end, news_deliveries, take, two_paged, wish
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.kit.errors import Patience, Refused, Transient
from tocsin.notifications import service as notifications
from tocsin.notifications import telling
from tocsin.notifications.news import WINDOW, Wish


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
