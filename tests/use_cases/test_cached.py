"""The configuration that paging works with is kept in memory and is never out of date."""

import asyncio
from collections.abc import Sequence

from tests.processes import PATIENCE
from tests.world import World
from tocsin.db.engine import Database, Tx
from tocsin.oncall import service as oncall


async def test_a_change_is_seen_by_the_next_alert(world: World) -> None:
    """F053: a policy that was just changed pages the new person, although it is kept in memory."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada])
    await world.route(policy)
    await world.alert("first")
    async with world.db.begin() as tx:
        await oncall.update_policy(
            tx, world.root, policy.id, oncall.PolicyChanges(steps=[oncall.StepDraft([bob.id], 5)])
        )
    await world.alert("second")
    assert (world.mail.subjects(ada), world.mail.subjects(bob)) == (["first"], ["second"])


async def test_a_change_that_is_rolled_back_is_never_seen(world: World) -> None:
    """F053: what was read while somebody else was changing it does not stay."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada])
    await world.route(policy)
    async with world.db.begin() as tx:
        await oncall.update_policy(
            tx, world.root, policy.id, oncall.PolicyChanges(steps=[oncall.StepDraft([bob.id], 5)])
        )
        await tx.flush()
        await world.alert("in between")
        await tx.session.rollback()
    await world.alert("afterwards")
    assert world.mail.subjects(ada) == ["in between", "afterwards"]
    assert world.mail.subjects(bob) == []


async def test_a_full_pool_does_not_wait_for_itself(world: World) -> None:
    """G09: escalations that are due right after a change all read it anew, each in a transaction that is open."""
    db = Database(world.db.dsn, bell=False, pool_size=1)
    loads: list[str] = []
    everybody_is_in = asyncio.Barrier(2)

    async def load(tx: Tx) -> Sequence[str]:
        loads.append("read")
        return ["configuration"]

    async def use() -> Sequence[str]:
        async with db.begin() as tx:
            await everybody_is_in.wait()
            return await tx.cached("paging", load)

    try:
        async with asyncio.timeout(PATIENCE):
            assert await asyncio.gather(use(), use()) == [["configuration"], ["configuration"]]
    finally:
        await db.close()
    assert loads == ["read"]


async def test_what_is_not_at_hand_is_read_once_for_whoever_asks_later(world: World) -> None:
    """F138: nobody waits for it."""
    loads: list[str] = []

    async def load(tx: Tx) -> str:
        loads.append("read")
        return "configuration"

    async def ask() -> str | None:
        async with world.db.begin_hot() as tx:
            return await tx.at_hand("paging", load)

    async with world.db.begin_hot() as tx:
        assert [await tx.at_hand("paging", load) for _ in range(3)] == [None, None, None]
    assert world.db._fetching is not None
    await world.db._fetching
    assert (await ask(), loads) == ("configuration", ["read"])


async def test_what_is_read_for_later_ends_with_the_database(world: World) -> None:
    """Nothing is left running by a process that stops."""
    db, began, ended = Database(world.db.dsn, bell=False), asyncio.Event(), asyncio.Event()

    async def load(tx: Tx) -> str:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    try:
        async with db.begin() as tx:
            assert await tx.at_hand("paging", load) is None
        async with asyncio.timeout(PATIENCE):
            await began.wait()
    finally:
        await db.close()
    assert ended.is_set()


_VERSIONS = "SELECT routing, paging, version FROM configuration_version"


async def test_a_change_counts_for_the_parts_that_it_is_about_and_once(world: World) -> None:
    """G09: a thousand people who are changed at once are one change, and of routing none is read anew."""
    ada, _ = await world.people("ada", "bob")
    before = await world.db.pool.fetchrow(_VERSIONS)
    await world.db.pool.execute("UPDATE user_account SET name = name || '!'")
    people = await world.db.pool.fetchrow(_VERSIONS)
    await world.source()
    source = await world.db.pool.fetchrow(_VERSIONS)
    await world.policy([ada])
    policy = await world.db.pool.fetchrow(_VERSIONS)
    assert before is not None and people is not None and source is not None and policy is not None
    assert [people[n] - before[n] for n in range(3)] == [0, 1, 1]
    assert [source[n] - people[n] for n in range(3)] == [1, 0, 1]
    assert policy["routing"] == source["routing"] + 1 and policy["paging"] > source["paging"]


async def test_each_transaction_counts_by_itself_on_one_connection(world: World) -> None:
    """What was counted is remembered for its transaction and not for the connection."""
    await world.people("ada")
    async with world.db.pool.acquire() as connection:
        first = await connection.fetchval("SELECT paging FROM configuration_version")
        for _ in range(3):
            await connection.execute("UPDATE user_account SET name = name || '!'")
        assert await connection.fetchval("SELECT paging FROM configuration_version") == first + 3
