"""Clearing away what has expired."""

from __future__ import annotations

from tocsin.db.engine import Database
from tocsin.identity import service
from tocsin.jobs import queue
from tocsin.jobs.queue import Job


async def sweep(db: Database, job: Job) -> None:
    """Delete expired sessions, links, throttles and idempotency keys."""
    async with db.begin() as tx:
        await service.sweep(tx)
        await queue.finish(tx, job)
