"""Jobs that share something: one origin that hangs takes a few places and holds nobody else up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.use_cases.job_bench import Bench, doing, told, until
from tests.world import World, minutes
from tocsin.jobs import queue
from tocsin.jobs.kinds import Handled, backoff
from tocsin.jobs.queue import Job
from tocsin.jobs.worker import SLOTS, Worker
from tocsin.kit.errors import Transient
from tocsin.notifications import service as notifications
from tocsin.notifications.origins import AT_ONCE, TROUBLE, Origins

FEW_SLOTS = {"send": 16, "page": 4}


def hanging(bench: Bench, go: asyncio.Event) -> Handled:
    """Jobs that hang until they are let go."""

    async def hang(job: Job) -> None:
        bench.started.append((told(job), job.owner, job.attempt))
        await go.wait()
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    return doing("hang", hang, backoff)


async def limited(bench: Bench, go: asyncio.Event, limits: dict[str, int]) -> Worker:
    worker = await bench.worker(hanging(bench, go), start=False, slots=FEW_SLOTS)
    worker.limit = lambda share: limits.get(share, 1000)
    await worker.start()
    bench.workers.append(worker)
    return worker


async def test_a_share_takes_no_more_than_its_places(bench: Bench) -> None:
    """F141, G04: with many jobs to something that hangs, another one's still runs at once."""
    go = asyncio.Event()
    await bench.put(*(f"hang {n}" for n in range(200)), kind="hang", lane="send", shares=("origin:slow", "person:bob"))
    await limited(bench, go, {"origin:slow": 3})

    async def three() -> bool:
        return len(bench.started) == 3

    await until(three)
    await bench.put("innocent", lane="send", shares=("origin:quick", "person:ada"))

    async def done() -> bool:
        return await bench.effects() == ["innocent"]

    await until(done)
    hung = [what for what, _, _ in bench.started if what.startswith("hang")]
    assert len(hung) == 3
    assert await bench.ask("SELECT max(attempt) FROM job WHERE owner IS NULL") == 0, "what waits uses up no attempt"
    go.set()
    await bench.have_happened("innocent", *(f"hang {n}" for n in range(200)))


async def test_a_share_that_gets_more_places_fills_them_at_once(bench: Bench) -> None:
    """F141: what waited for a share goes on with the very job that made room for more, and not with the next look."""
    first, others = asyncio.Event(), asyncio.Event()
    most = 1

    async def grow(job: Job) -> None:
        nonlocal most
        bench.started.append((told(job), job.owner, job.attempt))
        await (first if len(bench.started) == 1 else others).wait()
        most = 8
        async with bench.db.begin() as tx:
            await bench.note(tx, job)
            await queue.finish(tx, job)

    worker = await bench.worker(doing("grow", grow, backoff), start=False, slots=FEW_SLOTS)
    worker.limit = lambda _share: most
    await bench.put(*(f"call {n}" for n in range(8)), kind="grow", lane="send", shares=("origin:new",))
    await worker.start()
    bench.workers.append(worker)

    async def left_waiting() -> bool:
        return len(bench.started) == 1 and bool(worker._were_full)

    await until(left_waiting)
    worker._wake["send"].clear()
    first.set()
    await asyncio.wait_for(worker._wake["send"].wait(), 30)

    async def seven() -> bool:
        return len(bench.started) == 8

    await until(seven)
    others.set()
    await bench.have_happened(*(f"call {n}" for n in range(8)))


async def test_either_of_two_shares_may_be_full(bench: Bench) -> None:
    """F141: one person who gets very much does not take all places of an origin from others."""
    go = asyncio.Event()
    await bench.put("a1", "a2", "a3", kind="hang", lane="send", shares=("origin:mail", "person:ada"))
    await bench.put("b1", kind="hang", lane="send", shares=("origin:mail", "person:bob"))
    await limited(bench, go, {"person:ada": 1})

    async def both() -> bool:
        return sorted(what for what, _, _ in bench.started) == ["a1", "b1"]

    await until(both)
    go.set()
    await bench.have_happened("a1", "a2", "a3", "b1")


@pytest.mark.parametrize("failure", [Transient("no connection"), Transient("silent", may_have_arrived=True)])
async def test_an_origin_that_does_not_answer_is_asked_by_few(world: World, failure: Transient) -> None:
    """F141, G04: with a hundred alerts for it, an hour of outage is some calls a minute, and all arrive afterwards."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(90)))
    world.mail.down = failure
    calls = 0
    send = world.mail.send

    async def count(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        return await send(*given, **named)

    world.mail.send = count
    for n in range(100):
        await world.signal({"title": f"Disk {n}", "status": "firing", "severity": "critical", "key": str(n)})
    await world.settle()
    assert calls <= AT_ONCE + TROUBLE
    await world.let_pass(minutes(10))
    assert calls <= 10 * 60 / 30 * 2
    world.mail.down = None
    await world.let_pass(minutes(4))
    assert len(world.mail.sent) == 100


async def test_a_flood_of_tests_takes_few_places(world: World) -> None:
    """F141, G04: anybody may press “test” again and again, and each press is a job for the lane of the pages."""
    ada = await world.person("ada")
    for _ in range(20):
        async with world.db.begin() as tx:
            await notifications.send_test_page(tx, world.actor(ada), user_id=ada.id)
    shared = await world.db.pool.fetch("SELECT DISTINCT shares FROM job WHERE lane = 'send'")
    limits = [Origins().limit(share) for share in shared[0]["shares"]]
    assert len(shared) == 1
    assert limits, "each test shares its places with others"
    assert max(limits) < SLOTS["send"] / 2
    await world.settle()
    assert world.mail.subjects(ada) == ["Test page"] * 20


async def test_what_hangs_moves_aside(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """F141, G04: when everything that is called hangs, each somewhere else, one that would not hang still runs."""
    monkeypatch.setattr("tocsin.jobs.worker.ASIDE_AFTER", 0.01)
    go = asyncio.Event()
    for n in range(10):
        await bench.put(f"hang {n}", kind="hang", lane="send", shares=(f"origin:{n}",))
    bench.workers.append(await bench.worker(hanging(bench, go), start=False, slots={"send": 4}, aside={"send": 8}))
    await bench.workers[0].start()
    await bench.put("innocent", lane="send", shares=("origin:quick",))

    async def done() -> bool:
        return await bench.effects() == ["innocent"]

    await until(done)
    go.set()
    await bench.have_happened("innocent", *(f"hang {n}" for n in range(10)))


async def test_so_many_move_aside_and_no_more(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """F141: each costs a connection; and what ended gives back the place that it had."""
    monkeypatch.setattr("tocsin.jobs.worker.ASIDE_AFTER", 0.01)
    go = asyncio.Event()
    for n in range(20):
        await bench.put(f"hang {n}", kind="hang", lane="send", shares=(f"origin:{n}",))
    bench.workers.append(await bench.worker(hanging(bench, go), start=False, slots={"send": 2}, aside={"send": 3}))
    await bench.workers[0].start()

    async def five() -> bool:
        return len(bench.started) == 5

    await until(five)
    await bench.put("other", lane="default")

    async def done() -> bool:
        return await bench.effects() == ["other"]

    await until(done)
    assert len([what for what, _, _ in bench.started if what != "other"]) == 5
    go.set()
    await bench.have_happened("other", *(f"hang {n}" for n in range(20)))

    async def all_places() -> bool:
        return bench.workers[0]._free["send"] == 2 and bench.workers[0]._room["send"] == 3

    await until(all_places)
