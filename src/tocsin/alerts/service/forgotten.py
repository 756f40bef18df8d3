"""What nobody looks after any more: acknowledged alerts without progress, and open ones that their source never ends.

Also what its source did end, by a resolve that missed it.

Progress is whatever a person does to the alert or to the incident that it is in, a comment included. All of it is
found by looking, so a late or a second look changes nothing that has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from tocsin.alerts import queries
from tocsin.alerts.model import Alert
from tocsin.alerts.service.by_hand import end, give_back
from tocsin.alerts.service.lateness import close_missed
from tocsin.alerts.service.wording import page_words
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertReminded
from tocsin.events.facts import CannotSignIn, NothingSince, ReminderFollows, SourceSilent
from tocsin.events.log import emit
from tocsin.events.reasons import hours as spelled_hours
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor, User
from tocsin.notifications.model import Urgency
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageContent
from tocsin.oncall.model import RunState

# One look changes at most so many alerts of each kind, so that its locks are short.
PORTION = 50
_TOCSIN = Actor.system("Tocsin")


async def look_after(tx: Tx) -> int:
    """Close what is over or stale, give back and remind of what is forgotten, a portion of each; returns how many."""
    missed = await close_missed(tx, limit=PORTION)
    return missed + await _close_stale(tx) + await _give_back(tx) + await _remind(tx)


async def _close_stale(tx: Tx) -> int:
    stale = await queries.lock_stale(tx, limit=PORTION)
    for alert, source_name, hours in stale:
        await end(tx, _TOCSIN, [alert], why=SourceSilent(source_name, hours))
    return len(stale)


async def _give_back(tx: Tx) -> int:
    organisation = await identity.organisation(tx)
    hours = organisation.give_back_after_hours if organisation else None
    if hours is None:
        return 0
    forgotten = await queries.lock_forgotten(tx, since=tx.now - timedelta(hours=hours), limit=PORTION)
    for alert in forgotten:
        await give_back(tx, _TOCSIN, alert, why=_nothing_since(alert, hours))
    return len(forgotten)


async def _remind(tx: Tx) -> int:
    organisation = await identity.organisation(tx)
    hours = organisation.remind_after_hours if organisation else None
    if hours is None:
        return 0
    forgotten = await queries.lock_forgotten(tx, since=tx.now - timedelta(hours=hours), limit=PORTION, remind=True)
    people = await identity.users_by_id(tx, _owners(forgotten))
    sources = await queries.source_names(tx, {alert.source_id for alert in forgotten})
    for alert in forgotten:
        owner = people.get(alert.acknowledged_by_id) if alert.acknowledged_by_id is not None else None
        if owner is None or not owner.is_active:
            await give_back(tx, _TOCSIN, alert, why=CannotSignIn(alert.acknowledged_by or "Somebody"))
        else:
            await _remind_owner(tx, alert, owner, sources[alert.source_id][0], hours)
    return len(forgotten)


def _owners(alerts: Sequence[Alert]) -> list[UUID]:
    return [alert.acknowledged_by_id for alert in alerts if alert.acknowledged_by_id is not None]


async def _remind_owner(tx: Tx, alert: Alert, owner: User, source_name: str, hours: int) -> None:
    """Ask the owner whether they are still on it: a page to them alone, which does not climb."""
    await oncall.end_runs(tx, alert_ids=[alert.id], state=RunState.CANCELLED, why=ReminderFollows())
    alert.reminded_at = tx.now
    why = _nothing_since(alert, hours)
    about: dict[str, Any] = {"alert_id": alert.id, "incident_id": alert.incident_id}
    await emit(tx, AlertReminded(actor=_TOCSIN.ref, **about, user_id=owner.id, user_name=owner.name, why=why))
    words = page_words(alert)
    content = PageContent(
        title=words.title,
        body=words.body,
        severity=words.severity,
        urgency=Urgency.LOW,
        source=source_name,
        labels=words.labels,
        # Whoever reads it: when it reaches nobody, the fallback is asked with the same words.
        request=f"A reminder: {why.who} acknowledged this, and nothing has happened for {spelled_hours(hours)}.",
    )
    start = oncall.Start(
        content=content,
        why=why,
        alert_id=alert.id,
        linked_incident_id=alert.incident_id,
        user_id=owner.id,
    )
    await oncall.start(tx, [start])


def _nothing_since(alert: Alert, hours: int) -> NothingSince:
    return NothingSince(alert.acknowledged_by or "Somebody", hours)
