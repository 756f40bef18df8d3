"""`make bench-growth`: how long people wait when there are 1,000,000 alerts and 300,000 incidents."""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import asyncpg

from bench.filling import Known, fill
from bench.paging import percentile
from bench.product import Product, product, signed_in
from tocsin.alerts.model import ALERT_ID, SOURCE_ID
from tocsin.db.embedded import running_dsn
from tocsin.edge.cursors import write_place
from tocsin.identity.model import USER_ID
from tocsin.incidents.model import OPEN

ALERTS, INCIDENTS = 1_000_000, 300_000
ROUNDS = 20
# The name of what is asked for → its address.
Paths = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Deep:
    """Cursors nine tenths of the way down, where the oldest rows are, and one thing of each kind."""

    alerts: str
    incidents: str
    ranked: str
    signals: str
    events: str
    alert: UUID
    incident: str
    items: str
    news: str


async def filled(running: Product) -> tuple[Known, Deep, float]:
    """Fill the database; returns who and what stands in it, and how many seconds it took."""
    began = time.perf_counter()
    connection = await asyncpg.connect(running_dsn(running.data_dir))
    known = await fill(connection, alerts=ALERTS, incidents=INCIDENTS)
    took = time.perf_counter() - began
    deep = await look_deep(connection, known)
    await connection.close()
    return known, deep, took


async def look_deep(connection: asyncpg.Connection[Any], known: Known) -> Deep:
    """Find places far down in every list."""
    alert = await connection.fetchrow(
        "SELECT created_at, id FROM alert ORDER BY created_at OFFSET (SELECT count(*) / 20 FROM alert) LIMIT 1"
    )
    incident = await connection.fetchrow(
        "SELECT severity, declared_at, id FROM incident WHERE severity = 3 ORDER BY declared_at "
        "OFFSET (SELECT count(*) / 60 FROM incident) LIMIT 1"
    )
    signal = await connection.fetchrow(
        "SELECT received_at, id FROM signal WHERE source_id = $1 ORDER BY received_at OFFSET 50 LIMIT 1",
        known.sources[0],
    )
    position = await connection.fetchval("SELECT min(position) + count(*) / 20 FROM event")
    one = await connection.fetchval("SELECT id FROM alert WHERE status = 'triggered' LIMIT 1")
    other = await connection.fetchval("SELECT reference FROM incident ORDER BY declared_at DESC LIMIT 1")
    due = await connection.fetchrow(
        "SELECT id, due_date FROM action_item ORDER BY due_date OFFSET (SELECT count(*) / 2 FROM action_item) LIMIT 1"
    )
    news = await connection.fetchval(
        "SELECT id FROM inbox_entry ORDER BY id OFFSET (SELECT count(*) / 20 FROM inbox_entry) LIMIT 1"
    )
    assert alert and incident and signal and due
    return Deep(
        alerts=write_place((alert["created_at"], alert["id"])),
        incidents=write_place((incident["severity"], incident["declared_at"], incident["id"])),
        ranked=write_place(("P3", incident["declared_at"], incident["id"])),
        signals=write_place((signal["received_at"], signal["id"])),
        events=write_place(position),
        alert=one,
        incident=other,
        items=write_place((due["due_date"], due["id"])),
        news=write_place(news),
    )


