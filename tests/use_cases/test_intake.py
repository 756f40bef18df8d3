"""Durable intake: what is stored, merged, kept in order and turned away."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx
import pytest

from tests.world import World
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.intake import Intake, Source
from tocsin.alerts.model import AlertSource
from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import Action, Parsed, Signal
from tocsin.api.intake import IntakeApp
from tocsin.events import words
from tocsin.identity.access import EVERYTHING
from tocsin.kit.errors import Invalid, Unavailable


def signal(key: str, action: Action = Action.TRIGGER, **fields: Any) -> Signal:
    defaults: dict[str, Any] = {
        "title": key,
        "description": "",
        "severity": 2,
        "native_severity": "high",
        "urgency": "high",
        "labels": {},
        "links": (),
    }
    return Signal(action=action, dedup_key=key, **defaults | fields)


def known(source: AlertSource) -> Source:
    return Source(source.id, source.name, source.kind, source.is_enabled)


async def rows(world: World, query: str, *arguments: object) -> list[asyncpg.Record]:
    return await world.db.pool.fetch(query, *arguments)


async def test_one_key_has_one_open_alert_however_often_it_fires(world: World) -> None:
    """F068: repeats count up and are no events of their own."""
    source = known(await world.source())
    await asyncio.gather(
        *(world.app.intake.submit(source, b"{}", "", Parsed((signal("disk"),))) for _ in range(50)),
        world.app.intake.submit(source, b"{}", "", Parsed((signal("disk"), signal("disk")))),
    )
    found = await rows(world, "SELECT count, status FROM alert")
    assert [(row["count"], row["status"]) for row in found] == [(52, "triggered")]
    assert len(await rows(world, "SELECT FROM event WHERE name = 'alert.triggered'")) == 1
    assert len(await rows(world, "SELECT FROM signal")) == 51


async def test_two_intakes_at_once_still_make_one_alert(world: World) -> None:
    """F068: high-availability pairs send everything twice."""
    source = known(await world.source())
    other = Intake(world.db, limit=1000)
    other.start()
    keys = [f"k{n}" for n in range(20)]
    await asyncio.gather(
        *(
            intake.submit(source, b"{}", "", Parsed(tuple(signal(key) for key in order)))
            for _ in range(5)
            for intake, order in ((world.app.intake, keys), (other, keys[::-1]))
        )
    )
    await other.stop()
    found = await rows(world, "SELECT dedup_key, count FROM alert")
    assert sorted(row["dedup_key"] for row in found) == sorted(keys)
    assert {row["count"] for row in found} == {10}


async def test_the_same_key_after_a_resolve_opens_a_new_alert(world: World) -> None:
    """F067: resolved is final."""
    source = known(await world.source())
    for action in (Action.TRIGGER, Action.RESOLVE, Action.TRIGGER):
        await world.app.intake.submit(source, b"{}", "", Parsed((signal("disk", action),)))
    found = await rows(world, "SELECT status FROM alert ORDER BY number")
    assert [row["status"] for row in found] == ["resolved", "triggered"]


async def test_the_order_within_one_batch_is_kept(world: World) -> None:
    """F063: trigger, resolve, trigger, acknowledge in one body are four steps, not one."""
    source = known(await world.source())
    steps = (Action.TRIGGER, Action.RESOLVE, Action.TRIGGER, Action.ACKNOWLEDGE)
    await world.app.intake.submit(source, b"[]", "", Parsed(tuple(signal("disk", step) for step in steps)))
    found = await rows(world, "SELECT status FROM alert ORDER BY number")
    assert [row["status"] for row in found] == ["resolved", "acknowledged"]
    effects = await rows(world, "SELECT effect FROM alert_signal")
    assert sorted(row["effect"] for row in effects) == ["acknowledged", "opened", "opened", "resolved"]


async def test_a_resolve_without_an_open_alert_is_accepted_and_dropped(world: World) -> None:
    """F063: as PagerDuty does; the raw signal is kept for people to see."""
    source = known(await world.source())
    await world.app.intake.submit(source, b"{}", "", Parsed((signal("unknown", Action.RESOLVE),)))
    assert await rows(world, "SELECT FROM alert") == []
    assert len(await rows(world, "SELECT FROM signal WHERE outcome = 'accepted'")) == 1


async def test_a_worse_repeat_raises_the_severity_and_a_milder_one_does_not_lower_it(world: World) -> None:
    """F067: an alert shows the worst that was said of it."""
    source = known(await world.source())
    for severity in (3, 1, 4):
        await world.app.intake.submit(source, b"{}", "", Parsed((signal("disk", severity=severity),)))
    assert [row["severity"] for row in await rows(world, "SELECT severity FROM alert")] == [1]


async def test_information_is_recorded_and_pages_nobody(world: World) -> None:
    """Wire formats §1: `info` is record only, and the record says so."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    source = known(await world.source("pagerduty"))
    await world.app.intake.submit(source, b"{}", "", Parsed((signal("note", record_only=True),)))
    await world.settle()
    assert world.mail.to(ada) == []
    events = await rows(world, "SELECT name FROM event WHERE alert_id IS NOT NULL ORDER BY position")
    assert [row["name"] for row in events] == ["alert.triggered", "alert.not_routed"]


