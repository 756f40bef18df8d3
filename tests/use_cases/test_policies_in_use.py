"""What uses a policy, and how it goes all the same."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from tests.postgres import until_somebody_waits
from tests.world import World, minutes
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.identity.accounts import UserChanges
from tocsin.incidents import service as incidents
from tocsin.kit.errors import InUse, Invalid
from tocsin.oncall import queries, service
from tocsin.oncall.escalation import PageTarget


async def delete(world: World, id: UUID, *, replace_by: UUID | None = None) -> None:
    async with world.db.begin() as tx:
        await alerts.delete_policy(tx, world.root, id, replace_by=replace_by)


async def test_the_refusal_names_everything_that_uses_it(world: World) -> None:
    """F143: routes, the fallback and what is being paged now; nothing has changed after it."""
    ada = await world.person("ada")
    policy = await world.policy([ada], wait=minutes(30))
    await world.route(policy)
    async with world.db.begin() as tx:
        await service.set_fallback(tx, world.root, PageTarget("escalation_policy", policy.id))
    await world.alert()
    with pytest.raises(InUse) as caught:
        await delete(world, policy.id)
    assert [(use.kind, use.name, use.as_what) for use in caught.value.uses] == [
        ("alert_route", "Everything", "route"),
        ("fallback", "The fallback", "asked when nobody else answers"),
        ("alert", "Checkout is down", "being paged now"),
    ]
    assert caught.value.code == "escalation_policy.in_use"


async def test_another_takes_its_place(world: World) -> None:
    """F143: routes and the fallback lead to it, and what comes next is paged by it."""
    ada, bob = await world.people("ada", "bob")
    policy, other = await world.policy([ada]), await world.policy([bob], name="Night")
    route_id = await world.route(policy)
    async with world.db.begin() as tx:
        await service.set_fallback(tx, world.root, PageTarget("escalation_policy", policy.id))
    await delete(world, policy.id, replace_by=other.id)
    async with world.db.begin() as tx:
        assert (await alert_queries.route(tx, route_id)).escalation_policy_id == other.id
        fallback = await queries.fallback_target(tx)
    assert fallback is not None and fallback.policy_id == other.id
    await world.alert()
    assert (world.mail.to(ada), len(world.mail.to(bob))) == ([], 1)


async def test_it_stays_while_it_pages_somebody(world: World) -> None:
    """F143: whoever is climbing it would be left in the middle, so it is not replaced either."""
    ada, bob = await world.people("ada", "bob")
    policy, other = await world.policy([ada, bob], wait=minutes(5)), await world.policy([bob], name="Night")
    route_id = await world.route(policy)
    alert = await world.alert()
    with pytest.raises(InUse) as caught:
        await delete(world, policy.id, replace_by=other.id)
    assert [use.as_what for use in caught.value.uses] == ["being paged now"]
    async with world.db.begin() as tx:
        assert (await alert_queries.route(tx, route_id)).escalation_policy_id == policy.id
    await world.pass_time(minutes(5))
    assert len(world.mail.to(bob)) == 1
    async with world.db.begin() as tx:
        await alerts.resolve(tx, world.root, alert.id)
    await delete(world, policy.id, replace_by=other.id)


async def test_what_it_did_stays_in_the_record(world: World) -> None:
    """F143: a policy that has paged can go; its runs keep its name."""
    ada = await world.person("ada")
    policy = await world.policy([ada])
    async with world.db.begin() as tx:
        route_id = (await alerts.create_route(tx, world.root, _draft(policy.id))).id
    alert = await world.alert()
    async with world.db.begin() as tx:
        await alerts.resolve(tx, world.root, alert.id)
        await alerts.delete_route(tx, world.root, route_id)
    await delete(world, policy.id)
    async with world.db.begin() as tx:
        (run,) = await queries.runs_of(tx, alert_ids=[alert.id])
    assert (run.policy_id, run.policy_name) == (None, "Duty")
    assert await world.deliveries(alert) == ["Ada: sent"]


def _draft(policy_id: UUID) -> alerts.RouteDraft:
    return alerts.RouteDraft("All", is_catch_all=True, escalation_policy_id=policy_id)


@pytest.mark.parametrize("which", ["itself", "unknown"])
async def test_a_replacement_must_be_another_one(world: World, which: str) -> None:
    """F143."""
    policy = await world.policy([await world.person("ada")])
    with pytest.raises(Invalid) as caught:
        await delete(world, policy.id, replace_by=policy.id if which == "itself" else UUID(int=7))
    assert caught.value.errors[0].pointer == "#/replace_by"


async def test_a_run_that_begins_at_the_same_moment_is_waited_for(world: World) -> None:
    """F143, a race: the policy does not go from under an escalation whose start is not committed yet."""
    ada = await world.person("ada")
    policy = await world.policy([ada], wait=minutes(30))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Checkout")
    async with world.db.begin() as tx:
        await incidents.page(tx, world.actor(ada), incident.id, [PageTarget("escalation_policy", policy.id)])
        deleting = asyncio.create_task(delete(world, policy.id))
        await until_somebody_waits(world.db)
    with pytest.raises(InUse):
        await deleting


async def test_who_was_switched_off_is_named_by_nothing_new(world: World) -> None:
    """F135: in a policy that names them already they may stay while the rest is changed."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada])
    async with world.db.begin() as tx:
        await incidents.update_person(tx, world.root, ada.id, UserChanges(is_active=False), confirmed=True)
    async with world.db.begin() as tx:
        steps = [service.StepDraft([ada.id], 5), service.StepDraft([bob.id], 5)]
        await service.update_policy(tx, world.root, policy.id, service.PolicyChanges(steps=steps))
    with pytest.raises(Invalid, match="Ada cannot be paged"):
        await world.policy([ada], name="Night")