def page_paths(known: Known, deep: Deep) -> Paths:
    """Return every list, filter, search and page that people open."""
    source = SOURCE_ID.write(known.sources[0])
    found = {
        "incidents, open": "/incidents",
        "incidents, all": "/incidents?tab=all",
        "incidents, resolved": "/incidents?tab=resolved",
        "incidents, far down": f"/incidents?tab=all&before={deep.incidents}",
        "incidents, far down, back": f"/incidents?tab=all&after={deep.incidents}",
        "incidents, open, back": f"/incidents?after={deep.incidents}",
        "incidents, open, SEV1 or SEV2": "/incidents?severity=1&severity=2",
        "incidents, a severity of old": "/incidents?tab=all&severity=5",
        "incidents, cancelled: none": "/incidents?tab=all&status=cancelled",
        "incidents, a category of old": "/incidents?tab=all&category=cost",
        "incidents, a category of none": "/incidents?tab=all&category=security",
        "incidents, a priority of old": "/incidents?tab=all&priority=P1",
        "incidents, drills": "/incidents?tab=all&drill=yes",
        "incidents, real ones": "/incidents?tab=all&drill=no",
        "incidents, in nobody's hands": "/incidents?paging=unanswered",
        "incidents, mine": "/incidents?tab=mine",
        "incidents, grave": "/incidents?tab=grave",
        "incidents, of a lead": "/incidents?tab=all&lead=bench",
        "incidents, search, an alert": "/incidents?tab=all&q=ALR-77",
        "alerts, open": "/alerts",
        "alerts, needs action": "/alerts?tab=action",
        "alerts, unanswered": "/alerts?tab=unanswered",
        "alerts, resolved": "/alerts?tab=resolved",
        "alerts, mine": "/alerts?mine=1",
        "alerts, newest first": "/alerts?sort=newest",
        "alerts, a severity of old": "/alerts?tab=all&severity=5",
        "alerts, a source of old": f"/alerts?tab=all&source={SOURCE_ID.write(known.gone_source)}",
        "alerts, a label of old": "/alerts?tab=resolved&label=team%3Dlegacy",
        "alerts, last day": "/alerts?tab=all&since=24h",
        "alerts, search, two words": "/alerts?" + urlencode({"tab": "all", "q": "svc-77 queue"}),
        "alerts, search, a label": "/alerts?" + urlencode({"tab": "all", "q": "team=legacy"}),
        "alerts, search, a number": "/alerts?tab=all&q=77",
        "alerts, all": "/alerts?tab=all",
        "alerts, far down": f"/alerts?tab=all&before={deep.alerts}",
        "alerts, far down, back": f"/alerts?tab=all&after={deep.alerts}",
        "incident": f"/incidents/{deep.incident}",
        "incident, declaring": "/incidents/new",
        "alert": f"/alerts/{ALERT_ID.write(deep.alert)}",
        "sources": "/sources",
        "source, its signals": f"/sources/{source}",
        "source, far down": f"/sources/{source}?before={deep.signals}",
        "people": "/people",
        "inbox": "/inbox",
        "inbox, unread": "/inbox?show=unread",
        "inbox, far down": f"/inbox?before={deep.news}",
        "action items, mine": "/action-items",
        "action items, of my teams": "/action-items?tab=teams",
        "action items, overdue": "/action-items?tab=overdue",
        "action items, all": "/action-items?tab=all",
        "action items, far down": f"/action-items?tab=all&before={deep.items}",
        "action items, far down, back": f"/action-items?tab=all&after={deep.items}",
        "action items, open": "/action-items?tab=all&status=open",
        "action items, begun: none": "/action-items?tab=all&status=in_progress",
        "action items, a kind of old": "/action-items?tab=all&kind=follow_up",
        "action items, a priority of none": "/action-items?tab=all&priority=P1",
        "action items, of somebody": "/action-items?tab=all&owner=person%2017",
        "action items, of nobody": "/action-items?tab=all&nobody=1",
        "action items, of an incident": f"/action-items?tab=all&incident={deep.incident}",
        "action items, search, many hits": "/action-items?tab=all&q=runbook",
        "action items, search, no hit": "/action-items?tab=all&q=zebra",
        "action items, search, two letters": "/action-items?tab=all&q=zq",
        "action items of an incident": f"/incidents/{deep.incident}/action-items",
    }
    for name, words in (("many hits", "fails"), ("few hits", "shop 801"), ("no hit", "zebra"), ("two letters", "zq")):
        found[f"incidents, search, {name}"] = "/incidents?" + urlencode({"tab": "all", "q": words})
    found["incidents, search, a number"] = "/incidents?tab=all&q=7777"
    for name, words in (("many hits", "disk"), ("few hits", "svc-77-"), ("no hit", "zebra"), ("two letters", "zq")):
        found[f"alerts, search, {name}"] = "/alerts?" + urlencode({"tab": "all", "q": words})
    found["alerts, open, search"] = "/alerts?q=disk"
    return found


