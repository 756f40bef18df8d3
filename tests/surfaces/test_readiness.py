"""`/readyz` says whether work gets done, lane by lane, and what is wrong in a sentence."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import tocsin
from tests.use_cases.job_bench import until
from tests.world import World, make_world
from tocsin.db import condition, migrate
from tocsin.db.engine import Database
from tocsin.jobs import worker as engine
from tocsin.jobs.queue import LANES

FULL = "The disk of the database is full, so nothing can be stored. Make room there."
READ_ONLY = "The database may only be read: it is a standby, or it was made read-only. Point Tocsin at the primary."


@dataclass
class Ready:
    """What one look at `/readyz` said."""

    status: int
    retry_after: str | None
    body: dict[str, Any]


async def ready(world: World) -> Ready:
    transport = httpx.ASGITransport(app=world.app.asgi())
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        answer = await client.get("/readyz")
    return Ready(answer.status_code, answer.headers.get("retry-after"), answer.json())


def say_silent_for(world: World, silent_for: Callable[[], Mapping[str, float]]) -> None:
    assert world.app.context is not None
    world.app.context = replace(world.app.context, lanes_silent_for=silent_for)


@pytest.fixture
async def working(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """An installation with a worker that runs."""
    monkeypatch.setattr(engine, "SWEEP_EVERY", 3600.0)
    async with make_world(dsn) as world:
        assert world.app.worker is not None
        await world.app.worker.start()
        say_silent_for(world, world.app.worker.silent_for)
        yield world


async def test_each_lane_says_when_it_was_last_asked_and_what_waits(working: World) -> None:
    """G04: readiness shows the work, not only a heartbeat."""
    found = await ready(working)
    assert (found.status, found.retry_after) == (200, None)
    assert found.body["checks"] == {"database": True, "writable": True, "schema": True, "worker": True}
    assert found.body["problems"] == []
    lanes = {lane["lane"]: lane for lane in found.body["lanes"]}
    assert tuple(lanes) == LANES
    assert all(0 <= lane["last_claim_ago"] < engine.SILENT_AFTER for lane in lanes.values())
    assert lanes["page"]["due"] == 0
    assert lanes["page"]["oldest_due_for"] == 0


@pytest.mark.parametrize("lane", ["page", "default"])
async def test_a_lane_that_cannot_be_asked_for_work_is_not_ready(working: World, lane: str) -> None:
    """G04: the database answers other questions, and still nobody would be paged."""
    say_silent_for(working, lambda: dict.fromkeys(LANES, 0.0) | {lane: engine.SILENT_AFTER})
    found = await ready(working)
    assert (found.status, found.retry_after) == (503, "5")
    assert found.body["checks"] == {"database": True, "writable": True, "schema": True, "worker": False}
    assert found.body["warnings"] == []
    assert found.body["problems"] == [f"The worker could not ask for work in the lane {lane} for 15 s."]


async def test_claims_that_fail_are_seen_in_their_lane(working: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: a lane counts from its last claim that had an answer, and again from the next one."""
    worker, claim = working.app.worker, working.app.worker._claim
    asked = asyncio.Semaphore(0)

    async def fail(lane: str, most: int) -> Any:
        if lane == "page":
            asked.release()
            raise TimeoutError
        return await claim(lane, most)

    began = engine.monotonic()
    monkeypatch.setattr(worker, "_claim", fail)
    for _ in range(2):
        worker._wake["page"].set()
        await asked.acquire()
    monkeypatch.setattr(engine, "monotonic", lambda: began + 100)

    async def others_asked() -> bool:
        for lane in LANES:
            worker._wake[lane].set()
        return max(seconds for lane, seconds in worker.silent_for().items() if lane != "page") == 0

    await until(others_asked)
    assert worker.silent_for()["page"] > 90
    assert not worker.is_alive
    monkeypatch.setattr(worker, "_claim", claim)

    async def alive() -> bool:
        return worker.is_alive

    await until(alive)


async def test_a_web_server_without_any_worker_is_ready_and_warns(world: World) -> None:
    """G04: it takes alerts in all the same; a load balancer that took it away would turn them away too."""
    found = await ready(world)
    assert (found.status, found.retry_after, found.body["status"]) == (200, None, "ready")
    assert found.body["checks"] == {"database": True, "writable": True, "schema": True, "worker": False}
    assert found.body["problems"] == []
    assert found.body["warnings"] == ["No worker is alive, so nobody is paged. Run `tocsin worker`."]
    assert {lane["last_claim_ago"] for lane in found.body["lanes"]} == {None}


