"""Letting the record go on in a new part when a month has begun."""

from __future__ import annotations

from datetime import timedelta

from tocsin.events import partition_queries as partitions
from tocsin.jobs.kinds import JobKind, Nothing, Periodic, Run, in_several

BEGIN_MONTH = JobKind("events.begin_month", Nothing, lane="bulk")


async def begin_month(run: Run, _: Nothing) -> None:
    """Make the part of this month, once it has begun, and let the record go on there.

    May run twice, late and at the same time: a part that is there stays, and positions only ever move on. The part is
    committed before they do, as moving them cannot be rolled back.
    """
    async with run.begin() as tx:
        await partitions.add_part(tx)
    async with run.begin() as tx:
        await partitions.begin_month(tx)


JOBS = (in_several(BEGIN_MONTH, begin_month),)
PERIODIC = (Periodic(BEGIN_MONTH, timedelta(hours=1)),)
