"""Marking one's news as read, and clearing old ones away."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.identity.model import Actor
from tocsin.incidents import inbox_queries
from tocsin.incidents.inbox_model import KEPT_FOR, MOST_COUNTED
from tocsin.incidents.model import Incident
from tocsin.incidents.service.following import TOPIC


async def mark_news(tx: Tx, who: Actor, ids: Collection[UUID] | None, *, is_read: bool = True) -> int:
    """Mark one's own news as read or unread, all of them without ids; returns how many are unread now.

    Ids of somebody else's news, or of what was cleared away, change nothing.
    """
    me = who.must_be_someone()
    await inbox_queries.mark(tx, me, ids, is_read=is_read)
    tx.ring(f"{TOPIC}{me}")
    return await inbox_queries.count_unread(tx, who.access, me, most=MOST_COUNTED)


async def open_news(tx: Tx, who: Actor, id: UUID) -> Incident:
    """Mark one's own news as read and return its incident; raises `NotFound`, also for what one may see no more."""
    me = who.must_be_someone()
    entry, incident = await inbox_queries.entry(tx, who.access, me, id)
    await mark_news(tx, who, [entry.id])
    return incident


async def sweep(tx: Tx) -> int:
    """Delete a portion of the news that were kept for long enough; returns how many."""
    return await inbox_queries.sweep(tx, tx.now - KEPT_FOR)
