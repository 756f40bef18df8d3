"""Signals that arrive in the wrong order, told by the sender's own times.

A resolve may come before its trigger, or after a newer one. What gives no time of its own is taken in the order in
which it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.alerts import lateness_queries, queries
from tocsin.alerts.lifecycle import RUNS_END, Act
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertResolved
from tocsin.events.base import ActorRef
from tocsin.events.facts import AlertOver, CameLate
from tocsin.events.log import emit
from tocsin.oncall import service as oncall

# So long a resolve that ended nothing is remembered. Messages overtake one another by seconds. Longer would be a risk:
# a tool that lost sight of a problem, said that it was over and finds it again sends the same start once more.
REMEMBERED_FOR = timedelta(minutes=10)


async def note_missed(tx: Tx, resolves: Mapping[tuple[UUID, str], datetime | None]) -> dict[tuple[UUID, str], UUID]:
    """Look after resolves that ended nothing; returns the open alerts that are newer than theirs.

    `resolves` is source and key → the sender's own time. Those for which there is no open alert are remembered, as
    their trigger may have yet to arrive.
    """
    timed = sorted((key, said_at) for key, said_at in resolves.items() if said_at is not None)
    if not timed:
        return {}
    newer = await lateness_queries.open_of_keys(tx, [key for key, _ in timed])
    await lateness_queries.remember(tx, [(*key, said_at) for key, said_at in timed if key not in newer])
    return newer


async def close_if_over(tx: Tx, alert_ids: Sequence[UUID]) -> set[UUID]:
    """Resolve those of these alerts whose source had said before that they were over; returns which.

    Whoever calls has locked them, and ends what goes on for them.
    """
    if not alert_ids:
        return set()
    over = await lateness_queries.close_remembered(tx, alert_ids, since=tx.now - REMEMBERED_FOR)
    await emit(
        tx,
        *(
            came_late(
                each.alert_id,
                ActorRef(kind="source", name=each.source_name, id=each.source_id),
                each.over_at,
                each.incident_id,
            )
            for each in over
        ),
    )
    return {each.alert_id for each in over}


async def close_as_over(tx: Tx, over: Mapping[UUID, tuple[datetime, str]]) -> set[UUID]:
    """Resolve those of these alerts, which this transaction has opened, that came too late; returns which.

    `over` is alert → when it was over, and the name of its source. The caller tells of it.
    """
    return await lateness_queries.close_new(tx, over)


def came_late(alert_id: UUID, source: ActorRef, over_at: datetime, incident_id: UUID | None = None) -> AlertResolved:
    """Tell that an alert was over at its source before it came."""
    return AlertResolved(
        actor=source,
        alert_id=alert_id,
        incident_id=incident_id,
        why=CameLate(),
        over_at=over_at.isoformat(),
    )


async def close_missed(tx: Tx, *, limit: int) -> int:
    """Close alerts that stayed open although their source had ended them, and end their pages; returns how many.

    Two processes that write a trigger and its resolve at once see nothing of each other: the resolve finds no alert,
    and the alert no resolve.
    """
    closed = await close_if_over(tx, await queries.lock_over_at_source(tx, since=tx.now - REMEMBERED_FOR, limit=limit))
    if closed:
        await oncall.end_runs(tx, alert_ids=sorted(closed), state=RUNS_END[Act.RESOLVE], why=AlertOver())
    return len(closed)


async def forget_early_resolves(tx: Tx) -> None:
    """Delete what is no longer remembered."""
    await lateness_queries.forget(tx, until=tx.now - REMEMBERED_FOR)
