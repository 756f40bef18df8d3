"""What an alert says by now, and bringing what goes out about it up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from tocsin.alerts import queries
from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.events import vocabulary
from tocsin.events.alerts import AlertUpdated
from tocsin.events.base import ActorRef, Change
from tocsin.kit.text import truncate
from tocsin.oncall import service as oncall

# How much of an alert goes into a page; the rest stands behind its link.
_PAGE_BODY = 2000
_PAGE_LABELS = 20


def page_words(alert: Alert | queries.Unrouted | queries.Said) -> oncall.PageWords:
    """Return what a page says of an alert, short enough for a message."""
    return oncall.PageWords(
        title=alert.title,
        body=truncate(alert.description, _PAGE_BODY),
        severity=alert.severity,
        labels=dict(list(alert.labels.items())[:_PAGE_LABELS]),
    )


async def reword_pages(tx: Tx, alert_ids: Sequence[UUID]) -> None:
    """Let whatever still goes out about these alerts say what they say now. The caller holds the alerts."""
    if alert_ids:
        known = await queries.worded(tx, alert_ids)
        await oncall.reword(tx, {id: page_words(alert) for id, alert in known.items()})


class _Named(Protocol):
    @property
    def id(self) -> UUID: ...
    @property
    def name(self) -> str: ...


def updated(
    alert_id: UUID, incident_id: UUID | None, source: _Named, was: Mapping[str, Any], now: Mapping[str, Any]
) -> list[AlertUpdated]:
    """Tell what is new in title, severity and urgency; all else stands in the signals and is no event."""
    told = [
        Change("title", was["title"], now["title"]),
        Change("severity", vocabulary.severity(was["severity"]), vocabulary.severity(now["severity"])),
        Change("native_severity", was["native_severity"], now["native_severity"]),
        Change("urgency", was["urgency"], now["urgency"]),
    ]
    changes = [change for change in told if change.old != change.new]
    actor = ActorRef(kind="source", name=source.name, id=source.id)
    return [AlertUpdated(actor=actor, alert_id=alert_id, incident_id=incident_id, changes=changes)] if changes else []
