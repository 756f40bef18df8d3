"""Use cases of news: noting that something has changed, telling people in one message, and what they wish to be told.

The domains above say who follows a subject (`note`) and how it stands (a `Reader`); this is all that they need to know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import Change, yes_or_no
from tocsin.events.configuration import ConfigurationChanged
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.identity.permission import must_manage
from tocsin.jobs import queue
from tocsin.jobs.kinds import JobKind, Payload
from tocsin.jobs.queue import NewJob
from tocsin.kit.errors import Invalid
from tocsin.notifications import news, queries
from tocsin.notifications.model import DeliveryKind, NewsItem, NewsPreference, Planned, SubjectKind, Tell
from tocsin.notifications.news import WINDOW, Reached, Subject, Wish
from tocsin.notifications.service import cancel_news, queue_rows, row_of


class ToTell(Payload, frozen=True):
    """Whom there is news for."""

    user_id: UUID


TELL = JobKind("notifications.tell", ToTell, lane="bulk")

# How an alert or incident stands now; None when there is nothing to say of it.
Reader = Callable[[Tx, UUID], Awaitable[Subject | None]]


async def note(tx: Tx, kind: SubjectKind, subject_id: UUID, *, round: int, user_ids: Collection[UUID]) -> None:
    """Note that a subject has changed for those who follow it: soon each of them is told how it stands then.

    What has not gone out of earlier news about it is taken back, because it may not be true any more. May be called
    again: what somebody knows already is not told again.
    """
    await queries.let_news_wait(tx, kind, subject_id, round=round, user_ids=sorted(user_ids))
    # Behind the lock of the rows above: a message that was being queued is seen by now.
    told_again = await _take_back(tx, await queries.messages_about(tx, kind, subject_id))
    await queue.enqueue(tx, *(_tell_later(tx, id) for id in sorted({*user_ids, *told_again})))


async def take_back_if_untrue(tx: Tx, readers: Mapping[SubjectKind, Reader], delivery_id: UUID) -> bool:
    """Take back a message that is about to be sent when something in it is no longer so, or has been said since.

    Returns False, and has done nothing, while somebody is changing what is in it.

    A change takes messages back itself (`note`), but its reaction may run later than the next attempt. So is one whose
    contact method was removed: it is told in another way.
    """
    items = await queries.lock_news_in(tx, delivery_id)
    if items is None:
        return False
    leads_nowhere = (await queries.delivery(tx, delivery_id)).contact_method_id is None
    for item in items:
        subject = await readers[SubjectKind(item.kind)](tx, item.subject_id)
        if leads_nowhere or subject is None or (subject.round, subject.mark) != (item.round, item.told):
            break
    else:
        if items:
            return True
    await queue.enqueue(tx, *(_tell_later(tx, id) for id in sorted(await _take_back(tx, [delivery_id]))))
    return True


async def _take_back(tx: Tx, delivery_ids: Sequence[UUID]) -> set[UUID]:
    """Take back messages that have not gone out; returns who is to be told anew of all that was in them."""
    gone = await cancel_news(tx, delivery_ids)
    return await queries.let_untold_news_wait(tx, gone) if gone else set()


def _tell_later(tx: Tx, user_id: UUID) -> NewJob:
    # One for each change and not one for each person: what is noted while a job runs must not wait for the next change.
    due = tx.now + WINDOW
    name = queue.subject("news", user_id)
    return TELL.job(ToTell(user_id), due=due, key=name, dedup=f"{name}:{due}")


async def tell_person(tx: Tx, readers: Mapping[SubjectKind, Reader], user_id: UUID) -> datetime | None:
    """Put all that is news to somebody into one message; returns when to come back if it is too early for that."""
    waiting = await queries.lock_waiting_news(tx, user_id)
    first = min((item.waits_since for item in waiting if item.waits_since is not None), default=None)
    if first is None:
        return None
    if first + WINDOW > tx.now:
        return first + WINDOW
    person = await identity.user(tx, user_id)
    wish = wish_of(await queries.news_preference(tx, user_id))
    told: list[tuple[NewsItem, Subject]] = []
    reached: list[Reached] = []
    for item in waiting:
        item.waits_since = None
        subject = await readers[SubjectKind(item.kind)](tx, item.subject_id)
        # After a reopening nothing of an earlier round is told, nor to whom it was paged then.
        if subject is None or subject.round != item.round or not person.is_active:
            continue
        pages = await queries.pages_that_reached(tx, user_id, subject)
        verdict = news.judge(subject, pages, item.told, wish, user_id=user_id, now=tx.now)
        if verdict.is_told:
            told.append((item, subject))
            reached += pages
        else:
            _knows(item, verdict.known)
    await _send(tx, user_id, told, reached, wish)
    await tx.session.flush()
    return None


def _knows(item: NewsItem, known: str | None) -> None:
    """Note what the person knows without a message. One that tells the same, and may be taken back, stays noted."""
    if known != item.told:
        item.told = item.told_before = known
        item.delivery_id = None


async def _send(
    tx: Tx, user_id: UUID, told: Sequence[tuple[NewsItem, Subject]], reached: Sequence[Reached], wish: Wish
) -> None:
    methods, _ = await queries.ways_to_reach(tx, [user_id] if told else [])
    used = {page.method_id for page in reached}
    method = news.choose(methods.get(user_id, ()), used, wish, await queries.failing_methods(tx) if told else ())
    if method is None:
        return
    said = news.bundle([subject for _, subject in told])
    content = news.content_of(said, reached)
    row = row_of(tx, Planned(method, timedelta()), kind=DeliveryKind.NEWS, content=content, user_id=user_id)
    if len(said) == 1:
        row["alert_id" if said[0].kind is SubjectKind.ALERT else "incident_id"] = said[0].id
    await queue_rows(tx, [row])
    for item, subject in told:
        item.told_before, item.told, item.delivery_id = item.told, subject.mark, row["id"]


def wish_of(preference: NewsPreference | None) -> Wish:
    """Return what somebody wants to be told; everything of what was urgent, where they have not said."""
    if preference is None:
        return Wish()
    return Wish(Tell(preference.tell), preference.low_urgency, preference.contact_method_id)


async def set_preference(tx: Tx, who: Actor, *, user_id: UUID, wish: Wish) -> Wish:
    """Say what a person wants to be told, and where. What is under way keeps to what was wished before.

    Raises `Conflict` when their account is off, as nothing is told then.
    """
    must_manage(who, user_id)
    await identity.lock_active_user(tx, user_id)
    methods = {method.id: method.name for method in await queries.contact_methods(tx, user_id)}
    if wish.method_id is not None and wish.method_id not in methods:
        raise Invalid("contact_method_id", "Choose one of this person's contact methods.", code="unknown")
    preference = await queries.news_preference(tx, user_id)
    before = wish_of(preference)
    if wish == before:
        return wish
    if preference is None:
        preference = NewsPreference(user_id=user_id)
        tx.session.add(preference)
    preference.tell, preference.low_urgency, preference.contact_method_id = wish.tell, wish.low_urgency, wish.method_id
    await tx.session.flush()
    changes = _changes(before, wish, methods)
    await emit(
        tx, ConfigurationChanged(actor=who.ref, kind="news_preference", id=user_id, title="news", changes=changes)
    )
    return wish


def _changes(before: Wish, after: Wish, methods: Mapping[UUID, str]) -> list[Change]:
    pairs = [
        ("tell", before.tell.value, after.tell.value),
        ("low_urgency", yes_or_no(before.low_urgency), yes_or_no(after.low_urgency)),
        ("contact_method", methods.get(before.method_id or UUID(int=0)), methods.get(after.method_id or UUID(int=0))),
    ]
    return [Change(field=field, old=old, new=new) for field, old, new in pairs if old != new]
