"""What an upgrade takes out of the log: texts of comments, and what had to be read from events to be known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests import postgres
from tests.contracts.upgrades import dumps, read_dump
from tests.use_cases.test_comments import tables_with
from tests.world import World, minutes
from tocsin.db import migrate, revising
from tocsin.db.engine import Database
from tocsin.incidents import comment_queries, service
from tocsin.kit.ids import new_id
from tocsin.oncall import service as oncall

_WITH_TEXT = "SELECT id, actor_name, at, data ->> 'body' AS body FROM event WHERE name = 'incident.comment_added'"
_SAYS = """
SELECT comment.id, comment.author_name AS actor_name, comment.created_at AS at, revision.body
FROM comment JOIN comment_revision AS revision ON comment_id = comment.id AND number = version
"""
# As 0.1.0 writes a comment.
_SAY = """
INSERT INTO event (id, name, at, actor_kind, actor_id, actor_name, incident_id, data)
VALUES ($1, 'incident.comment_added', now(), 'user', $2, 'Grace', $3, jsonb_build_object('body', $4::text))
"""


@asynccontextmanager
async def old_database(dsn: str, release: str = "0.1.0") -> AsyncIterator[Database]:
    """A filled database of an earlier release."""
    async with postgres.fresh(dsn, "template0") as fresh:
        db = Database(fresh, bell=False, pool_size=2)
        await db.open()
        await read_dump(db, dumps()[release])
        yield db
        await db.close()


async def test_comments_of_an_earlier_release_leave_the_log_with_all_that_they_say(postgres_dsn: str) -> None:
    """F076: none is lost, none stays in the log, and the log refuses every change as before."""
    async with old_database(postgres_dsn) as db:
        before = {tuple(row) for row in await db.pool.fetch(_WITH_TEXT)}
        assert len(before) > 3
        await migrate.upgrade(db)
        assert {tuple(row) for row in await db.pool.fetch(_SAYS)} == before
        assert {row["body"] for row in await db.pool.fetch(_WITH_TEXT)} == {None}
        some = max((row[3] for row in before), key=len)[:30]
        assert await tables_with(db, some) == ["comment_revision"]
        for change in ("UPDATE event SET data = '{}'", "DELETE FROM event", "TRUNCATE event"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await db.pool.execute(change)


async def test_what_an_earlier_release_writes_meanwhile_comes_to_stand_where_it_belongs(world: World) -> None:
    """F076: a process of 0.1.0 goes on beside, knows none of the new tables, and its comments can be erased too."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(ada), title="Checkout is down")
    id = new_id()
    await world.db.pool.execute(_SAY, id, ada.id, incident.id, "The password is hunter2.")
    async with world.db.begin() as tx:
        _, written = await comment_queries.comment(tx, world.root.access, "INC-1", id)
        assert (written.body, written.comment.author_id) == ("The password is hunter2.", ada.id)
    assert await tables_with(world.db, "hunter2") == ["comment_revision"]
    async with world.db.begin() as tx:
        await service.erase_comment(tx, world.actor(ada), "INC-1", id)
    assert await tables_with(world.db, "hunter2") == []


async def test_a_message_of_an_earlier_release_has_its_recipient(world: World, postgres_dsn: str) -> None:
    """F103: those that were there, and those that a process of 0.1.0 writes beside."""
    async with old_database(postgres_dsn) as db:
        assert await db.pool.fetchval("SELECT count(*) FROM delivery") > 3
        await migrate.upgrade(db)
        wrong = "SELECT count(*) FROM delivery WHERE recipient_kind <> 'user' OR recipient_id <> user_id"
        assert await db.pool.fetchval(wrong) == 0
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await world.alert()
    await world.db.pool.execute(
        "INSERT INTO delivery (id, kind, user_id, channel, address, content, state, wanted_at, due_at, created_at)"
        " SELECT gen_random_uuid(), kind, user_id, channel, address, content, state, wanted_at, due_at, created_at"
        " FROM delivery LIMIT 1"
    )
    found = await world.db.pool.fetch("SELECT recipient_kind, recipient_id FROM delivery")
    assert [tuple(row) for row in found] == [("user", ada.id), ("user", ada.id)]


