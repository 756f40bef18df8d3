"""A signal as the API writes it."""

from __future__ import annotations

from uuid import UUID

import msgspec

from tocsin.alerts.model import ALERT_ID, SIGNAL_ID, SOURCE_ID, RawSignal
from tocsin.api.base.http import (
    Time,
)
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


def write_signal(signal: RawSignal, effects: list[tuple[UUID, str]]) -> SignalOut:
    """Write a signal with the alerts that it touched."""
    return SignalOut(
        id=SIGNAL_ID.write(signal.id),
        source_id=SOURCE_ID.write(signal.source_id),
        received_at=stamp(signal.received_at),
        content_type=signal.content_type,
        outcome=signal.outcome,
        detail=signal.detail,
        body=storable(signal.body.decode("utf-8", "replace")),
        alerts=[AlertTouched(ALERT_ID.write(alert_id), effect) for alert_id, effect in effects],
    )
