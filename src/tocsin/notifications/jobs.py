"""Sending: one job per delivery. Read and mark, call out with no transaction open, record.

A delivery that is found in `sending` was in the hands of a worker that died. Whether it went out is unknown, so it
goes out again, marked as a possible duplicate, but not before the dead worker's call must have ended. Until then that
worker may turn out to live, and what it has to say of its call counts, even though its job has been taken from it: the
fence is the delivery's own attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import text

from tocsin.db.engine import Database, Tx, decode_json
from tocsin.db.errors import STORE_ERRORS, sqlstate
from tocsin.events.base import SYSTEM
from tocsin.events.log import emit
from tocsin.events.oncall import PageAttemptFailed, PageDelivered, PageFailed, PageSent
from tocsin.jobs import queue
from tocsin.jobs.queue import Fenced, Job
from tocsin.kit.clock import monotonic
from tocsin.kit.crypto import sign_id
from tocsin.kit.errors import OutsideFailure, Refused, Transient
from tocsin.kit.ids import public
from tocsin.kit.text import storable
from tocsin.notifications.channels.base import Channel, PageMessage, Receipt
from tocsin.notifications.model import MOST_ATTEMPTS, RETRY_AFTER, DeliveryState

log = structlog.stdlib.get_logger(__name__)

ACK_PURPOSE = "ack"
SEND_WITHIN = 15.0
# Longer than any call can last, so that two workers never have the same message in their hands.
UNSURE_FOR = timedelta(seconds=20)
# How long the outcome of a call is kept in memory while the store is away. After that the job's retry sends again.
RECORD_WITHIN = 300.0
_AGAIN_AFTER = 0.5
# SQLSTATE classes of what passes: connection, transaction state, rollback, resources, intervention, system, internal.
_PASSING = ("08", "25", "40", "53", "57", "58", "XX")


@dataclass(frozen=True, slots=True)
class Sender:
    """What sending needs to know: where links lead, how they are signed, and the channels there are."""

    db: Database
    channels: Mapping[str, Channel]
    base_url: str
    link_key: bytes
    link_valid_for: timedelta
    measure: Callable[[str, str], None] = lambda _channel, _result: None


_STARTED = """
delivery.id, delivery.kind, delivery.page_id, delivery.alert_id, delivery.incident_id, delivery.channel,
delivery.address, delivery.content, delivery.attempt, delivery.possible_duplicate, delivery.sending_at,
user_account.name AS user_name
"""
_BEGIN = f"""
UPDATE delivery SET state = 'sending', attempt = delivery.attempt + 1, sending_at = tocsin_now(),
       possible_duplicate = delivery.possible_duplicate OR delivery.state = 'sending'
FROM user_account
WHERE delivery.id = $1 AND user_account.id = delivery.user_id
  AND (delivery.state = 'queued' OR (
    delivery.state = 'sending' AND delivery.sending_at < tocsin_now() - $2::interval
    AND delivery.recalled_at IS NULL AND delivery.attempt < $3))
RETURNING {_STARTED}
"""  # noqa: S608
_ABANDON = f"""
UPDATE delivery SET state = 'failed', ended_at = tocsin_now(), last_error = $3
FROM user_account
WHERE delivery.id = $1 AND user_account.id = delivery.user_id
  AND delivery.state = 'sending' AND delivery.sending_at < tocsin_now() - $2::interval
  AND (delivery.recalled_at IS NOT NULL OR delivery.attempt >= $4)
