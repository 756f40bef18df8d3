"""For machines that look after machines: `/healthz`, `/readyz` and `/metrics`. No sign-in."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response, get

from tocsin.db import migrate
from tocsin.db.errors import STORE_ERRORS
from tocsin.edge.context import Ctx
from tocsin.jobs import queue
from tocsin.jobs.worker import workers_alive


@get("/healthz", include_in_schema=False, sync_to_thread=False)
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@get("/readyz", include_in_schema=False)
async def readyz(context: Ctx) -> Response[dict[str, Any]]:
    """Say whether work gets done: database reachable, schema current, a worker alive. 503 when not."""
    checks = {"database": False, "schema": False, "worker": False}
    try:
        async with asyncio.timeout(3):
            checks["schema"] = await migrate.current(context.db) == migrate.newest()
            checks["database"] = True
            alive = context.worker_is_alive()
            if alive is None:
                # Without locks a worker elsewhere cannot be seen from here, so it is not held against this process.
                alive = not context.settings.worker_locks or await workers_alive(context.db.pool) > 0
            checks["worker"] = bool(alive)
    except STORE_ERRORS:
        pass
    ready = all(checks.values())
    return Response(
        {"status": "ready" if ready else "not ready", "checks": checks},
        status_code=200 if ready else 503,
        headers={} if ready else {"Retry-After": "5"},
    )


@get("/metrics", include_in_schema=False)
async def metrics(context: Ctx) -> Response[bytes]:
    """Show the figures of this process, and the queue as the database sees it, for Prometheus."""
    figures = context.metrics
    figures.intake_waiting.set(context.intake.waiting)
    figures.watchers.set(context.live.watchers)
    try:
        async with asyncio.timeout(3), context.db.begin() as tx:
            for lane, (number, age) in (await queue.waiting(tx)).items():
                figures.queue_due.labels(lane).set(number)
                figures.queue_age.labels(lane).set(age)
    except STORE_ERRORS:
        figures.queue_due.clear()
        figures.queue_age.clear()
    return Response(figures.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


HANDLERS = [healthz, readyz, metrics]
