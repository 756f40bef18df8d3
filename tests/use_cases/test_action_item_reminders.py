"""Reminders of action items: who is told, when, by what, and above all who is not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.world import World, minutes
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Owners
from tocsin.incidents import service
from tocsin.incidents.action_items import ActionItemChanges
from tocsin.incidents.model import ActionItem, ActionStatus, IncidentRole
from tocsin.kit.errors import Refused

DAY = timedelta(days=1)


async def add(world: World, who: User, **fields: Any) -> ActionItem:
    async with world.db.begin() as tx:
        made = await service.create_action_item(tx, Actor.person(who), "INC-1", description="Write it", **fields)
    return made.item


async def change(world: World, who: User, item: ActionItem, changes: ActionItemChanges) -> None:
    async with world.db.begin() as tx:
        await service.update_action_item(tx, Actor.person(who), item.id, changes)


@pytest.fixture
async def people(world: World) -> tuple[User, User]:
    """Ada leads INC-1; Bob responds. It is a quarter past five in the morning, UTC."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        await service.declare(tx, Actor.person(ada), title="Checkout is down")
        here = tx.now
    start = datetime(here.year, here.month, here.day, 5, 15, tzinfo=UTC) + DAY
    await world.pass_time(start - here)
    return ada, bob


async def today(world: World) -> date:
    async with world.db.begin() as tx:
        return tx.now.date()


async def morning(world: World, days: int = 1) -> None:
    """Let nine in the morning of so many days pass."""
    for _ in range(days):
        await world.pass_time(timedelta(hours=4))
        await world.pass_time(timedelta(hours=20))


async def test_who_is_to_do_it_is_told_before_and_after_and_the_lead_when_it_is_a_week_late(
    world: World, people: tuple[User, User]
) -> None:
    """F133: by the quiet way, never by a page; four times after it, and then no more."""
    ada, bob = people
    due = await today(world) + DAY
    await add(world, ada, due_date=due, assignee_id=bob.id)
    assert world.mail.news(bob) == []
    await morning(world)
    (first,) = world.mail.news(bob)
    assert first == f"“Write it” (INC-1) is due tomorrow, {due.day} {due:%b %Y}."
    await morning(world)
    assert len(world.mail.news(bob)) == 1, "on the day itself nothing is said"
    await morning(world)
    assert "1 day ago" in world.mail.news(bob)[1]
    assert world.mail.news(ada) == []
    await morning(world, 6)
    assert ["7 days ago" in each for each in world.mail.news(ada)] == [True]
    await morning(world, 30)
    assert len(world.mail.news(bob)) == 5 and len(world.mail.news(ada)) == 1
    assert world.mail.sent == [], "nobody is paged for it"
    message = next(message for address, message in world.mail.told if address == bob.email)
    assert message.url.endswith("/incidents/INC-1/action-items") and message.acknowledge_url is None
    assert message.urgency == "low" and message.reason == "It is given to you"


@pytest.mark.parametrize("status", [ActionStatus.DONE, ActionStatus.DROPPED])
async def test_nobody_is_reminded_of_what_is_over(
    world: World, people: tuple[User, User], status: ActionStatus
) -> None:
    """F133: done before the reminder, dropped, deleted, or without a date any more."""
    ada, bob = people
    due = await today(world) + DAY
    item = await add(world, ada, due_date=due, assignee_id=bob.id)
    gone = await add(world, ada, due_date=due, assignee_id=bob.id)
    undated = await add(world, ada, due_date=due, assignee_id=bob.id)
    await change(world, ada, item, {"status": status})
    await change(world, ada, undated, {"due_date": None})
    async with world.db.begin() as tx:
        await service.delete_action_item(tx, Actor.person(ada), gone.id)
    await morning(world, 10)
    assert world.mail.told == []
    await change(world, ada, item, {"status": ActionStatus.OPEN})
    await morning(world, 8)
    assert len(world.mail.news(bob)) == 1, "once it is open again, from then on"


