"""Letting messages that wait follow their contact method: to another address or format, or to its end."""

from __future__ import annotations

from uuid import UUID

from tocsin.db.engine import Tx, decode_json
from tocsin.jobs import queue
from tocsin.notifications import sending_queries
from tocsin.notifications.model import DeliveryKind, shape_of, write_shape
from tocsin.notifications.origins import shares_of


async def redirect(tx: Tx, method_id: UUID, *, delivery_id: UUID | None = None) -> None:
    """Send what waits for this contact method, or one message of it, to where it leads now; what is wanted by now, now.

    The caller has locked the method. What leads there already is left alone.
    """
    for row in await sending_queries.lock_waiting(tx, method_id, delivery_id):
        shape = write_shape(shape_of(row["format"], row["template"], row["content_type"]))
        old_shape = decode_json(row["old_shape"]) if row["old_shape"] is not None else None
        if (row["address"], shape) == (row["old_address"], old_shape):
            continue
        await sending_queries.redirect_one(tx, row["id"], row["address"], shape, is_wanted=row["is_wanted"])
        kind = DeliveryKind(row["kind"])
        shared = shares_of(kind, channel=row["channel"], address=row["address"], recipient_id=row["recipient_id"])
        await queue.move(tx, queue.subject("delivery", row["id"]), shared, now=row["is_wanted"])


async def let_go(tx: Tx, method_id: UUID) -> None:
    """Let what waits for a contact method that is being removed find that out now, whatever it waits for.

    The caller has locked the method. What is being sent finds it out before it would be tried again.
    """
    for id in await sending_queries.lock_queued_of(tx, method_id):
        await queue.move(tx, queue.subject("delivery", id), (), now=True)
