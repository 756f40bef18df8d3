"""Many runs and many changes: only what a change concerns is looked at, once, and nothing of it is forgotten."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.use_cases.far_ends import IMPOSSIBLE, add_hook
from tests.use_cases.test_looking_again import A_DAY, add_mail, write
from tests.world import World, minutes
from tocsin.oncall import service as oncall
from tocsin.oncall.jobs import LOOK_AGAIN

ROUNDS = "SELECT max(round) FROM escalation_run"


class Looks:
    """Which runs were looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: list[UUID] = []
        look_again = oncall.look_again

        async def look(tx: Any, run_id: UUID) -> Any:
            self.at.append(run_id)
            return await look_again(tx, run_id)

        monkeypatch.setattr(oncall, "look_again", look)


async def test_what_has_nothing_to_do_with_it_begins_nothing_anew(world: World) -> None:
    """F136: Ada's address is none, and Bob, whom nothing pages, gets one contact method after the other."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada], wait=A_DAY))
    world.mail.down = IMPOSSIBLE
    await world.alert()
    await world.let_pass(minutes(5))
    before = await world.db.pool.fetchval(ROUNDS)
    await add_hook(world, bob)
    await world.let_pass(minutes(3))
    assert await world.db.pool.fetchval(ROUNDS) == before
    await add_hook(world, ada)
    await world.settle()
    assert len(world.hook.sent) == 1


async def test_changes_of_the_same_thing_are_looked_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: a script that writes a policy again and again, while many alerts climb it, keeps no timer waiting."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada, bob], wait=A_DAY)
    await world.route(policy)
    for number in range(5):
        await world.alert(f"Disk {number}")
    looks = Looks(monkeypatch)
    for wait in (50, 40, 30, 20, 10):
        async with world.db.begin() as tx:
            drafts = [oncall.StepDraft([person.id], wait) for person in (ada, bob)]
            await oncall.update_policy(tx, world.root, policy.id, oncall.PolicyChanges(steps=drafts))
    await world.settle()
    assert len(looks.at) == 5
    await world.let_pass(minutes(11))
    assert len(world.mail.to(bob)) == 5


@pytest.mark.parametrize("it", ["has begun", "waits for later"])
async def test_a_later_change_that_does_not_wait_stands_for_nothing(world: World, it: str) -> None:
    """G04: whoever is looking already may have looked before; whoever comes back in a minute is too late."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada, bob], wait=A_DAY)
    await world.route(policy)
    await world.alert()
    for wait in (20, 10):
        async with world.db.begin() as tx:
            drafts = [oncall.StepDraft([person.id], wait) for person in (ada, bob)]
            await oncall.update_policy(tx, world.root, policy.id, oncall.PolicyChanges(steps=drafts))
    held = "owner = 999, lease_until = tocsin_now() + interval '1 h'" if it == "has begun" else "due = due + '1 min'"
    newest = "SELECT max(id) FROM job WHERE kind = $1"
    await world.db.pool.execute(f"UPDATE job SET {held} WHERE id = ({newest})", LOOK_AGAIN.name)
    await world.settle()
    due = await world.db.pool.fetchval("SELECT next_step_at - tocsin_now() FROM escalation_run")
    assert due < minutes(11)


async def test_whoever_is_asked_for_the_first_time_is_asked_by_each_run(world: World) -> None:
    """F136: one change, many alerts that reached nobody; also those of a person who is asked directly."""
    ada = await world.person("ada", reachable=False)
    policy = await world.policy([ada], wait=A_DAY)
    await world.route(policy)
    for number in range(4):
        await world.alert(f"Disk {number}")
    await world.let_pass(minutes(2))
    await add_mail(world, ada)
    await write(world, policy.id, (ada, 60))
    assert len(world.mail.to(ada)) == 4
