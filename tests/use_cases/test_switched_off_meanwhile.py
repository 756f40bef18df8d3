"""Whose account goes off in the very moment of an act takes nothing on by it, and is given nothing by others (F135).

Each of these is one look at the account behind a lock, and for each there is nothing else that would notice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from tests.races import Act, act, behind
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.db.engine import Tx
from tocsin.identity import queries as accounts
from tocsin.identity.access import EVERYTHING, Role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.incidents import queries, service
from tocsin.incidents.model import Incident, IncidentRole, Status
from tocsin.kit.errors import Denied, Invalid
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import Page, PageState

OFF = UserChanges(is_active=False)


def going_off(world: World, person: User, changes: UserChanges = OFF) -> Act:
    async def switch_off(tx: Tx) -> None:
        await service.update_person(tx, world.root, person.id, changes, confirmed=True)

    return switch_off


async def declared(world: World, by: User) -> Incident:
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(by), title="Checkout")
    async with world.db.begin() as tx:
        await service.update_status(tx, world.actor(by), incident.id, Status.INVESTIGATING)
    return incident


async def on_it(world: World, incident: Incident) -> dict[str, str]:
    async with world.db.begin() as tx:
        return {found.name: found.responder.state for found in await queries.responders(tx, incident.id)}


async def page_of(world: World, person: User) -> UUID:
    async with world.db.begin() as tx:
        newest = select(Page.id).where(Page.user_id == person.id).order_by(Page.id.desc()).limit(1)
        return (await tx.session.scalars(newest)).one()


@pytest.mark.parametrize("how", [service.join, service.acknowledge])
async def test_nobody_comes_to_an_incident(world: World, how: Callable[[Tx, Actor, UUID], Awaitable[object]]) -> None:
    """F135: an incident that somebody seems to have taken is one that nobody else takes."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(ada), title="Checkout")
    with pytest.raises(Denied):
        await behind(world.db, going_off(world, bob), act(world, lambda tx: how(tx, world.actor(bob), incident.id)))
    assert await on_it(world, incident) == {"Ada": "joined"}


async def test_nobody_takes_an_alert_on(world: World) -> None:
    """F135: it goes on being paged."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    alert = await world.alert()
    with pytest.raises(Denied):
        await behind(
            world.db, going_off(world, ada), act(world, lambda tx: alerts.acknowledge(tx, world.actor(ada), alert.id))
        )
    assert (await world.again(alert)).status == "triggered"


async def test_nobody_says_that_they_are_still_on_it(world: World) -> None:
    """F135, F139: a reminder is answered by oneself alone, and no alert is taken on by it again."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(bob), alert.id)
    await world.pass_time(timedelta(hours=4, minutes=5))
    page_id = await page_of(world, bob)
    with pytest.raises(Denied):
        await behind(
            world.db, going_off(world, bob), act(world, lambda tx: service.answer_page(tx, world.actor(bob), page_id))
        )
    async with world.db.begin() as tx:
        assert (await tx.session.get_one(Page, page_id)).state == PageState.PAGING


async def test_nobody_declares_an_incident(world: World) -> None:
    """F135: its lead would be somebody who is not there."""
    ada = await world.person("ada")
    with pytest.raises(Denied):
        await behind(
            world.db,
            going_off(world, ada),
            act(world, lambda tx: service.declare(tx, world.actor(ada), title="Checkout")),
        )
    async with world.db.begin() as tx:
        assert (await tx.session.scalars(select(Incident))).all() == []


