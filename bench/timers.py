"""How late escalations are when very many timers wait."""

from __future__ import annotations

import asyncio

import asyncpg

from bench.paging import Sink, percentile, prepare, send_steadily
from bench.product import Product
from tocsin.db.embedded import running_dsn

PENDING = 100_000
DUE = 500

_PEND = """
INSERT INTO job (lane, kind, key, due, max_attempts, payload)
SELECT 'page', 'oncall.advance', 'run:' || gen_random_uuid(), clock_timestamp() + interval '1 day' + n * interval '1 s',
       1000, '{}'
FROM generate_series(1, $1::int) AS n
"""
# Timers of real runs, spread over ten seconds; `next_step_at` is what the UI shows and what lateness is counted from.
_SPREAD = """
WITH timer AS (
    SELECT job.id, (job.payload->>'run_id')::uuid AS run_id,
           clock_timestamp() + interval '2 s' + random() * interval '10 s' AS due
    FROM job WHERE kind = 'oncall.advance' AND due < clock_timestamp() + interval '6 h'
), moved AS (UPDATE job SET due = timer.due FROM timer WHERE job.id = timer.id
), paged AS (UPDATE page SET paged_at = timer.due - interval '60 minutes' FROM timer WHERE page.run_id = timer.run_id)
UPDATE escalation_run SET next_step_at = timer.due FROM timer WHERE escalation_run.id = timer.run_id
RETURNING escalation_run.id, timer.due
"""
_SECOND = """
SELECT page.run_id, delivery.delivered_at FROM page JOIN delivery ON delivery.page_id = page.id
WHERE page.step = 2 AND delivery.delivered_at IS NOT NULL
"""


async def measure(product: Product) -> dict[str, float]:
    """Put 100,000 timers into the queue, let 500 escalations come due, and see when the next page has arrived."""
    sink = Sink()
    server = await asyncio.start_server(sink, "127.0.0.1", 0)
    hook = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/page"
    path = await asyncio.to_thread(prepare, product, hook, steps=2)
    connection = await asyncpg.connect(running_dsn(product.data_dir))
    await connection.execute(_PEND, PENDING)
    await send_steadily(product.port, path, 100, DUE / 100, "timer")
    while len(sink.arrived) < DUE:
        await asyncio.sleep(0.1)
    due = {row["id"]: row["due"] for row in await connection.fetch(_SPREAD)}
    late: list[float] = []
    for _ in range(600):
        rows = await connection.fetch(_SECOND)
        if len(rows) >= len(due):
            late = [(row["delivered_at"] - due[row["run_id"]]).total_seconds() for row in rows]
            break
        await asyncio.sleep(0.1)
    await connection.close()
    server.close()
    return {
        "pending": PENDING,
        "due": len(due),
        "p50_ms": percentile(late, 0.5) * 1000,
        "p99_ms": percentile(late, 0.99) * 1000,
        "max_ms": max(late) * 1000,
    }
