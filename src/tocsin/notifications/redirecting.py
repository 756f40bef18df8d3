"""Letting messages that wait follow their contact method: to another address or format, or to its end."""

from __future__ import annotations

from uuid import UUID

from tocsin.db.engine import Tx, decode_json, encode_json
from tocsin.jobs import queue
from tocsin.notifications.model import DeliveryKind, shape_of, write_shape
from tocsin.notifications.origins import shares_of

_WAITING = """
SELECT delivery.id, delivery.kind, delivery.user_id, delivery.wanted_at <= tocsin_now() AS is_wanted,
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


async def redirect(tx: Tx, method_id: UUID, *, delivery_id: UUID | None = None) -> None:
    """Send what waits for this contact method, or one message of it, to where it leads now; what is wanted by now, now.

    The caller has locked the method. What leads there already is left alone.
    """
    connection = await tx.raw()
    for row in await connection.fetch(_WAITING, method_id, delivery_id):
        shape = write_shape(shape_of(row["format"], row["template"], row["content_type"]))
        old_shape = decode_json(row["old_shape"]) if row["old_shape"] is not None else None
        if (row["address"], shape) == (row["old_address"], old_shape):
            continue
        written = encode_json(shape) if shape is not None else None
        await connection.execute(_REDIRECT, row["id"], row["address"], written, row["is_wanted"])
        kind = DeliveryKind(row["kind"])
        shared = shares_of(kind, channel=row["channel"], address=row["address"], user_id=row["user_id"])
        await queue.move(tx, queue.subject("delivery", row["id"]), shared, now=row["is_wanted"])


_OF_METHOD = "SELECT id FROM delivery WHERE contact_method_id = $1 AND state = 'queued' ORDER BY id FOR UPDATE"


async def let_go(tx: Tx, method_id: UUID) -> None:
    """Let what waits for a contact method that is being removed find that out now, whatever it waits for.

    The caller has locked the method. What is being sent finds it out before it would be tried again.
    """
    connection = await tx.raw()
    for row in await connection.fetch(_OF_METHOD, method_id):
        await queue.move(tx, queue.subject("delivery", row["id"]), (), now=True)