async def test_a_message_need_not_be_for_a_person(world: World) -> None:
    """F103: other kinds of recipients have no account, and people always have one."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await world.alert()
    as_if = (
        "INSERT INTO delivery (id, kind, recipient_kind, recipient_id, user_id, channel, address, content, state,"
        " wanted_at, due_at, created_at) SELECT gen_random_uuid(), kind, $1, $2, $3, channel, address, content, state,"
        " wanted_at, due_at, created_at FROM delivery LIMIT 1"
    )
    await world.db.pool.execute(as_if, "subscriber", new_id(), None)
    for kind, user_id in (("user", None), ("subscriber", ada.id)):
        with pytest.raises(asyncpg.CheckViolationError):
            await world.db.pool.execute(as_if, kind, new_id(), user_id)


async def test_filling_takes_every_row_whatever_the_portion(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the last of them, when the rows are a multiple of the portion."""
    async with old_database(postgres_dsn) as db:
        number = await db.pool.fetchval("SELECT count(*) FROM delivery")
        await migrate.upgrade(db, "0008")
        monkeypatch.setitem(revising.fill.__kwdefaults__, "portion", max(1, number // 3))  # pyright: ignore
        await migrate.upgrade(db)
        assert await db.pool.fetchval("SELECT count(*) FROM delivery WHERE recipient_id = user_id") == number


async def test_who_passed_a_page_on_and_when_stands_on_the_page(world: World) -> None:
    """F061: not on the page of whoever was asked with them, nor of whoever let the time go by."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([[ada, cyd], bob]))
    await world.alert()
    run = await world.db.pool.fetchval("SELECT id FROM escalation_run")
    await world.pass_time(minutes(1))
    async with world.db.begin() as tx:
        await oncall.escalate_run(tx, world.actor(ada), run)
        at = tx.now
    await world.pass_time(minutes(6))
    found = await world.db.pool.fetch("SELECT user_id, state, passed_on_at FROM page")
    assert {row["user_id"] for row in found} == {ada.id, bob.id, cyd.id}
    assert {row["user_id"]: row["passed_on_at"] for row in found if row["passed_on_at"]} == {ada.id: at}


_HAPPENED = """
INSERT INTO event (id, name, at, actor_kind, actor_id, actor_name, incident_id, data)
VALUES (gen_random_uuid(), $1, $2, 'user', $3, 'Ada', $4, $5::text::jsonb)
"""


async def test_what_only_the_log_knew_is_filled_in(postgres_dsn: str) -> None:
    """F061, F047, F049: the last round of an incident, what was said when it was cancelled, who passed a page on."""
    async with old_database(postgres_dsn) as db:
        cancelled = await db.pool.fetchrow("SELECT id, cancelled_at FROM incident WHERE status = 'cancelled'")
        said = "SELECT data ->> 'note' FROM event WHERE name = 'incident.cancelled' AND incident_id = $1"
        note = await db.pool.fetchval(said, cancelled["id"])
        reopened = await db.pool.fetchrow("SELECT id, declared_at FROM incident WHERE status = 'resolved' LIMIT 1")
        page = await db.pool.fetchrow("SELECT * FROM page ORDER BY paged_at LIMIT 1")
        await db.pool.execute("UPDATE page SET state = 'no_answer' WHERE id = $1", page["id"])
        later = page["paged_at"] + minutes(1)
        for hours, reason in ((1, "It came back."), (2, "And again.")):
            at = reopened["declared_at"] + minutes(60 * hours)
            data = f'{{"reason": "{reason}", "old": "resolved", "round": {hours}}}'
            await db.pool.execute(_HAPPENED, "incident.reopened", at, None, reopened["id"], data)
        data = f'{{"run_id": "{page["run_id"]}", "step": {page["step"]}, "reason": "", "asked": true}}'
        await db.pool.execute(_HAPPENED, "page.escalated", later, page["user_id"], None, data)

        await migrate.upgrade(db)
        row = await db.pool.fetchrow("SELECT * FROM incident WHERE id = $1", reopened["id"])
        assert (row["reopened_at"], row["reopen_reason"]) == (at, "And again.")
        assert await db.pool.fetchval("SELECT cancel_note FROM incident WHERE id = $1", cancelled["id"]) == note
        assert await db.pool.fetch("SELECT id, passed_on_at FROM page WHERE passed_on_at IS NOT NULL") == [
            (page["id"], later)
        ]


async def test_an_earlier_release_may_reopen_an_incident_meanwhile(world: World) -> None:
    """F049: when is known then; why is not, so nobody is refused for saying something else."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        await service.declare(tx, world.actor(ada), title="Checkout is down")
        await service.resolve(tx, world.actor(ada), "INC-1", "Done.")
    async with world.db.begin() as tx:
        await service.reopen(tx, world.actor(ada), "INC-1", "It came back.")
    first = await world.db.pool.fetchval("SELECT reopened_at FROM incident")
    await world.pass_time(minutes(5))
    await world.db.pool.execute("UPDATE incident SET round = round + 1, updated_at = tocsin_now()")
    row = await world.db.pool.fetchrow("SELECT reopened_at, updated_at, reopen_reason FROM incident")
    assert row["reopened_at"] == row["updated_at"] > first and row["reopen_reason"] is None
    async with world.db.begin() as tx:
        await service.reopen(tx, world.actor(ada), "INC-1", "Something else.")
