"""Writing down how a call went: the delivery, its job, the health of the contact method, the record.

A send cannot be rolled back, so what is written here is fenced by the delivery's own attempt and not by the job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from tocsin.db.engine import Connection, Database, Tx
from tocsin.events.base import SYSTEM
from tocsin.events.configuration import ContactMethodRecovered
from tocsin.events.log import emit
from tocsin.events.oncall import PageAttemptFailed, PageDelivered, PageFailed, PageSent
from tocsin.jobs import queue
from tocsin.jobs.queue import Fenced, Job
from tocsin.kit.errors import OutsideFailure, Refused
from tocsin.kit.text import storable
from tocsin.notifications.channels.base import Receipt
from tocsin.notifications.model import DeliveryState
from tocsin.notifications.origins import share_of
from tocsin.notifications.patience import CALL_WITHIN, Tried, is_worth_a_line, wait_after
from tocsin.notifications.queries import FAILING_FOR
from tocsin.notifications.redirecting import redirect

Measure = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Started:
    """A delivery whose call has begun, as it stood then."""

    id: UUID
    kind: Literal["page", "test", "news"]
    page_id: UUID | None
    alert_id: UUID | None
    incident_id: UUID | None
    user_id: UUID
    contact_method_id: UUID | None
    channel: str
    address: str
    content: dict[str, Any]
    shape: dict[str, Any] | None
    wanted_at: datetime
    attempt: int
    possible_duplicate: bool
    sending_at: datetime
    unsure_until: datetime
    refusals: int
    refused_since: datetime | None
    unanswered: int
    user_name: str


# A contact method that works again has nothing wrong with it any more. What an old address does, here and below, says
# nothing of the one that took its place.
_SUCCEEDED = """
WITH done AS (
    UPDATE delivery SET state = $2, sent_at = $3::timestamptz, ended_at = $3::timestamptz, last_error = NULL,
           detail = $4, provider_id = $5, delivered_at = CASE WHEN $2 = 'delivered' THEN $3::timestamptz END
    WHERE id = $1 AND state = 'sending' AND attempt = $6
    RETURNING contact_method_id, address
), healed AS (
    DELETE FROM contact_method_health AS health USING done JOIN contact_method AS method
           ON method.id = done.contact_method_id AND method.address = done.address
    WHERE health.contact_method_id = method.id
    RETURNING health.failing_since, method.name
)
SELECT (SELECT name FROM healed WHERE failing_since < $3::timestamptz - $7::interval) AS recovered FROM done
"""
_SLOW = """
INSERT INTO contact_method_health (contact_method_id, answers_after)
SELECT id, $2 FROM contact_method WHERE id = $1 AND address = $3
ON CONFLICT (contact_method_id) DO UPDATE
SET answers_after = excluded.answers_after, failing_since = NULL, last_failed_at = NULL, last_error = NULL
"""


async def succeeded(
    db: Database, measure: Measure, job: Job, started: Started, receipt: Receipt, took: timedelta
) -> None:
    """Write down that the message was taken, and how long that took."""
    event = PageDelivered if receipt.delivered else PageSent
    state = DeliveryState.DELIVERED if receipt.delivered else DeliveryState.SENT
    async with db.begin_hot() as tx:
        connection = await tx.raw()
        written = await connection.fetchrow(
            _SUCCEEDED, started.id, state, tx.now, receipt.detail, receipt.provider_id, started.attempt, FAILING_FOR
        )
        if written is None:
            raise Fenced(f"delivery {started.id} was taken over")
        if took > CALL_WITHIN and started.contact_method_id is not None:
            await connection.execute(_SLOW, started.contact_method_id, round(took.total_seconds()), started.address)
        await queue.finish(tx, job, fenced=False)
        await _tell_recovery(tx, started, written["recovered"])
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


# Locked before the delivery, as whoever changes the method does; its address cannot change under what is written here.
_METHOD = "SELECT id FROM contact_method WHERE id = $1 FOR SHARE"
_MINE = """
SELECT recalled_at IS NOT NULL FROM delivery WHERE id = $1 AND state = 'sending' AND attempt = $2 FOR UPDATE
"""
_FAILED = """
UPDATE delivery SET state = $2, last_error = $3, ended_at = $4, due_at = $5, refusals = $6, refused_since = $7,
       unanswered = $8, possible_duplicate = possible_duplicate OR ($9 AND $4::timestamptz IS NULL)
