"""News that leave the inbox (F082): bundled mails, digests, webhooks, what one wants, and what must never go out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.races import behind
from tests.use_cases.test_inbox import follow, make_private, move, rows, say
from tests.use_cases.test_subscribers import actor, declared
from tests.world import World, minutes
from tocsin.db.engine import Tx
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import User
from tocsin.incidents import inbox_queries, service
from tocsin.incidents.following import BUNDLE, ChangeKind, Way
from tocsin.incidents.model import Incident, Status
from tocsin.incidents.service import inbox, preferring, sending, subscribing
from tocsin.kit.errors import Conflict, Denied, Transient
from tocsin.notifications import service as notifications
from tocsin.oncall.escalation import PageTarget


async def followed(world: World, *names: str) -> tuple[Incident, User, list[User]]:
    """An incident of Ada's that the others follow."""
    ada = await world.person("ada")
    others = [await world.person(name, role="stakeholder") for name in names]
    incident = await declared(world, ada)
    await follow(world, incident, *others)
    return incident, ada, others


async def wish(world: World, person: User, way: Way | None, *changes: ChangeKind) -> None:
    async with world.db.begin() as tx:
        await preferring.set_ways(tx, await actor(world, person), person.id, dict.fromkeys(changes or ChangeKind, way))


async def test_several_changes_within_two_minutes_are_one_mail(world: World) -> None:
    """F082: who subscribed gets it by default, who works on it does not, nor who did it."""
    incident, ada, (sam,) = await followed(world, "sam")
    await move(world, ada, incident, Status.IDENTIFIED)
    await world.pass_time(minutes(1.5))
    assert world.mail.news(sam) == []
    await move(world, ada, incident, Status.MITIGATED)
    await world.pass_time(minutes(1))
    assert world.mail.news(sam) == ["INC-1 “Checkout is down”: 3 changes"]
    (message,) = [message for _, message in world.mail.told]
    assert "to identified" in message.body and "to mitigated" in message.body
    assert message.kind == "news" and message.incident_number == "INC-1" and not message.acknowledge_url
    await world.pass_time(minutes(30))
    assert len(world.mail.news(sam)) == 1 and world.mail.news(ada) == []


async def test_pages_are_never_bundled(world: World) -> None:
    """F082: who is paged is paged at once, whatever they have said of news."""
    incident, ada, _ = await followed(world, "sam")
    bob = await world.person("bob")
    await wish(world, bob, Way.NONE)
    async with world.db.begin() as tx:
        await service.page(tx, world.actor(ada), incident.id, [PageTarget("user", bob.id)])
    await world.settle()
    assert len(world.mail.to(bob)) == 1


async def test_a_digest_comes_at_its_hour_with_all_incidents(world: World) -> None:
    """F082: hourly; what was read meanwhile is not in it, and without news there is none."""
    incident, ada, (sam,) = await followed(world, "sam")
    await wish(world, sam, Way.HOURLY)
    other = await declared(world, ada)
    await follow(world, other, sam)
    await move(world, ada, incident, Status.IDENTIFIED)
    await say(world, ada, other, "The disk is full")
    await world.pass_time(minutes(61))
    (title,) = world.mail.news(sam)
    assert title.startswith("Hourly digest: ") and title.endswith("of 2 incidents")
    (message,) = [message for _, message in world.mail.told]
    assert "INC-1 Checkout is down" in message.body and "- Ada commented: The disk is full" in message.body
    await say(world, ada, other, "Nothing new")
    async with world.db.begin() as tx:
        await inbox.mark_news(tx, await actor(world, sam), None)
    await world.pass_time(minutes(121))
    assert len(world.mail.news(sam)) == 1


async def test_a_daily_digest_comes_in_the_morning(world: World) -> None:
    """F082."""
    incident, ada, (sam,) = await followed(world, "sam")
    await wish(world, sam, Way.DAILY)
    await move(world, ada, incident, Status.IDENTIFIED)
    (row,) = await rows(world, sam)
    assert row.send_at is not None and row.send_at.hour == 8
    async with world.db.begin() as tx:
        left = row.send_at - tx.now
    await world.pass_time(left - minutes(1))
    assert world.mail.news(sam) == []
    await world.pass_time(minutes(2))
    assert world.mail.news(sam)[0].startswith("Daily digest: ")


async def test_what_one_wants_is_what_one_gets(world: World) -> None:
    """F082: nothing at all, the inbox alone, or one's webhook; by kind of change."""
    incident, ada, (sam, kim, lou) = await followed(world, "sam", "kim", "lou")
    await wish(world, sam, Way.NONE, ChangeKind.STATUS, ChangeKind.ROLES)
    await wish(world, kim, Way.INBOX)
    await wish(world, lou, Way.WEBHOOK)
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=lou.id, kind="webhook", address="https://hook.example.org/lou"
        )
    await move(world, ada, incident, Status.IDENTIFIED)
    await world.pass_time(minutes(3))
    assert await rows(world, sam) == [] and len(await rows(world, kim)) == 1
    assert [message for _, message in world.mail.told] == []
    assert [address for address, _ in world.hook.told] == ["https://hook.example.org/lou"]
    async with world.db.begin() as tx:
        await service.resolve(tx, world.actor(ada), incident.id, "The disk was emptied.")
    await world.settle()
    await world.pass_time(minutes(3))
    assert world.mail.news(sam) == ["INC-1 “Checkout is down”: Ada resolved the incident"] and len(world.hook.told) == 2


