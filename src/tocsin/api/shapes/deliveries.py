"""How a message to one address looks in answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.http import Time, when
from tocsin.api.base.resource import Order
from tocsin.api.shapes.people import Person
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents.model import INCIDENT_ID
from tocsin.kit.clock import stamp
from tocsin.kit.record import JsonObject
from tocsin.notifications.model import DELIVERY_ID, METHOD_ID, Delivery, DeliveryKind, DeliveryState
from tocsin.oncall.model import PAGE_ID


class RequestOut(msgspec.Struct):
    """What was sent: no more of the address than its origin, and at most 16,384 characters of the body."""

    method: str
    origin: str
    headers: dict[str, str]
    body: str
    is_cut: bool


class ReplyOut(msgspec.Struct):
    """What the receiver answered: at most the first 1,024 bytes of its body, as text."""

    status: int
    body: str
    is_cut: bool


class ExchangeOut(msgspec.Struct):
    """What went over the wire in the last attempt. `reply` is null when there was none."""

    request: RequestOut
    reply: ReplyOut | None
    took_ms: int | None


class DeliveryOut(msgspec.Struct):
    """One message to one address and its states. The address is null for those it does not concern.

    `exchange` is there for test pages on channels that have something to show, such as webhooks, and for those who may
    see the address.
    """

    id: str
    kind: DeliveryKind
    state: DeliveryState
    channel: str
    address: str | None
    contact_method_id: str | None
    user: Person
    page_id: str | None
    alert_id: str | None
    incident_id: str | None
    attempt: int
    possible_duplicate: bool
    detail: str
    last_error: str | None
    exchange: ExchangeOut | None
    created_at: Time
    due_at: Time
    sending_at: Time | None
    sent_at: Time | None
    delivered_at: Time | None
    ended_at: Time | None


LAST_DELIVERY_FIRST = Order(lambda row: row[0].id, to="before")


async def write_deliveries(
    _tx: Tx, _context: Context, who: Actor, rows: Sequence[tuple[Delivery, str]]
) -> list[DeliveryOut]:
    """Write deliveries with the names of the people they are for."""
    return [write_delivery(who, *row) for row in rows]


def write_delivery(who: Actor, delivery: Delivery, user_name: str) -> DeliveryOut:
    """Write a delivery; an address may be a secret, so only its person and those who manage people see it."""
    sees_address = who.user_id == delivery.recipient_id or who.may(P.USER_MANAGE)
    return DeliveryOut(
        id=DELIVERY_ID.write(delivery.id),
        kind=DeliveryKind(delivery.kind),
        state=DeliveryState(delivery.state),
        channel=delivery.channel,
        address=delivery.address if sees_address else None,
        contact_method_id=METHOD_ID.write_or_none(delivery.contact_method_id),
        user=Person(USER_ID.write(delivery.recipient_id), user_name),
        page_id=PAGE_ID.write_or_none(delivery.page_id),
        alert_id=ALERT_ID.write_or_none(delivery.alert_id),
        incident_id=INCIDENT_ID.write_or_none(delivery.incident_id),
        attempt=delivery.attempt or 0,
        possible_duplicate=bool(delivery.possible_duplicate),
        detail=delivery.detail or "",
        last_error=delivery.last_error if sees_address or delivery.last_error is None else "The message failed.",
        exchange=_exchange(delivery.exchange) if sees_address and delivery.exchange is not None else None,
        created_at=stamp(delivery.created_at),
        due_at=stamp(delivery.due_at),
        sending_at=when(delivery.sending_at),
        sent_at=when(delivery.sent_at),
        delivered_at=when(delivery.delivered_at),
        ended_at=when(delivery.ended_at),
    )


def _exchange(kept: JsonObject) -> ExchangeOut:
    request = RequestOut(kept["method"], kept["origin"], kept["headers"], kept["body"], kept["body_is_cut"])
    has_reply = kept["status"] is not None
    reply = ReplyOut(kept["status"], kept["answer"], kept["answer_is_cut"]) if has_reply else None
    return ExchangeOut(request, reply, kept["took_ms"])
