"""One message between several workers: whose word about it counts, and when it goes out again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from tests.world import World, minutes
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.kit.errors import Patience, Refused, Transient
from tocsin.notifications import outcomes

TAKEN_OVER = {
    "another worker looks at it": "UPDATE job SET owner = 999, attempt = attempt + 1 WHERE kind = 'notifications.send'",
    "nobody has it yet": "UPDATE job SET owner = NULL, lease_until = NULL WHERE kind = 'notifications.send'",
    "another worker has put it back": """
        UPDATE job SET owner = NULL, lease_until = NULL, attempt = attempt + 1, due = due + interval '20 seconds'
        WHERE kind = 'notifications.send'
    """,
}
DIED = """
    UPDATE delivery SET state = 'sending', attempt = 1, sending_at = tocsin_now(),
           unsure_until = tocsin_now() + interval '20 seconds'
    WHERE state = 'queued'
"""


async def one_person(world: World) -> User:
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(30)))
    return ada


async def jobs_left(world: World) -> int:
    return await world.db.pool.fetchval("SELECT count(*) FROM job WHERE kind = 'notifications.send'")


def ask(world: World, statement: str) -> Callable[[], Awaitable[object]]:
    return lambda: world.db.pool.execute(statement)


@pytest.mark.parametrize("statement", TAKEN_OVER.values(), ids=TAKEN_OVER)
async def test_what_a_worker_sent_counts_although_it_was_thought_dead(world: World, statement: str) -> None:
    """G04: its job was taken over while the call was under way; the message must not go out a second time."""
    ada = await one_person(world)
    world.mail.meanwhile = ask(world, statement)
    alert = await world.alert()
    assert await world.deliveries(alert) == ["Ada: sent"]
    assert await jobs_left(world) == 0
    await world.pass_time(minutes(1))
    assert len(world.mail.to(ada)) == 1
    assert (await world.history(alert)).count("page.sent: Ada") == 1


@pytest.mark.parametrize("statement", TAKEN_OVER.values(), ids=TAKEN_OVER)
async def test_a_failure_of_a_worker_thought_dead_is_tried_again_as_any_other(world: World, statement: str) -> None:
    """G04, F060: it is known that the message did not go out, so the next one is no possible duplicate."""
    ada = await one_person(world)
    world.mail.meanwhile = ask(world, statement)
    world.mail.failures = [Transient("451 try later")]
    alert = await world.alert()
    assert await world.deliveries(alert) == ["Ada: queued"]
    world.mail.meanwhile = None
    await world.pass_time(minutes(0.05))
    assert await world.deliveries(alert) == ["Ada: sent"]
    assert [page.possible_duplicate for page in world.mail.to(ada)] == [False]
    assert await jobs_left(world) == 0


@pytest.mark.parametrize("failures", [[], [Transient("451 try later")]], ids=["it succeeded", "it failed"])
async def test_a_word_that_comes_too_late_changes_nothing(world: World, failures: list[Transient]) -> None:
    """G04: another worker has begun to send the message again; that one's outcome is the delivery's."""
    ada = await one_person(world)
    begun_again = "UPDATE delivery SET attempt = attempt + 1, sending_at = tocsin_now() WHERE state = 'sending'"
    world.mail.meanwhile = ask(world, f"{TAKEN_OVER['another worker looks at it']}; {begun_again}")
    world.mail.failures = [*failures]
    alert = await world.alert()
    assert await world.deliveries(alert) == ["Ada: sending"]
    assert await jobs_left(world) == 1
    history = await world.history(alert)
    assert not {"page.sent: Ada", "page.attempt_failed: Ada"} & set(history), history
    assert len(world.mail.to(ada)) == 1 - len(failures)


async def test_a_message_of_a_dead_worker_goes_out_again_and_says_so(world: World) -> None:
    """G04, decision 0011: not before that worker's call must have ended."""
    ada = await one_person(world)
    world.mail.failures = [Transient("451 try later")]
    alert = await world.alert()
    await world.db.pool.execute(DIED)
    await world.pass_time(minutes(0.3))
    assert world.mail.to(ada) == []
    await world.pass_time(minutes(0.1))
    assert [page.possible_duplicate for page in world.mail.to(ada)] == [True]
    assert await world.deliveries(alert) == ["Ada: sent"]


