"""What sending asks and writes: a message that is due, how its call went, and what waits beside it.

By hand, as each page goes through it; what reads the pool is a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, case, update

from tocsin.db.engine import Database, Tx, decode_json, encode_json
from tocsin.identity.credential_queries import LINK_KEYS
from tocsin.notifications.channels.base import Receipt
from tocsin.notifications.model import UNDER_WAY, Delivery, DeliveryState
from tocsin.notifications.origins import share_of
from tocsin.notifications.patience import CALL_WITHIN, NEWS_TRIED_FOR, SLOW_CALL_WITHIN
from tocsin.notifications.queries import FAILING_FOR


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


@dataclass(frozen=True, slots=True)
class Ended:
    """A delivery that ended without another call: as it stood, how it ended and why."""

    started: Started
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class Failure:
    """How a delivery stands after a call that failed. `retry_at`: when the next call is made, if any."""

    state: DeliveryState
    error: str
    retry_at: datetime | None
    refusals: int
    refused_since: datetime | None
    is_unanswered: bool
    may_have_arrived: bool


_STARTED = """
delivery.id, delivery.kind, delivery.page_id, delivery.alert_id, delivery.incident_id, delivery.user_id,
delivery.contact_method_id, delivery.channel, delivery.address, delivery.content, delivery.shape, delivery.wanted_at,
delivery.attempt, delivery.possible_duplicate, delivery.sending_at, delivery.unsure_until, delivery.refusals,
delivery.refused_since, delivery.unanswered, user_account.name AS user_name
"""
_BEGIN = f"""
WITH instant AS MATERIALIZED (SELECT tocsin_now() AS now)
UPDATE delivery SET state = 'sending', attempt = delivery.attempt + 1, sending_at = instant.now,
       unsure_until = instant.now + $2::interval + CASE
           WHEN delivery.unanswered > 0 OR delivery.contact_method_id IN (
               SELECT contact_method_id FROM contact_method_health WHERE answers_after IS NOT NULL)
           THEN $5::interval ELSE $4::interval END,
       outcomes_lost = delivery.outcomes_lost + (delivery.state = 'sending')::int,
       possible_duplicate = delivery.possible_duplicate OR delivery.state = 'sending'
FROM user_account, instant
WHERE delivery.id = $1 AND user_account.id = delivery.user_id AND user_account.is_active
  AND delivery.contact_method_id IS NOT NULL AND (delivery.state = 'queued' OR (
    delivery.state = 'sending' AND delivery.unsure_until < instant.now
    AND delivery.recalled_at IS NULL AND delivery.outcomes_lost < $3))
RETURNING {_STARTED}, {LINK_KEYS}
"""  # noqa: S608
_ABANDON = f"""
UPDATE delivery SET state = 'unknown', ended_at = tocsin_now(), last_error = $2
FROM user_account
WHERE delivery.id = $1 AND user_account.id = delivery.user_id
  AND delivery.state = 'sending' AND delivery.unsure_until < tocsin_now()
  AND (delivery.recalled_at IS NOT NULL OR delivery.outcomes_lost >= $3)
RETURNING {_STARTED}, delivery.state, delivery.last_error
"""  # noqa: S608
# Also for a page that began in the moment in which its person was switched off, or their contact method removed:
# nothing is sent there any more.
_NOWHERE = f"""
UPDATE delivery SET ended_at = tocsin_now(),
       last_error = CASE WHEN user_account.is_active THEN $3 ELSE $2 END, state = CASE
           WHEN delivery.state = 'queued' AND NOT delivery.possible_duplicate THEN 'failed' ELSE 'unknown' END
FROM user_account
WHERE delivery.id = $1 AND user_account.id = delivery.user_id
  AND (NOT user_account.is_active OR delivery.contact_method_id IS NULL)
  AND (delivery.state = 'queued' OR (delivery.state = 'sending' AND delivery.unsure_until < tocsin_now()))
RETURNING {_STARTED}, delivery.state, delivery.last_error
"""  # noqa: S608
_UNSURE_UNTIL = "SELECT unsure_until FROM delivery WHERE id = $1 AND state = 'sending'"
# News of which nobody is to hear any more: too old, or for somebody whose account has been switched off.
_DROP = """
UPDATE delivery SET state = CASE WHEN delivery.last_error IS NULL THEN 'cancelled' ELSE 'failed' END,
       ended_at = tocsin_now(), last_error = coalesce(delivery.last_error, $3)