async def test_an_alert_that_is_resolved_before_it_is_routed_pages_nobody(world: World) -> None:
    """G01: and the record says why."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    source = known(await world.source())
    await world.app.intake.submit(source, b"[]", "", Parsed((signal("x"), signal("x", Action.RESOLVE))))
    await world.settle()
    assert world.mail.to(ada) == []
    found = await rows(world, "SELECT name, data FROM event WHERE name = 'alert.routed'")
    why = words.reason(found[0]["name"], json.loads(found[0]["data"]))
    assert why.startswith("No other route matched, so “Everything” took it. ")
    assert why.endswith(" Nobody was paged, because the alert was resolved before.")


async def test_a_request_that_the_store_refuses_does_not_fail_its_neighbours(world: World) -> None:
    """Faults: one bad row must not fail its neighbours."""
    source = known(await world.source())
    bad = signal("bad", severity=99)
    results = await asyncio.gather(
        world.app.intake.submit(source, b"{}", "", Parsed((signal("a"),))),
        world.app.intake.submit(source, b"{}", "", Parsed((bad,))),
        world.app.intake.submit(source, b"{}", "", Parsed((signal("b"),))),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), Invalid, type(None)]
    found = await rows(world, "SELECT dedup_key FROM alert")
    assert sorted(row["dedup_key"] for row in found) == ["a", "b"]


async def test_a_full_queue_turns_triggers_away_but_never_a_resolve(world: World) -> None:
    """Faults: queue full → 503; a resolve is never shed."""
    source = known(await world.source())
    intake = Intake(world.db, limit=1)  # Not started: nothing leaves the queue.
    waiting = asyncio.create_task(intake.submit(source, b"{}", "", Parsed((signal("a"),))))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await intake.submit(source, b"{}", "", Parsed((signal("b"),)))
    resolve = asyncio.create_task(intake.submit(source, b"{}", "", Parsed((signal("a", Action.RESOLVE),))))
    await asyncio.sleep(0)
    assert not resolve.done()
    intake.start()
    await asyncio.gather(waiting, resolve)
    await intake.stop()
    assert [row["status"] for row in await rows(world, "SELECT status FROM alert")] == ["resolved"]


async def test_a_store_that_cannot_be_reached_is_said_as_such(world: World) -> None:
    """Faults: store down → Unavailable, which is 503, never a 4xx."""
    source = known(await world.source())
    intake = Intake(world.db, limit=10)
    intake.start()
    admin = await asyncpg.connect(world.db.dsn.replace(world.db.dsn.split("/")[3].split("?")[0], "postgres"))
    name = world.db.dsn.split("/")[3].split("?")[0]
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}'")
        with pytest.raises(Unavailable):
            await intake.submit(source, b"{}", "", Parsed((signal("a"),)))
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await intake.submit(source, b"{}", "", Parsed((signal("a"),)))
    finally:
        await admin.close()
        await intake.stop()


async def test_what_cannot_be_read_is_kept_for_people_to_see(world: World) -> None:
    """F064: the recent signals of a source show the raw body and why it was refused."""
    source = await world.source()
    await world.app.intake.submit_rejected(known(source), b"{oops", "application/json", "The body is not JSON.")
    async with world.db.begin() as tx:
        kept = (await queries.signals_of_source(tx, source.id))[0]
    assert (kept.body, kept.outcome, kept.detail) == (b"{oops", "rejected", "The body is not JSON.")


PAGE = {"summary": "Disk is full", "source": "db1", "severity": "critical"}


async def enqueue(world: World, body: object, **headers: str) -> httpx.Response:
    """Send to the address of PagerDuty's senders; text is sent as it is."""
    intake: Any = IntakeApp(world.app.intake, world.app.sources, world.app.metrics, max_bytes=2**20)
    content = body if isinstance(body, str) else json.dumps(body)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(intake), base_url="http://tocsin.example") as client:
        return await client.post("/compat/pagerduty/v2/enqueue", content=content, headers=headers)


