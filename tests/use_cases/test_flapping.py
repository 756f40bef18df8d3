"""What comes and goes is held back where its source says so, and nothing else is (F068)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world import World, minutes
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert, AlertSource
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Denied, Invalid


class Stage:
    """A source, and Ada who is paged for whatever it sends."""

    def __init__(self, world: World, source: AlertSource, ada: User) -> None:
        self.world, self.source, self.ada = world, source, ada

    async def fires(self, key: str = "k", **fields: Any) -> Alert:
        said = {"key": key, "title": "Link is down", "status": "firing", "severity": "error"}
        await self.world.signal(said | fields, self.source)
        await self.world.settle()
        return await self.newest()

    async def ends(self, key: str = "k") -> None:
        await self.world.signal({"key": key, "status": "resolved"}, self.source)
        await self.world.settle()

    async def newest(self) -> Alert:
        async with self.world.db.begin() as tx:
            return (await queries.listed(tx, EVERYTHING, queries.Filter(), limit=1))[0][0]

    @property
    def pages(self) -> int:
        return len(self.world.mail.to(self.ada))

    async def why(self, alert: Alert) -> str:
        async with self.world.db.begin() as tx:
            return (await incidents.explain_alert(tx, self.world.root, alert.id)).summary


async def stage(world: World, *, hold_down: int | None = 5) -> Stage:
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(60)))
    source = await world.source()
    async with world.db.begin() as tx:
        source = await alerts.update_source(
            tx, world.root, source.id, alerts.SourceChanges(hold_down_minutes=hold_down)
        )
    return Stage(world, source, ada)


async def test_what_comes_again_at_once_pages_nobody(world: World) -> None:
    at = await stage(world)
    await at.fires()
    await at.ends()
    await world.pass_time(minutes(1))
    again = await at.fires()
    assert at.pages == 1
    assert (again.status, again.routed_at) == ("triggered", None)
    assert await world.history(again) == ["alert.triggered", "alert.held"]
    assert await at.why(again) == (
        "Nobody has been paged yet because it came again only 60 s after its end, and its source holds such alerts "
        "back for 5 min. It pages after that if it is still open."
    )


async def test_what_stays_open_pages_when_the_time_is_over(world: World) -> None:
    at = await stage(world)
    await at.fires()
    await at.ends()
    await world.pass_time(minutes(1))
    again = await at.fires()
    await world.pass_time(minutes(3.9))
    assert at.pages == 1
    await world.pass_time(minutes(0.2))
    assert at.pages == 2
    assert (await world.history(again))[:3] == ["alert.triggered", "alert.held", "alert.routed"]
    assert await at.why(again) == "Ada was paged; nobody has answered yet."


async def test_what_is_over_before_pages_nobody_ever(world: World) -> None:
    at = await stage(world)
    await at.fires()
    await at.ends()
    await world.pass_time(minutes(1))
    again = await at.fires()
    await at.ends()
    await world.let_pass(minutes(10))
    assert at.pages == 1
    assert await at.why(again) == (
        "Nobody was paged because it came again only 60 s after its end, its source holds such alerts back for 5 min, "
        "and Generic resolved it before that was over."
    )


async def test_flapping_without_an_end_pages_once_per_hold_down(world: World) -> None:
    """Held alerts do not extend the time: a check that flaps all night is not silent all night."""
    at = await stage(world)
    await at.fires()
    for _ in range(12):
        await at.ends()
        await world.pass_time(minutes(0.5))
        await at.fires()
        await world.pass_time(minutes(0.5))
    assert at.pages == 3


async def test_without_a_hold_down_everything_pages(world: World) -> None:
    """It is off by default."""
    at = await stage(world, hold_down=None)
    await at.fires()
    await at.ends()
    await at.fires()
    assert at.pages == 2


@pytest.mark.parametrize("change", [{"severity": "critical"}, {"urgency": "high"}])
async def test_what_is_worse_than_before_pages_at_once(world: World, change: dict[str, str]) -> None:
    at = await stage(world)
    await at.fires(severity="error", urgency="low")
    await at.ends()
    await at.fires(severity="error", urgency="low")
    assert at.pages == 1
    await at.ends()
    await at.fires(**({"severity": "error", "urgency": "low"} | change))
    assert at.pages == 2


async def test_what_gets_worse_while_it_is_held_pages_at_once(world: World) -> None:
    at = await stage(world)
    await at.fires()
    await at.ends()
    again = await at.fires()
    assert at.pages == 1
    await at.fires(severity="critical")
    assert at.pages == 2
    # The end of the wait finds it routed.
    await world.let_pass(minutes(6))
    assert (await world.history(again)).count("alert.routed") == 1


async def test_another_key_and_another_source_are_not_held(world: World) -> None:
    at = await stage(world)
    await at.fires()
    await at.ends()
    await at.fires("other")
    assert at.pages == 2
    await world.signal({"key": "k", "title": "Link is down", "status": "firing"}, await world.source())
    await world.settle()
    assert at.pages == 3


async def test_after_the_hold_down_everything_pages_at_once(world: World) -> None:
    at = await stage(world)
    await at.fires()
    await at.ends()
    await world.pass_time(minutes(5.1))
    again = await at.fires()
    assert at.pages == 2
    assert "alert.held" not in await world.history(again)


async def test_what_a_person_ended_and_still_fires_pages_at_once(world: World) -> None:
    at = await stage(world)
    alert = await at.fires()
    async with world.db.begin() as tx:
        await alerts.resolve(tx, world.actor(at.ada), alert.id)
    await at.fires()
    assert at.pages == 2


async def test_what_nobody_was_told_of_does_not_hold_anything_back(world: World) -> None:
    at = await stage(world)
    world.mail.down = ConnectionError("away")
    try:
        await at.fires()
        await at.ends()
    finally:
        world.mail.down = None
    assert at.pages == 0
    await at.fires()
    assert at.pages == 1


async def test_what_somebody_gives_back_pages_at_once(world: World) -> None:
    at = await stage(world)
    await at.fires()
    await at.ends()
    again = await at.fires()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(at.ada), again.id)
    async with world.db.begin() as tx:
        await alerts.unacknowledge(tx, world.actor(at.ada), again.id)
    await world.settle()
    assert at.pages == 2


async def test_what_somebody_takes_while_it_is_held_pages_nobody(world: World) -> None:
    at = await stage(world)
    await at.fires()
    await at.ends()
    again = await at.fires()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(at.ada), again.id)
    await world.let_pass(minutes(6))
    assert at.pages == 1
    assert (await world.again(again)).status == "acknowledged"


@pytest.mark.parametrize("minutes_given", [0, -1, 1441])
async def test_a_hold_down_has_its_bounds(world: World, minutes_given: int) -> None:
    source = await world.source()
    async with world.db.begin() as tx:
        with pytest.raises(Invalid, match=r"1,440"):
            await alerts.update_source(tx, world.root, source.id, alerts.SourceChanges(hold_down_minutes=minutes_given))


async def test_only_who_manages_sources_sets_it(world: World) -> None:
    source, ada = await world.source(), await world.person("ada")
    async with world.db.begin() as tx:
        with pytest.raises(Denied):
            await alerts.update_source(tx, world.actor(ada), source.id, alerts.SourceChanges(hold_down_minutes=5))
