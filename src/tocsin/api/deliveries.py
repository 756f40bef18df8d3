"""How a message to one address looks in answers."""

from __future__ import annotations

import msgspec

from tocsin.api.http import Time, public_or_none, when
from tocsin.api.incident_shape import Person
from tocsin.identity.model import Actor
from tocsin.kit.clock import stamp
from tocsin.kit.ids import public
from tocsin.notifications.model import Delivery, DeliveryKind, DeliveryState


class DeliveryOut(msgspec.Struct):
    """One message to one address and its states. The address is null for those it does not concern."""

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
    created_at: Time
    due_at: Time
    sending_at: Time | None
    sent_at: Time | None
    delivered_at: Time | None
    ended_at: Time | None


def write_delivery(who: Actor, delivery: Delivery, user_name: str) -> DeliveryOut:
    """Write a delivery; an address may be a secret, so only its person and those who manage people see it."""
    sees_address = who.user_id == delivery.user_id or who.may("user.manage")
    return DeliveryOut(
        id=public("dlv", delivery.id),
        kind=DeliveryKind(delivery.kind),
        state=DeliveryState(delivery.state),
        channel=delivery.channel,
        address=delivery.address if sees_address else None,
        contact_method_id=public_or_none("cm", delivery.contact_method_id),
        user=Person(public("usr", delivery.user_id), user_name),
        page_id=public_or_none("pag", delivery.page_id),
        alert_id=public_or_none("alt", delivery.alert_id),
        incident_id=public_or_none("inc", delivery.incident_id),
        attempt=delivery.attempt or 0,
        possible_duplicate=bool(delivery.possible_duplicate),
        detail=delivery.detail or "",
        last_error=delivery.last_error if sees_address or delivery.last_error is None else "The message failed.",
        created_at=stamp(delivery.created_at),
        due_at=stamp(delivery.due_at),
        sending_at=when(delivery.sending_at),
        sent_at=when(delivery.sent_at),
        delivered_at=when(delivery.delivered_at),
        ended_at=when(delivery.ended_at),
    )