RETURNING {_STARTED}
"""  # noqa: S608
_NOBODY_KNOWS = "The process that sent it ended before the outcome was written down, and it is not sent again."
_SENDING_AT = "SELECT sending_at FROM delivery WHERE id = $1 AND state = 'sending'"


@dataclass(frozen=True, slots=True)
class _Started:
    id: UUID
    kind: Literal["page", "test"]
    page_id: UUID | None
    alert_id: UUID | None
    incident_id: UUID | None
    channel: str
    address: str
    content: dict[str, Any]
    attempt: int
    possible_duplicate: bool
    sending_at: datetime
    user_name: str


async def send(sender: Sender, job: Job) -> None:
    """Send one message, or find that it is no longer wanted."""
    started = await _begin(sender.db, UUID(job.payload["delivery_id"]))
    if started is None:
        await _leave(sender, job)
        return
    try:
        receipt = await _call(sender, started)
    except OutsideFailure as failure:
        outcome = failure
        await _record(lambda: _failed(sender, job, started, outcome))
    else:
        await _record(lambda: _succeeded(sender, job, started, receipt))


async def _record(write: Callable[[], Awaitable[None]]) -> None:
    """Write down how a call went; while the store is away, again and again: to forget it would be to send it twice.

    A commit whose answer was lost is found by the fence: the delivery is no longer `sending` by then.
    """
    until = monotonic() + RECORD_WITHIN
    while True:
        try:
            return await write()
        except STORE_ERRORS as error:
            if not _passes(error) or monotonic() > until:
                raise
            log.warning("page.outcome_waits_for_store", error=type(error).__name__)
            await asyncio.sleep(_AGAIN_AFTER)


def _passes(error: BaseException) -> bool:
    state = sqlstate(error)
    return not state or state.startswith(_PASSING)


def _read(row: Any) -> _Started:
    return _Started(**{**row, "content": decode_json(row["content"])})


async def _begin(db: Database, id: UUID) -> _Started | None:
    row = await db.pool.fetchrow(_BEGIN, id, UNSURE_FOR, MOST_ATTEMPTS)
    return _read(row) if row else None


async def _leave(sender: Sender, job: Job) -> None:
    """End the job of a delivery that is at its end, or look again when another worker may still be sending it.

    When its sender has died and nobody needs it any more, or it was tried often enough, this is its end.
    """
    id = UUID(job.payload["delivery_id"])
    async with sender.db.begin_hot() as tx:
        connection = await tx.raw()
        abandoned = await connection.fetchrow(_ABANDON, id, UNSURE_FOR, _NOBODY_KNOWS, MOST_ATTEMPTS)
        if abandoned:
            await _emit_failure(tx, _read(abandoned), _NOBODY_KNOWS)
        sending_at: datetime | None = await connection.fetchval(_SENDING_AT, id)
        if sending_at is not None:
            await queue.postpone(tx, job, sending_at + UNSURE_FOR + timedelta(milliseconds=50))
        else:
            await queue.finish(tx, job)
    if abandoned:
        sender.measure(abandoned["channel"], "failed")


async def _call(sender: Sender, started: _Started) -> Receipt:
    channel = sender.channels.get(started.channel)
    if channel is None:
        raise Refused(f"The channel “{started.channel}” is not set up on this installation.")
    try:
        async with asyncio.timeout(SEND_WITHIN):
            receipt = await channel.send(started.address, message_of(sender, started))
    except TimeoutError:
        raise Transient(f"No answer within {SEND_WITHIN:.0f} seconds.") from None
    except OutsideFailure:
        raise
    except Exception as error:
        log.exception("channel.broken", channel=started.channel)
        raise Transient(f"The channel failed: {type(error).__name__}.") from error
    # An outcome that cannot be stored would be a message that is sent again.
    provider_id = storable(receipt.provider_id) if receipt.provider_id else None
    return replace(receipt, detail=storable(receipt.detail), provider_id=provider_id)


def message_of(sender: Sender, started: _Started) -> PageMessage:
    """Say what the page says."""
    content = started.content
    reference = content.get("incident_number")
    if started.incident_id is not None and reference:
        path = f"/incidents/{reference}"
    else:
        path = f"/alerts/{public('alt', started.alert_id)}" if started.alert_id else "/"
    acknowledge = None
    if started.kind == "page":
        token = sign_id(sender.link_key, ACK_PURPOSE, started.id, started.sending_at + sender.link_valid_for)
        acknowledge = f"{sender.base_url}/p/{token}"
    return PageMessage(
        delivery_id=public("dlv", started.id),
        kind=started.kind,
        title=content["title"],
        body=content["body"],
        severity=f"SEV{content['severity']}",
        urgency=content["urgency"],
        status="triggered",
        alert_id=public("alt", started.alert_id) if started.alert_id else None,
        incident_id=public("inc", started.incident_id) if started.incident_id else None,
        incident_number=reference,
        url=sender.base_url + path,
        acknowledge_url=acknowledge,
        reason=content["reason"],
        source=content["source"],
        labels=content["labels"],
        attempt=started.attempt,
        possible_duplicate=started.possible_duplicate,
        sent_at=started.sending_at,
        recipient_name=started.user_name,
    )


_SUCCEEDED = """
UPDATE delivery SET state = $2, sent_at = $3::timestamptz, ended_at = $3::timestamptz, last_error = NULL, detail = $4,
       provider_id = $5, delivered_at = CASE WHEN $2 = 'delivered' THEN $3::timestamptz END