async def test_nobody_is_given_a_role(world: World) -> None:
    """F033, F135: the record does not name somebody who cannot come."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    with pytest.raises(Invalid, match="can sign in"):
        await behind(
            world.db,
            going_off(world, bob),
            act(world, lambda tx: service.assign_roles(tx, world.actor(ada), incident.id, {IncidentRole.LEAD: bob.id})),
        )
    async with world.db.begin() as tx:
        assert (await queries.get(tx, EVERYTHING, incident.id)).lead_id == ada.id


async def test_nobody_comes_by_an_alert_that_they_have(world: World) -> None:
    """F021, F135: linking brings the owner of an alert into the incident, but not one who is just leaving."""
    ada, bob = await world.people("ada", "bob")
    alert = await world.alert()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(bob), alert.id)
    incident = await declared(world, ada)
    await behind(
        world.db,
        going_off(world, bob),
        act(world, lambda tx: service.link_alerts(tx, world.actor(ada), incident.id, [alert.id])),
    )
    assert await on_it(world, incident) == {"Ada": "joined"}


@pytest.mark.parametrize("changes", [OFF, UserChanges(role=Role.STAKEHOLDER)], ids=["off", "may not edit"])
async def test_the_lead_does_not_fall_to_a_commander_who_leaves_too(world: World, changes: UserChanges) -> None:
    """F033, F135: two go at once; the record does not say that the one leads who is gone as well."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await declared(world, ada)
    for person in (bob, cyd):
        async with world.db.begin() as tx:
            await service.join(tx, world.actor(person), incident.id)
    async with world.db.begin() as tx:
        await service.assign_roles(tx, world.actor(ada), incident.id, {IncidentRole.COMMANDER: bob.id})
    async with world.db.begin() as tx:
        await going_off(world, ada)(tx)
    await behind(
        world.db, going_off(world, bob, changes), act(world, lambda tx: service.stand_in(tx, incident.id, ada.id))
    )
    async with world.db.begin() as tx:
        assert (await queries.get(tx, EVERYTHING, incident.id)).lead_id == cyd.id


async def test_whoever_is_kept_is_as_they_are_now(world: World) -> None:
    """F135: also somebody who was looked at before in the same transaction, when they still had another role."""
    bob = await world.person("bob")
    async with world.db.begin() as tx:
        before = await accounts.user(tx, bob.id)
        assert before.role == Role.RESPONDER
        await act(world, going_off(world, bob, UserChanges(role=Role.STAKEHOLDER)))
        assert (await accounts.keep_active(tx, [bob.id]))[bob.id].role == Role.STAKEHOLDER


async def test_nobody_is_asked_for_help_whose_account_is_off(world: World) -> None:
    """F135: whoever asks is told at once, and not by a page that reaches nobody."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    async with world.db.begin() as tx:
        await going_off(world, bob)(tx)
    with pytest.raises(Invalid, match="can sign in"):
        async with world.db.begin() as tx:
            await service.page(tx, world.actor(ada), incident.id, [PageTarget("user", bob.id)])
    await world.settle()
    assert world.mail.to(bob) == []


async def test_a_policy_passes_over_whose_account_is_off(world: World) -> None:
    """F135: at once, and without a message that would be taken back."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    async with world.db.begin() as tx:
        await going_off(world, ada)(tx)
    alert = await world.alert()
    assert await world.deliveries(alert) == ["Bob: sent"]


async def test_a_message_in_the_middle_of_its_call_is_not_ended_by_a_look_at_the_account(world: World) -> None:
    """F135, G04: whoever is calling has the last word on how it went; nobody else knows it before."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    looked: list[str] = []

    async def in_the_middle() -> None:
        world.mail.meanwhile = None
        async with world.db.begin() as tx:
            await going_off(world, ada)(tx)
        # Another worker has the job by now, and finds the message in the hands of this one.
        await world.db.pool.execute("UPDATE job SET owner = NULL WHERE kind = 'notifications.send'")
        await world.settle()
        looked.extend(await world.db.pool.fetchval("SELECT array_agg(state) FROM delivery WHERE user_id = $1", ada.id))

    world.mail.meanwhile = in_the_middle
    alert = await world.alert()
    assert looked == ["sending"]
    await world.let_pass(minutes(2))
    assert sorted(await world.deliveries(alert)) == ["Ada: sent", "Bob: sent"]
