"""What those who follow an incident find in their inbox (F082): of whom, of what, how often, and of what never."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.use_cases.test_subscribers import actor, declared
from tests.world import World, minutes
from tocsin.events.incidents import IncidentAcknowledged, IncidentStatusChanged
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Owners, teams
from tocsin.incidents import inbox_queries, inbox_words, service
from tocsin.incidents.inbox_model import KEPT_FOR, InboxEntry
from tocsin.incidents.model import Incident, IncidentRole, Status
from tocsin.incidents.service import following, inbox, subscribing
from tocsin.kit.errors import NotFound


async def news(world: World, person: User) -> list[str]:
    """What somebody reads, the newest first, with how many changes a row stands for."""
    who = await actor(world, person)
    async with world.db.begin() as tx:
        rows = await inbox_queries.entries(tx, who.access, person.id)
        told = await inbox_words.told(tx, who.access, rows)
    return [each.text + (f" ({each.entry.count})" if each.entry.count > 1 else "") for each in told]


async def rows(world: World, person: User) -> list[InboxEntry]:
    async with world.db.begin() as tx:
        return [entry for entry, _ in await inbox_queries.entries(tx, world.root.access, person.id)]


async def move(world: World, who: User | Actor, incident: Incident, to: Status) -> None:
    async with world.db.begin() as tx:
        by = who if isinstance(who, Actor) else world.actor(who)
        await service.update_status(tx, by, incident.id, to)
    await world.settle()


async def say(world: World, who: User, incident: Incident, text: str) -> None:
    async with world.db.begin() as tx:
        await service.comment(tx, world.actor(who), incident.id, text)
    await world.settle()


async def follow(world: World, incident: Incident, *people: User) -> None:
    for person in people:
        async with world.db.begin() as tx:
            await subscribing.follow(tx, world.actor(person), incident.id)
    await world.settle()


async def make_private(world: World, incident: Incident, *members: User) -> None:
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Legal", members={each.id: None for each in members})
        changes = service.IncidentChanges(owners=Owners([team.id], is_private=True))
        await service.update(tx, world.root, incident.id, changes)
    await world.settle()


async def test_who_follows_is_told_and_who_did_it_is_not(world: World) -> None:
    """F082: the lead, a responder and a subscriber; nobody else."""
    ada, bob, cyd, dan = await world.people("ada", "bob", "cyd", "dan")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        await service.join(tx, world.actor(bob), incident.id)
    await world.settle()
    await follow(world, incident, cyd)
    await world.pass_time(minutes(2))
    await move(world, bob, incident, Status.IDENTIFIED)
    text = "Bob changed the status from investigating to identified"
    assert (await news(world, ada))[0] == (await news(world, cyd))[0] == text
    assert text not in await news(world, bob) and await news(world, dan) == []
    assert (await news(world, ada))[-1].startswith("Bob ")


async def test_a_team_is_told_through_its_people_who_see_it(world: World) -> None:
    """F047, F082: also who came into the team later; not of what they do themselves."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    gus = await world.person("gus", role="guest")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Support", members={bob.id: None, gus.id: None})
        await subscribing.subscribe(tx, world.actor(ada), incident.id, team_ids=[team.id])
    async with world.db.begin() as tx:
        await teams.update_members(tx, world.root, team.id, [bob.id, cyd.id, gus.id])
    await move(world, ada, incident, Status.MITIGATED)
    assert len(await news(world, bob)) == len(await news(world, cyd)) == 1
    assert await rows(world, gus) == []


async def test_many_changes_within_a_minute_are_one_row_that_counts(world: World) -> None:
    """F082: the gravest is named; later, or once it was read, it is another row."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    await move(world, ada, incident, Status.INVESTIGATING)
    for number in range(5):
        await say(world, ada, incident, f"Try {number}")
    assert await news(world, bob) == ["Ada changed the status from declared to investigating (7)"]
    await say(world, ada, incident, "@bob look")
    assert (await news(world, bob))[0].startswith("Ada mentioned you (")
    await world.pass_time(minutes(1) + timedelta(seconds=1))
    await say(world, ada, incident, "One more")
    assert (await news(world, bob))[0] == "Ada commented"
    who = await actor(world, bob)
    async with world.db.begin() as tx:
        assert await inbox.mark_news(tx, who, None) == 0
    await say(world, ada, incident, "And another")
    assert (await news(world, bob))[0] == "Ada commented" and len(await rows(world, bob)) == 3


async def test_who_takes_it_on_moves_it_and_the_status_is_named(world: World) -> None:
    """F082: whichever of both is done first by the workers."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    moved = IncidentStatusChanged(actor=world.actor(ada).ref, incident_id=incident.id, old="declared", new="identified")
    taken = IncidentAcknowledged(actor=world.actor(ada).ref, incident_id=incident.id)
    async with world.db.begin() as tx:
        await following.tell_followers(tx, moved, tx.now)
        await following.tell_followers(tx, taken, tx.now)
    assert await news(world, bob) == ["Ada changed the status from declared to identified (2)"]


