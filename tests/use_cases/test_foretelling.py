"""What declaring says of whom it will page, before it does: by the rules that then do."""

from __future__ import annotations

from datetime import timedelta

from tests.world import World, minutes
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import EscalationPolicy
from tocsin.oncall.service import Foretold


def person(user: User) -> PageTarget:
    return PageTarget("user", user.id)


def policy_of(policy: EscalationPolicy) -> PageTarget:
    return PageTarget("escalation_policy", policy.id)


async def foretold(world: World, *targets: PageTarget) -> list[Foretold]:
    async with world.db.begin() as tx:
        return await oncall.foretell(tx, targets)


async def test_what_is_foretold_is_what_happens(world: World) -> None:
    """C/Declare: the step that nobody can be reached on is passed over, in the words and in the paging."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    dan = await world.person("dan", reachable=False)
    policy = await world.policy([[dan], [bob, cyd], [ada]], wait=minutes(10), name="Duty")
    assert await foretold(world, policy_of(policy), person(ada)) == [
        Foretold("Duty", "Duty", ["Bob", "Cyd"], ["Ada"], timedelta(minutes=10), []),
        Foretold("Ada", "", ["Ada"], [], timedelta(minutes=5), []),
    ]
    async with world.db.begin() as tx:
        await incidents.declare(tx, world.actor(dan), title="Checkout is down", targets=[policy_of(policy)])
    await world.settle()
    assert [len(world.mail.to(each)) for each in (ada, bob, cyd, dan)] == [0, 1, 1, 0]
    await world.pass_time(minutes(10))
    assert len(world.mail.to(ada)) == 1


async def test_where_nobody_can_be_reached_the_last_resort_is_named(world: World) -> None:
    """C/Declare: and where there is none, that nobody is paged; what is gone is left out."""
    ada = await world.person("ada")
    dan = await world.person("dan", reachable=False)
    policy = await world.policy([dan], name="Duty")
    (alone,) = await foretold(world, policy_of(policy))
    assert (alone.at_once, alone.instead) == ([], [])
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, person(ada))
    both = await foretold(world, policy_of(policy), person(dan))
    assert [(each.name, each.at_once, each.instead) for each in both] == [("Duty", [], ["Ada"]), ("Dan", [], ["Ada"])]
    assert await foretold(world, PageTarget("escalation_policy", dan.id)) == []
