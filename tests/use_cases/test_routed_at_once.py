"""What pages nobody is routed within the batch that opens it; everything else is left to a job (F063, F069, F138)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from tests.processes import PATIENCE
from tests.use_cases.test_intake import known, rows, signal
from tests.world import World
from tocsin.alerts import batch, queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import AlertSource
from tocsin.alerts.service import routing
from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import Action, Parsed
from tocsin.db.engine import encode_json
from tocsin.events import log
from tocsin.events.words import describe
from tocsin.identity.access import EVERYTHING
from tocsin.incidents import service as incidents


async def look_up(world: World) -> None:
    """Have the routing table at hand, as any alert that is routed leaves it."""
    async with world.db.begin() as tx:
        await tx.cached("routing", queries.routing_table)


async def submit(world: World, source: AlertSource, *keys: str, **fields: Any) -> None:
    await world.app.intake.submit(known(source), b"{}", "", Parsed(tuple(signal(key, **fields) for key in keys)))


async def decided(world: World) -> tuple[list[str], int]:
    """Which alerts are routed by now, by their keys, and how many wait for a job."""
    found = await rows(world, "SELECT dedup_key FROM alert WHERE routed_at IS NOT NULL ORDER BY dedup_key")
    waiting = (
        "SELECT coalesce(sum(jsonb_array_length(payload->'alert_ids')), 0)::int AS number FROM job WHERE kind = $1"
    )
    return [row["dedup_key"] for row in found], (await rows(world, waiting, alerts.ROUTE.name))[0]["number"]


AT_ONCE, BY_A_JOB = (["disk"], 0), ([], 1)


async def no_routes(world: World) -> None:
    pass


async def a_route_that_pages_nobody(world: World) -> None:
    await world.route(None, "severity <= 2", name="Only kept")


async def a_route_that_pages(world: World) -> None:
    await world.route(await world.policy([await world.person("ada")]), "severity <= 2")


async def a_route_for_others(world: World) -> None:
    await world.route(await world.policy([await world.person("ada")]), "severity <= 1")


async def a_catch_all_that_pages_nobody(world: World) -> None:
    await a_route_for_others(world)
    await world.route(None)


async def a_catch_all_that_pages(world: World) -> None:
    await world.route(None, "severity <= 1")
    await world.route(await world.policy([await world.person("ada")]))


async def a_route_that_pages_is_off(world: World) -> None:
    await a_route_that_pages(world)
    await world.db.pool.execute("UPDATE alert_route SET is_enabled = false")


async def a_broken_condition(world: World) -> None:
    await world.route(None, "severity <= 1", name="Was fine once")
    await world.db.pool.execute("UPDATE alert_route SET condition = 'severity <='")


async def a_broken_condition_before_one_that_pages(world: World) -> None:
    await a_broken_condition(world)
    await a_catch_all_that_pages(world)


async def a_source_that_holds_back(world: World) -> None:
    await a_route_that_pages_nobody(world)
    await world.db.pool.execute("UPDATE alert_source SET hold_down_minutes = 5")


@pytest.mark.parametrize(
    ("lay_out", "expected"),
    [
        (no_routes, AT_ONCE),
        (a_route_that_pages_nobody, AT_ONCE),
        (a_route_that_pages, BY_A_JOB),
        (a_route_for_others, AT_ONCE),
        (a_catch_all_that_pages_nobody, AT_ONCE),
        (a_catch_all_that_pages, BY_A_JOB),
        (a_route_that_pages_is_off, AT_ONCE),
        (a_broken_condition, AT_ONCE),
        (a_broken_condition_before_one_that_pages, BY_A_JOB),
        (a_source_that_holds_back, BY_A_JOB),
    ],
    ids=lambda value: value.__name__.replace("_", " ") if callable(value) else "",
)
async def test_only_what_pages_nobody_is_decided_within_the_batch(
    world: World, lay_out: Callable[[World], Awaitable[None]], expected: tuple[list[str], int]
) -> None:
    source = await world.source()
    await lay_out(world)
    await look_up(world)
    await submit(world, source, "disk")
    assert await decided(world) == expected
    await world.settle()
    assert await decided(world) == (["disk"], 0)


async def test_without_the_table_at_hand_a_job_decides_and_the_next_signal_finds_it(world: World) -> None:
    """F063, F138: intake waits for no configuration; a web process without a worker has it a moment later, too."""
    source = await world.source()
    await a_route_that_pages_nobody(world)
    await submit(world, source, "disk")
    assert await decided(world) == BY_A_JOB
    fetching = world.db._fetching
    assert fetching is not None
    async with asyncio.timeout(PATIENCE):
        await fetching
    await submit(world, source, "door")
    assert await decided(world) == (["door"], 1)


async def test_a_table_that_cannot_be_read_now_is_no_trouble_for_intake(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F063, faults: whoever needs the table says what is wrong with it."""
    source = await world.source()

    async def away(_: object) -> Any:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(queries, "routing_table", away)
        await submit(world, source, "disk")
        fetching = world.db._fetching
        assert fetching is not None
        await fetching
    assert await decided(world) == BY_A_JOB
    await world.settle()
    assert await decided(world) == AT_ONCE


