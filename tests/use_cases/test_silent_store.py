"""A server that falls silent without a word, and one that leads to a standby, hold nobody up."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import text

from tests.processes import PATIENCE
from tests.use_cases.job_bench import HOLDS, Bench, until
from tocsin.db import bell as bells
from tocsin.db import engine as engines
from tocsin.db import link
from tocsin.db.bell import Bell
from tocsin.db.engine import Database
from tocsin.db.errors import STORE_ERRORS
from tocsin.drill.proxy import Proxy, proxied
from tocsin.events.live import Live
from tocsin.jobs import queue
from tocsin.jobs import worker as engine
from tocsin.jobs.worker import LOCK_SPACE

PID = "SELECT pg_backend_pid()"
FOR_EVER = "SELECT pg_sleep(3600)"


@pytest.fixture
async def proxy(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A way to the test's database that can fall silent, and limits short enough to wait for."""
    for name in ("ANSWERS_WITHIN", "CLAIMS_WITHIN", "CLOSES_WITHIN"):
        monkeypatch.setattr(link, name, 1.0)
    monkeypatch.setattr(engines, "ANSWERS_WITHIN", 1.0)
    monkeypatch.setattr(bells, "CLAIMS_WITHIN", 1.0)
    monkeypatch.setattr(engine, "CLAIMS_WITHIN", 1.0)
    monkeypatch.setattr("tocsin.jobs.clockwatch.CLAIMS_WITHIN", 1.0)
    monkeypatch.setattr(engine, "ASK_LOCK_EVERY", 0.2)
    monkeypatch.setattr(bells, "_ASK_EVERY", 0.2)
    async with proxied(dsn) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: Proxy) -> AsyncIterator[Database]:
    """A database that is reached by way of the proxy. However silent the way is, closing it comes to an end."""
    db = Database(proxy.dsn, bell=False, pool_size=3)
    await db.open()
    yield db
    async with asyncio.timeout(PATIENCE):
        await db.close()


