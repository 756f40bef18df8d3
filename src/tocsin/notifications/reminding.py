"""Reminding somebody of something: one quiet message, by the way in which they are told news, and never a page.

The domain above says whom, of what and in which words, and whether it is still so when the message goes out (`Still`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from tocsin.db.bulk import insert_rows
from tocsin.db.engine import Tx
from tocsin.jobs import queue
from tocsin.jobs.kinds import JobKind, Payload, soon
from tocsin.notifications import news, queries
from tocsin.notifications.model import Delivery, DeliveryKind, Planned
from tocsin.notifications.origins import shares_of
from tocsin.notifications.service import NEWS_LANE, cancel_news, row_of
from tocsin.notifications.telling import wish_of


class ToRemind(Payload, frozen=True):
    """The delivery that is to be sent, of what it reminds whom, and by which word one knows that it is still so."""

    delivery_id: UUID
    kind: str
    subject_id: UUID
    user_id: UUID
    mark: str


# A job of its own and not that of news: a worker of a version that knows no reminders leaves it to one that does.
SEND_REMINDER = JobKind(
    "notifications.send_reminder", ToRemind, lane=NEWS_LANE, retry_after=soon, max_attempts=1_000_000
)

# What this person is to be reminded of about a subject now, by its words; nothing when there is nothing any more.
Still = Callable[[Tx, UUID, UUID], Awaitable[Collection[str]]]


async def remind(
    tx: Tx, user_id: UUID, kind: str, subject_id: UUID, *, mark: str, content: Mapping[str, Any], incident_id: UUID
) -> None:
    """Queue a reminder on the way that the person has chosen for news; whoever cannot be reached gets none."""
    methods, _ = await queries.ways_to_reach(tx, [user_id])
    wish = wish_of(await queries.news_preference(tx, user_id))
    method = news.choose(methods.get(user_id, ()), (), wish, await queries.failing_methods(tx))
    if method is None:
        return
    row = row_of(tx, Planned(method, timedelta()), kind=DeliveryKind.NEWS, content=content, user_id=user_id)
    row["incident_id"] = incident_id
    await insert_rows(tx, Delivery, [row])
    name = queue.subject("delivery", row["id"])
    shares = shares_of(DeliveryKind.NEWS, channel=method.kind, address=method.address, recipient_id=user_id)
    job = SEND_REMINDER.job(ToRemind(row["id"], kind, subject_id, user_id, mark), key=name, dedup=name, shares=shares)
    await queue.enqueue(tx, job)


async def take_back_if_done(tx: Tx, still: Mapping[str, Still], reminder: ToRemind) -> None:
    """Take a reminder back that is about to be sent when it is not so any more."""
    if reminder.mark not in await still[reminder.kind](tx, reminder.subject_id, reminder.user_id):
        await cancel_news(tx, [reminder.delivery_id])