async def test_a_configuration_that_changed_meanwhile_is_not_decided_by(world: World) -> None:
    """F069, G04: who is to be paged since a moment ago is paged, though another table was at hand."""
    source, ada = await world.source(), await world.person("ada")
    await a_route_that_pages_nobody(world)
    await look_up(world)
    await submit(world, source, "disk")
    policy = await world.policy([ada])
    async with world.db.begin() as tx:
        [row] = await queries.routes(tx)
        changes = alerts.RouteChanges(escalation_policy_id=policy.id)
        await alerts.update_route(tx, world.root, row.id, changes)
    await submit(world, source, "door")
    assert await decided(world) == (["disk"], 1)
    await world.settle()
    assert world.mail.subjects(ada) == ["door"]


async def test_a_source_that_the_table_does_not_know_is_left_to_a_job(world: World) -> None:
    """F063: alone; its neighbours in the batch are decided about."""
    other, source = await world.source(), await world.source()
    await look_up(world)
    version, table = world.db._snapshots["routing"]
    names = {source.id: table.sources[source.id]}
    world.db._snapshots["routing"] = version, queries.RoutingTable(table.routes, names, table.policies)
    together = [batch.accepted(known(each), b"{}", "", Parsed((signal("disk"),))) for each in (other, source)]
    async with world.db.begin_hot() as tx:
        await batch.store_batch(tx, together)
    found = await rows(world, "SELECT source_id FROM alert WHERE routed_at IS NOT NULL")
    assert [row["source_id"] for row in found] == [source.id]
    world.db._snapshots.clear()
    await world.settle()
    assert await decided(world) == (["disk", "disk"], 0)


@pytest.mark.parametrize("slow_after", [0, 2])
async def test_conditions_that_take_long_do_not_hold_intake_up(
    world: World, monkeypatch: pytest.MonkeyPatch, slow_after: int
) -> None:
    """F063: what the time does not suffice for is left to a job, and nothing is left out."""
    source = await world.source()
    await a_route_that_pages_nobody(world)
    await look_up(world)
    asked, real = [0], routing.routing.route

    def route(*given: Any) -> Any:
        asked[0] += 1
        return real(*given)

    monkeypatch.setattr(routing.routing, "route", route)
    monkeypatch.setattr(routing, "monotonic", lambda: 0.0 if asked[0] <= slow_after else routing.AT_ONCE_WITHIN * 2)
    await submit(world, source, *(f"k{number}" for number in range(10)))
    monkeypatch.undo()
    assert await decided(world) == ([f"k{number}" for number in range(slow_after + 1)], 9 - slow_after)
    await world.settle()
    assert await decided(world) == ([f"k{number}" for number in range(10)], 0)


