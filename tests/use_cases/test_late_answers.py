"""Who has waited too long for the store is told so once, and what they sent is neither lost nor doubled."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.postgres import until_somebody_waits
from tests.processes import PATIENCE
from tests.use_cases.test_intake import known, rows, signal
from tests.world import World
from tocsin.alerts import intake as intakes
from tocsin.alerts.intake import Intake
from tocsin.alerts.sources.base import Action, Parsed
from tocsin.api.intake import IntakeApp
from tocsin.kit.errors import Unavailable


class Clock:
    """The clock of intake, which moves by itself nowhere."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 1000.0
        monkeypatch.setattr(intakes, "monotonic", lambda: self.at)


def measured(intake: Intake) -> list[tuple[str, int]]:
    """What intake says of itself from now on."""
    said: list[tuple[str, int]] = []
    intake.measure = lambda result, number: said.append((result, number))
    return said


def sending(intake: Intake, source: Any, *keys: str, action: Action = Action.TRIGGER) -> asyncio.Task[None]:
    parsed = Parsed(tuple(signal(key, action) for key in keys))
    return asyncio.create_task(intake.submit(known(source), b"{}", "", parsed))


async def test_a_store_that_takes_nothing_is_said_to_be_silent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults: 503 and not a wait without an end; what was sent stays and is stored once, its repetition counts."""
    monkeypatch.setattr(intakes, "STORE_WITHIN", 0.01)
    source = await world.source()
    intake = Intake(world.db, limit=10)  # Not started: nothing leaves the queue.
    said = measured(intake)
    with pytest.raises(Unavailable, match="The store does not answer"):
        await sending(intake, source, "disk", "door")
    assert (said, intake.waiting) == ([("unavailable", 2)], 2)
    monkeypatch.undo()
    intake.start()
    await sending(intake, source, "disk", "door")
    await intake.stop()
    assert said == [("unavailable", 2), ("accepted", 2)]
    found = await rows(world, "SELECT dedup_key, count FROM alert ORDER BY dedup_key")
    assert [tuple(row) for row in found] == [("disk", 2), ("door", 2)]
    assert len(await rows(world, "SELECT FROM signal")) == 2
    assert len(await rows(world, "SELECT FROM event WHERE name = 'alert.triggered'")) == 2


async def test_who_was_turned_away_while_the_batch_was_written_is_not_answered_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults: the commit comes after the answer; the writer goes on, and the next one is served."""
    monkeypatch.setattr(intakes, "STORE_WITHIN", 0.01)
    source, intake = await world.source(), world.app.intake
    async with world.db.begin() as tx:
        await (await tx.raw()).execute("LOCK TABLE alert IN EXCLUSIVE MODE")
        late = sending(intake, source, "disk")
        await until_somebody_waits(world.db)
        with pytest.raises(Unavailable, match="The store does not answer"):
            await late
        monkeypatch.undo()
        next_one = sending(intake, source, "disk")
    async with asyncio.timeout(PATIENCE):
        await next_one
    assert [row["count"] for row in await rows(world, "SELECT count FROM alert")] == [2]
    assert len(await rows(world, "SELECT FROM signal")) == 2


async def test_a_batch_that_fails_after_the_answer_is_told_of_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults, figures: a request is counted as turned away once, whatever becomes of its batch."""
    source, intake = await world.source(), Intake(world.db, limit=10)
    said, go_on = measured(intake), asyncio.Event()

    async def away(*_: object) -> None:
        await go_on.wait()
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(intakes, "STORE_WITHIN", 0.01)
        patch.setattr(intakes, "store_batch", away)
        intake.start()
        with pytest.raises(Unavailable, match="does not answer"):
            await sending(intake, source, "disk")
        go_on.set()
        await intake.stop()
    assert sum(number for _, number in said) == 1


async def test_each_is_turned_away_at_its_own_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults: one timer looks after all who wait, and after those that came later."""
    clock, source = Clock(monkeypatch), await world.source()
    intake = Intake(world.db, limit=10)
    first = sending(intake, source, "a")
    await asyncio.sleep(0)
    clock.at += intakes.STORE_WITHIN / 2
    second = sending(intake, source, "b")
    gone = sending(intake, source, "c")
    await asyncio.sleep(0)
    gone.cancel()  # A sender that has hung up.
    clock.at += intakes.STORE_WITHIN / 2
    intake._answer_late()
    with pytest.raises(Unavailable):
        await first
    assert not second.done()
    # The timer was set anew, for the rest of the second one's time.
    assert intake._watch is not None and not intake._watch.cancelled()
    clock.at += intakes.STORE_WITHIN / 2
    intake._answer_late()
    with pytest.raises(Unavailable):
        await second
    assert (intake._watch, len(intake._unanswered)) == (None, 0)
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_whoever_waits_when_intake_stops_is_answered(world: World) -> None:
    """Faults: nobody is left hanging, not even when nothing was ever written."""
    source, intake = await world.source(), Intake(world.db, limit=10)
    waiting = sending(intake, source, "disk")
    await asyncio.sleep(0)
    await intake.stop()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Unavailable):
            await waiting


async def test_the_answered_are_not_kept(world: World) -> None:
    """A body is not held in memory until its time would have come."""
    source, intake = await world.source(), world.app.intake
    await sending(intake, source, "disk")
    await sending(intake, source, "door")
    await asyncio.sleep(0)
    assert len(intake._unanswered) == 0


async def test_the_sender_of_a_late_answer_is_told_to_try_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F063, faults: 503 with Retry-After, one answer to one request; the resolve that waits is not lost."""
    source = await world.source()
    intake = Intake(world.db, limit=10)
    site: Any = IntakeApp(intake, world.app.sources, world.app.metrics, max_bytes=2**20)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://tocsin.example") as client:
        with monkeypatch.context() as patch:
            patch.setattr(intakes, "STORE_WITHIN", 0.01)
            for status in ("firing", "resolved"):
                said = {"key": "disk", "title": "Disk", "status": status}
                answer = await client.post(f"/in/generic/{source.token}", json=said)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
                assert "does not answer" in answer.json()["detail"]
        intake.start()
        # One more, so that there is something to wait for.
        assert (await client.post(f"/in/generic/{source.token}", json=said)).status_code == 202
    await intake.stop()
    assert [row["status"] for row in await rows(world, "SELECT status FROM alert")] == ["resolved"]
    assert len(await rows(world, "SELECT FROM signal")) == 3