FROM user_account
WHERE delivery.id = $1 AND user_account.id = delivery.user_id AND delivery.kind = 'news' AND delivery.state = 'queued'
  AND (NOT user_account.is_active OR delivery.wanted_at < tocsin_now() - $2::interval)
RETURNING delivery.channel, delivery.address
"""
_WHERE = "SELECT channel, address FROM delivery WHERE id = $1"
_EXCHANGE = "UPDATE delivery SET exchange = $3 WHERE id = $1 AND attempt = $2 AND kind = 'test'"
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
_WAITING = """
SELECT delivery.id, delivery.kind, delivery.recipient_id, delivery.wanted_at <= tocsin_now() AS is_wanted,
       delivery.address AS old_address, delivery.shape::text AS old_shape,
       method.kind AS channel, method.address, method.format, method.template, method.content_type
FROM delivery JOIN contact_method AS method ON method.id = delivery.contact_method_id
WHERE method.id = $1 AND delivery.state = 'queued' AND ($2::uuid IS NULL OR delivery.id = $2)
ORDER BY delivery.id FOR UPDATE OF delivery
"""
# What was refused or not answered there says nothing of here.
_REDIRECT = """
UPDATE delivery SET address = $2, shape = $3, refusals = 0, refused_since = NULL, unanswered = 0,
       due_at = CASE WHEN $4 THEN least(due_at, tocsin_now()) ELSE due_at END
WHERE id = $1
"""
_OF_METHOD = "SELECT id FROM delivery WHERE contact_method_id = $1 AND state = 'queued' ORDER BY id FOR UPDATE"
# As `recall` says it.
_RECALL_PAGES = """
UPDATE delivery SET state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
       ended_at = CASE WHEN state = 'queued' THEN $2::timestamptz END, recalled_at = $2::timestamptz