async def test_without_an_address_of_that_kind_it_stays_in_the_inbox(world: World) -> None:
    """F082: nothing waits for ever."""
    ada = await world.person("ada")
    sam = await world.person("sam", role="stakeholder", reachable=False)
    incident = await declared(world, ada)
    await follow(world, incident, sam)
    await move(world, ada, incident, Status.IDENTIFIED)
    await world.pass_time(minutes(3))
    (row,) = await rows(world, sam)
    assert row.send_at is None and row.delivery_id is None and world.mail.told == []


async def test_nothing_goes_out_of_what_was_hidden_before_the_mail(world: World) -> None:
    """F082, C8: made private within the two minutes."""
    incident, ada, _ = await followed(world, "sam")
    await move(world, ada, incident, Status.IDENTIFIED)
    await make_private(world, incident, ada)
    await world.pass_time(minutes(5))
    assert world.mail.told == []


async def test_a_mail_that_is_tried_again_is_taken_back_when_it_tells_of_what_is_hidden(world: World) -> None:
    """F082, C8: the server was away; the rest of it is sent by another one."""
    incident, ada, (sam,) = await followed(world, "sam")
    other = await declared(world, ada)
    await follow(world, other, sam)
    await move(world, ada, incident, Status.IDENTIFIED)
    await move(world, ada, other, Status.IDENTIFIED)
    world.mail.down = Transient("451 later")
    await world.pass_time(BUNDLE)
    assert world.mail.told == []
    await make_private(world, incident, ada)
    world.mail.down = None
    await world.pass_time(minutes(2))
    (message,) = [message for _, message in world.mail.told]
    assert message.incident_number == "INC-2" and "INC-1" not in message.title + message.body


async def test_who_is_switched_off_gets_nothing_more(world: World) -> None:
    """F082, F135: also of what waited."""
    incident, ada, (sam,) = await followed(world, "sam")
    await move(world, ada, incident, Status.IDENTIFIED)
    async with world.db.begin() as tx:
        await service.update_person(tx, world.root, sam.id, UserChanges(is_active=False), confirmed=True)
    await world.pass_time(minutes(5))
    assert world.mail.told == []


async def test_two_workers_send_it_once(world: World) -> None:
    """F082: the second waits for the first and finds nothing left."""
    incident, ada, (sam,) = await followed(world, "sam")
    await move(world, ada, incident, Status.IDENTIFIED)
    async with world.db.begin() as tx:
        (row,) = await rows(world, sam)
        assert row.send_at is not None and row.send_at > tx.now

    async def send(tx: Tx) -> object:
        tx.now += BUNDLE + timedelta(seconds=5)
        return await sending.send_news(tx, sam.id, Way.EMAIL)

    async def send_too() -> object:
        async with world.db.begin() as tx:
            return await send(tx)

    await behind(world.db, send, send_too())
    await world.pass_time(minutes(5))
    assert len(world.mail.news(sam)) == 1


async def test_who_is_paged_hears_it_once_and_not_again_as_a_follower(world: World) -> None:
    """F137: who comes and that it is over, by the news of pages; what they follow stays in the inbox."""
    incident, ada, _ = await followed(world, "sam")
    bob = await world.person("bob")
    async with world.db.begin() as tx:
        await service.page(tx, world.actor(ada), incident.id, [PageTarget("user", bob.id)])
    await world.settle()
    async with world.db.begin() as tx:
        await service.resolve(tx, world.actor(ada), incident.id, "Done.")
    await world.settle()
    await world.pass_time(minutes(5))
    assert len(world.mail.news(bob)) == 1 and "is over" in world.mail.news(bob)[0]


async def test_what_is_old_is_not_mailed(world: World) -> None:
    """F082: the worker was away for hours; it stands in the inbox."""
    incident, ada, (sam,) = await followed(world, "sam")
    async with world.db.begin() as tx:
        tx.now -= timedelta(hours=2)
        await service.update_status(tx, world.actor(ada), incident.id, Status.IDENTIFIED)
    await world.settle()
    await world.pass_time(minutes(5))
    assert world.mail.told == [] and len(await rows(world, sam)) == 1


async def test_wishes_are_ones_own_and_are_in_the_record(world: World) -> None:
    """F082, F117: or those of who manages people; not of somebody whose account is off."""
    sam = await world.person("sam", role="stakeholder")
    kim = await world.person("kim", role="stakeholder")
    with pytest.raises(Denied):
        async with world.db.begin() as tx:
            await preferring.set_ways(tx, world.actor(kim), sam.id, {ChangeKind.STATUS: Way.NONE})
    await wish(world, sam, Way.DAILY, ChangeKind.STATUS)
    await wish(world, sam, None, ChangeKind.STATUS)
    async with world.db.begin() as tx:
        assert set((await inbox_queries.ways_of(tx, sam.id)).values()) == {None}
        await service.update_person(tx, world.root, sam.id, UserChanges(is_active=False), confirmed=True)
    with pytest.raises(Conflict):
        async with world.db.begin() as tx:
            await preferring.set_ways(tx, world.root, sam.id, {ChangeKind.STATUS: Way.NONE})


async def test_who_stops_following_gets_no_more(world: World) -> None:
    """F047, F082."""
    incident, ada, (sam,) = await followed(world, "sam")
    async with world.db.begin() as tx:
        await subscribing.unfollow(tx, world.actor(sam), incident.id)
    await move(world, ada, incident, Status.IDENTIFIED)
    await world.pass_time(minutes(5))
    assert world.mail.told == [] and await rows(world, sam) == []
