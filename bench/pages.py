"""How quickly the pages of the UI and the lists of the API are answered on a full installation."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping

import asyncpg

from bench.paging import percentile
from bench.product import Product, signed_in
from tocsin.db.embedded import running_dsn

ALERTS, INCIDENTS = 100_000, 20_000

_SOURCE = "SELECT id FROM alert_source LIMIT 1"
_ALERTS = """
INSERT INTO alert (id, source_id, dedup_key, status, title, severity, urgency, labels, links, created_at, last_seen_at,
                   updated_at, resolved_at, routed_at)
SELECT gen_random_uuid(), $1, 'fill-' || n, CASE WHEN n % 50 = 0 THEN 'triggered' ELSE 'resolved' END,
       (ARRAY['Disk', 'Latency', 'Errors', 'Queue', 'Replica'])[1 + n % 5] || ' of service ' || n % 400 || ' is bad',
       1 + n % 5, CASE WHEN n % 3 = 0 THEN 'low' ELSE 'high' END, jsonb_build_object('service', 'svc-' || n % 400),
       '[]', at, at, at, at, at
FROM (SELECT n, clock_timestamp() - n * interval '7 minutes' AS at FROM generate_series(1, $2::int) AS n) AS times
"""
_INCIDENTS = """
INSERT INTO incident (id, number, reference, title, summary, severity, status, reporter_name, resolution_note,
                      started_at, declared_at, resolved_at, updated_at)
SELECT gen_random_uuid(), 1000 + n, 'INC-' || 1000 + n, 'Checkout of shop ' || n % 900 || ' fails', 'What is known.',
       1 + n % 5, CASE WHEN n % 100 = 0 THEN 'investigating' ELSE 'resolved' END, 'Bench', 'Rolled back.',
       at, at, at + interval '40 minutes', at
FROM (SELECT n, clock_timestamp() - n * interval '35 minutes' AS at FROM generate_series(1, $1::int) AS n) AS times
"""
_RESPONDERS = """
INSERT INTO responder (incident_id, user_id, state, source, joined_at)
SELECT id, $1, 'joined', 'self', declared_at FROM incident WHERE number > 1000
"""


async def fill(product: Product) -> str:
    """Fill the database; returns the cookie of somebody who is signed in."""
    connection = await asyncpg.connect(running_dsn(product.data_dir))
    source = await connection.fetchval(_SOURCE)
    await connection.execute(_ALERTS, source, ALERTS)
    await connection.execute(_INCIDENTS, INCIDENTS)
    user = await connection.fetchval("SELECT id FROM user_account LIMIT 1")
    await connection.execute(_RESPONDERS, user)
    await connection.execute("UPDATE organisation SET last_incident_number = 50000")
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return await signed_in(product)


def measure(product: Product, cookie: str, *, rounds: int = 60) -> dict[str, Mapping[str, float]]:
    """Ask for each page in turn, round after round, over one kept connection."""
    paths = places(product)
    times: dict[str, list[float]] = {name: [] for name in paths}
    connection = http.client.HTTPConnection("127.0.0.1", product.port)
    for n in range(rounds + 5):
        for name, path in paths.items():
            began = time.perf_counter()
            connection.request("GET", path, headers={"Cookie": cookie, "Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status}")
            if n >= 5:
                times[name].append((time.perf_counter() - began) * 1000)
    return {name: {"p50_ms": percentile(t, 0.5), "p95_ms": percentile(t, 0.95)} for name, t in times.items()}


def places(product: Product) -> dict[str, str]:
    """Return the pages and lists that are measured, after filling one incident with comments."""
    alert = product.call("GET", "/alerts?limit=1")["data"][0]["id"]
    incident = product.call("POST", "/incidents", {"title": "Measured", "severity": 2})["number"]
    for n in range(60):
        product.call("POST", f"/incidents/{incident}/comments", {"body": f"Comment {n}, with `code` and words."})
    return {
        "incidents (50 of 20,000)": "/incidents?status=all",
        "incidents, open": "/incidents",
        "incidents, search": "/incidents?status=all&q=shop+77",
        "incident": f"/incidents/{incident}",
        "alerts (50 of 100,000)": "/alerts?tab=all",
        "alerts, open": "/alerts",
        "alerts, search": "/alerts?tab=all&q=service+77",
        "alert": f"/alerts/{alert}",
        "policies": "/policies",
        "routes": "/routes",
        "sources": "/sources",
        "people": "/people",
        "API incidents (50)": "/api/v1/incidents?limit=50",
        "API alerts (50)": "/api/v1/alerts?limit=50",
    }
