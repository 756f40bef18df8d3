"""The record in parts: one for each month, none that anybody has to wait for, and nothing lost between them."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests import postgres
from tests.processes import PATIENCE
from tests.races import behind
from tests.use_cases.test_event_subjects import OF_0_1_0
from tests.world import World
from tocsin.db import migrate
from tocsin.db.engine import Database, Tx
from tocsin.events import log
from tocsin.events import partition_queries as partitions
from tocsin.events.base import SYSTEM, Subject
from tocsin.events.incidents import ResponderPaged
from tocsin.events.jobs import BEGIN_MONTH
from tocsin.events.live import Live
from tocsin.incidents import service as incidents
from tocsin.kit.ids import new_id

# Each of these tests makes parts, and so leaves another database than it found.
pytestmark = pytest.mark.own_database
A_MONTH = timedelta(days=31)


async def write(db: Database, incident_id: UUID, body: str = "x") -> None:
    async with db.begin() as tx:
        await say(tx, incident_id, body)


async def say(tx: Tx, incident_id: UUID, body: str = "x") -> None:
    await log.emit(tx, ResponderPaged(actor=SYSTEM, incident_id=incident_id, target=body))


async def said(db: Database, incident_id: UUID) -> list[tuple[str, str]]:
    """What was written of an incident, the oldest first: the part that it lies in, and the words."""
    query = "SELECT tableoid::regclass::text, data->>'target' FROM event WHERE incident_id = $1 ORDER BY position"
    return [tuple(row) for row in await db.pool.fetch(query, incident_id)]


async def parts(db: Database) -> set[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event'::regclass"
    return {row[0] for row in await db.pool.fetch(query)}


async def today(db: Database) -> date:
    return partitions.month_of(await db.pool.fetchval("SELECT tocsin_now()"))


def named(month: date, later: int = 0) -> str:
    number = month.year * 12 + month.month - 1 + later
    return f"event_{number // 12}_{number % 12 + 1:02}"


async def begin(db: Database, month: date) -> bool:
    await db.pool.execute("SELECT add_event_partition($1)", month)
    return bool(await db.pool.fetchval("SELECT begin_event_month($1)", month))


async def doctor(db: Database) -> str:
    """What `tocsin doctor` looks at of it."""
    async with db.begin() as tx:
        late, strays = await partitions.is_late(tx, BEGIN_MONTH.name), await partitions.has_strays(tx)
    return " ".join(word for word, holds in (("late", late), ("strays", strays)) if holds)


def test_the_month_is_that_of_the_whole_world() -> None:
    west = datetime.fromisoformat("2026-11-30T23:30:00-05:00")
    assert partitions.month_of(west) == date(2026, 12, 1)
    assert partitions.month_of(datetime(2026, 11, 30, 23, 59, tzinfo=UTC)) == date(2026, 11, 1)


async def test_each_month_has_its_part_and_the_record_is_one(world: World) -> None:
    ada = await world.person("ada", role="admin")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Slow")
    first = await today(world.db)
    await write(world.db, incident.id, "before the first hour is over")
    await world.pass_time(timedelta(hours=1))
    await write(world.db, incident.id, "this month")
    await world.pass_time(A_MONTH)
    second = await today(world.db)
    await write(world.db, incident.id, "another month")

    assert [(part, words) for part, words in await said(world.db, incident.id) if words] == [
        ("event_past", "before the first hour is over"),
        (named(first), "this month"),
        (named(second), "another month"),
    ]
    async with world.db.begin() as tx:
        found = await log.newest_first(tx, incident_id=incident.id, names=("incident.responder_paged",))
        about = await log.newest_first(tx, subject=Subject("incident", incident.id), limit=2)
        assert await log.count(tx, incident_id=incident.id) == len(await said(world.db, incident.id))
    words = ["another month", "this month", "before the first hour is over"]
    assert [event.data["target"] for event in found] == words
    assert [event.data["target"] for event in about] == words[:2]
    assert await doctor(world.db) == ""


async def test_the_live_stream_goes_on_from_one_month_into_the_next(world: World) -> None:
    incident_id = new_id()
    await write(world.db, incident_id, "one")
    live = Live(world.db)
    place = await live.end()
    await write(world.db, incident_id, "two")
    assert await begin(world.db, await today(world.db))
    await write(world.db, incident_id, "three")
    assert [seen.data["target"] for seen in await live.since(place)] == ["two", "three"]


async def test_a_clock_that_was_months_ahead_loses_nothing_and_shuffles_nothing(world: World) -> None:
    """Positions never go back, so the record goes on in the part that the wrong clock has opened."""
    incident_id, ahead = new_id(), timedelta(days=100)
    await world.pass_time(timedelta(hours=1))
    await write(world.db, incident_id, "in time")
    await world.pass_time(ahead)
    wrong = named(await today(world.db))
    await write(world.db, incident_id, "ahead")
    await world.pass_time(-ahead)
    await world.pass_time(timedelta(hours=2))
    await write(world.db, incident_id, "in time again")
    before = await parts(world.db)
    await world.pass_time(A_MONTH)
    assert not await begin(world.db, await today(world.db))
    await write(world.db, incident_id, "a month later")

    assert [words for _, words in await said(world.db, incident_id)] == [
        *("in time", "ahead", "in time again", "a month later")
    ]
    assert [part for part, _ in await said(world.db, incident_id)][1:] == [wrong] * 3
    # Months that come to nothing get no part.
    assert await parts(world.db) == before
    assert await doctor(world.db) == ""


async def test_a_clock_that_is_centuries_ahead_moves_nothing(db: Database) -> None:
    """Positions stay numbers that every JSON reader can hold."""
    before = await parts(db)
    assert not await begin(db, date(3026, 11, 1))
    assert await parts(db) == before
    await write(db, new_id())
    assert await db.pool.fetchval("SELECT max(position) FROM event") < 2**53


async def test_somebody_is_paged_although_the_part_of_the_month_is_gone(world: World) -> None:
    """G06: whoever takes the wrong part away by hand leaves nobody unpaged, and the doctor tells of it."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    month = await today(world.db)
    assert await begin(world.db, month)
    await world.db.pool.execute(f"ALTER TABLE event DETACH PARTITION {named(month)}")

    alert = await world.alert("Checkout is down")

    assert world.mail.subjects(ada) == ["Checkout is down"]
    assert "page.sent: Ada" in await world.history(alert)
    assert await doctor(world.db) == "strays"
    # The next month begins as ever.
    await world.pass_time(A_MONTH)
    await write(world.db, alert.id)
    assert [part for part, _ in await said(world.db, alert.id)] == [named(await today(world.db))]