WHERE id = $1
"""
_UNWELL = """
INSERT INTO contact_method_health (contact_method_id, failing_since, last_failed_at, last_error)
SELECT id, $2, $2, $3 FROM contact_method WHERE id = $1 AND address = $4
ON CONFLICT (contact_method_id) DO UPDATE
SET failing_since = coalesce(contact_method_health.failing_since, excluded.failing_since),
    last_failed_at = excluded.last_failed_at, last_error = excluded.last_error
"""


async def failed(db: Database, measure: Measure, job: Job, started: Started, failure: OutsideFailure) -> None:
    """Write down that the call failed, and when the next one is made, if any."""
    error = storable(str(failure))[:1000]
    is_unanswered = failure.may_have_arrived and not failure.answered
    async with db.begin_hot() as tx:
        connection = await tx.raw()
        is_removed = await connection.fetchval(_METHOD, started.contact_method_id) is None
        recalled: bool | None = await connection.fetchval(_MINE, started.id, started.attempt)
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
        await connection.execute(
            _FAILED,
            started.id,
            state,
            error,
            None if retry_at else tx.now,
            retry_at or tx.now,
            refusals,
            refused_since,
            started.unanswered + 1 if is_unanswered else 0,
            failure.may_have_arrived,
        )
        await _note_health(connection, tx, started, error)
        if retry_at is not None and started.contact_method_id is not None:
            await redirect(tx, started.contact_method_id, delivery_id=started.id)
        if retry_at is None or is_worth_a_line(started.attempt):
            await emit_failure(tx, started, error, wait=wait, refused=isinstance(failure, Refused))
    measure(started.channel, "retried" if retry_at else str(state))


async def _note_health(connection: Connection, tx: Tx, started: Started, error: str) -> None:
    # News must not keep the next page from going where its person wants it.
    if started.contact_method_id is not None and started.kind != "news":
        await connection.execute(_UNWELL, started.contact_method_id, tx.now, error, started.address)


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


# What waits for an origin keeps the order in which it was wanted, so that people read what happened in its order, and
# the oldest is the one that probes. A refusal is mended by no answer to others, so it keeps its own time.
_MOVE = """
WITH held AS (
    SELECT job.id, delivery.wanted_at, delivery.id AS delivery_id
    FROM job JOIN delivery ON delivery.id = (job.payload ->> 'delivery_id')::uuid
    WHERE job.lane = 'send' AND job.owner IS NULL AND job.shares @> ARRAY[$1::text]
      AND delivery.state = 'queued' AND delivery.wanted_at <= tocsin_now() AND delivery.refusals = 0
    ORDER BY job.id FOR UPDATE OF job SKIP LOCKED
), waiting AS (
    SELECT id, row_number() OVER (ORDER BY wanted_at, delivery_id) AS place FROM held
)
UPDATE job SET due = tocsin_now() + $2::interval + waiting.place * interval '1 microsecond' FROM waiting
WHERE job.id = waiting.id
"""


async def set_aside(db: Database, origin: str, pause: timedelta) -> None:
    """Let everything to an origin that does not answer wait, so that it is not looked at again and again."""
    await db.pool.execute(_MOVE, share_of(origin), pause)


async def wake(db: Database, origin: str) -> None:
    """Let everything that waits for an origin that answers again go out now. A refusal is not mended by that."""
    if await db.pool.execute(_MOVE, share_of(origin), timedelta()) != "UPDATE 0":
        db.bell.ring({"lane:send"})