@pytest.mark.parametrize("where", ["body", "header"])
@pytest.mark.parametrize(
    ("event", "answered"),
    [
        ({"event_action": "trigger", "payload": PAGE | {"summary": ""}}, ["'payload.summary' is missing or blank"]),
        (
            {"event_action": "trigger", "payload": {"severity": "critical"}},
            ["'payload.summary' is missing or blank"],
        ),
        (
            {"event_action": "boom", "payload": PAGE},
            ["event_action is invalid (must be one of: trigger acknowledge resolve)"],
        ),
        ({"event_action": ["trigger"], "payload": PAGE}, ["'event_action' is invalid (must be a string)"]),
    ],
)
async def test_a_refused_event_is_kept_with_the_source_of_its_key(
    world: World, where: str, event: dict[str, Any], answered: list[str]
) -> None:
    """F063, F064, G16: what PagerDuty's senders got wrong stands under Sources, without the key."""
    source = await world.source("pagerduty")
    key = {"routing_key": source.token} if where == "body" else {}
    headers = {"X-Routing-Key": source.token} if where == "header" else {}
    answer = await enqueue(world, key | event, **headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][: len(answered)] == answered
    async with world.db.begin() as tx:
        (kept,) = await queries.signals_of_source(tx, source.id)
    assert (kept.outcome, kept.detail) == ("rejected", "; ".join(answer.json()["errors"]))
    masked = {"routing_key": "[routing key]"} if where == "body" else {}
    assert json.loads(kept.body) == masked | event


async def test_an_event_that_is_not_json_is_kept_when_the_header_names_its_source(world: World) -> None:
    """F063, F064: a template that makes broken JSON is seen by those who wrote it."""
    source = await world.source("pagerduty")
    broken = f'{{"routing_key": "{source.token}", "event_action": trigger}}'
    answer = await enqueue(world, broken, **{"X-Routing-Key": source.token})
    assert (answer.status_code, answer.json()["errors"]) == (400, ["JSON parse error"])
    async with world.db.begin() as tx:
        (kept,) = await queries.signals_of_source(tx, source.id)
    assert kept.body == broken.replace(source.token, "[routing key]").encode()


@pytest.mark.parametrize("action", ["trigger", "boom"])
async def test_a_key_that_is_written_with_escapes_is_masked_too(world: World, action: str) -> None:
    """F064: in what is taken and in what is refused, also where the key stands once more."""
    source = await world.source("pagerduty")
    escaped = "".join(f"\\u{ord(character):04x}" for character in source.token)
    event = json.dumps(
        {"routing_key": "KEY", "event_action": action, "payload": PAGE, "client_url": "https://x/?k=KEY"}
    )
    answer = await enqueue(world, event.replace("KEY", escaped))
    assert answer.status_code == (202 if action == "trigger" else 400)
    async with world.db.begin() as tx:
        (kept,) = await queries.signals_of_source(tx, source.id)
    assert kept.body.decode() == event.replace("KEY", "[routing key]")
    assert source.token not in json.dumps(json.loads(kept.body))


async def test_a_refused_event_whose_source_nobody_knows_is_answered_as_before_and_not_kept(world: World) -> None:
    """F063: a wrong key, a key of another kind, no key at all."""
    other = await world.source("generic")
    for key in ("0" * 32, other.token, "short", "\0" * 32, None, ["x"]):
        answer = await enqueue(world, {"routing_key": key, "event_action": "boom"})
        assert answer.status_code == 400
        wrong = "event_action is invalid (must be one of: trigger acknowledge resolve)"
        assert answer.json()["errors"][-1] == wrong
    assert (await enqueue(world, "{oops")).json()["errors"] == ["JSON parse error"]
    assert await rows(world, "SELECT FROM signal") == []


async def test_an_alert_shows_the_signals_that_made_it(world: World) -> None:
    """F064, G01: from the alert back to the bytes that came in."""
    source = await world.source()
    body = b'{"title": "Disk", "status": "firing", "key": "disk"}'
    parsed = ADAPTERS["generic"].parse(body, {})
    for _ in range(2):
        await world.app.intake.submit(known(source), body, "application/json", parsed)
    async with world.db.begin() as tx:
        alert = (await queries.listed(tx, EVERYTHING, queries.Filter()))[0][0]
        seen = await queries.signals_of_alert(tx, alert.id)
    assert [(kept.body, effect) for kept, effect in seen] == [(body, "repeated"), (body, "opened")]


async def test_a_source_that_opened_alerts_cannot_be_deleted_but_switched_off(world: World) -> None:
    """F064: the record keeps its sources."""
    source = await world.source()
    await world.signal({"title": "x", "status": "firing"}, source)
    async with world.db.begin() as tx:
        with pytest.raises(Exception, match="Switch it off instead"):
            await alerts.delete_source(tx, world.root, source.id)
    async with world.db.begin() as tx:
        changed = await alerts.update_source(tx, world.root, source.id, alerts.SourceChanges(is_enabled=False))
    assert changed.is_enabled is False


async def test_a_repeat_that_says_something_new_may_come_with_a_resolve(world: World) -> None:
    """F138, G04: in one body; the two are written in another kind of transaction than repeats alone."""
    source = known(await world.source())
    await world.app.intake.submit(source, b"{}", "", Parsed((signal("disk"), signal("door"))))
    both = (signal("disk", title="Disk is full"), signal("door", Action.RESOLVE))
    await world.app.intake.submit(source, b"{}", "", Parsed(both))
    found = await rows(world, "SELECT title, status FROM alert ORDER BY dedup_key")
    assert [tuple(row) for row in found] == [("Disk is full", "triggered"), ("door", "resolved")]
