"""Sending a page also on what else its person has, because what was used for it does not reach them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.jobs import queue
from tocsin.notifications import queries
from tocsin.notifications.model import REACHED, UNDER_WAY, DeliveryKind, DeliveryState, Planned, Urgency
from tocsin.notifications.service import queue_rows, row_of


async def try_other_ways(tx: Tx, page_id: UUID) -> None:
    """Nothing has reached the person: send at once what was planned for later, and on what else they have.

    Once something of the page has gone out, nothing is added, unless it went to an address that is theirs no longer. A
    page of low urgency keeps to what its person wants.
    """
    here = await queries.deliveries_of_page(tx, page_id)
    astray = await queries.astray(tx, [delivery.id for delivery in here])
    if not here or any(delivery.state in REACHED and delivery.id not in astray for delivery in here):
        return
    early = [d for d in here if d.state == DeliveryState.QUEUED and d.attempt == 0 and d.wanted_at > tx.now]
    for delivery in early:
        delivery.wanted_at = delivery.due_at = tx.now
    await tx.session.flush()
    await queue.hasten(tx, *(queue.subject("delivery", delivery.id) for delivery in early))
    first = here[0]
    is_high = first.content.get("urgency") == Urgency.HIGH
    # What is under way to an old address follows its contact method by itself.
    used = {d.contact_method_id for d in here if d.id not in astray or d.state in UNDER_WAY}
    wanted = {d.contact_method_id for d in here}
    user_id = first.recipient_id
    methods, _ = await queries.ways_to_reach(tx, [user_id])
    others = [
        Planned(method, timedelta())
        for method in methods.get(user_id, ())
        if method.id not in used and (is_high or method.id in wanted)
    ]
    rows = [row_of(tx, step, kind=DeliveryKind.PAGE, content=first.content, user_id=user_id) for step in others]
    for row in rows:
        row |= {"page_id": page_id, "alert_id": first.alert_id, "incident_id": first.incident_id}
    await queue_rows(tx, rows)