async def test_the_record_goes_on_when_no_part_can_be_made(world: World) -> None:
    """As in a database in which this account may make no table."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await world.pass_time(timedelta(hours=1))
    month = await today(world.db)
    other = named((await world.db.pool.fetchval("SELECT tocsin_now() + $1", A_MONTH)).date())
    await world.db.pool.execute(
        """
        CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()
        """
    )
    await world.pass_time(A_MONTH)
    alert = await world.alert("Checkout is down")

    assert world.mail.subjects(ada) == ["Checkout is down"]
    where = "SELECT tableoid::regclass::text FROM event WHERE alert_id = $1 LIMIT 1"
    assert await world.db.pool.fetchval(where, alert.id) == named(month)
    assert await doctor(world.db) == "late"
    assert other not in await parts(world.db)

    await world.db.pool.execute("DROP EVENT TRIGGER refuse")
    await world.pass_time(timedelta(hours=1))
    await write(world.db, alert.id)
    assert [part for part, _ in await said(world.db, alert.id)] == [other]
    assert await doctor(world.db) == ""


async def test_whoever_writes_while_a_month_begins_goes_on_where_they_began(world: World) -> None:
    """A transaction that has written may not know a part that came meanwhile, so positions wait for its end."""
    incident_id, month = new_id(), await today(world.db)
    await world.db.pool.execute("SELECT add_event_partition($1)", month)

    async def first(tx: Tx) -> None:
        await say(tx, incident_id, "one")
        await say(tx, incident_id, "two")

    began = await behind(world.db, first, world.db.pool.fetchval("SELECT begin_event_month($1)", month))
    assert began
    await write(world.db, incident_id, "three")
    assert await said(world.db, incident_id) == [
        *(("event_past", "one"), ("event_past", "two")),
        (named(month), "three"),
    ]


async def test_two_who_begin_a_month_at_once_move_positions_once(world: World) -> None:
    """The second would hand out positions again that have been used, and every write would fail from then on."""
    incident_id, month = new_id(), await today(world.db)
    await world.db.pool.execute("SELECT add_event_partition($1)", month)

    held: Any = await asyncpg.connect(world.db.dsn)
    await held.execute("BEGIN; LOCK TABLE ONLY event IN ROW EXCLUSIVE MODE")
    going = [asyncio.ensure_future(world.db.pool.fetchval("SELECT begin_event_month($1)", month)) for _ in range(2)]
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'event'::regclass AND NOT granted"
    async with asyncio.timeout(PATIENCE):
        while await world.db.pool.fetchval(waiting) < 2:  # noqa: ASYNC110 (locks ring no bell)
            await asyncio.sleep(0.02)
    # Both have looked where positions are.
    await held.execute("COMMIT")
    await held.close()
    assert sorted(await asyncio.gather(*going)) == [False, True]
    for number in range(3):
        await write(world.db, incident_id, str(number))
    assert [words for _, words in await said(world.db, incident_id)] == ["0", "1", "2"]


async def test_a_writer_that_does_not_end_holds_up_nobody_for_long(world: World) -> None:
    """Whoever writes next waits behind the one who begins the month, who therefore gives up soon and comes again."""
    month = await today(world.db)
    held: Any = await asyncpg.connect(world.db.dsn)
    await held.execute("BEGIN; LOCK TABLE ONLY event IN ROW EXCLUSIVE MODE")
    await world.pass_time(timedelta(hours=1))
    await write(world.db, new_id())
    assert await world.db.pool.fetchval("SELECT max(position) FROM event") < 1 << 40
    await held.execute("COMMIT")
    await held.close()
    await world.pass_time(timedelta(minutes=10))
    await write(world.db, new_id())
    newest = "SELECT tableoid::regclass::text FROM event ORDER BY position DESC LIMIT 1"
    assert await world.db.pool.fetchval(newest) == named(month)


@pytest.mark.parametrize("sql", ["UPDATE {} SET name = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_no_part_of_the_record_can_be_changed(db: Database, sql: str) -> None:
    assert await begin(db, await today(db))
    await begin(db, partitions.month_of(datetime.now(UTC) + 40 * timedelta(days=1)))
    for table in ("event", *await parts(db)):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await db.pool.execute(sql.format(table))


async def test_who_began_before_an_upgrade_reads_and_writes_on(postgres_dsn: str) -> None:
    """The version before has its statements prepared, and waits for the upgrade in the middle of one."""
    async with postgres.fresh(postgres_dsn, "template0") as dsn:
        db = Database(dsn, bell=False, pool_size=2)
        await migrate.upgrade(db, to="0005")
        await db.open()
        old: Any = await asyncpg.connect(dsn)
        insert, count = await old.prepare(OF_0_1_0), await old.prepare("SELECT count(*), max(name) FROM event")
        source_id = new_id()

        async def one() -> None:
            data = f'{{"kind": "alert_source", "id": "{source_id}", "title": "Probe"}}'
            await insert.fetch(new_id(), "configuration.created", "system", None, "Tocsin", None, None, data)

        await one()
        for _ in range(6):
            await count.fetchrow()
        await old.execute("BEGIN")
        await one()
        upgrading = asyncio.ensure_future(migrate.upgrade(db))
        await postgres.until_somebody_waits(db)
        await old.execute("COMMIT")
        await upgrading
        await one()
        assert (await count.fetchrow())[0] == 3
        await begin(db, await today(db))
        await one()
        assert (await count.fetchrow())[0] == 4
        async with db.begin() as tx:
            assert len(await log.newest_first(tx, subject=Subject("alert_source", source_id))) == 4
        await old.close()
        await db.close()
