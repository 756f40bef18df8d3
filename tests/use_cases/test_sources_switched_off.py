"""A source that is switched off or goes: what it has left open can be ended, by its tool and by people."""

from __future__ import annotations

import httpx
import pytest

from tests.world import World, minutes
from tocsin.alerts import queries, source_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import AlertSource
from tocsin.alerts.sources import address_path
from tocsin.identity.access import EVERYTHING
from tocsin.kit.errors import Conflict, Denied


async def send(world: World, source: AlertSource, body: object) -> httpx.Response:
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        return await client.post(address_path(source.kind, source.token), json=body)


async def switch_off(world: World, source: AlertSource) -> None:
    async with world.db.begin() as tx:
        await alerts.update_source(tx, world.root, source.id, alerts.SourceChanges(is_enabled=False))


async def statuses(world: World) -> list[str]:
    async with world.db.begin() as tx:
        return [row[0].status for row in reversed(await queries.listed(tx, EVERYTHING, queries.Filter()))]


async def newest_signal(world: World, source: AlertSource) -> tuple[str, str]:
    async with world.db.begin() as tx:
        newest = (await queries.signals_of_source(tx, source.id, limit=1))[0]
    return newest.outcome, newest.detail


@pytest.mark.parametrize(("status", "becomes"), [("resolved", "resolved"), ("acknowledged", "acknowledged")])
async def test_what_ends_or_answers_an_alert_is_taken_although_the_source_is_off(
    world: World, status: str, becomes: str
) -> None:
    """F064, G04: both only quiet a pager that rings, and the tool knows best."""
    source = await world.source()
    await world.signal({"key": "k", "title": "Disk", "status": "firing"}, source)
    await switch_off(world, source)
    answer = await send(world, source, {"key": "k", "status": status})
    assert answer.status_code == 202
    assert await statuses(world) == [becomes]
    assert await newest_signal(world, source) == ("accepted", "")


async def test_a_trigger_of_a_source_that_is_off_is_refused_and_kept(world: World) -> None:
    """F064: nothing opens, nothing counts up, and people can see what was sent."""
    source = await world.source()
    await world.signal({"key": "k", "title": "Disk", "status": "firing"}, source)
    await switch_off(world, source)
    for key in ("k", "another"):
        answer = await send(world, source, {"key": key, "title": "Disk", "status": "firing"})
        assert (answer.status_code, answer.json()["code"]) == (403, "source.disabled")
    assert await statuses(world) == ["triggered"]
    assert await newest_signal(world, source) == ("rejected", "The source is switched off, so nothing was opened.")
    async with world.db.begin() as tx:
        assert (await queries.listed(tx, EVERYTHING, queries.Filter()))[0][0].count == 1


async def test_of_a_mixed_body_the_ends_are_taken_and_the_answer_is_no(world: World) -> None:
    """F064: Alertmanager puts both into one message."""
    source = await world.source("alertmanager")
    firing = {"status": "firing", "labels": {"alertname": "A"}, "fingerprint": "a"}
    await world.signal({"alerts": [firing]}, source)
    await switch_off(world, source)
    answer = await send(world, source, {"alerts": [{**firing, "status": "resolved"}, {**firing, "fingerprint": "b"}]})
    assert answer.status_code == 403
    assert await statuses(world) == ["resolved"]
    assert await newest_signal(world, source) == (
        "partly_accepted",
        "The source is switched off, so nothing was opened.",
    )


async def test_a_pagerduty_sender_of_a_source_that_is_off_can_still_resolve(world: World) -> None:
    """F064: its key stands in the body."""
    source = await world.source("pagerduty")
    event = {"routing_key": source.token, "event_action": "trigger", "dedup_key": "k"}
    event |= {"payload": {"summary": "Disk", "source": "db1", "severity": "critical"}}  # pyright: ignore
    assert (await send(world, source, event)).status_code == 202
    await switch_off(world, source)
    assert (await send(world, source, event)).status_code == 400
    assert (await send(world, source, {**event, "event_action": "resolve"})).status_code == 202
    assert await statuses(world) == ["resolved"]


async def test_what_a_source_left_open_is_ended_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F064: its own alerts and no other's, a portion at a time, and the record says who and why."""
    monkeypatch.setattr("tocsin.alerts.service.sources.MOST_ENDED", 2)
    ada, cleo = await world.person("ada"), await world.person("cleo", role="stakeholder")
    await world.route(await world.policy([ada]))
    source, other = await world.source(), await world.source("alertmanager")
    for key in "abc":
        await world.signal({"key": key, "title": key, "severity": "critical"}, source)
    await world.signal({"alerts": [{"status": "firing", "labels": {"alertname": "B"}}]}, other)
    await world.settle()
    with pytest.raises(Denied):
        async with world.db.begin() as tx:
            await alerts.resolve_source_alerts(tx, world.actor(cleo), source.id)
    async with world.db.begin() as tx:
        first = await alerts.resolve_source_alerts(tx, world.actor(ada), source.id)
        second = await alerts.resolve_source_alerts(tx, world.actor(ada), source.id, reason="Taken down.")
        third = await alerts.resolve_source_alerts(tx, world.actor(ada), source.id)
    assert [(e.resolved, e.still_open) for e in (first, second, third)] == [(2, 1), (1, 0), (0, 0)]
    assert await statuses(world) == ["resolved", "resolved", "resolved", "triggered"]
    async with world.db.begin() as tx:
        found = {row[0].title: row[0] for row in await queries.listed(tx, EVERYTHING, queries.Filter())}
    assert found["a"].resolved_by == "Ada"
    assert "Ada ended what “Generic” had left open." in await world.reasons(found["a"])
    assert "Taken down." in await world.reasons(found["c"])
    # Nobody is paged any more.
    sent = len(world.mail.sent)
    await world.pass_time(minutes(10))
    assert len(world.mail.sent) == sent


async def test_a_source_in_use_cannot_be_deleted_and_the_refusal_names_what_uses_it(world: World) -> None:
    """F143: its alerts, open or not, or a route that asks for it by name."""
    used, asked, free = await world.source(), await world.source("grafana"), await world.source("pagerduty")
    await world.signal({"key": "k", "title": "Disk"}, used)
    await world.route(None, 'source == "Grafana" && severity <= 2', name="Dashboards")
    async with world.db.begin() as tx:
        with pytest.raises(Conflict, match=r"opened alerts, and 1 of them is open.*Switch it off instead") as refused:
            await alerts.delete_source(tx, world.root, used.id)
        assert refused.value.code == "source.in_use"
        with pytest.raises(Conflict, match="The condition of “Dashboards” asks for “Grafana”") as refused:
            await alerts.delete_source(tx, world.root, asked.id)
        assert refused.value.code == "source.in_route"
        await alerts.delete_source(tx, world.root, free.id)
    async with world.db.begin() as tx:
        await alerts.resolve_source_alerts(tx, world.root, used.id)
        with pytest.raises(Conflict, match="has opened alerts, so the record needs it"):
            await alerts.delete_source(tx, world.root, used.id)
        assert {source.id for source in await source_queries.sources(tx, EVERYTHING)} == {used.id, asked.id}
