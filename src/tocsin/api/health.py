"""For machines that look after machines: `/healthz`, `/readyz` and `/metrics`. No sign-in."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from litestar import Response, get

from tocsin.alerts import queries as alerts
from tocsin.db.errors import STORE_ERRORS
from tocsin.edge import readiness
from tocsin.edge.context import Ctx
from tocsin.identity.access import EVERYTHING
from tocsin.jobs import queue
from tocsin.notifications import queries as contact


@get("/healthz", include_in_schema=False, sync_to_thread=False)
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@get("/readyz", include_in_schema=False)
async def readyz(context: Ctx) -> Response[dict[str, Any]]:
    """Say whether this process does its work: 200, or 503 with what is wrong in `problems`.

    `warnings` say what is wrong elsewhere, such as that no worker is alive; `lanes` has the state of each lane.
    """
    found = await readiness.examine(context)
    body = {
        "status": "ready" if found.is_ready else "not ready",
        "checks": found.checks,
        "problems": found.problems,
        "warnings": found.warnings,
        "lanes": [asdict(lane) for lane in found.lanes],
    }
    return Response(
        body, status_code=200 if found.is_ready else 503, headers={} if found.is_ready else {"Retry-After": "5"}
    )


@get("/metrics", include_in_schema=False)
async def metrics(context: Ctx) -> Response[bytes]:
    """Show the figures of this process, and what the database says of the queue and of alerts, for Prometheus."""
    figures = context.metrics
    figures.intake_waiting.set(context.intake.waiting)
    figures.watchers.set(context.live.watchers)
    try:
        async with asyncio.timeout(3), context.db.begin() as tx:
            for lane, (number, age) in (await queue.waiting(tx)).items():
                figures.queue_due.labels(lane).set(number)
                figures.queue_age.labels(lane).set(age)
            for trouble, number in (await alerts.count_troubles(tx, EVERYTHING)).items():
                figures.alerts_in_vain.labels(trouble.value).set(number)
            failing = await contact.count_failing(tx)
            for channel in {*context.channels, *failing}:
                figures.methods_failing.labels(channel).set(failing.get(channel, 0))
    except STORE_ERRORS:
        figures.alerts_in_vain.clear()
        figures.queue_due.clear()
        figures.queue_age.clear()
        figures.methods_failing.clear()
    return Response(figures.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


HANDLERS = [healthz, readyz, metrics]
