"""What became of a test page, as its sender reads it: each message with what was sent and what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from tocsin.edge.context import Context
from tocsin.kit.record import JsonObject
from tocsin.notifications.model import DELIVERY_ID, ContactMethod, Delivery, DeliveryState

_SENT: Mapping[str, tuple[str, str]] = {
    DeliveryState.QUEUED: ("waiting", "On its way"),
    DeliveryState.SENDING: ("waiting", "On its way"),
    DeliveryState.SENT: ("sent", "Handed over; whether it arrived is not reported"),
    DeliveryState.DELIVERED: ("sent", "Arrived"),
    DeliveryState.FAILED: ("failed", "Failed"),
    DeliveryState.UNKNOWN: ("failed", "Given up; it may have arrived all the same"),
    DeliveryState.CANCELLED: ("failed", "Taken back"),
}


@dataclass(frozen=True, slots=True)
class ExchangeView:
    """One request and the answer to it. `status` is None when there was no answer."""

    title: str
    headers: Mapping[str, str]
    body: str
    body_is_cut: bool
    status: int | None
    answer: str
    answer_is_cut: bool
    took_ms: int | None


@dataclass(frozen=True, slots=True)
class TestLine:
    """What became of one message of a test page. `again_at` is when it is tried again after a failure."""

    id: str
    method_name: str
    state: str
    words: str
    again_at: datetime | None
    exchange: ExchangeView | None


@dataclass(frozen=True, slots=True)
class TestPage:
    """The latest test page. `look_again` is in how many seconds it is worth to look once more; None when it is over."""

    at: datetime
    lines: list[TestLine]
    look_again: int | None


def label_of(context: Context, kind: str) -> str:
    """Return the name of a channel, also of one that is not set up any more."""
    channel = context.channels.get(kind)
    return channel.label if channel is not None else kind.capitalize()


def own_name(context: Context, method: ContactMethod) -> str:
    """Return what its person calls a contact method; "" when they have given it no name."""
    return "" if method.name in (label_of(context, method.kind), method.address) else method.name


def called(context: Context, method: ContactMethod, *, with_address: bool = True) -> str:
    """Say which contact method it is: `Webhook, Ops room` by its own name, else `E-mail, ada@example.org`."""
    label, name = label_of(context, method.kind), own_name(context, method)
    if name:
        return f"{label}, {name}"
    return f"{label}, {method.address}" if with_address else label


def read_test(context: Context, sent: Sequence[Delivery], methods: Iterable[ContactMethod]) -> TestPage | None:
    """Put the messages of one test page into words; they are named as their contact methods are by now."""
    if not sent:
        return None
    names = {method.id: called(context, method) for method in methods}
    lines = [_line(context, delivery, names) for delivery in sent]
    states = {line.state for line in lines}
    look_again = 1 if "waiting" in states else 5 if "again" in states else None
    return TestPage(sent[0].created_at, lines, look_again)


def _line(context: Context, delivery: Delivery, names: Mapping[UUID, str]) -> TestLine:
    state, words = _SENT[delivery.state]
    again_at = None
    gone = f"{label_of(context, delivery.channel)} {delivery.address}"
    if delivery.state == DeliveryState.QUEUED and delivery.last_error:
        state, again_at = "again", delivery.due_at
    elif state == "sent" and delivery.detail:
        words = f"{words}. {delivery.detail}"
    return TestLine(
        id=DELIVERY_ID.write(delivery.id),
        method_name=names.get(delivery.contact_method_id, gone) if delivery.contact_method_id else gone,
        state=state,
        words=delivery.last_error or words,
        again_at=again_at,
        exchange=_exchange(delivery.exchange) if delivery.exchange is not None else None,
    )


def _exchange(kept: JsonObject) -> ExchangeView:
    return ExchangeView(
        title=f"{kept['method']} {kept['origin']}",
        headers=kept["headers"],
        body=readable(kept["body"]),
        body_is_cut=kept["body_is_cut"],
        status=kept["status"],
        answer=kept["answer"] or "",
        answer_is_cut=kept["answer_is_cut"],
        took_ms=kept["took_ms"],
    )


def readable(body: str) -> str:
    """Spread JSON over lines; anything else stays as it is."""
    if not body.startswith(("{", "[")) or "\n" in body.strip():
        return body
    try:
        return msgspec.json.format(body.encode("utf-8", "replace"), indent=2).decode()
    except msgspec.DecodeError:
        return body
