"""A signal as the API writes it."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from tocsin.alerts import queries
from tocsin.alerts.model import ALERT_ID, SIGNAL_ID, SOURCE_ID, RawSignal
from tocsin.api.base.http import Time
from tocsin.api.base.resource import Order
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.edge.cursors import read_moment
from tocsin.identity.model import Actor
from tocsin.kit.clock import stamp
from tocsin.kit.text import storable


class AlertTouched(msgspec.Struct):
    """An alert and what a signal did to it."""

    alert_id: str
    effect: str


class SignalOut(msgspec.Struct):
    """One request as it came. `outcome` is accepted, partly_accepted or rejected; `detail` says why."""

    id: str
    source_id: str
    received_at: Time
    content_type: str
    outcome: str
    detail: str
    body: str
    alerts: list[AlertTouched]


LAST_RECEIVED_FIRST = Order(attrgetter("received_at", "id"), read_moment, to="before")


async def write_signals(tx: Tx, _context: Context, _who: Actor, signals: Sequence[RawSignal]) -> list[SignalOut]:
    """Write signals with the alerts that each touched."""
    effects = await queries.effects_of(tx, [signal.id for signal in signals]) if signals else {}
    return [
        SignalOut(
            id=SIGNAL_ID.write(signal.id),
            source_id=SOURCE_ID.write(signal.source_id),
            received_at=stamp(signal.received_at),
            content_type=signal.content_type,
            outcome=signal.outcome,
            detail=signal.detail,
            body=storable(signal.body.decode("utf-8", "replace")),
            alerts=[AlertTouched(ALERT_ID.write(alert_id), effect) for alert_id, effect in effects.get(signal.id, [])],
        )
        for signal in signals
    ]
