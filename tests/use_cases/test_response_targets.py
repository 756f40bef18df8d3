"""Response targets: set per severity, told once when near and once when missed, whoever looks and however often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.world import World, minutes
from tocsin.events.log import LoggedEvent
from tocsin.identity.model import Actor
from tocsin.incidents import jobs, service, target_queries, timeline_queries
from tocsin.incidents.model import Incident
from tocsin.incidents.service import targeting
from tocsin.incidents.service.targeting import TargetChanges
from tocsin.kit.changes import Seen
from tocsin.kit.errors import Denied, Invalid, Stale


async def told(world: World, incident: Incident) -> list[tuple[str, str]]:
    """What the record says of targets, oldest first."""
    async with world.db.begin() as tx:
        found: list[LoggedEvent] = [
            each.event for each in await timeline_queries.as_written(tx, incident.id, limit=200)
        ]
    names = {"incident.target_near": "near", "incident.target_missed": "missed"}
    return [(each.data["goal"], names[each.name]) for each in reversed(found) if each.name in names]


async def declared(world: World, who: Actor, severity: int = 1) -> Incident:
    async with world.db.begin() as tx:
        return await service.declare(tx, who, title="Checkout is down", severity=severity)


async def set_targets(world: World, who: Actor, severity: int, **minutes: int | None) -> None:
    async with world.db.begin() as tx:
        await targeting.update_targets(tx, who, severity, TargetChanges(**minutes))  # type: ignore[typeddict-item]


async def test_each_target_is_told_once_when_near_and_once_when_missed(world: World) -> None:
    """F128, F131: by the job that looks each minute, also when it comes late."""
    admin = world.actor(await world.person("root", role="admin"))
    await set_targets(world, admin, 1, acknowledge_minutes=10, update_minutes=30)
    incident, other = await declared(world, admin), await declared(world, admin, severity=3)
    await world.pass_time(minutes(1))
    assert await told(world, incident) == []
    await world.pass_time(minutes(8))
    await world.pass_time(minutes(0.5))
    assert await told(world, incident) == [("acknowledge", "near")]
    await world.pass_time(minutes(2))
    await world.pass_time(minutes(2))
    assert await told(world, incident) == [("acknowledge", "near"), ("acknowledge", "missed")]
    assert await told(world, other) == [], "another severity has targets of its own"
    await world.pass_time(minutes(60))
    assert await told(world, incident) == [
        ("acknowledge", "near"),
        ("acknowledge", "missed"),
        ("update", "missed"),
    ], "what was missed before anybody looked was never near"


async def test_who_says_something_in_time_is_told_nothing_and_a_resolved_one_is_over(world: World) -> None:
    """F131."""
    admin = world.actor(await world.person("root", role="admin"))
    await set_targets(world, admin, 2, update_minutes=30)
    incident = await declared(world, admin, severity=2)
    for _ in range(4):
        await world.pass_time(minutes(20))
        async with world.db.begin() as tx:
            await service.comment(tx, admin, incident.reference, "We look at it.")
    assert await told(world, incident) == []
    async with world.db.begin() as tx:
        await service.resolve(tx, admin, incident.reference, "Done.")
    await world.pass_time(minutes(600))
    assert await told(world, incident) == []


async def test_another_severity_is_measured_by_its_own_targets(world: World) -> None:
    """F128: from the same beginning."""
    admin = world.actor(await world.person("root", role="admin"))
    await set_targets(world, admin, 1, resolve_minutes=60)
    incident = await declared(world, admin, severity=3)
    await world.pass_time(minutes(90))
    assert await told(world, incident) == []
    async with world.db.begin() as tx:
        await service.update(tx, admin, incident.reference, service.IncidentChanges(severity=1))
    await world.pass_time(minutes(1))
    assert await told(world, incident) == [("resolve", "missed")]


async def test_two_workers_at_once_say_it_once(world: World) -> None:
    """F128."""
    admin = world.actor(await world.person("root", role="admin"))
    await set_targets(world, admin, 1, resolve_minutes=1)
    incident = await declared(world, admin)
    async with world.db.begin() as tx:
        tx.now += timedelta(minutes=5)
        assert await targeting.targets_to_tell(tx, after=None) == ([incident.id], None)
        await targeting.tell_targets(tx, incident.id)
        await targeting.tell_targets(tx, incident.id)
        assert await targeting.targets_to_tell(tx, after=None) == ([], None)
    assert await told(world, incident) == [("resolve", "missed")]
    assert jobs.PERIODIC, "somebody looks"


async def test_targets_are_set_within_limits_and_nobody_overwrites_anybody(world: World) -> None:
    """F128: one changes the hours of another field meanwhile; the same field is a conflict."""
    root = await world.person("root", role="admin")
    admin, ada = world.actor(root), world.actor(await world.person("ada"))
    for wrong in (0, -1, 129_601):
        with pytest.raises(Invalid) as refused:
            await set_targets(world, admin, 1, update_minutes=wrong)
        assert [error.pointer for error in refused.value.errors] == ["#/update_minutes"]
    with pytest.raises(Denied):
        await set_targets(world, ada, 1, update_minutes=5)
    await set_targets(world, admin, 1, update_minutes=129_600)
    async with world.db.begin() as tx:
        await targeting.update_targets(tx, admin, 1, {"update_minutes": 20}, if_version=Seen(1))
    async with world.db.begin() as tx:
        with pytest.raises(Stale):
            await targeting.update_targets(tx, admin, 1, {"update_minutes": 25}, if_version=Seen(1))
        await targeting.update_targets(tx, admin, 1, {"resolve_minutes": 90}, if_version=Seen(1))
        first = (await target_queries.of_each_severity(tx))[0]
        assert (first.update_minutes, first.resolve_minutes, first.version) == (20, 90, 3)