WHERE page_id = ANY($1::uuid[]) AND state IN ('queued', 'sending') RETURNING id, state
"""
_REWORD = """
UPDATE delivery SET content = delivery.content || words.content
FROM unnest($1::uuid[], $2::jsonb[]) AS words (alert_id, content)
WHERE delivery.alert_id = words.alert_id AND delivery.kind = 'page' AND delivery.state IN ('queued', 'sending')
"""


def _read(row: Any) -> Started:
    shape: Any = decode_json(row["shape"]) if row["shape"] is not None else None
    fields = {name: value for name, value in row.items() if name in Started.__dataclass_fields__}
    return Started(**{**fields, "content": decode_json(row["content"]), "shape": shape})


async def begin_call(
    db: Database, id: UUID, *, unsure_for: timedelta, most_lost: int
) -> tuple[Started, dict[str, bytes]] | None:
    """Mark a delivery as being sent; returns it with the keys of links as they are at that moment.

    None when it is not to be sent, or may still be in somebody's hands.
    """
    row = await db.pool.fetchrow(_BEGIN, id, unsure_for, most_lost, CALL_WITHIN, SLOW_CALL_WITHIN)
    return (_read(row), dict(zip(row["key_names"] or (), row["key_values"] or (), strict=True))) if row else None


async def end_unsent(tx: Tx, id: UUID, *, switched_off: str, removed: str, lost: str, most_lost: int) -> Ended | None:
    """End a delivery that leads nowhere, or whose senders have died and that nobody needs; the texts say why."""
    connection = await tx.raw()
    row = await connection.fetchrow(_NOWHERE, id, switched_off, removed)
    if row is None:
        row = await connection.fetchrow(_ABANDON, id, lost, most_lost)
    return Ended(_read(row), row["state"], row["last_error"]) if row else None


async def unsure_until(tx: Tx, id: UUID) -> datetime | None:
    """Return until when it is not known what became of a delivery that is being sent."""
    until: datetime | None = await (await tx.raw()).fetchval(_UNSURE_UNTIL, id)
    return until


async def where_to(db: Database, id: UUID) -> tuple[str, str] | None:
    """Return the channel and the address of a delivery."""
    row = await db.pool.fetchrow(_WHERE, id)
    return (row["channel"], row["address"]) if row else None


async def drop_news(db: Database, id: UUID, why: str) -> bool:
    """End news that nobody is to hear any more; says whether it was such."""
    return await db.pool.fetchrow(_DROP, id, NEWS_TRIED_FOR, why) is not None


async def keep_exchange(db: Database, started: Started, exchange: Mapping[str, Any]) -> None:
    """Write down what a test page sent and heard."""
    await db.pool.execute(_EXCHANGE, started.id, started.attempt, encode_json(exchange))


async def write_success(tx: Tx, started: Started, state: DeliveryState, receipt: Receipt) -> tuple[bool, str | None]:
    """Write down that a message was taken; says whether it was still ours to say, and which method works again."""
    row = await (await tx.raw()).fetchrow(
        _SUCCEEDED, started.id, state, tx.now, receipt.detail, receipt.provider_id, started.attempt, FAILING_FOR
    )
    return row is not None, row["recovered"] if row else None


async def note_slowness(tx: Tx, started: Started, took: timedelta) -> None:
    """Note how long the far end of a contact method takes to answer."""
    seconds = round(took.total_seconds())
    await (await tx.raw()).execute(_SLOW, started.contact_method_id, seconds, started.address)


async def lock_method_of(tx: Tx, started: Started) -> bool:
    """Lock the contact method of a delivery; says whether it is still there."""
    return await (await tx.raw()).fetchval(_METHOD, started.contact_method_id) is not None


async def lock_own(tx: Tx, started: Started) -> bool | None:
    """Lock a delivery that we are sending; says whether it has been recalled, None when it is no longer ours."""
    recalled: bool | None = await (await tx.raw()).fetchval(_MINE, started.id, started.attempt)
    return recalled


async def write_failure(tx: Tx, started: Started, failure: Failure) -> None:
    """Write down that a call failed. The caller has locked the delivery."""
    await (await tx.raw()).execute(
        _FAILED,
        started.id,
        failure.state,
        failure.error,
        None if failure.retry_at else tx.now,
        failure.retry_at or tx.now,
        failure.refusals,
        failure.refused_since,
        started.unanswered + 1 if failure.is_unanswered else 0,
        failure.may_have_arrived,
    )


async def note_unwell(tx: Tx, started: Started, error: str) -> None:
    """Note that a contact method fails, and since when."""
    await (await tx.raw()).execute(_UNWELL, started.contact_method_id, tx.now, error, started.address)


async def put_off(db: Database, origin: str, pause: timedelta) -> bool:
    """Let everything that waits for an origin be due in so long, in its order; says whether anything does."""
    return await db.pool.execute(_MOVE, share_of(origin), pause) != "UPDATE 0"


async def lock_waiting(tx: Tx, method_id: UUID, delivery_id: UUID | None) -> list[Mapping[str, Any]]:
    """Lock what waits for a contact method, or one message of it; beside it stands where the method leads now."""
    return [dict(row) for row in await (await tx.raw()).fetch(_WAITING, method_id, delivery_id)]


async def redirect_one(tx: Tx, id: UUID, address: str, shape: Mapping[str, Any] | None, *, is_wanted: bool) -> None:
    """Let a message that waits go to another address or in another format; what is wanted by now, now."""
    written = encode_json(shape) if shape is not None else None
    await (await tx.raw()).execute(_REDIRECT, id, address, written, is_wanted)


async def lock_queued_of(tx: Tx, method_id: UUID) -> list[UUID]:
    """Lock what waits for a contact method; returns the deliveries by their ids."""
    return [row["id"] for row in await (await tx.raw()).fetch(_OF_METHOD, method_id)]


async def recall(tx: Tx, which: ColumnElement[bool]) -> list[UUID]:
    """Take back what of these deliveries has not gone out; returns those that never will.

    One statement: between two, the outcome of a call may turn `sending` into `queued` and be missed by both.
    """
    is_queued = Delivery.state == DeliveryState.QUEUED
    taken_back = await tx.session.execute(
        update(Delivery)
        .where(which, Delivery.state.in_(UNDER_WAY))
        .values(
            state=case((is_queued, DeliveryState.CANCELLED), else_=Delivery.state),
            ended_at=case((is_queued, tx.now)),
            recalled_at=tx.now,
        )
        .returning(Delivery.id, Delivery.state)
        .execution_options(synchronize_session=False)
    )
    return [id for id, state in taken_back if state == DeliveryState.CANCELLED]


async def recall_pages(tx: Tx, page_ids: Sequence[UUID]) -> list[UUID]:
    """Do the same with whatever these pages send. Needs no session."""
    rows = await (await tx.raw()).fetch(_RECALL_PAGES, list(page_ids), tx.now)
    return [row["id"] for row in rows if row["state"] == DeliveryState.CANCELLED]


async def reword(tx: Tx, contents: Mapping[UUID, str]) -> None:
    """Let messages about these alerts that have not gone out, or are tried again, say this (alert → JSON object)."""
    await (await tx.raw()).execute(_REWORD, list(contents), list(contents.values()))
