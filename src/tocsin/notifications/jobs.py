"""Sending: one job per delivery. Read and mark, call out with no transaction open, record.

A delivery that is found in `sending` was in the hands of a worker that died. Whether it went out is unknown, so it
goes out again, marked as a possible duplicate, but not before the dead worker's call must have ended. Until then that
worker may turn out to live, and what it has to say of its call counts, even though its job has been taken from it: the
fence is the delivery's own attempt. How a call went is written down in `outcomes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from tocsin.db.engine import Database, Tx
from tocsin.db.errors import STORE_ERRORS, sqlstate
from tocsin.events import vocabulary
from tocsin.identity import service as identity
from tocsin.jobs import queue
from tocsin.jobs.clockwatch import Waits
from tocsin.jobs.kinds import by_hand, in_one
from tocsin.jobs.queue import Job
from tocsin.kit.addresses import at
from tocsin.kit.clock import monotonic
from tocsin.kit.crypto import KeyRing
from tocsin.kit.errors import OutsideFailure, Patience, Refused, Transient
from tocsin.kit.ids import ids_of
from tocsin.kit.text import clean, storable
from tocsin.notifications import sending_queries
from tocsin.notifications.channels.base import Channel, PageMessage, Receipt, Trace
from tocsin.notifications.model import DELIVERY_ID, SubjectKind, read_shape
from tocsin.notifications.origins import Origins, origin_in, origin_of
from tocsin.notifications.outcomes import emit_failure, failed, set_aside, succeeded, wake
from tocsin.notifications.reminding import SEND_REMINDER, Still, ToRemind, take_back_if_done
from tocsin.notifications.sending_queries import Started
from tocsin.notifications.service import NEWS_LANE, SEND, ToSend
from tocsin.notifications.telling import TELL, Reader, ToTell, take_back_if_untrue, tell_person

log = structlog.stdlib.get_logger(__name__)

ACK_PURPOSE = "ack"
# So much longer than a call may last a message is left alone, so that two workers never have it in their hands.
UNSURE_FOR = timedelta(seconds=5)
# A message whose senders die again and again may have arrived each time; after this many somebody else is asked.
MOST_LOST = 9
# How long the outcome of a call is kept in memory while the store is away. After that the job's retry sends again.
RECORD_WITHIN = 300.0
_AGAIN_AFTER = 0.5
# SQLSTATE classes of what passes: connection, transaction state, rollback, resources, intervention, system, internal.
_PASSING = ("08", "25", "40", "53", "57", "58", "XX")


# Says whether a message tells what is in an inbox, and takes it back if its person may not see all of that any more.
OfInbox = Callable[[Tx, UUID], Awaitable[bool]]


async def _of_no_inbox(_tx: Tx, _delivery_id: UUID) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Sender:
    """What sending needs to know: where links lead, how they are signed, and the channels there are."""

    db: Database
    channels: Mapping[str, Channel]
    base_url: str
    link_valid_for: timedelta
    measure: Callable[[str, str], None] = lambda _channel, _result: None
    origins: Origins = field(default_factory=Origins)
    readers: Mapping[SubjectKind, Reader] = field(default_factory=dict[SubjectKind, Reader])
    is_of_inbox: OfInbox = _of_no_inbox
    still: Mapping[str, Still] = field(default_factory=dict[str, Still])


_SWITCHED_OFF = "The account was switched off before it was sent."
_REMOVED = "The contact method was removed before it was sent."
_NOBODY_KNOWS = "The process that sent it ended before the outcome was written down, and it is not sent again."


async def send(job: Job, message: ToSend, sender: Sender) -> None:
    """Send one message, put it aside while its origin leaves calls unanswered, or find that it is no longer wanted."""
    if job.lane == NEWS_LANE:
        await _send_news(sender, job, message.delivery_id, partial(_is_news, sender, message.delivery_id))
        return
    origin = origin_in(job.shares)
    if (wait := sender.origins.wait(origin, job.claimed_at)) is not None:
        async with sender.db.begin_hot() as tx:
            await queue.postpone(tx, job, tx.now + wait)
        await set_aside(sender.db, origin, wait)
        return
    is_called = False
    try:
        begun = await _begin(sender, message.delivery_id)
        if begun is None:
            await _leave(sender, job, message.delivery_id)
            return
        is_called = True
        await _send(sender, job, *begun)
    finally:
        if not is_called:
            sender.origins.not_called(origin)


_NO_NEWS = "It could not be sent while it was news, or its person is not to get any more."
_NEWS_WAIT = timedelta(seconds=30)
# Until whoever changes what is in a message has done so.
_NEWS_CHANGE = timedelta(seconds=1)


async def send_reminder(job: Job, reminder: ToRemind, sender: Sender) -> None:
    """Send one reminder as news are sent, unless it is not so any more."""
    await _send_news(sender, job, reminder.delivery_id, partial(_is_to_be_reminded, sender, reminder))


async def _is_news(sender: Sender, id: UUID, tx: Tx) -> bool:
    return await sender.is_of_inbox(tx, id) or await take_back_if_untrue(tx, sender.readers, id)


async def _is_to_be_reminded(sender: Sender, reminder: ToRemind, tx: Tx) -> bool:
    await take_back_if_done(tx, sender.still, reminder)
    return True


async def _send_news(sender: Sender, job: Job, id: UUID, look: Callable[[Tx], Awaitable[bool]]) -> None:
    """Send one message of news. It never is the probe of an origin in trouble, nor evidence for or against one.

    `look` takes back what is not true any more; it says False while that cannot be seen.
    """
    where = await sending_queries.where_to(sender.db, id)
    if not await sending_queries.drop_news(sender.db, id, _NO_NEWS) and where is not None:
        if sender.origins.is_probed_only(origin_of(*where)):
            async with sender.db.begin_hot() as tx:
                await queue.postpone(tx, job, tx.now + _NEWS_WAIT)
            return
        async with sender.db.begin() as tx:
            if not await look(tx):
                await queue.postpone(tx, job, tx.now + _NEWS_CHANGE)
                return
        if begun := await _begin(sender, id):
            await _call_and_record(sender, job, begun[0])
            return
    await _leave(sender, job, id)


async def _call_and_record(sender: Sender, job: Job, started: Started) -> None:
    began = monotonic()
    try:
        receipt = await _call(sender, started, None)
    except OutsideFailure as failure:
        outcome = failure
        await _record(lambda: failed(sender.db, sender.measure, job, started, outcome))
    else:
        took = _since(began)
        await _record(lambda: succeeded(sender.db, sender.measure, job, started, receipt, took))


async def _send(sender: Sender, job: Job, started: Started, keys: KeyRing) -> None:
    origin, began = origin_of(started.channel, started.address), monotonic()
    trace = Trace() if started.kind == "test" else None
    try:
        receipt = await _call(sender, started, trace, keys)
    except OutsideFailure as failure:
        outcome = failure
        found = sender.origins.failed(origin, failure, job.claimed_at + _since(began))
        await _keep_exchange(sender.db, started, trace)
        await _record(lambda: failed(sender.db, sender.measure, job, started, outcome))
    else:
        took = _since(began)
        found = sender.origins.answered(origin, job.claimed_at + took)
        await _keep_exchange(sender.db, started, trace)
        await _record(lambda: succeeded(sender.db, sender.measure, job, started, receipt, took))
    if found.pause is not None:
        log.warning("origin.does_not_answer", origin=origin, again_in=found.pause.total_seconds())
        await set_aside(sender.db, origin, found.pause)
    elif found.is_back:
        await wake(sender.db, origin)


def _since(began: float) -> timedelta:
    return timedelta(seconds=monotonic() - began)


async def _record(write: Callable[[], Awaitable[None]]) -> None:
    """Write down how a call went; while the store is away, again and again: to forget it would be to send it twice.

    A commit whose answer was lost is found by the fence: the delivery is no longer `sending` by then.
    """
    until = monotonic() + RECORD_WITHIN
    while True:
        try:
            return await write()
        except STORE_ERRORS as error:
            if not _passes(error) or monotonic() > until:
                raise
            log.warning("page.outcome_waits_for_store", error=type(error).__name__)
            await asyncio.sleep(_AGAIN_AFTER)


def _passes(error: BaseException) -> bool:
    state = sqlstate(error)
    return not state or state.startswith(_PASSING)


async def _begin(sender: Sender, id: UUID) -> tuple[Started, KeyRing] | None:
    """Say that a message is on its way; returns it with the keys of links as they are at that moment."""
    begun = await sending_queries.begin_call(sender.db, id, unsure_for=UNSURE_FOR, most_lost=MOST_LOST)
    return (begun[0], identity.link_keys_in(begun[1], sender.link_valid_for)) if begun else None


async def _leave(sender: Sender, job: Job, id: UUID) -> None:
    """End the job of a delivery that is at its end, or look again when another worker may still be sending it.

    When its person has been switched off, its contact method removed, or its sender has died and nobody needs it any
    more, or it was tried often enough, this is its end.
    """
    async with sender.db.begin_hot() as tx:
        ended = await sending_queries.end_unsent(
            tx, id, switched_off=_SWITCHED_OFF, removed=_REMOVED, lost=_NOBODY_KNOWS, most_lost=MOST_LOST
        )
        if ended:
            await emit_failure(tx, ended.started, ended.error)
        if (until := await sending_queries.unsure_until(tx, id)) is not None:
            await queue.postpone(tx, job, until + timedelta(milliseconds=50))
        else:
            await queue.finish(tx, job)
    if ended:
        sender.measure(ended.started.channel, ended.state)


async def _keep_exchange(db: Database, started: Started, trace: Trace | None) -> None:
    """Write down what a test page sent and heard, before its outcome, so that both are seen together.

    It is only something to look at: what is in the way of it must not be in the way of the outcome.
    """
    exchange = trace.written() if trace is not None else None
    if exchange is None:
        return
    try:
        await sending_queries.keep_exchange(db, started, exchange)
    except STORE_ERRORS as error:
        log.warning("page.exchange_not_kept", error=type(error).__name__)


async def _call(sender: Sender, started: Started, trace: Trace | None, keys: KeyRing | None = None) -> Receipt:
    channel = sender.channels.get(started.channel)
    if channel is None:
        # Not at once: another process may have it, and another way is tried meanwhile in any case.
        raise Refused(f"The channel “{started.channel}” is not set up on this installation.", patience=Patience.SHORT)
    within = (started.unsure_until - started.sending_at - UNSURE_FOR).total_seconds()
    try:
        async with asyncio.timeout(within):
            receipt = await channel.send(started.address, message_of(sender, started, trace, keys), within=within)
    except TimeoutError:
        raise Transient(f"No answer within {within:.0f} seconds.", may_have_arrived=True) from None
    except OutsideFailure:
        raise
    except Exception as error:
        log.exception("channel.broken", channel=started.channel)
        raise Transient(f"The channel failed: {type(error).__name__}.", may_have_arrived=True) from error
    # An outcome that cannot be stored would be a message that is sent again.
    provider_id = storable(receipt.provider_id) if receipt.provider_id else None
    return replace(receipt, detail=storable(receipt.detail), provider_id=provider_id)


def message_of(sender: Sender, started: Started, trace: Trace | None, keys: KeyRing | None) -> PageMessage:
    """Say what the page, the test or the news say, in texts that read as they look; `keys` sign the link of a page."""
    content = started.content
    reference = content.get("incident_number") or None
    if content.get("place"):
        path = content["place"]
    elif started.incident_id is not None and reference:
        path = ids_of("incident").page(reference)
    else:
        path = ids_of("alert").page(started.alert_id) if started.alert_id else "/"
    acknowledge = None
    if started.kind == "page" and keys is not None:
        token = keys.sign_id(ACK_PURPOSE, started.id, started.sending_at + sender.link_valid_for)
        acknowledge = at(sender.base_url, f"/p/{token}")
    return PageMessage(
        delivery_id=DELIVERY_ID.write(started.id),
        kind=started.kind,
        title=clean(content["title"]),
        body=clean(content["body"]),
        severity=vocabulary.severity(content["severity"]),
        urgency=content["urgency"],
        status=content.get("status", "triggered"),
        alert_id=ids_of("alert").write(started.alert_id) if started.alert_id else None,
        incident_id=ids_of("incident").write(started.incident_id) if started.incident_id else None,
        incident_number=reference,
        url=at(sender.base_url, path),
        acknowledge_url=acknowledge,
        reason=clean(content["reason"]),
        source=clean(content["source"]),
        labels={clean(name): clean(value) for name, value in content["labels"].items()},
        attempt=started.attempt,
        possible_duplicate=started.possible_duplicate,
        minutes_late=_minutes_late(started),
        about=clean(content.get("about", "")),
        threads=[ids_of(named["kind"]).write(UUID(named["id"])) for named in content.get("threads", ())],
        sent_at=started.sending_at,
        recipient_name=started.user_name,
        shape=read_shape(started.shape),
        trace=trace,
    )


def _minutes_late(started: Started) -> int:
    """Say how late a page is, in whole minutes; a minute or less is in time."""
    late = (started.sending_at - started.wanted_at) // timedelta(minutes=1)
    return late if late > 1 else 0


async def tell(tx: Tx, who: ToTell, sender: Sender) -> datetime | None:
    """Tell one person what is news to them. Changes nothing outside its transaction, so it may run again."""
    return await tell_person(tx, sender.readers, who.user_id)


JOBS = (
    by_hand(SEND, send, needs=Sender),
    by_hand(SEND_REMINDER, send_reminder, needs=Sender),
    in_one(TELL, tell, needs=Sender),
)
WAITS = (
    Waits(
        "delivery",
        ("wanted_at", "due_at", "sending_at", "unsure_until", "refused_since"),
        "state IN ('queued', 'sending')",
    ),
    Waits("news_item", ("waits_since",), "waits_since IS NOT NULL"),
    Waits("contact_method_health", ("failing_since", "last_failed_at")),
)