async def test_a_reminder_that_waits_is_taken_back_when_it_is_not_so_any_more(
    world: World, people: tuple[User, User]
) -> None:
    """F133: the mail server is away at nine; by ten it is done, somebody else's, or due on another day."""
    ada, bob = people
    due = await today(world) + DAY
    done, given, moved, kept = [await add(world, ada, due_date=due, assignee_id=bob.id) for _ in range(4)]
    world.mail.down = Refused("Away.")
    await world.pass_time(timedelta(hours=3, minutes=50))
    await world.pass_time(minutes(10))
    await change(world, bob, done, {"status": ActionStatus.DONE})
    await change(world, bob, given, {"assignee_id": ada.id})
    await change(world, bob, moved, {"due_date": due + DAY})
    world.mail.down = None
    for _ in range(10):
        await world.pass_time(minutes(5))
    assert len(world.mail.news(bob)) == 1 and world.mail.news(ada) == []
    assert kept.id


async def test_whoever_has_it_by_then_is_reminded_and_nobody_who_cannot_see_it(
    world: World, people: tuple[User, User]
) -> None:
    """F133, F119, F135: reassigned; unassigned; switched off; a hidden incident."""
    ada, bob = people
    cat = await world.person("cat")
    due = await today(world) + DAY
    item = await add(world, ada, due_date=due, assignee_id=bob.id)
    await change(world, ada, item, {"assignee_id": cat.id})
    await add(world, ada, due_date=due)
    await morning(world)
    assert (len(world.mail.news(bob)), len(world.mail.news(cat))) == (0, 1)
    async with world.db.begin() as tx:
        team = await identity.create_team(tx, Actor.system("test"), name="Security", members={ada.id: None})
    async with world.db.begin() as tx:
        hidden = Owners(team_ids=[team.id], is_private=True)
        await service.update(tx, Actor.system("test"), "INC-1", service.IncidentChanges(owners=hidden))
    await change(world, ada, item, {"assignee_id": cat.id})
    await morning(world, 9)
    assert len(world.mail.news(cat)) == 1, "what is hidden from them is not told"
    assert len(world.mail.news(ada)) == 2, "the lead is told of both that are a week late"
    async with world.db.begin() as tx:
        await service.update_person(tx, world.root, cat.id, UserChanges(is_active=False), confirmed=True)
    await morning(world, 20)
    assert len(world.mail.news(cat)) == 1


async def test_who_leads_and_is_to_do_it_is_not_told_twice(world: World, people: tuple[User, User]) -> None:
    """F133; where nobody leads any more, those who manage its teams are told."""
    ada, bob = people
    due = await today(world) - 6 * DAY
    await add(world, ada, due_date=due, assignee_id=ada.id)
    await morning(world)
    assert world.mail.news(ada) == []
    async with world.db.begin() as tx:
        team = await identity.create_team(tx, Actor.system("test"), name="Payments", members={bob.id: "responder"})
        owned = service.IncidentChanges(owners=Owners(team_ids=[team.id]))
        await service.update(tx, Actor.system("test"), "INC-1", owned)
        await service.assign_roles(tx, Actor.person(ada), "INC-1", {IncidentRole.LEAD: bob.id})
    late = await today(world) - 6 * DAY
    await add(world, ada, due_date=late, assignee_id=ada.id)
    await morning(world)
    assert len(world.mail.news(bob)) == 1


async def test_two_workers_remind_once(world: World, people: tuple[User, User]) -> None:
    """F133: one holds the item, the other finds nothing, and nothing is left; one that dies has done nothing."""
    ada, bob = people
    await add(world, ada, due_date=await today(world) + DAY, assignee_id=bob.id)
    await world.pass_time(timedelta(hours=4), settle=False)
    with pytest.raises(KeyboardInterrupt):
        async with world.db.begin() as tx:
            assert await service.remind_of_one(tx)
            raise KeyboardInterrupt
    async with world.db.begin() as first:
        assert await service.remind_of_one(first)
        async with world.db.begin() as second:
            assert not await service.remind_of_one(second)
    async with world.db.begin() as tx:
        assert not await service.remind_of_one(tx)
    await world.settle()
    assert len(world.mail.news(bob)) == 1
