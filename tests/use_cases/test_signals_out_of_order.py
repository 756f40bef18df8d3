"""Signals that arrive in another order than they were sent in, told by the sender's own times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.world import World, minutes
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.intake import Source, store
from tocsin.alerts.model import AlertSource
from tocsin.alerts.service import lateness
from tocsin.alerts.sources import ADAPTERS
from tocsin.db.engine import Tx, encode_json
from tocsin.events import log
from tocsin.events.words import describe
from tocsin.identity.access import EVERYTHING

KINDS = ("alertmanager", "grafana", "generic", "pagerduty")


async def now(world: World) -> datetime:
    async with world.db.begin() as tx:
        return tx.now


def body(kind: str, status: str, at: datetime | None, severity: str = "critical") -> dict[str, Any]:
    """What a sender of this kind says of one problem; `at` is when it began or ended."""
    time = at.isoformat() if at is not None else ""
    match kind:
        case "generic":
            return {"key": "k", "title": "Disk", "severity": severity, "status": status, "timestamp": time}
        case "pagerduty":
            action = {"firing": "trigger", "resolved": "resolve"}[status]
            payload = {"summary": "Disk", "source": "db1", "severity": severity, "timestamp": time}
            return {"routing_key": "0" * 32, "event_action": action, "dedup_key": "k", "payload": payload}
        case _:
            times = {"startsAt": time, "endsAt": "0001-01-01T00:00:00Z"}
            if status == "resolved":
                times = {"startsAt": (at - minutes(9)).isoformat() if at else "", "endsAt": time}
            labels = {"alertname": "Disk", "severity": severity}
            return {"version": "4", "alerts": [{"status": status, "labels": labels, "fingerprint": "k", **times}]}


async def statuses(world: World) -> list[str]:
    async with world.db.begin() as tx:
        return [row[0].status for row in await queries.listed(tx, EVERYTHING, queries.Filter())]


async def ready(world: World, kind: str) -> AlertSource:
    await world.route(await world.policy([await world.person("ada")]))
    return await world.source(kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_trigger_that_is_older_than_a_resolve_before_it_pages_nobody(world: World, kind: str) -> None:
    """F063, G04: it opens, is closed at once, and says why; so does a second late one."""
    source, at = await ready(world, kind), await now(world)
    await world.signal(body(kind, "resolved", at), source)
    for _ in range(2):
        await world.signal(body(kind, "firing", at - minutes(1)), source)
        await world.settle()
    assert await statuses(world) == ["resolved", "resolved"]
    assert world.mail.sent == []
    async with world.db.begin() as tx:
        alert = (await queries.listed(tx, EVERYTHING, queries.Filter()))[0][0]
        chain = await log.chain_of(tx, alert_id=alert.id)
    [resolved] = [event for event in chain.events if event.name == "alert.resolved"]
    said = "It came late: the source had said before that it was over at"
    detail = describe(resolved.name, resolved.actor_name, resolved.data).detail
    assert detail.startswith(said) and f"{at:%H:%M}" in detail and detail.endswith(" UTC")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_problem_that_begins_after_the_resolve_pages(world: World, kind: str) -> None:
    """F063, G04: nobody is left unpaged for a resolve that was about something earlier."""
    source, at = await ready(world, kind), await now(world)
    await world.signal(body(kind, "resolved", at), source)
    await world.pass_time(minutes(1))
    await world.signal(body(kind, "firing", at + timedelta(seconds=1)), source)
    await world.settle()
    assert await statuses(world) == ["triggered"]
    assert len(world.mail.sent) == 1


@pytest.mark.parametrize(
    ("trigger", "resolve"), [(True, False), (False, True), (False, False)], ids=["resolve", "trigger", "both"]
)
async def test_without_times_the_order_of_arrival_counts(world: World, trigger: bool, resolve: bool) -> None:
    """F063, G04: what is not known is no reason to page nobody."""
    source, at = await ready(world, "generic"), await now(world)
    await world.signal(body("generic", "resolved", at if resolve else None), source)
    await world.signal(body("generic", "firing", at - minutes(1) if trigger else None), source)
    await world.settle()
    assert await statuses(world) == ["triggered"]


async def test_a_resolve_that_ended_its_alert_says_nothing_of_the_next(world: World) -> None:
    """F063, G04: a tool that lost sight of a problem and finds it again sends the same start once more."""
    source, at = await ready(world, "alertmanager"), await now(world)
    start = at - minutes(30)
    await world.signal(body("alertmanager", "firing", start), source)
    await world.settle()
    await world.signal(body("alertmanager", "resolved", at), source)
    await world.signal(body("alertmanager", "firing", start), source)
    await world.settle()
    assert await statuses(world) == ["triggered", "resolved"]
    assert len(world.mail.sent) == 2


async def test_an_early_resolve_is_remembered_for_minutes_only_and_for_its_key_alone(world: World) -> None:
    """F063, G04."""
    source, other, at = await ready(world, "generic"), await world.source("generic"), await now(world)
    await world.signal(body("generic", "resolved", at), source)
    await world.signal(body("generic", "firing", at - minutes(1)), other)
    await world.signal({**body("generic", "firing", at - minutes(1)), "key": "another"}, source)
    await world.settle()
    assert await statuses(world) == ["triggered", "triggered"]
    # No sweep has come by yet.
    await world.db.pool.execute("UPDATE test_clock SET at = at + $1", lateness.REMEMBERED_FOR)
    await world.signal(body("generic", "firing", at - minutes(1)), source)
    async with world.db.begin() as tx:
        await alerts.route(
            tx, [row[0].id for row in await queries.listed(tx, EVERYTHING, queries.Filter(source_ids=[source.id]))]
        )
    assert await statuses(world) == ["triggered", "triggered", "triggered"]
    # The sweep has forgotten it, too.
    await world.pass_time(minutes(5))
    assert await world.db.pool.fetchval("SELECT count(*) FROM alert_early_resolve") == 0


async def test_what_is_kept_for_information_only_is_closed_as_well(world: World) -> None:
    """F063: nobody would be paged for it, and it must not stay open for ever."""
    source, at = await ready(world, "pagerduty"), await now(world)
    await world.signal(body("pagerduty", "resolved", at, "info"), source)
    await world.signal(body("pagerduty", "firing", at - minutes(1), "info"), source)
    assert await statuses(world) == ["resolved"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_resolve_that_is_older_than_the_problem_ends_nothing(world: World, kind: str) -> None:
    """F063, G04: the end of an earlier bout does not silence the pager of this one; the signal says what it did."""
    source, at = await ready(world, kind), await now(world)
    await world.signal(body(kind, "firing", at), source)
    await world.settle()
    await world.signal(body(kind, "resolved", at - minutes(1)), source)
    await world.settle()
    assert await statuses(world) == ["triggered"]
    async with world.db.begin() as tx:
        alert = (await queries.listed(tx, EVERYTHING, queries.Filter()))[0][0]
        effects = [effect for _, effect in await queries.signals_of_alert(tx, alert.id)]
    assert effects == ["outdated", "opened"]
    await world.pass_time(minutes(5))
    await world.signal(body(kind, "resolved", await now(world)), source)
    assert await statuses(world) == ["resolved"]


async def test_both_in_one_body_are_taken_in_their_order(world: World) -> None:
    """F063: a resolve before a trigger in one batch, judged by their times."""
    source, at = await ready(world, "generic"), await now(world)
    late = [body("generic", "resolved", at), body("generic", "firing", at - minutes(1))]
    await world.signal(late, source)  # pyright: ignore[reportArgumentType]
    await world.settle()
    assert await statuses(world) == ["resolved"]
    assert world.mail.sent == []


async def test_what_one_body_says_of_it_later_counts(world: World) -> None:
    """F063, G04: over, begun before that, acknowledged, begun anew: what it says last is not closed as late."""
    source, at = await ready(world, "generic"), await now(world)
    await world.signal(body("generic", "resolved", at), source)
    turns = [
        body("generic", "firing", at - minutes(1), "info"),
        {**body("generic", "acknowledged", at - minutes(1)), "status": "acknowledged"},
        body("generic", "firing", at + timedelta(seconds=1), "info"),
    ]
    await world.signal(turns, source)  # pyright: ignore[reportArgumentType]
    await world.settle()
    assert await statuses(world) == ["acknowledged"]
    assert await world.db.pool.fetchval("SELECT routed_at IS NOT NULL FROM alert")
    assert (
        await world.db.pool.fetchval("SELECT count(*) FROM event WHERE name IN ('alert.routed', 'alert.not_routed')")
        == 1
    )


async def keep(tx: Tx, source: AlertSource, said: dict[str, Any]) -> None:
    """What the intake of another process does, in a transaction that its test holds open."""
    raw = encode_json(said).encode()
    parsed = ADAPTERS[source.kind].parse(raw, {})
    await store(tx, Source(source.id, source.name, source.kind, True), raw, "", parsed)


@pytest.mark.parametrize("is_paged", [True, False], ids=["that pages", "that pages nobody"])
@pytest.mark.parametrize("first", ["firing", "resolved"])
async def test_two_processes_that_write_a_trigger_and_its_resolve_at_once_leave_nothing_open(
    world: World, first: str, is_paged: bool
) -> None:
    """F063, G04: neither sees the other before it commits, and yet the alert ends and nobody else is paged for it."""
    ada, bob = await world.people("ada", "bob")
    source, at = await world.source(), await now(world)
    await world.route(await world.policy([ada, bob], wait=minutes(6)), "" if is_paged else "severity < 1")
    async with world.db.begin() as tx:
        await tx.cached("routing", queries.routing_table)
    said = {"firing": body("generic", "firing", at - minutes(1)), "resolved": body("generic", "resolved", at)}
    second = said.pop("resolved" if first == "firing" else "firing")
    async with world.db.begin() as tx:
        await keep(tx, source, said[first])
        await world.signal(second, source)
        await world.settle()
    await world.pass_time(minutes(5.1))
    assert await statuses(world) == ["resolved"]
    await world.pass_time(minutes(10))
    assert world.mail.to(bob) == []
    assert await world.db.pool.fetchval("SELECT count(*) FROM escalation_run WHERE state = 'running'") == 0
    assert await world.db.pool.fetchval("SELECT count(*) FROM event WHERE name = 'alert.resolved'") == 1
    assert await world.db.pool.fetchval("SELECT count(*) FROM alert_early_resolve") == 0


@pytest.mark.parametrize("after", [timedelta(seconds=1), None], ids=["began later", "gives no time"])
async def test_a_resolve_that_was_written_at_the_same_time_ends_nothing_else(
    world: World, after: timedelta | None
) -> None:
    """F063, G04: what began after it, or does not say when, goes on paging."""
    source, at = await ready(world, "generic"), await now(world)
    async with world.db.begin() as tx:
        await keep(tx, source, body("generic", "resolved", at))
        await world.signal(body("generic", "firing", at + after if after else None), source)
    await world.pass_time(minutes(5.1))
    assert await statuses(world) == ["triggered"]
    assert world.mail.sent != []


async def test_who_holds_an_alert_does_not_hold_up_looking_after_the_others(world: World) -> None:
    """G09: it is closed on the next look."""
    source, at = await ready(world, "generic"), await now(world)
    for key in ("k", "other"):
        async with world.db.begin() as tx:
            await keep(tx, source, {**body("generic", "resolved", at), "key": key})
            await world.signal({**body("generic", "firing", at - minutes(1)), "key": key}, source)
    async with world.db.begin() as tx:
        await (await tx.raw()).execute("SELECT FROM alert WHERE dedup_key = 'k' FOR UPDATE")
        async with world.db.begin() as other:
            assert await lateness.close_missed(other, limit=50) == 1
    async with world.db.begin() as tx:
        assert await lateness.close_missed(tx, limit=50) == 1
    assert await statuses(world) == ["resolved", "resolved"]
