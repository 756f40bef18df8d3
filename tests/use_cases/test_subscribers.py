"""Following an incident without responding (F047): by oneself, by others, by being named; and what ends it."""

from __future__ import annotations

import pytest

from tests.use_cases.incident_team import record_of
from tests.world import World
from tocsin.events.words import describe
from tocsin.identity import service as identity
from tocsin.identity.access import ResourceKind
from tocsin.identity.access_queries import access
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Owners, teams
from tocsin.incidents import queries, service, subscriber_queries
from tocsin.incidents.model import Incident, ResponderSource
from tocsin.incidents.service import people, subscribing
from tocsin.kit.errors import Denied, Invalid, NotFound


async def declared(world: World, who: User, **fields: object) -> Incident:
    async with world.db.begin() as tx:
        found = await service.declare(tx, world.actor(who), title="Checkout is down", severity=2, **fields)  # type: ignore[arg-type]
    await world.settle()
    return found


async def followers(world: World, incident: Incident) -> list[tuple[str, str]]:
    async with world.db.begin() as tx:
        rows = await subscriber_queries.subscribers(tx, world.root.access, incident.id)
    return [(each.name, each.row.source) for each in rows]


async def record(world: World, incident: Incident) -> list[str]:
    async with world.db.begin() as tx:
        rows = await record_of(tx, incident.id)
    return [describe(row.name, row.actor_name, row.data).text for row in reversed(rows) if "subscriber" in row.name]


async def actor(world: World, person: User) -> Actor:
    async with world.db.begin() as tx:
        return Actor.person(person, await access(tx, person.id))


async def test_who_sees_an_incident_follows_it_and_stops(world: World) -> None:
    """F047: also somebody who may only look; twice is once."""
    ada = await world.person("ada")
    sam = await world.person("sam", role="stakeholder")
    incident = await declared(world, ada)
    for _ in range(2):
        async with world.db.begin() as tx:
            await subscribing.follow(tx, world.actor(sam), incident.reference)
    assert await followers(world, incident) == [("Sam", "self")]
    for _ in range(2):
        async with world.db.begin() as tx:
            await subscribing.unfollow(tx, world.actor(sam), incident.reference)
    assert await followers(world, incident) == []
    assert await record(world, incident) == ["Sam follows the incident", "Sam follows the incident no more"]


async def test_people_and_teams_are_added_by_who_may_edit(world: World) -> None:
    """F047: it gives no right, and who is added already stays as they came."""
    ada, bob = await world.people("ada", "bob")
    sam = await world.person("sam", role="stakeholder")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Support", members={bob.id: None})
        await subscribing.subscribe(tx, world.actor(ada), incident.id, user_ids=[bob.id, sam.id], team_ids=[team.id])
    async with world.db.begin() as tx:
        await subscribing.subscribe(tx, world.actor(ada), incident.id, user_ids=[bob.id])
    assert await followers(world, incident) == [("Bob", "added"), ("Sam", "added"), ("Support", "added")]
    with pytest.raises(Denied):
        async with world.db.begin() as tx:
            await subscribing.subscribe(tx, world.actor(sam), incident.id, user_ids=[sam.id])
    async with world.db.begin() as tx:
        of_sam = await subscriber_queries.subscription(tx, incident.id, sam.id)
        of_bob = await subscriber_queries.subscription(tx, incident.id, bob.id)
    assert of_sam is not None and of_bob is not None
    with pytest.raises(Denied):
        async with world.db.begin() as tx:
            await subscribing.remove_subscriber(tx, world.actor(sam), incident.id, of_bob.id)
    async with world.db.begin() as tx:
        await subscribing.remove_subscriber(tx, world.actor(sam), incident.id, of_sam.id)
        await subscribing.remove_subscriber(tx, world.actor(ada), incident.id, of_bob.id)
    assert await followers(world, incident) == [("Support", "added")]