async def test_whatever_is_wrong_with_a_route_no_signal_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F063, G04: the signal is kept, and the job that routes it says what is wrong and tries again."""
    source = await world.source()
    await a_route_that_pages_nobody(world)
    await look_up(world)

    def route(*_: object) -> Any:
        raise KeyError("a bug of ours")

    with monkeypatch.context() as patch:
        patch.setattr(routing.routing, "route", route)
        await submit(world, source, "disk", "door")
    assert await decided(world) == ([], 2)
    await world.settle()
    assert await decided(world) == (["disk", "door"], 0)


async def test_a_repeat_is_not_routed_and_keeps_its_route(world: World) -> None:
    """F068: what is decided for a new alert is nothing to one that is open already."""
    source, ada = await world.source(), await world.person("ada")
    kept = await world.route(None, "title == 'Only kept'", name="Only kept")
    await world.route(await world.policy([ada]), "severity <= 2")
    await look_up(world)
    await submit(world, source, "disk")
    await world.settle()
    before = await rows(world, "SELECT route_id, routed_at FROM alert")
    await submit(world, source, "disk", title="Only kept")
    assert await rows(world, "SELECT route_id, routed_at FROM alert") == before
    assert before[0]["route_id"] != kept
    assert [row["name"] for row in await rows(world, "SELECT name FROM event WHERE name = 'alert.routed'")] == [
        "alert.routed"
    ]


@pytest.mark.parametrize(("is_note", "pages"), [(False, ["disk"]), (True, [])], ids=["a problem", "information"])
async def test_what_gets_worse_pages_though_it_was_decided_at_once(
    world: World, is_note: bool, pages: list[str]
) -> None:
    """F068, G04: mild it was only recorded. What is for information pages nobody however bad it gets."""
    source, ada = await world.source(), await world.person("ada")
    await world.route(await world.policy([ada]), "severity <= 2")
    await look_up(world)
    await submit(world, source, "disk", severity=4)
    assert await decided(world) == AT_ONCE
    await submit(world, source, "disk", severity=1, record_only=is_note)
    await world.settle()
    assert world.mail.subjects(ada) == pages


# The same signals, once decided within the batch and once by a job.

FIRES: Mapping[str, Any] = {"key": "disk", "title": "Disk is full", "status": "firing", "severity": "warning"}
ENDS: Mapping[str, Any] = {"key": "disk", "title": "Disk is full", "status": "resolved"}
EARLY, LATE = "2020-01-01T00:00:00Z", "2020-01-01T00:10:00Z"
STORIES: Mapping[str, tuple[list[Any], ...]] = {
    "opens": ([FIRES],),
    "comes again": ([FIRES], [FIRES]),
    "comes twice in one body": ([FIRES, FIRES],),
    "says something else": ([FIRES], [{**FIRES, "title": "Disk is fuller"}]),
    "gets worse and pages": ([FIRES], [{**FIRES, "severity": "critical"}]),
    "is resolved": ([FIRES], [ENDS]),
    "is resolved and comes again": ([FIRES], [ENDS], [FIRES]),
    "several": (
        [FIRES, {**FIRES, "key": "door", "title": "Door is open"}, {**FIRES, "severity": "critical", "key": "x"}],
    ),
    "comes after its end": ([{**ENDS, "timestamp": LATE}], [{**FIRES, "timestamp": EARLY}]),
    "comes after an end that was before it": ([{**ENDS, "timestamp": EARLY}], [{**FIRES, "timestamp": LATE}]),
    "an end that is older than it": ([{**FIRES, "timestamp": LATE}], [{**ENDS, "timestamp": EARLY}]),
}
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|\+[\d:]+)?")


async def tell(world: World, source: AlertSource, story: tuple[list[Any], ...]) -> None:
    for body in story:
        raw = encode_json(body).encode()
        await world.app.intake.submit(known(source), raw, "", ADAPTERS["generic"].parse(raw, {}))
        await world.settle()


async def outcome(world: World, source: AlertSource) -> list[Any]:
    """All that is left of what a source sent, without what differs between any two alerts."""
    found: list[Any] = [len(await rows(world, "SELECT FROM job"))]
    async with world.db.begin() as tx:
        mine = await queries.listed(tx, EVERYTHING, queries.Filter(source_ids=[source.id]))
        for row in sorted(mine, key=lambda row: row[0].id):
            alert = row[0]
            chain = await log.chain_of(tx, alert_id=alert.id)
            told = await incidents.explain_alert(tx, world.root, alert.id)
            signals = await queries.signals_of_alert(tx, alert.id)
            found.append(
                [
                    {
                        column: value
                        for column, value in vars(alert).items()
                        if not column.endswith("_at")
                        and column not in ("_sa_instance_state", "id", "number", "source_id")
                    },
                    {column: value is None for column, value in vars(alert).items() if column.endswith("_at")},
                    [(event.name, event.actor_kind, event.actor_name, event.data) for event in chain.events],
                    [describe(event.name, event.actor_name, event.data) for event in chain.events],
                    (told.summary, [(step.name, step.line, step.is_said) for step in told.steps]),
                    [effect for _, effect in signals],
                ]
            )
    return [_TIME.sub("TIME", _ID.sub("ID", str(each))) for each in found]


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
@pytest.mark.parametrize("routed", ["no route", "a route that pages nobody"])
async def test_both_ways_come_to_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, story: tuple[list[Any], ...], routed: str
) -> None:
    """F069, F138, G01: row, record, explanation, jobs and pages are the same whoever decides."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]), "severity <= 1", name="Bad")
    if routed != "no route":
        await world.route(None, "severity > 1", name="Only kept")
    at_once, by_job = await world.source(), await world.source()
    await look_up(world)
    decisions: list[int] = []
    real = routing.route_at_once

    async def counted(*given: Any) -> Any:
        found = await real(*given)
        decisions.append(len(found))
        return found

    async def never(*_: object) -> Any:
        return {}

    monkeypatch.setattr(batch, "route_at_once", counted)
    await tell(world, at_once, story)
    assert sum(decisions) > 0
    pages, world.mail.sent = world.mail.subjects(ada), []
    monkeypatch.setattr(batch, "route_at_once", never)
    await tell(world, by_job, story)
    assert pages == world.mail.subjects(ada)
    assert await outcome(world, at_once) == await outcome(world, by_job)


async def test_the_record_tells_the_turns_of_one_body_in_their_order(world: World) -> None:
    """F063, G01: opened, decided about, taken and ended by the source at once."""
    source = await world.source()
    await look_up(world)
    turns = (Action.TRIGGER, Action.ACKNOWLEDGE, Action.RESOLVE)
    parsed = Parsed(tuple(signal("disk", action) for action in turns))
    await world.app.intake.submit(known(source), b"{}", "", parsed)
    await world.settle()
    events = await rows(world, "SELECT name FROM event WHERE alert_id IS NOT NULL ORDER BY position")
    assert [row["name"].removeprefix("alert.") for row in events] == [
        *("triggered", "not_routed", "acknowledged", "resolved"),
    ]
