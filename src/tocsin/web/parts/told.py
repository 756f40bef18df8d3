"""Who was told of an alert, how they stand, and what became of each message to them, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events import vocabulary
from tocsin.notifications import queries as notifications
from tocsin.notifications.model import Delivery, DeliveryState
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState
from tocsin.oncall.reasons import why_them

# How `ui.responder_state` names what became of a page.
OF_PAGE: Mapping[str, str] = {
    PageState.PAGING: "paging",
    PageState.ACKNOWLEDGED: "acknowledged",
    PageState.DECLINED: "declined",
    PageState.NO_ANSWER: "no_answer",
    PageState.UNREACHABLE: "failed",
    PageState.CANCELLED: "not_needed",
}
_OF_MESSAGE: Mapping[str, str] = {
    DeliveryState.QUEUED: "waits until",
    DeliveryState.SENDING: "is being sent",
    DeliveryState.SENT: "sent",
    DeliveryState.DELIVERED: "arrived",
    DeliveryState.FAILED: "failed",
    DeliveryState.UNKNOWN: "may have arrived",
    DeliveryState.CANCELLED: "was not needed any more",
}
_LAST_MESSAGES = 200


@dataclass(frozen=True, slots=True)
class Message:
    """One message: by what, what became of it and when, and what is wrong with it, if anything."""

    icon: str
    channel: str
    became: str
    at: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class Told:
    """One person who was asked: as of their newest page, whose messages those are."""

    name: str
    since: datetime
    reason: str
    state: str
    took: float | None
    until: datetime | None
    messages: list[Message]


async def told(tx: Tx, alert_id: UUID, runs: Sequence[EscalationRun]) -> list[Told]:
    """Return everybody who was asked about the alert, as of their newest page, in the order of those."""
    newest: dict[UUID, tuple[Page, str]] = {}
    for page, name in await oncall.pages_of(tx, alert_ids=[alert_id]):
        newest.setdefault(page.user_id, (page, name))
    if not newest:
        return []
    ids = [page.id for page, _ in newest.values()]
    found = await notifications.deliveries(tx, page_ids=ids, limit=_LAST_MESSAGES)
    by_id = {run.id: run for run in runs}
    return [
        _told(page, name, by_id[page.run_id], [each for each, _ in reversed(found) if each.page_id == page.id])
        for page, name in reversed(newest.values())
        if page.run_id in by_id
    ]


def _told(page: Page, name: str, run: EscalationRun, messages: Sequence[Delivery]) -> Told:
    state = OF_PAGE[page.state]
    is_waiting = state == "paging" and run.state == RunState.RUNNING
    answered = page.answered_at if state == "acknowledged" else None
    return Told(
        name=name,
        since=page.paged_at,
        reason=why_them(page, run),
        state=state,
        took=(answered - page.paged_at).total_seconds() if answered is not None else None,
        until=run.next_step_at if is_waiting else None,
        messages=[_message(each) for each in messages],
    )


def _message(delivery: Delivery) -> Message:
    word, icon = vocabulary.channel(delivery.channel)
    at = delivery.delivered_at or delivery.sent_at
    if delivery.state == DeliveryState.QUEUED:
        at = delivery.due_at
    return Message(
        icon=icon,
        channel=word or delivery.channel,
        became=_OF_MESSAGE[delivery.state],
        at=at,
        error=delivery.last_error or "" if delivery.state in _TROUBLED else "",
    )


_TROUBLED = (DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.UNKNOWN)