WHERE id = $1 AND state = 'sending' AND attempt = $6
"""


async def _succeeded(sender: Sender, job: Job, started: _Started, receipt: Receipt) -> None:
    event = PageDelivered if receipt.delivered else PageSent
    state = DeliveryState.DELIVERED if receipt.delivered else DeliveryState.SENT
    async with sender.db.begin_hot() as tx:
        connection = await tx.raw()
        done = await connection.execute(
            _SUCCEEDED, started.id, state, tx.now, receipt.detail, receipt.provider_id, started.attempt
        )
        if done != "UPDATE 1":
            raise Fenced(f"delivery {started.id} was taken over")
        await queue.finish(tx, job, fenced=False)
        if started.kind == "page":
            await emit(
                tx,
                event(
                    actor=SYSTEM,
                    alert_id=started.alert_id,
                    incident_id=started.incident_id,
                    delivery_id=started.id,
                    page_id=started.page_id,
                    user_name=started.user_name,
                    channel=started.channel,
                    detail=receipt.detail,
                    attempt=started.attempt,
                    possible_duplicate=started.possible_duplicate,
                ),
            )
    sender.measure(started.channel, "delivered" if receipt.delivered else "sent")


_MINE = text("""
SELECT recalled_at IS NOT NULL FROM delivery WHERE id = :id AND state = 'sending' AND attempt = :attempt FOR UPDATE
""")
_FAILED = text("""
UPDATE delivery SET state = :state, last_error = :error, ended_at = :ended_at, due_at = :due_at WHERE id = :id
""")


async def _failed(sender: Sender, job: Job, started: _Started, failure: OutsideFailure) -> None:
    error = storable(str(failure))[:1000]
    async with sender.db.begin() as tx:
        recalled: bool | None = await tx.session.scalar(_MINE, {"id": started.id, "attempt": started.attempt})
        if recalled is None:
            raise Fenced(f"delivery {started.id} was taken over")
        retry_at = None
        if isinstance(failure, Transient) and started.attempt < MOST_ATTEMPTS and not recalled:
            # The other side may ask for more patience, but a page cannot wait for ever.
            asked = timedelta(seconds=min(failure.retry_after or 0, 300))
            retry_at = tx.now + max(RETRY_AFTER[started.attempt - 1], asked)
            await queue.postpone(tx, job, retry_at, fenced=False)
        else:
            await queue.finish(tx, job, fenced=False)
        await tx.session.execute(
            _FAILED,
            {
                "state": DeliveryState.QUEUED if retry_at else DeliveryState.FAILED,
                "error": error,
                "ended_at": None if retry_at else tx.now,
                "due_at": retry_at or tx.now,
                "id": started.id,
            },
        )
        await _emit_failure(tx, started, error, retry_at)
    sender.measure(started.channel, "retried" if retry_at else "failed")


async def _emit_failure(tx: Tx, started: _Started, error: str, retry_at: datetime | None = None) -> None:
    if started.kind != "page":
        return
    common: dict[str, Any] = {
        "actor": SYSTEM,
        "alert_id": started.alert_id,
        "incident_id": started.incident_id,
        "delivery_id": started.id,
        "page_id": started.page_id,
        "user_name": started.user_name,
        "channel": started.channel,
        "error": error,
        "attempt": started.attempt,
    }
    await emit(
        tx,
        PageAttemptFailed(**common, retry_after=round((retry_at - tx.now).total_seconds()))
        if retry_at
        else PageFailed(**common),
    )
