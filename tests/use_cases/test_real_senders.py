"""What real tools send, taken in over HTTP and told (F063, F064, F068)."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from tests.world import World
from tocsin.alerts import queries
from tocsin.alerts.model import Alert, AlertSource
from tocsin.alerts.sources import address_path
from tocsin.identity.access import EVERYTHING

JSON = "application/json"


async def send(world: World, source: AlertSource, body: bytes | dict[str, Any], **headers: str) -> httpx.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": JSON} | {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        return await client.post(address_path(source.kind, source.token), content=raw, headers=named)


async def all_alerts(world: World) -> list[Alert]:
    async with world.db.begin() as tx:
        return [row[0] for row in await queries.listed(tx, EVERYTHING, queries.Filter(), limit=100)]


async def kept(world: World, source: AlertSource) -> list[tuple[str, str, bytes]]:
    async with world.db.begin() as tx:
        found = await queries.signals_of_source(tx, source.id, limit=10)
    return [(signal.outcome, signal.detail, signal.body) for signal in found]


def message(source: AlertSource, **fields: Any) -> dict[str, Any]:
    match source.kind:
        case "pagerduty":
            payload = {"summary": "Disk", "source": "db9", "severity": "critical", "timestamp": "2026-03-01T10:00:00Z"}
            return {"routing_key": source.token, "event_action": "trigger", "payload": payload} | fields
        case "generic":
            return {"title": "Disk", "severity": "critical"} | fields
        case _:
            return {"alerts": [{"status": "firing", "labels": {"alertname": "Disk"}, "annotations": {}}]} | fields


LEGACY = {"ruleId": 7, "orgId": 1, "ruleName": "Queue depth", "state": "alerting"}
DATADOG = {"id": "1", "title": "[Triggered] CPU", "event_type": "query_alert_monitor", "last_updated": "1", "org": {}}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("alertmanager", {}),
        ("grafana", {}),
        ("grafana", LEGACY),
        ("generic", {}),
        ("generic", DATADOG),
        ("pagerduty", {}),
    ],
)
async def test_two_equal_events_at_once_open_one_alert(world: World, kind: str, body: dict[str, Any]) -> None:
    """F068, G05: pairs send everything twice, and what is not answered in time is sent again."""
    source = await world.source(kind)
    answers = await asyncio.gather(*(send(world, source, body or message(source)) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert [alert.count for alert in await all_alerts(world)] == [4]


async def test_a_repeat_brings_everything_up_to_date(world: World) -> None:
    source = await world.source()
    first = {"title": "Disk 81% on db9", "key": "s1", "severity": "warning", "description": "81%"}
    second = {"title": "Disk 99% on db9", "key": "s1", "severity": "critical", "description": "99%, read-only in 5 min"}
    await send(world, source, first | {"labels": {"value": "81"}, "url": "https://g.example/1"})
    await send(world, source, second | {"labels": {"value": "99"}, "url": "https://g.example/2"})
    (alert,) = await all_alerts(world)
    assert (alert.title, alert.severity, alert.labels) == ("Disk 99% on db9", 1, {"value": "99"})
    assert (alert.description, alert.links[0]["href"]) == ("99%, read-only in 5 min", "https://g.example/2")


@pytest.mark.parametrize(
    ("kind", "fired", "over"),
    [
        ("grafana", LEGACY, LEGACY | {"state": "ok", "title": "[OK] Queue depth"}),
        ("generic", DATADOG, DATADOG | {"id": "2", "title": "[Recovered] CPU"}),
        (
            "generic",
            {"clock": 1774958400, "value": 1, "eventid": 42, "name": "Disk"},
            {"clock": 1774958460, "value": 0, "eventid": 43, "p_eventid": 42},
        ),
        (
            "generic",
            {"object_kind": "pipeline", "object_attributes": {"id": 31, "ref": "main", "status": "failed"}},
            {"object_kind": "pipeline", "object_attributes": {"id": 32, "ref": "main", "status": "success"}},
        ),
    ],
)
async def test_the_end_finds_its_problem_whatever_its_id(
    world: World, kind: str, fired: dict[str, Any], over: dict[str, Any]
) -> None:
    source = await world.source(kind)
    assert (await send(world, source, fired)).status_code == 202
    assert (await send(world, source, over)).status_code == 202
    assert [(alert.status, alert.count) for alert in await all_alerts(world)] == [("resolved", 1)]


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZip ", gzip.compress),
        ("x-gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("identity", bytes),
    ],
)
@pytest.mark.parametrize("kind", ["generic", "pagerduty"])
async def test_a_packed_body_is_read(world: World, kind: str, encoding: str, pack: Any) -> None:
    source = await world.source(kind)
    body = json.dumps(message(source)).encode()
    answer = await send(world, source, pack(body), content_encoding=encoding)
    assert answer.status_code == 202
    assert [alert.title for alert in await all_alerts(world)] == ["Disk"]
    # It is kept as people can read it, and without the credential.
    ((_, _, stored),) = await kept(world, source)
    assert b'"severity": "critical"' in stored
    assert source.kind != "pagerduty" or source.token.encode() not in stored


async def test_a_packing_that_cannot_be_undone_is_named(world: World) -> None:
    source = await world.source()
    answer = await send(world, source, b"\x0b\x02\x80{}\x03", content_encoding="br")
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
    assert "“br”" in answer.json()["detail"]
    assert "gzip" in answer.json()["detail"]
    assert [(outcome, body) for outcome, _, body in await kept(world, source)] == [("rejected", b"\x0b\x02\x80{}\x03")]


@pytest.mark.parametrize("body", [b'{"title": "x"}', gzip.compress(b'{"title": "x"}', mtime=0)[:-9], b""])
async def test_a_body_that_is_not_packed_as_it_says_is_unreadable(world: World, body: bytes) -> None:
    source = await world.source()
    answer = await send(world, source, body, content_encoding="gzip")
    assert (answer.status_code, await all_alerts(world)) == (400, [])


async def test_what_is_unpacked_has_the_same_limit(world: World) -> None:
    """A few kilobytes must not become gigabytes."""
    source = await world.source()
    answer = await send(world, source, gzip.compress(b" " * 50_000_000), content_encoding="gzip")
    assert answer.status_code == 413
    due = await world.source("pagerduty")
    answer = await send(
        world, due, gzip.compress(json.dumps(message(due)).encode() + b" " * 600_000), content_encoding="gzip"
    )
    assert (answer.status_code, answer.json()["status"]) == (413, "invalid event")


@pytest.mark.parametrize("kind", ["alertmanager", "grafana", "generic", "pagerduty"])
async def test_what_is_refused_for_its_content_type_is_kept(world: World, kind: str) -> None:
    """F064: what curl sends when nobody names a type, so that people see why nothing came."""
    source = await world.source(kind)
    answer = await send(world, source, message(source), content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 415
    said = answer.json()
    assert said["errors"] if kind == "pagerduty" else said["code"] == "request.content_type"
    assert [alert.title for alert in await all_alerts(world)] == []
    ((outcome, detail, body),) = await kept(world, source)
    assert (outcome, detail) == ("rejected", "Send JSON (application/json), not application/x-www-form-urlencoded.")
    assert kind != "pagerduty" or (b"[routing key]" in body and source.token.encode() not in body)


async def test_lines_of_json_are_taken(world: World) -> None:
    source = await world.source()
    body = b'{"title": "a", "key": "a"}\n{"title": "b", "key": "b"}\n'
    assert (await send(world, source, body, content_type="application/x-ndjson")).json()["accepted"] == 2
    assert len(await all_alerts(world)) == 2


@pytest.mark.parametrize("kind", ["generic", "pagerduty"])
async def test_json_made_by_hand_is_read(world: World, kind: str) -> None:
    source = await world.source(kind)
    body = json.dumps(message(source)).replace("Disk", "Disk\nof db9").encode()
    assert (await send(world, source, body)).status_code == 202
    assert [alert.title for alert in await all_alerts(world)] == ["Disk of db9"]


async def test_a_broken_event_is_kept_with_its_source(world: World) -> None:
    source = await world.source("pagerduty")
    body = json.dumps(message(source))[:-3].encode()
    answer = await send(world, source, body)
    assert (answer.status_code, answer.json()["status"]) == (400, "Unrecognized object")
    ((outcome, _, stored),) = await kept(world, source)
    assert outcome == "rejected"
    assert source.token.encode() not in stored


async def test_what_turns_its_direction_is_told_as_it_reads(world: World) -> None:
    """F063: the mail, and what it says of it later, is in reading order; the alert keeps what came."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    title = "abc \u202edwod stnemyap\u202c end"
    await world.signal(
        {
            "title": title,
            "key": "b",
            "severity": "critical",
            "description": "x\u202ey",
            "labels": {"a\u200b": "b\u2066"},
        }
    )
    await world.settle()
    (message,) = world.mail.to(ada)
    assert (message.title, message.body, message.labels) == ("abc dwod stnemyap end", "xy", {"a": "b"})
    (alert,) = await all_alerts(world)
    assert alert.title == title