async def test_who_cannot_see_it_cannot_be_added_and_cannot_follow(world: World) -> None:
    """F047, C8: a private incident; all of them or nobody."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Legal", members={ada.id: None}, is_private=True)
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        owners = Owners([team.id], is_private=True)
        await service.update(tx, world.root, incident.id, service.IncidentChanges(owners=owners))
    with pytest.raises(Invalid) as refused:
        async with world.db.begin() as tx:
            await subscribing.subscribe(tx, await actor(world, ada), incident.id, user_ids=[ada.id, bob.id])
    assert "Bob cannot see this incident" in refused.value.message
    with pytest.raises(NotFound):
        async with world.db.begin() as tx:
            await subscribing.follow(tx, await actor(world, cyd), incident.id)
    assert await followers(world, incident) == []


async def test_who_loses_sight_follows_no_more(world: World) -> None:
    """F047: made private later; who is in the team goes on, and the record says who does not."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        await subscribing.subscribe(tx, world.actor(ada), incident.id, user_ids=[bob.id, cyd.id])
        team = await teams.create_team(tx, world.root, name="Legal", members={ada.id: None, bob.id: None})
    async with world.db.begin() as tx:
        changes = service.IncidentChanges(owners=Owners([team.id], is_private=True))
        await service.update(tx, world.root, incident.id, changes)
    await world.settle()
    assert await followers(world, incident) == [("Bob", "added")]
    assert (await record(world, incident))[-1] == "Cyd follows the incident no more"


async def test_who_is_named_in_a_comment_follows(world: World) -> None:
    """F047: by the handle or the whole address; not by code, not oneself, not who is gone, not twice by an edit."""
    ada, bob, _cyd, dan, _eve = await world.people("ada", "bob", "cyd", "dan", "eve")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, dan.id, UserChanges(is_active=False))
        text = "@Bob please look, with @cyd@example.org. `@eve` is code; @ada, @dan and @nobody hear nothing."
        written = await service.comment(tx, world.actor(ada), incident.id, text)
    await world.settle()
    assert await followers(world, incident) == [("Bob", "mentioned"), ("Cyd", "mentioned")]
    async with world.db.begin() as tx:
        await subscribing.unfollow(tx, world.actor(bob), incident.id)
        body = f"{text} And @eve."
        await service.edit_comment(tx, world.actor(ada), incident.id, written.comment.id, body)
    await world.settle()
    assert await followers(world, incident) == [("Cyd", "mentioned"), ("Eve", "mentioned")]


async def test_who_may_not_see_it_is_named_in_vain(world: World) -> None:
    """F047, C8: a mention opens nothing."""
    ada, _bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Legal", members={ada.id: None})
        changes = service.IncidentChanges(owners=Owners([team.id], is_private=True))
        await service.update(tx, world.root, incident.id, changes)
        await service.comment(tx, await actor(world, ada), incident.id, "@bob should know")
    await world.settle()
    assert await followers(world, incident) == []


async def test_a_private_team_is_not_named_to_others(world: World) -> None:
    """C8: neither in the list nor in the record."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Legal", members={ada.id: None}, is_private=True)
    async with world.db.begin() as tx:
        await subscribing.subscribe(tx, await actor(world, ada), incident.id, team_ids=[team.id])
    async with world.db.begin() as tx:
        theirs = await subscriber_queries.subscribers(tx, (await actor(world, bob)).access, incident.id)
        (row,) = await subscriber_queries.all_of(tx, incident.id)
    assert theirs == []
    assert "Legal" not in " ".join(await record(world, incident))
    with pytest.raises(Invalid):
        async with world.db.begin() as tx:
            await subscribing.subscribe(tx, await actor(world, bob), incident.id, team_ids=[team.id])
    with pytest.raises(NotFound):
        async with world.db.begin() as tx:
            await subscribing.remove_subscriber(tx, await actor(world, bob), incident.id, row.id)


@pytest.mark.parametrize("role", ["admin", "responder", "stakeholder", "guest"])
@pytest.mark.parametrize("how", ["open", "private", "asked", "granted", "team"])
async def test_who_sees_it_is_as_lists_have_it(world: World, role: str, how: str) -> None:
    """C8: what decides who is told is what decides who is shown."""
    ada = await world.person("ada")
    bob = await world.person("bob", role=role)
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        members = {ada.id: None, bob.id: None} if how == "team" else {ada.id: None}
        team = await teams.create_team(tx, world.root, name="Legal", members=members)
        if how != "open":
            changes = service.IncidentChanges(owners=Owners([team.id], is_private=True))
            await service.update(tx, world.root, incident.id, changes)
        if how == "asked":
            await people.add_paged(tx, incident, [bob.id], ResponderSource.PAGED)
        if how == "granted":
            await service.grant(
                tx, world.root, kind=ResourceKind.INCIDENT, resource_id=incident.id, role="stakeholder",
                holder=service.Holder("user", bob.id),
            )  # fmt: skip
    theirs = await actor(world, bob)
    async with world.db.begin() as tx:
        shown = bool(await queries.by_id(tx, theirs.access, [incident.id]))
        there = await queries.get(tx, world.root.access, incident.id)
        assert (bob.id in await subscriber_queries.who_sees(tx, there, [bob.id])) == shown
