"""A request of many signals: stored in portions, answered when all are stored, nobody waits long behind it (G04)."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from tests.use_cases.test_intake import known, rows, signal
from tests.world import World
from tocsin.alerts import batch
from tocsin.alerts import intake as intakes
from tocsin.alerts.intake import Intake
from tocsin.alerts.portions import MOST_TURNS
from tocsin.alerts.sources.base import Action, Parsed, Signal
from tocsin.alerts.sources.generic import Generic
from tocsin.kit.errors import Unavailable

T, R = Action.TRIGGER, Action.RESOLVE


def flapping(turns: int, key: str = "flaps") -> tuple[Signal, ...]:
    return tuple(signal(key, (T, R)[n % 2]) for n in range(turns))


async def test_a_neighbour_waits_for_one_portion_only(world: World) -> None:
    """10,000 signals that alternate held everybody's for nine seconds."""
    source = known(await world.source())
    intake = world.app.intake
    many = asyncio.create_task(intake.submit(source, b"many", "", Parsed(flapping(10 * MOST_TURNS))))
    await asyncio.sleep(0)
    await intake.submit(source, b"one", "", Parsed((signal("innocent"),)))
    assert not many.done()
    assert 0 < len(await rows(world, "SELECT FROM alert WHERE dedup_key = 'flaps'")) < 5 * MOST_TURNS
    await many
    found = await rows(world, "SELECT status FROM alert WHERE dedup_key = 'flaps'")
    assert [row["status"] for row in found] == ["resolved"] * 5 * MOST_TURNS
    await world.settle()
    assert len(await rows(world, "SELECT FROM page")) == 0


async def test_the_body_is_kept_once_and_leads_to_every_alert(world: World) -> None:
    source = known(await world.source())
    many = tuple(signal(f"key {n}") for n in range(1200))
    await world.app.intake.submit(source, b"body", "", Parsed(many))
    assert [row["body"] for row in await rows(world, "SELECT body FROM signal")] == [b"body"]
    assert len(await rows(world, "SELECT DISTINCT alert_id FROM alert_signal JOIN signal ON id = signal_id")) == 1200


class Fails:
    """The store goes away before the second portion."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches = 0
        self._store_batch = intakes.store_batch
        self.is_away = True
        monkeypatch.setattr(intakes, "store_batch", self)

    async def __call__(self, tx: Any, batch: Any) -> None:
        self.batches += 1
        if self.is_away and self.batches == 2:
            raise ConnectionResetError
        await self._store_batch(tx, batch)


async def test_when_a_later_portion_fails_the_sender_comes_again_and_nothing_is_there_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = known(await world.source())
    many = Parsed(tuple(signal(f"key {n}") for n in range(1200)))
    store = Fails(monkeypatch)
    with pytest.raises(Unavailable):
        await world.app.intake.submit(source, b"many", "", many)
    assert store.batches == 2  # the third is not tried
    store.is_away = False
    await world.app.intake.submit(source, b"many", "", many)
    found = await rows(world, "SELECT dedup_key, count(*) AS alerts FROM alert GROUP BY 1")
    assert len(found) == 1200 and {row["alerts"] for row in found} == {1}


async def test_a_request_with_a_resolve_finds_a_place_for_each_of_its_portions(world: World) -> None:
    """A resolve is never shed, wherever in its request it stands."""
    source = known(await world.source())
    await world.app.intake.submit(source, b"open", "", Parsed((signal("last"),)))
    intake = Intake(world.db, limit=1)
    intake.start()
    waits = asyncio.create_task(intake.submit(source, b"waits", "", Parsed((signal("waits"),))))
    await asyncio.sleep(0)
    many = Parsed((*(signal(f"key {n}") for n in range(1200)), signal("last", R)))
    await asyncio.gather(waits, intake.submit(source, b"many", "", many))
    await intake.stop()
    found = await rows(world, "SELECT status FROM alert WHERE dedup_key = 'last'")
    assert [row["status"] for row in found] == ["resolved"]


async def test_a_process_that_stops_between_two_portions_sends_the_sender_away(world: World) -> None:
    source = known(await world.source())
    intake = Intake(world.db, limit=1000)
    intake.start()
    many = asyncio.create_task(intake.submit(source, b"many", "", Parsed(flapping(10 * MOST_TURNS))))
    await asyncio.sleep(0)
    await intake.stop()
    async with asyncio.timeout(intakes.STORE_WITHIN / 2):
        with pytest.raises(Unavailable):
            await many


async def test_a_large_body_is_read_beside_everything_else(world: World) -> None:
    """Reading 1 MB may take the better part of a second; whoever else is there must not wait for it."""
    source = await world.source()
    body = json.dumps([{"title": f"Disk {n}", "key": f"disk {n}", "tags": ["a"] * 50} for n in range(600)])
    status, answer = await post(world, source.token, body.encode())
    assert (status, json.loads(answer)["accepted"]) == (202, 600)
    assert len(await rows(world, "SELECT FROM alert")) == 600


async def post(world: World, token: str, body: bytes) -> tuple[int, bytes]:
    """Send a body to the process, and see that it is not read in the thread that serves everybody."""
    reads: list[str] = []
    parse = Generic.parse
    answer: list[Any] = []

    def watched(self: Generic, body: bytes, headers: Any) -> Parsed:
        reads.append(threading.current_thread().name)
        return parse(self, body, headers)

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        answer.append(message)

    scope = {"type": "http", "method": "POST", "path": f"/in/generic/{token}", "headers": []}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Generic, "parse", watched)
        await world.app.asgi()(scope, receive, send)  # pyright: ignore
    assert reads and all(name.startswith("intake") for name in reads)
    return answer[0]["status"], answer[1]["body"]


async def test_only_what_was_there_before_is_looked_through_for_pages_when_it_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F005, G04: of a thousand turns of one key, nobody was paged for what the same body opened; the first one was."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    first = await world.alert("flaps", key="flaps")
    ended: list[Any] = []
    end_runs = batch.oncall.end_runs

    async def spy(tx: Any, **named: Any) -> None:
        ended.append(named["alert_ids"])
        await end_runs(tx, **named)

    monkeypatch.setattr(batch.oncall, "end_runs", spy)
    source = await world.db.pool.fetchrow("SELECT id, name, kind FROM alert_source")
    turns = Parsed(flapping(4 * MOST_TURNS))
    await world.app.intake.submit(intakes.Source(*source, is_enabled=True), b"many", "", turns)
    await world.settle()
    assert ended == [[first.id]]
    assert await rows(world, "SELECT FROM escalation_run WHERE state = 'running'") == []
    assert len(world.mail.to(ada)) == 1