async def test_the_kernel_watches_a_connection_over_tcp(far: Database) -> None:
    """G04: otherwise it asks an idle one for a sign of life after two hours, and sends for a quarter of an hour."""
    async with far.pool.acquire() as proxy:
        line = proxy._con._transport.get_extra_info("socket")
        with socket.socket(fileno=os.dup(line.fileno())) as ours:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert [ours.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [5, 2, 3, 8000]


async def _ask(db: Database, how: str, question: str) -> object:
    match how:
        case "pool":
            return await db.pool.fetchval(question)
        case "hot":
            async with db.begin_hot() as tx:
                return await (await tx.raw()).fetchval(question)
        case "begin":
            async with db.begin() as tx:
                return (await tx.session.execute(text(question))).scalar_one()
        case "look":
            async with db.look() as tx:
                return (await tx.session.execute(text(question))).scalar_one()
        case _:
            return await db.snapshot("paging", lambda tx: tx.session.scalar(text(question)), at_least=2**62)


WAYS = ["pool", "hot", "begin", "look", "snapshot"]


@pytest.mark.parametrize("how", WAYS)
async def test_a_silent_connection_fails_in_time_and_takes_those_that_are_as_old_with_it(
    far: Database, proxy: Proxy, how: str
) -> None:
    """G04: whoever comes next finds a new connection, and does not wait for a silent one in its turn."""
    await asyncio.gather(*(_ask(far, way, "SELECT 1 FROM pg_sleep(0.05)") for way in WAYS * 3))
    old = proxy.connected
    assert old >= 6
    proxy.swallow()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(STORE_ERRORS) as failed:
            await _ask(far, how, FOR_EVER)
    assert isinstance(failed.value, TimeoutError)
    # From here on nothing fails, though there were many more silent connections.
    for way in WAYS:
        assert await asyncio.gather(*(_ask(far, way, f"SELECT {n}") for n in range(3)))
    assert proxy.connected > old


@pytest.mark.parametrize("how", WAYS)
async def test_who_stops_waiting_for_a_silent_server_gets_away_at_once(
    proxy: Proxy, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: the driver would ask the server to cancel, on a second connection, and wait for both."""
    # Longer than the test waits, so that no limit of a statement gets anybody away.
    monkeypatch.setattr(engines, "ANSWERS_WITHIN", 10.0 * PATIENCE)
    far = Database(proxy.dsn, bell=False, pool_size=3)
    await far.open()
    waiting = [asyncio.ensure_future(_ask(far, how, FOR_EVER)) for _ in range(3)]
    await asyncio.sleep(0.2)
    proxy.swallow()
    proxy.closed = True
    for each in waiting:
        each.cancel()
    async with asyncio.timeout(PATIENCE):
        results = await asyncio.gather(*waiting, return_exceptions=True)
    # What ended them is not hidden behind the end of the connection: a loop must see that it was cancelled.
    assert {type(result) for result in results} == {asyncio.CancelledError}
    proxy.closed = False
    # Every place in the pool was given back.
    assert await asyncio.gather(*(_ask(far, how, "SELECT 1 FROM pg_sleep(0.02)") for _ in range(3))) == [1, 1, 1]
    await far.close()


async def test_a_statement_whose_client_has_gone_ends_and_frees_its_locks(db: Database, dsn: str) -> None:
    """G04: nobody asks PostgreSQL to cancel it, so it has to notice by itself."""
    away = Database(dsn, bell=False, pool_size=1)
    await away.open()
    asked = asyncio.ensure_future(_ask(away, "hot", "SELECT 1 FROM pg_advisory_xact_lock(42), pg_sleep(3600)"))

    async def locked() -> bool:
        return not await db.pool.fetchval("SELECT pg_try_advisory_lock(42) AND pg_advisory_unlock(42)")

    await until(locked)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)

    async def free() -> bool:
        return not await locked()

    await until(free)
    await away.close()


async def test_closing_does_not_wait_for_a_silent_server(proxy: Proxy) -> None:
    """G04: a stop that hangs is one that somebody kills."""
    db = Database(proxy.dsn, pool_size=3)
    await db.open()
    await asyncio.gather(*(_ask(db, way, "SELECT 1") for way in WAYS * 2))
    proxy.swallow()
    proxy.closed = True
    async with asyncio.timeout(PATIENCE):
        await db.close()


@pytest.mark.parametrize("patience", [None, 3600.0])
async def test_a_goodbye_to_a_silent_server_has_an_end(proxy: Proxy, patience: float | None) -> None:
    """G04: whoever lets a connection go waits two seconds at most, also in the middle of other work."""
    connection = await link.connect(proxy.dsn, settings={}, answers_within=None)
    proxy.swallow()
    async with asyncio.timeout(PATIENCE):
        await connection.close(timeout=patience)
    assert connection.is_closed()


async def test_a_connection_attempt_has_an_end(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: an address that swallows the very first packet."""
    monkeypatch.setattr(link, "CONNECTS_WITHIN", 0.2)
    db = Database(proxy.dsn, bell=False)
    proxy.closed = True
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TimeoutError):
            await db.open()
        await db.close()


async def test_the_bell_notices_that_nobody_hears_it(proxy: Proxy, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: it has nothing to say for hours, and then must not find its connection dead."""
    monkeypatch.setattr(bells, "_RECONNECT", 0.01)
    here, there = Bell(proxy.dsn), Bell(dsn)
    heard = asyncio.Event()
    here.listen("topic", heard.set)
    here.start()
    there.start()

    async def connected(number: int) -> bool:
        return proxy.connected >= number and heard.is_set()

    await until(lambda: connected(1))
    proxy.swallow()
    await until(lambda: connected(2))
    heard.clear()

    async def rings() -> bool:
        there.ring(["topic"])
        return heard.is_set()

    await until(rings)
    await here.stop()
    await there.stop()


async def test_the_live_stream_goes_on_after_a_silence(far: Database, proxy: Proxy) -> None:
    """G04: who watches does not have to reload the page."""
    live = Live(far)
    proxy.swallow()
    with pytest.raises(TimeoutError):
        await live.end()
    assert await live.end() == (0, 0)


async def test_a_worker_goes_on_after_its_way_to_the_database_fell_silent(
    proxy: Proxy, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: claims, leases, its lock and the job that was under way."""
    monkeypatch.setattr(engine, "LEASE", timedelta(hours=1))
    bench.dsn, near = proxy.dsn, bench.db
    go = asyncio.Event()
    worker = await bench.worker(bench.held_up(go), locks=True)
    await bench.put("slow", kind="slow")

    async def running() -> bool:
        return bool(bench.started)

    await until(running)
    proxy.swallow()
    # The job that runs needs a connection of its own to end; it is the bench's, which is not silent.
    await bench.put(*(f"quick {n}" for n in range(5)))
    go.set()
    await bench.have_happened("slow", *(f"quick {n}" for n in range(5)))
    assert len(bench.started) == 6

    async def has_lock() -> bool:
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tocsin-lock'"
        return bool(await bench.ask(HOLDS, LOCK_SPACE, worker.number) and await near.pool.fetchval(sessions) >= 1)

    await until(has_lock)
    assert worker.is_alive


async def test_a_claim_whose_answer_never_came_is_given_back_at_once(
    proxy: Proxy, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: PostgreSQL has the claim, the worker does not know of it, and a page must not wait for the lease."""
    monkeypatch.setattr(engine, "LEASE", timedelta(hours=1))
    monkeypatch.setattr(engine, "POLL", 3600.0)
    # Time to look at the claim before it is given back.
    monkeypatch.setattr(engine, "CLAIMS_WITHIN", 3.0)
    bench.dsn = proxy.dsn
    worker = await bench.worker(locks=False)
    await bench.put("before")
    worker._wake["page"].set()
    await bench.have_happened("before")
    proxy.swallow_answers()
    await bench.put("page")
    worker._wake["page"].set()

    async def claimed() -> bool:
        return bool(await bench.ask("SELECT EXISTS (SELECT FROM job WHERE owner = $1)", worker.number))

    await until(claimed)
    assert [what for what, *_ in bench.started] == ["before"]

    async def woken() -> bool:
        worker._wake["page"].set()
        return len(bench.started) == 2

    await until(woken)
    # It was no attempt, since nobody ran it.
    assert bench.started[-1] == ("page", worker.number, 1)


async def test_backends_that_are_frozen_hold_nobody(far: Database, dsn: str) -> None:
    """G04: the server's kernel still confirms every byte, so only the wait for an answer has an end."""
    connection = await asyncpg.connect(dsn)
    pids = [
        row[0] for row in await connection.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'tocsin'")
    ]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            await far.pool.fetchval("SELECT 1")
        assert await far.pool.fetchval(PID) not in pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        await connection.close()


async def _make_read_only(dsn: str, on: bool) -> None:
    connection = await asyncpg.connect(dsn)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if on else 'off'}")
    await connection.close()


async def test_a_server_that_may_only_be_read_is_not_connected_to(dsn: str) -> None:
    """G04: after a fail-over the address may lead to what has become the standby."""
    await _make_read_only(dsn, True)
    db = Database(dsn, bell=False)
    with pytest.raises(STORE_ERRORS):
        await db.open()
    assert db.condition.trouble == (
        "The database may only be read: it is a standby, or it was made read-only. Point Tocsin at the primary."
    )
    await db.close()
    # Who only looks may look there.
    looking = Database(dsn, bell=False, writes=False)
    await looking.open()
    assert await looking.pool.fetchval("SELECT 1") == 1
    await looking.close()


@pytest.mark.parametrize("how", ["pool", "hot", "begin"])
async def test_a_connection_that_turns_out_to_be_read_only_is_thrown_away(db: Database, how: str) -> None:
    """G04: the next one may lead to the primary."""
    for way in ("pool", "begin"):
        pid = await _ask(db, way, PID)
        read_only = "SELECT set_config('default_transaction_read_only', 'on', false)"
        await _ask(db, way, read_only)
    with pytest.raises(STORE_ERRORS) as refused:
        await _ask(db, how, "SELECT nextval('worker_number')")
    assert "read-only transaction" in str(refused.value)
    assert db.condition.trouble is not None
    assert await _ask(db, how, "SELECT nextval('worker_number')") is not None
    assert await _ask(db, how, PID) != pid


async def test_a_job_is_not_lost_while_the_database_may_only_be_read(bench: Bench) -> None:
    """G04: it waits, and then it is done."""
    worker = await bench.worker()
    await bench.put("page", due=None)
    await bench.have_happened("page")
    async with bench.db.begin() as tx:
        await queue.enqueue(tx, queue.NewJob("work", {"what": "later"}, lane="page"))
        await (await tx.raw()).execute("SELECT set_config('default_transaction_read_only', 'on', false)")
    await bench.have_happened("later", "page")
    assert worker.is_alive


async def test_a_session_whose_client_fell_silent_in_a_transaction_frees_its_locks(
    proxy: Proxy, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: also one that PostgreSQL does not count as idle, because it knows a statement that it is not yet to run."""
    monkeypatch.setattr(engine, "SILENT_IN_TRANSACTION", timedelta(seconds=0.2))
    monkeypatch.setattr(link, "IDLE_IN_TRANSACTION", "1h")
    away = await link.connect(proxy.dsn, settings={"application_name": "tocsin"}, answers_within=PATIENCE)
    await away.execute("BEGIN")
    await away.execute("SELECT pg_advisory_xact_lock(42)")
    await away.prepare("SELECT 1")
    proxy.swallow()
    locked = "SELECT NOT pg_try_advisory_xact_lock(42)"
    assert await bench.ask(locked)
    await bench.worker()

    async def free() -> bool:
        return not await bench.ask(locked)

    await until(free)
    away.terminate()


async def test_a_worker_ends_the_session_of_a_connection_that_it_has_lost(proxy: Proxy, bench: Bench) -> None:
    """G04: else its own ghost keeps the lock from it, and keeps its jobs from the others when it dies."""
    near, bench.dsn = bench.db, proxy.dsn
    worker = await bench.worker(locks=True)
    holder = "SELECT pid FROM pg_locks WHERE classid = $1::oid AND objid = $2::oid AND granted"
    ghost = await near.pool.fetchval(holder, LOCK_SPACE, worker.number)
    assert ghost
    proxy.swallow()

    async def another_holds_it() -> bool:
        return await near.pool.fetchval(holder, LOCK_SPACE, worker.number) not in (None, ghost)

    await until(another_holds_it)
