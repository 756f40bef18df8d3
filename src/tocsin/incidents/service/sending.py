"""News that leave the inbox of a person: several changes as one message, by mail, by webhook or as a digest.

What was read meanwhile, or may be seen no more, is not sent; and what waits to be sent is taken back when something in
it may be seen no more by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity.access_queries import access
from tocsin.incidents import inbox_queries, inbox_words, queries
from tocsin.incidents.following import Way
from tocsin.incidents.inbox_words import News
from tocsin.incidents.service.following import send_later
from tocsin.jobs import queue
from tocsin.kit.clock import zone
from tocsin.kit.text import one_line
from tocsin.notifications import queries as contact
from tocsin.notifications.model import WEBHOOK, DeliveryKind, Method, Planned
from tocsin.notifications.service import cancel_news, queue_rows, row_of

# How much of it one message says.
_MOST_LINES = 50
_TITLE = 120
_CALLED: Mapping[Way, str] = {
    Way.EMAIL: "News",
    Way.WEBHOOK: "News",
    Way.HOURLY: "Hourly digest",
    Way.DAILY: "Daily digest",
}


async def send_news(tx: Tx, user_id: UUID, way: Way) -> datetime | None:
    """Put all that waits to leave a person's inbox in this way into one message; returns when to come back if early.

    What has been sent is marked in the same transaction, so whoever does it again finds nothing left. Without a contact
    method of that kind it stays in the inbox.
    """
    rows = await inbox_queries.lock_to_send(tx, user_id, [way])
    first = min((row.send_at for row in rows if row.send_at is not None), default=None)
    if first is None or first > tx.now:
        return first
    person = await identity.user(tx, user_id)
    theirs = await access(tx, user_id)
    seen = await queries.by_id(tx, theirs, {row.incident_id for row in rows}) if person.is_active else {}
    fresh = [(row, seen[row.incident_id]) for row in rows if row.incident_id in seen and row.read_at is None]
    told = await inbox_words.told(tx, theirs, fresh, zone(person.time_zone))
    method = await _method(tx, user_id, way) if told else None
    for row in rows:
        row.send_at = None
    if method is not None:
        content = content_of(told, way)
        delivery = row_of(tx, Planned(method, timedelta()), kind=DeliveryKind.NEWS, content=content, user_id=user_id)
        about = {each.incident.id for each in told}
        delivery["incident_id"] = about.pop() if len(about) == 1 else None
        await queue_rows(tx, [delivery])
        for each in told:
            each.entry.delivery_id = delivery["id"]
    await tx.session.flush()
    return None


async def _method(tx: Tx, user_id: UUID, way: Way) -> Method | None:
    """Return the contact method by which it goes: the first of its kind, one that works before one that fails."""
    kind = WEBHOOK if way is Way.WEBHOOK else "email"
    methods, _ = await contact.ways_to_reach(tx, [user_id])
    failing = await contact.failing_methods(tx)
    of_kind = [method for method in methods.get(user_id, ()) if method.kind == kind]
    return min(of_kind, key=lambda method: method.id in failing, default=None)


async def is_of_inbox(tx: Tx, delivery_id: UUID) -> bool:
    """Say whether a message that is about to be sent tells what is in an inbox.

    It is taken back if its person may not see all of that any more; what they still may see is sent by another one.
    """
    about = await inbox_queries.incidents_in(tx, delivery_id)
    if not about:
        return False
    user_id = (await contact.delivery(tx, delivery_id)).recipient_id
    is_seen = (await queries.by_id(tx, await access(tx, user_id), about)).keys() == about
    if not is_seen and await cancel_news(tx, [delivery_id]):
        again = await inbox_queries.send_anew(tx, delivery_id)
        await queue.enqueue(tx, *(send_later(id, way, tx.now) for id, way in sorted(again)))
    return True


def content_of(told: Sequence[News], way: Way) -> dict[str, Any]:
    """Write what a message of these news says, in the fields that a page has; `told` is not empty, the oldest first."""
    incidents = {each.incident.id: each.incident for each in told}
    is_one = len(incidents) == 1
    first = told[0].incident
    changes = sum(each.entry.count for each in told)
    lines: list[str] = []
    for incident in incidents.values():
        lines += [] if is_one else [f"{incident.reference} {one_line(incident.title, _TITLE)}"]
        lines += [_line(each) for each in told if each.incident.id == incident.id]
    left_out = len(lines) - _MOST_LINES
    called = f"{first.reference} “{one_line(first.title, _TITLE)}”"
    if way in (Way.HOURLY, Way.DAILY) or not is_one:
        title = f"{_CALLED[way]}: {_number(changes, 'change')} of {called if is_one else f'{len(incidents)} incidents'}"
    else:
        title = f"{called}: {told[0].text}" if len(told) == 1 else f"{called}: {_number(changes, 'change')}"
    return {
        "title": title,
        "body": "\n".join([*lines[:_MOST_LINES], *([f"And {left_out} more lines."] if left_out > 0 else [])]),
        "severity": min(incident.severity for incident in incidents.values()),
        "urgency": "low",
        "source": "Tocsin",
        "labels": {},
        "reason": "You follow it; what you are told is up to you, under Settings, Notifications"
        if is_one
        else "You follow them; what you are told is up to you, under Settings, Notifications",
        "status": first.status if is_one else "",
        "about": "",
        "incident_number": first.reference if is_one else "",
        "threads": [{"kind": "incident", "id": str(id)} for id in list(incidents)[:1]] if is_one else [],
    }


def _line(each: News) -> str:
    more = f" (and {each.entry.count - 1} more)" if each.entry.count > 1 else ""
    return f"- {each.text}{f': {each.detail}' if each.detail else ''}{more}"


def _number(number: int, what: str) -> str:
    return f"one {what}" if number == 1 else f"{number} {what}s"
