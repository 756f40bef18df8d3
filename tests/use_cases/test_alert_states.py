"""Every state of an alert and everything that can happen in it, by a signal and by hand, against one table.

Signals are written by statements and people's acts by rows; `alerts.lifecycle` says what either may do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from tests.world import World, minutes
from tocsin.alerts import lifecycle, queries
from tocsin.alerts import service as alerts
from tocsin.alerts.lifecycle import BY, RUNS_END, STAMPS, Act, By, Stamp
from tocsin.alerts.model import Alert, AlertSource, AlertStatus
from tocsin.alerts.service import lateness
from tocsin.db.engine import Tx
from tocsin.events import log
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor, User
from tocsin.kit.errors import Conflict
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall.model import RunState

PAIRS = [(status, act, by) for status, act, by in product(AlertStatus, Act, By) if by in BY[act]]
# What a repeat tells of the alert, whatever its state.
TOLD = {"count", "last_seen_at", "severity", "urgency", "native_severity", "worded_at", "said_at"}
EVENT = {
    Act.ACKNOWLEDGE: "alert.acknowledged",
    Act.GIVE_BACK: "alert.unacknowledged",
    Act.RESOLVE: "alert.resolved",
}
BY_HAND: Mapping[Act, Callable[[Tx, Actor, UUID], Awaitable[object]]] = {
    Act.ACKNOWLEDGE: alerts.acknowledge,
    Act.GIVE_BACK: alerts.unacknowledge,
    Act.RESOLVE: alerts.resolve,
    Act.ESCALATE: alerts.escalate,
    Act.PAGE: lambda tx, who, id: alerts.route_anew(tx, [id]),
}
BY_SIGNAL = {
    Act.REPEAT: ("trigger", "error"),
    Act.PAGE: ("trigger", "critical"),
    Act.ACKNOWLEDGE: ("acknowledge", "error"),
    Act.RESOLVE: ("resolve", "error"),
}


@dataclass(frozen=True)
class Scene:
    """One alert in a state, and who and what may act on it."""

    world: World
    ada: User
    source: AlertSource
    id: UUID

    async def signal(self, action: str, severity: str = "error") -> None:
        payload = {"summary": "Disk is full", "source": "db1", "severity": severity}
        body = {"routing_key": "0" * 32, "event_action": action, "dedup_key": "disk", "payload": payload}
        await self.world.signal(body, self.source)

    async def do(self, act: Act, by: By) -> str:
        """Let it happen; returns why it was refused, if it was."""
        if by is By.SIGNAL:
            await self.signal(*BY_SIGNAL[act])
            return ""
        try:
            async with self.world.db.begin() as tx:
                await BY_HAND[act](tx, self.world.actor(self.ada), self.id)
        except Conflict as problem:
            return problem.code
        return ""

    async def row(self) -> dict[str, Any]:
        async with self.world.db.begin() as tx:
            found = await queries.get(tx, EVERYTHING, self.id)
            return {column.key: getattr(found, column.key) for column in Alert.__table__.columns}

    async def soil(self, act: Act) -> None:
        """Leave something in every column that the act stamps, so that it is seen to write there."""
        junk = {
            **dict.fromkeys(("acknowledged_at", "reminded_at", "resolved_at", "held_until", "routed_at"), "created_at"),
            **dict.fromkeys(("acknowledged_by", "resolved_by"), "'somebody'"),
            **dict.fromkeys(("acknowledged_by_id", "route_id"), "source_id"),
        }
        columns = ", ".join(f"{column} = {junk[column]}" for column in STAMPS[act])
        await self.world.db.pool.execute(f"UPDATE alert SET {columns} WHERE id = $1", self.id)

    async def runs(self) -> dict[UUID, RunState]:
        async with self.world.db.begin() as tx:
            return {run.id: RunState(run.state) for run in await oncall_queries.runs_of(tx, alert_ids=[self.id])}

    async def events(self) -> list[str]:
        async with self.world.db.begin() as tx:
            return [event.name for event in (await log.chain_of(tx, alert_id=self.id, last=400)).events]


async def set_up(world: World, status: AlertStatus, *, pages: bool) -> Scene:
    """An alert of ten minutes ago that was brought into this state five minutes later; with or without a run."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada, bob], wait=minutes(60))
    source = await world.source("pagerduty")
    if pages:
        await world.route(policy)
    scene = Scene(world, ada, source, UUID(int=0))
    await scene.signal("trigger")
    await world.settle()
    if not pages:
        await world.route(policy)
    async with world.db.begin() as tx:
        (found,) = [row[0] for row in await queries.listed(tx, EVERYTHING, queries.Filter())]
    scene = Scene(world, ada, source, found.id)
    await world.pass_time(minutes(5))
    if status is not AlertStatus.TRIGGERED:
        await scene.do(Act.ACKNOWLEDGE if status is AlertStatus.ACKNOWLEDGED else Act.RESOLVE, By.HAND)
    await world.pass_time(minutes(5))
    assert (await scene.row())["status"] == status
    return scene


