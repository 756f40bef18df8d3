"""Writing down how a call went: the delivery, its job, the health of the contact method, the record.

A send cannot be rolled back, so what is written here is fenced by the delivery's own attempt and not by the job.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tocsin.db.engine import Database, Tx
from tocsin.events.base import SYSTEM
from tocsin.events.configuration import ContactMethodRecovered
from tocsin.events.log import emit
from tocsin.events.oncall import PageAttemptFailed, PageDelivered, PageFailed, PageSent
from tocsin.jobs import queue
from tocsin.jobs.queue import Fenced, Job
from tocsin.kit.errors import OutsideFailure, Refused
from tocsin.kit.text import storable
from tocsin.notifications import sending_queries
from tocsin.notifications.channels.base import Receipt
from tocsin.notifications.model import DeliveryState
from tocsin.notifications.patience import CALL_WITHIN, Tried, is_worth_a_line, wait_after
from tocsin.notifications.redirecting import redirect
from tocsin.notifications.sending_queries import Failure, Started

Measure = Callable[[str, str], None]


async def succeeded(
    db: Database, measure: Measure, job: Job, started: Started, receipt: Receipt, took: timedelta
) -> None:
    """Write down that the message was taken, and how long that took."""
    event = PageDelivered if receipt.delivered else PageSent
    state = DeliveryState.DELIVERED if receipt.delivered else DeliveryState.SENT
    async with db.begin_hot() as tx:
        is_ours, recovered = await sending_queries.write_success(tx, started, state, receipt)
        if not is_ours:
            raise Fenced(f"delivery {started.id} was taken over")
        if took > CALL_WITHIN and started.contact_method_id is not None:
            await sending_queries.note_slowness(tx, started, took)
        await queue.finish(tx, job, fenced=False)
        await _tell_recovery(tx, started, recovered)
        if started.kind == "page":
            await emit(
                tx,
                event(
                    **_about(started),
                    detail=receipt.detail,
                    possible_duplicate=started.possible_duplicate,
                ),
            )
    measure(started.channel, "delivered" if receipt.delivered else "sent")


async def _tell_recovery(tx: Tx, started: Started, name: str | None) -> None:
    """Let the record say that a contact method works again, for what was given up while it did not."""
    if name is not None and started.contact_method_id is not None:
        recovered = ContactMethodRecovered(
            actor=SYSTEM, id=started.contact_method_id, title=name, user_name=started.user_name
        )
        await emit(tx, recovered)


async def failed(db: Database, measure: Measure, job: Job, started: Started, failure: OutsideFailure) -> None:
    """Write down that the call failed, and when the next one is made, if any."""
    error = storable(str(failure))[:1000]
    is_unanswered = failure.may_have_arrived and not failure.answered
    async with db.begin_hot() as tx:
        is_removed = not await sending_queries.lock_method_of(tx, started)
        recalled = await sending_queries.lock_own(tx, started)
        if recalled is None:
            raise Fenced(f"delivery {started.id} was taken over")
        refusals = started.refusals + 1 if isinstance(failure, Refused) else 0
        refused_since = (started.refused_since or tx.now) if refusals else None
        tried = Tried(
            attempt=started.attempt,
            late=tx.now - started.wanted_at,
            refusals=refusals,
            refused_for=tx.now - (refused_since or tx.now),
            is_test=started.kind == "test",
            is_news=started.kind == "news",
        )
        wait = None if recalled or is_removed else wait_after(failure, tried)
        retry_at = None if wait is None else tx.now + wait
        if retry_at is not None:
            state = DeliveryState.QUEUED
            await queue.postpone(tx, job, retry_at, fenced=False)
        else:
            may_be_there = failure.may_have_arrived or started.possible_duplicate
            state = DeliveryState.UNKNOWN if may_be_there else DeliveryState.FAILED
            await queue.finish(tx, job, fenced=False)
        outcome = Failure(state, error, retry_at, refusals, refused_since, is_unanswered, failure.may_have_arrived)
        await sending_queries.write_failure(tx, started, outcome)
        if retry_at is not None and started.contact_method_id is not None:
            await redirect(tx, started.contact_method_id, delivery_id=started.id)
        # News must not keep the next page from going where its person wants it.
        if started.contact_method_id is not None and started.kind != "news":
            await sending_queries.note_unwell(tx, started, error)
        if retry_at is None or is_worth_a_line(started.attempt):
            await emit_failure(tx, started, error, wait=wait, refused=isinstance(failure, Refused))
    measure(started.channel, "retried" if retry_at else str(state))


def _about(started: Started) -> dict[str, Any]:
    return {
        "actor": SYSTEM,
        "alert_id": started.alert_id,
        "incident_id": started.incident_id,
        "delivery_id": started.id,
        "page_id": started.page_id,
        "user_name": started.user_name,
        "channel": started.channel,
        "attempt": started.attempt,
    }


async def emit_failure(
    tx: Tx, started: Started, error: str, *, wait: timedelta | None = None, refused: bool = False
) -> None:
    """Let the record say that an attempt failed, and whether another one follows."""
    if started.kind != "page":
        return
    if wait is None:
        await emit(tx, PageFailed(**_about(started), error=error))
    else:
        seconds = round(wait.total_seconds())
        await emit(tx, PageAttemptFailed(**_about(started), error=error, retry_after=seconds, refused=refused))


async def set_aside(db: Database, origin: str, pause: timedelta) -> None:
    """Let everything to an origin that does not answer wait, so that it is not looked at again and again."""
    await sending_queries.put_off(db, origin, pause)


async def wake(db: Database, origin: str) -> None:
    """Let everything that waits for an origin that answers again go out now. A refusal is not mended by that."""
    if await sending_queries.put_off(db, origin, timedelta()):
        db.bell.ring({"lane:send"})