async def test_nothing_is_told_of_what_one_may_see_no_more(world: World) -> None:
    """F082, C8: made private later; what was told before is not shown, counted or opened either."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    await move(world, ada, incident, Status.IDENTIFIED)
    (before,) = await rows(world, bob)
    await make_private(world, incident, ada)
    await move(world, await actor(world, ada), incident, Status.MITIGATED)
    assert await news(world, bob) == [] and len(await rows(world, bob)) == 1
    who = await actor(world, bob)
    async with world.db.begin() as tx:
        assert await inbox_queries.count_unread(tx, who.access, bob.id, most=10) == 0
    with pytest.raises(NotFound):
        async with world.db.begin() as tx:
            await inbox.open_news(tx, who, before.id)


async def test_who_was_named_is_told_and_an_edit_tells_whom_it_names_anew(world: World) -> None:
    """F082: a mention reaches somebody who does not follow, once; an erased comment is not read in the inbox."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        written = await service.comment(tx, world.actor(ada), incident.id, "@bob look at the disk")
    await world.settle()
    async with world.db.begin() as tx:
        await service.edit_comment(tx, world.actor(ada), incident.id, written.comment.id, "@bob @cyd look")
    await world.settle()
    assert await news(world, bob) == await news(world, cyd) == ["Ada mentioned you"]
    who = await actor(world, bob)
    async with world.db.begin() as tx:
        told = await inbox_words.told(tx, who.access, await inbox_queries.entries(tx, who.access, bob.id))
        assert [each.detail for each in told] == ["@bob @cyd look"]
        await service.erase_comment(tx, world.actor(ada), incident.id, written.comment.id)
    async with world.db.begin() as tx:
        told = await inbox_words.told(tx, who.access, await inbox_queries.entries(tx, who.access, bob.id))
    assert [each.detail for each in told] == [""]


async def test_who_is_switched_off_is_told_nothing(world: World) -> None:
    """F082, F135."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    async with world.db.begin() as tx:
        await service.update_person(tx, world.root, bob.id, UserChanges(is_active=False), confirmed=True)
    await move(world, ada, incident, Status.MITIGATED)
    assert await rows(world, bob) == []


async def test_news_say_when_it_happened_and_not_when_they_were_written(world: World) -> None:
    """F082: the worker was away; what is older than the inbox is kept is told no more."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    async with world.db.begin() as tx:
        at = tx.now
        await service.update_status(tx, world.actor(ada), incident.id, Status.MITIGATED)
    await world.pass_time(minutes(30))
    (row,) = await rows(world, bob)
    assert abs(row.at - at) < timedelta(seconds=5)


async def test_news_are_kept_for_thirty_days(world: World) -> None:
    """F082."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    await move(world, ada, incident, Status.MITIGATED)
    async with world.db.begin() as tx:
        assert await inbox.sweep(tx) == 0
    await world.pass_time(KEPT_FOR + minutes(5))
    async with world.db.begin() as tx:
        await inbox.sweep(tx)
    assert await rows(world, bob) == []


async def test_somebody_elses_news_cannot_be_marked_or_opened(world: World) -> None:
    """F082, F117."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    await move(world, ada, incident, Status.MITIGATED)
    (row,) = await rows(world, bob)
    async with world.db.begin() as tx:
        await inbox.mark_news(tx, await actor(world, cyd), [row.id])
    assert (await rows(world, bob))[0].read_at is None
    with pytest.raises(NotFound):
        async with world.db.begin() as tx:
            await inbox.open_news(tx, await actor(world, cyd), row.id)
    async with world.db.begin() as tx:
        await inbox.open_news(tx, await actor(world, bob), row.id)
    assert (await rows(world, bob))[0].read_at is not None
    async with world.db.begin() as tx:
        assert await inbox.mark_news(tx, await actor(world, bob), [row.id], is_read=False) == 1


async def test_who_is_given_a_role_is_told_so(world: World) -> None:
    """F082: it is another one's act; that they joined by it they know."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        await service.assign_roles(tx, world.actor(ada), incident.id, {IncidentRole.COMMANDER: bob.id})
    await world.settle()
    assert await news(world, bob) == ["Ada made Bob commander"]