async def test_a_web_server_whose_worker_runs_elsewhere_has_nothing_to_warn_of(working: World) -> None:
    """G04: it counts the workers of other processes."""
    assert working.app.context is not None
    working.app.context = replace(working.app.context, lanes_silent_for=lambda: None)
    found = await ready(working)
    assert (found.status, found.body["checks"]["worker"], found.body["warnings"]) == (200, True, [])


async def test_a_web_server_without_worker_is_not_ready_for_its_own_trouble(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: the warning hides nothing that is wrong here."""
    monkeypatch.setattr(migrate, "newest", lambda: "another")
    found = await ready(world)
    assert (found.status, found.retry_after, found.body["checks"]["schema"]) == (503, "5", False)
    assert len(found.body["problems"]) == len(found.body["warnings"]) == 1


async def test_a_full_disk_is_not_ready_until_there_is_room(working: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """G04: one write that found no room is enough; one that worked, later, ends it."""
    pool = working.db.pool
    await pool.execute(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '53100'; END $$"
    )
    await pool.execute("CREATE TRIGGER no_room BEFORE INSERT ON alert FOR EACH ROW EXECUTE FUNCTION no_room()")
    with pytest.raises(Exception, match="The store cannot be reached"):
        await working.signal({"title": "Checkout is down", "status": "firing", "key": "1"})
    found = await ready(working)
    assert (found.status, found.body["problems"]) == (503, [FULL])
    assert found.body["checks"]["writable"] is False
    assert found.body["checks"]["database"] is True
    monkeypatch.setattr(condition, "_FRESH", 0.0)
    assert (await ready(working)).status == 200


async def test_a_read_only_database_is_not_ready(working: World) -> None:
    """G04: it answers every question, and takes nothing."""
    name = await working.db.pool.fetchval("SELECT current_database()")
    await working.db.pool.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    working.db.condition.note(TimeoutError())
    found = await ready(working)
    assert found.status == 503
    assert READ_ONLY in found.body["problems"]
    code, out, _ = await tocsin("doctor", database_url=working.db.dsn)
    assert code == 1
    assert f"FAIL  writable: {READ_ONLY}" in out


async def test_doctor_tells_of_steps_of_the_clock(world: World) -> None:
    """G04: whoever runs the machine has to hear of it."""
    code, out, _ = await tocsin("doctor", database_url=world.db.dsn)
    assert "ok    clock steps: The database's clock has not stepped within seven days." in out
    await world.db.pool.execute("INSERT INTO clock_step (at, seconds, moved) VALUES (tocsin_now(), -3600, 7)")
    code, out, _ = await tocsin("doctor", database_url=world.db.dsn)
    assert "warn  clock steps: The database's clock was set back by 3,600 s, then " in out
    assert "; 7 waits were moved with it. Steps within seven days: 1." in out
    assert code == 1  # for want of a worker


@pytest.fixture
def small_disk(postgres_dsn: str) -> Iterator[Path]:
    """A directory with room for some megabytes."""
    root = Path(postgres_dsn.partition("host=")[2]).parent / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", root], check=True)
    try:
        (root / "space").mkdir(mode=0o700)
        # It belongs to whoever runs the server.
        owner = root.parent.joinpath("data").stat()
        os.chown(root / "space", owner.st_uid, owner.st_gid)
        yield root
    finally:
        subprocess.run(["umount", "-l", root], check=True)
        root.rmdir()


@pytest.mark.needs("mounts")
async def test_a_disk_that_is_really_full_is_seen_without_any_alert(
    small_disk: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G04: nobody need have tried to store something before."""
    monkeypatch.setattr(condition, "_TRY_EVERY", 0.0)
    monkeypatch.setattr(condition, "_TRY_EVERY_IN_TROUBLE", 0.0)
    monkeypatch.setattr(condition, "_FRESH", 0.0)
    admin = Database(postgres_dsn.format("postgres"), bell=False, pool_size=1)
    await admin.open()
    await admin.pool.execute(f"CREATE TABLESPACE small LOCATION '{small_disk / 'space'}'")
    try:
        await admin.pool.execute("CREATE DATABASE on_small_disk TEMPLATE template0 TABLESPACE small")
        db = Database(postgres_dsn.format("on_small_disk"), bell=False, pool_size=1)
        await db.open()
        assert await db.find_trouble() is None
        filler = small_disk / "filler"
        with filler.open("wb") as file:
            file.write(b"x" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize - 65536))
        assert await db.find_trouble() == FULL
        filler.unlink()
        assert await db.find_trouble() is None
        assert await db.pool.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'tocsin_room'") == 0
        await db.close()
    finally:
        await admin.pool.execute("DROP DATABASE IF EXISTS on_small_disk WITH (FORCE)")
        await admin.pool.execute("DROP TABLESPACE small")
        await admin.close()
