"""What those who were paged for an alert are told of it: that somebody took it, gave it back, or that it is over."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from tocsin.alerts import queries
from tocsin.alerts.model import AlertStatus
from tocsin.db.engine import Tx
from tocsin.events import log, words
from tocsin.events.alerts import AlertAcknowledged, AlertResolved, AlertUnacknowledged
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import ActorKind
from tocsin.notifications import telling
from tocsin.notifications.model import SubjectKind
from tocsin.notifications.news import Standing, Subject
from tocsin.oncall import queries as oncall_queries

# What brings an alert where it stands: the event that says so, and its words.
_BROUGHT: Mapping[AlertStatus, tuple[Standing, str, str]] = {
    AlertStatus.TRIGGERED: (Standing.OPEN, AlertUnacknowledged.name, "gave it back"),
    AlertStatus.ACKNOWLEDGED: (Standing.TAKEN, AlertAcknowledged.name, "took"),
    AlertStatus.RESOLVED: (Standing.OVER, AlertResolved.name, "resolved"),
}


async def note_news(tx: Tx, alert_id: UUID) -> None:
    """Let everybody who was paged for an alert be told how it stands, as far as that is news to them."""
    paged = await oncall_queries.people_paged_for(tx, [alert_id])
    await telling.note(tx, SubjectKind.ALERT, alert_id, round=0, user_ids=paged)


async def read_news(tx: Tx, alert_id: UUID) -> Subject | None:
    """Say how an alert stands and who brought it there; None while nothing has happened to it."""
    alert = await queries.get(tx, EVERYTHING, alert_id)
    standing, name, how = _BROUGHT[AlertStatus(alert.status)]
    found = await log.newest_first(tx, alert_id=alert_id, names=(name,), limit=1)
    if not found:
        return None
    event = found[0]
    source, _ = (await queries.source_names(tx, [alert.source_id])).get(alert.source_id, ("", ""))
    return Subject(
        kind=SubjectKind.ALERT,
        id=alert.id,
        round=0,
        title=alert.title,
        severity=alert.severity,
        status=alert.status,
        standing=standing,
        how=how,
        by=event.actor_name,
        by_id=event.actor_id,
        by_source=event.actor_kind == ActorKind.SOURCE,
        at=event.at,
        began_at=alert.created_at,
        since=alert.created_at,
        alert_ids=[alert.id],
        incident_id=alert.incident_id,
        source=source,
        labels=alert.labels,
        note=words.reason(event.name, event.data),
    )