def api_paths(known: Known, deep: Deep) -> Paths:
    """Return the lists of the API, each filter with many hits, with those of long ago, and without a hit."""
    busy, old, nobody = (USER_ID.write(id) for id in (known.people[0], known.gone_lead, uuid4()))
    opened = [("status", word.value) for word in OPEN]
    incidents: dict[str, list[tuple[str, str]]] = {
        "": [],
        "far down": [("cursor", deep.incidents)],
        "sort=severity": [("sort", "severity")],
        "sort=-severity": [("sort", "-severity")],
        "sort=severity, far down": [("sort", "severity"), ("cursor", deep.incidents)],
        "sort=-severity, far down": [("sort", "-severity"), ("cursor", deep.incidents)],
        "sort=declared_at": [("sort", "declared_at")],
        "sort=priority": [("sort", "priority")],
        "sort=-priority": [("sort", "-priority")],
        "sort=priority, far down": [("sort", "priority"), ("cursor", deep.ranked)],
        "sort=-priority, far down": [("sort", "-priority"), ("cursor", deep.ranked)],
        "priority of old": [("priority", "P1")],
        "category": [("category", "availability")],
        "category of none": [("category", "security")],
        "drills": [("is_drill", "true")],
        "open, sort=severity": [*opened, ("sort", "severity")],
        "open, SEV2": [*opened, ("severity", "2")],
        "lead": [("lead_id", busy)],
        "lead, sort=severity": [("lead_id", busy), ("sort", "severity")],
        "lead of old": [("lead_id", old)],
        "lead of none": [("lead_id", nobody)],
        "commander": [("commander_id", busy)],
        "reporter of none": [("reporter_id", nobody)],
        "in nobody's hands": [("paging", "unanswered")],
        "search, two letters, sort=severity": [("q", "zq"), ("sort", "severity")],
        "search, no hit, open": [*opened, ("q", "zebra")],
    }
    often, gone = (SOURCE_ID.write(id) for id in (known.sources[0], known.gone_source))
    alerts: dict[str, list[tuple[str, str]]] = {
        "": [],
        "far down": [("cursor", deep.alerts)],
        "label, many hits": [("label[env]", "prod")],
        "label, few hits": [("label[service]", "svc-290")],
        "label of old": [("label[team]", "legacy")],
        "label, no hit": [("label[team]", "nobody")],
        "two labels": [("label[team]", "search"), ("label[service]", "svc-250")],
        "severity": [("severity", "2")],
        "severity of old": [("severity", "5")],
        "low urgency": [("urgency", "low")],
        "source": [("source_id", often)],
        "source of old": [("source_id", gone)],
        "source of none": [("source_id", SOURCE_ID.write(uuid4()))],
        "open or resolved, of a source": [("status", "triggered"), ("status", "resolved"), ("source_id", gone)],
        "between two days": [("created_at[gte]", "2024-06-01T00:00:00Z"), ("created_at[lt]", "2024-06-02T00:00:00Z")],
        "in nobody's hands": [("paging", "unanswered")],
        "of an incident": [("incident", deep.incident)],
    }
    alert = ALERT_ID.write(deep.alert)
    incident = f"/api/v1/incidents/{deep.incident}"
    found = {
        "API comments of an incident": f"{incident}/comments",
        "API timeline of an incident": f"{incident}/timeline",
        "API inbox": "/api/v1/inbox",
        "API inbox, unread": "/api/v1/inbox?is_unread=true",
        "API action items": "/api/v1/action_items",
        "API action items, mine, overdue": "/api/v1/action_items?mine=true&overdue=true",
        "API action items, of none": f"/api/v1/action_items?assignee_id={nobody}",
        "API subscribers of an incident": f"{incident}/subscribers",
        "API links of an incident": f"{incident}/links",
        "API relations of an incident": f"{incident}/relations",
        "API key events of an incident": f"{incident}/key_events",
        "API events": "/api/v1/events",
        "API events, far down": f"/api/v1/events?cursor={deep.events}",
        "API events of a name that is rare": "/api/v1/events?name=configuration.created",
        "API signals of a source, far down": f"/api/v1/alert_sources/{often}/signals?cursor={deep.signals}",
        "API why an alert paged": f"/api/v1/alerts/{alert}/explain",
        "API messages to a person": f"/api/v1/users/{busy}/deliveries",
        "API pages of an alert": f"/api/v1/pages?alert_id={alert}",
        "API notifications of an alert": f"/api/v1/alerts/{alert}/notifications",
        "metrics": "/metrics",
    }
    for kind, lists in (("incidents", incidents), ("alerts", alerts)):
        for name, query in lists.items():
            label = f"API {kind}, {name}" if name else f"API {kind}"
            found[label] = f"/api/v1/{kind}?" + urlencode([*query, ("limit", "50")])
    return found


def measure(running: Product, cookie: str, paths: Paths, rounds: int) -> dict[str, list[float]]:
    """Ask for each in turn, round after round, over one kept connection; milliseconds by name."""
    times: dict[str, list[float]] = {name: [] for name in paths}
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    for n in range(rounds + 1):
        for name, path in paths.items():
            as_whom = {"Authorization": f"Bearer {running.token}"} if name.startswith("API") else {"Cookie": cookie}
            began = time.perf_counter()
            connection.request("GET", path, headers=as_whom)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
            if n:
                times[name].append((time.perf_counter() - began) * 1000)
    connection.close()
    return times


def figures(rounds: int = ROUNDS) -> tuple[dict[str, tuple[float, float]], float]:
    """Fill an installation and ask for everything; p50 and p95 in milliseconds by name, and how long filling took."""
    with product() as running:
        running.make_admin()
        known, deep, took = asyncio.run(filled(running))
        paths = {**page_paths(known, deep), **api_paths(known, deep)}
        times = measure(running, asyncio.run(signed_in(running)), paths, rounds)
    return {name: (percentile(found, 0.5), percentile(found, 0.95)) for name, found in times.items()}, took


_LIMIT = 100


def report() -> str:
    """Measure, and write the section of docs/performance.md."""
    found, took = figures()
    lines = [
        "## Growth",
        "",
        f"Written by `make bench-growth`, {datetime.now(UTC):%Y-%m-%d}: {ALERTS:,} alerts of three years, "
        f"{INCIDENTS:,} incidents, 4.2 million events; {os.cpu_count()} shared cores, load average "
        f"{os.getloadavg()[2]:.1f} over the last 15 minutes. Filled by COPY in {took:.0f} s. Each was asked for "
        f"{ROUNDS} times in turn over one "
        f"connection, from the request to the last byte, 50 rows a page. "
        f"The aim is {_LIMIT} ms at the 95th percentile.",
        "",
        "| What | Median | p95 | Met |",
        "|---|--:|--:|:-:|",
    ]
    for name, (p50, p95) in found.items():
        lines.append(f"| {name} | {p50:,.1f} ms | {p95:,.1f} ms | {'yes' if p95 <= _LIMIT else '**no**'} |")
    notes = Path(__file__).parent / "growth_notes.md"
    return "\n".join([*lines, "", notes.read_text()])
