"""Clearing away what has expired."""

from __future__ import annotations

from datetime import timedelta

from tocsin.db.engine import Tx
from tocsin.identity import service
from tocsin.jobs.kinds import JobKind, Nothing, Periodic, in_one

SWEEP = JobKind("identity.sweep", Nothing, lane="bulk")


async def sweep(tx: Tx, _: Nothing) -> None:
    """Delete expired sessions, links, throttles and idempotency keys."""
    await service.sweep(tx)


JOBS = (in_one(SWEEP, sweep),)
PERIODIC = (Periodic(SWEEP, timedelta(minutes=15)),)