@pytest.mark.parametrize("said", ["f\udcfcr", "a\0b"], ids=["a lone surrogate", "a NUL"])
@pytest.mark.parametrize("fails", [False, True], ids=["it succeeded", "it failed"])
async def test_whatever_the_other_side_says_the_outcome_is_written_down(world: World, said: str, fails: bool) -> None:
    """F060: an outcome that cannot be stored would be a page that is sent again and again."""
    ada = await one_person(world)
    world.mail.says = said
    world.mail.failures = [Refused(said, patience=Patience.NONE)] if fails else []
    alert = await world.alert()
    assert await world.deliveries(alert) == ["Ada: failed" if fails else "Ada: sent"]
    await world.pass_time(minutes(5))
    assert len(world.mail.to(ada)) == (0 if fails else 1)


async def test_a_message_whose_senders_die_again_and_again_is_given_up(world: World) -> None:
    """F054, F060: it may have arrived each time; after nine tries somebody else is asked."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    world.mail.failures = [Transient("451 try later")]
    alert = await world.alert()
    await world.db.pool.execute(DIED)
    await world.db.pool.execute("UPDATE delivery SET outcomes_lost = 9")
    await world.pass_time(minutes(1))
    assert world.mail.to(ada) == []
    assert await world.deliveries(alert) == ["Ada: unknown", "Bob: sent"]


async def test_an_answer_during_the_call_ends_the_retries(world: World) -> None:
    """F059, F060: nobody is paged again who has answered while a try was failing."""
    ada = await one_person(world)
    alert_id = None

    async def answer() -> None:
        nonlocal alert_id
        async with world.db.begin() as tx:
            alert_id = (await queries.listed(tx, EVERYTHING, queries.Filter(), limit=1))[0][0].id
            await alerts.acknowledge(tx, world.actor(ada), alert_id)

    world.mail.meanwhile = answer
    world.mail.failures = [Transient("451 try later")]
    alert = await world.alert()
    assert alert.id == alert_id
    world.mail.meanwhile = None
    await world.pass_time(minutes(10))
    assert await world.deliveries(alert) == ["Ada: failed"]
    assert world.mail.to(ada) == []
    assert await jobs_left(world) == 0


async def test_an_answer_meets_a_failure_that_is_being_written_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F059, F060: whoever comes second waits for the first, and nobody who has answered is paged again."""
    ada = await one_person(world)
    written, go_on = asyncio.Event(), asyncio.Event()
    emit = outcomes.emit

    async def slowly(*given: Any) -> list[UUID]:
        written.set()
        await go_on.wait()
        return await emit(*given)

    async def somebody_waits() -> bool:
        return await world.db.pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")

    async def acknowledge() -> None:
        async with world.db.begin() as tx:
            found = (await queries.listed(tx, EVERYTHING, queries.Filter(), limit=1))[0][0]
            await alerts.acknowledge(tx, world.actor(ada), found.id)

    monkeypatch.setattr(outcomes, "emit", slowly)
    world.mail.failures = [Transient("451 try later")]
    paging = asyncio.create_task(world.alert())
    await written.wait()
    answering = asyncio.create_task(acknowledge())
    while not await somebody_waits():  # noqa: ASYNC110 (a lock rings no bell)
        await asyncio.sleep(0.01)
    go_on.set()
    alert = await paging
    await answering
    assert await world.deliveries(alert) == ["Ada: cancelled"]
    assert await jobs_left(world) == 0
    await world.pass_time(minutes(10))
    assert world.mail.to(ada) == []


async def test_an_answer_ends_the_message_of_a_dead_worker(world: World) -> None:
    """F059, G04: it is neither sent again nor left in `sending` for ever, and the record says what is not known."""
    ada = await one_person(world)
    world.mail.failures = [Transient("451 try later")]
    alert = await world.alert()
    await world.db.pool.execute(DIED)
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    assert await world.deliveries(alert) == ["Ada: sending"]
    await world.pass_time(minutes(1))
    await world.pass_time(minutes(1))
    assert world.mail.to(ada) == []
    assert await world.deliveries(alert) == ["Ada: unknown"]
    assert (await world.history(alert))[-1] == "page.failed: Ada"
    assert await jobs_left(world) == 0