async def remind(scene: Scene) -> None:
    """Have the owner reminded, which is a run that goes on although the alert is acknowledged."""
    await scene.world.pass_time(timedelta(hours=5))
    assert RunState.RUNNING in (await scene.runs()).values()


def test_every_act_is_tried_by_everybody_who_can() -> None:
    assert {(act, By.HAND) for act in BY_HAND} | {(act, By.SIGNAL) for act in BY_SIGNAL} == {
        (act, by) for act, ways in BY.items() for by in ways
    }


@pytest.mark.parametrize(("status", "act", "by"), PAIRS)
async def test_what_happens_to_an_alert_is_what_the_table_says(
    world: World, status: AlertStatus, act: Act, by: By
) -> None:
    """C6, F029, G04: in each state, by whoever can do it, and nothing else changes."""
    scene, to = await set_up(world, status, pages=act is not Act.PAGE), lifecycle.after(status, act)
    moved = to is not None and to is not status
    if moved:
        await scene.soil(act)
    if act is Act.ESCALATE and status is AlertStatus.ACKNOWLEDGED:
        await remind(scene)
    before, runs, events = await scene.row(), await scene.runs(), await scene.events()

    refused = await scene.do(act, by)

    after = await scene.row()
    assert after["status"] == (to or status)
    # What cannot be is said to a person, and passed over where signals want it.
    is_told = by is By.HAND and to is None and act is not Act.PAGE
    assert refused == (lifecycle.cannot(act).code if is_told else "")
    changed = {column for column in after if after[column] != before[column]}
    known = {"status", "updated_at", *STAMPS[act]} if moved else set[str]()
    if act in (Act.REPEAT, Act.PAGE) and by is By.SIGNAL and status is not AlertStatus.RESOLVED:
        known |= TOLD
    if act is Act.PAGE and to is not None:
        known |= {"updated_at", "routed_at", "route_id"}
    assert changed <= known
    if moved:
        assert after["updated_at"] > before["updated_at"]
        name, person = (scene.source.name, None) if by is By.SIGNAL else (scene.ada.name, scene.ada.id)
        values = {Stamp.NOW: after["updated_at"], Stamp.NAME: name, Stamp.PERSON: person, Stamp.NOTHING: None}
        assert {column: after[column] for column in STAMPS[act]} == {
            column: values[stamp] for column, stamp in STAMPS[act].items()
        }
    told = (await scene.events())[len(events) :]
    assert [name for name in told if name in EVENT.values()] == ([EVENT[act]] if moved else [])
    now = await scene.runs()
    was_running = [id for id, state in runs.items() if state is RunState.RUNNING]
    if moved:
        assert {now[id] for id in was_running} <= {RUNS_END[act]}
    elif act is not Act.PAGE:
        assert now == runs
    await world.settle()
    if act is Act.PAGE:
        begun = [id for id in await scene.runs() if id not in runs]
        assert len(begun) == (1 if to is not None else 0)


@pytest.mark.parametrize("status", AlertStatus)
async def test_an_end_that_came_before_its_beginning_stamps_as_any_other(world: World, status: AlertStatus) -> None:
    """F063, G04: the third statement that ends alerts, and it marks them as routed."""
    scene = await set_up(world, status, pages=True)
    async with world.db.begin() as tx:
        connection = await tx.raw()
        await connection.execute("UPDATE alert SET said_at = $2 WHERE id = $1", scene.id, tx.now - minutes(9))
        await connection.execute(
            "INSERT INTO alert_early_resolve (source_id, dedup_key, said_at, received_at) VALUES ($1, 'disk', $2, $2)",
            scene.source.id,
            tx.now,
        )
    before = await scene.row()
    async with world.db.begin() as tx:
        await lateness.close_if_over(tx, [scene.id])
    after = await scene.row()
    changed = {column for column in after if after[column] != before[column]}
    moved = status in lifecycle.moved_by(Act.RESOLVE)
    assert changed == ({"status", "updated_at", *STAMPS[Act.RESOLVE]} if moved else set())
    if moved:
        assert (after["resolved_at"], after["resolved_by"]) == (after["updated_at"], scene.source.name)


async def test_who_has_acknowledged_at_the_source_is_nobody_here(world: World) -> None:
    """F029: whoever had it before gives way, so nobody is reminded of what they gave back."""
    scene = await set_up(world, AlertStatus.ACKNOWLEDGED, pages=True)
    await scene.do(Act.GIVE_BACK, By.HAND)
    await world.settle()
    await scene.do(Act.ACKNOWLEDGE, By.SIGNAL)
    row = await scene.row()
    assert (row["acknowledged_by"], row["acknowledged_by_id"]) == (scene.source.name, None)
