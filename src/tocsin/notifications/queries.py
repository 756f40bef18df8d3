"""Every query about contact methods, personal rules and deliveries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, false, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.db.records import get_record, lock_record
from tocsin.identity.model import User
from tocsin.kit.errors import NotFound
from tocsin.notifications.health import Condition, Known, Reach, condition
from tocsin.notifications.model import (
    REACHED,
    UNDER_WAY,
    ContactMethod,
    ContactMethodHealth,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Method,
    NewsItem,
    NewsPreference,
    NotificationRule,
    Rule,
    SubjectKind,
    Urgency,
    shape_of,
)
from tocsin.notifications.news import Reached, Subject


async def latest_test(tx: Tx, user_id: UUID, *, method_id: UUID | None = None) -> list[Delivery]:
    """Return the messages of the person's latest test page of the last hour, the oldest first.

    With `method_id`, the one message of the latest that went there.
    """
    query = (
        select(Delivery)
        .where(
            Delivery.user_id == user_id,
            Delivery.kind == DeliveryKind.TEST,
            Delivery.created_at > tx.now - timedelta(hours=1),
        )
        .order_by(Delivery.created_at.desc(), Delivery.id)
        .limit(20)
    )
    if method_id is not None:
        query = query.where(Delivery.contact_method_id == method_id)
    found = list((await tx.session.scalars(query)).all())
    return [delivery for delivery in found if delivery.created_at == found[0].created_at]


async def contact_methods(tx: Tx, user_id: UUID, *, after: UUID | None = None, limit: int = 100) -> list[ContactMethod]:
    """Return one person's contact methods, the oldest first, after the given one."""
    query = select(ContactMethod).where(ContactMethod.user_id == user_id).order_by(ContactMethod.id).limit(limit)
    if after is not None:
        query = query.where(ContactMethod.id > after)
    return list((await tx.session.scalars(query)).all())


async def contact_method(tx: Tx, id: UUID, *, user_id: UUID) -> ContactMethod:
    """Return one contact method of this person; raises `NotFound`."""
    found = await tx.session.get(ContactMethod, id)
    if found is None or found.user_id != user_id:
        raise NotFound("There is no such contact method.")
    return found


async def lock_contact_method(tx: Tx, id: UUID, *, user_id: UUID) -> ContactMethod:
    """Return one contact method of this person as it is now, and keep others from changing it; raises `NotFound`."""
    found = await lock_record(tx, ContactMethod, id, "contact method")
    if found.user_id != user_id:
        raise NotFound("There is no such contact method.")
    return found


async def rules(
    tx: Tx, user_id: UUID, *, after: tuple[str, int, UUID] | None = None, limit: int = 100
) -> list[NotificationRule]:
    """Return one person's rules by urgency and delay, after the one with this urgency, delay and id."""
    place = (NotificationRule.urgency, NotificationRule.delay_minutes, NotificationRule.id)
    query = select(NotificationRule).where(NotificationRule.user_id == user_id).order_by(*place).limit(limit)
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after))
    return list((await tx.session.scalars(query)).all())


async def delete_rules(tx: Tx, user_id: UUID) -> None:
    """Remove one person's rules."""
    await tx.session.execute(delete(NotificationRule).where(NotificationRule.user_id == user_id))


async def forget_health(tx: Tx, method_id: UUID) -> None:
    """Forget what is known of how a contact method works."""
    await tx.session.execute(delete(ContactMethodHealth).where(ContactMethodHealth.contact_method_id == method_id))


async def ways_to_reach(tx: Tx, user_ids: Collection[UUID]) -> tuple[dict[UUID, list[Method]], dict[UUID, list[Rule]]]:
    """Return the contact methods and the rules of these people."""
    methods: dict[UUID, list[Method]] = {}
    rules: dict[UUID, list[Rule]] = {}
    if not user_ids:
        return methods, rules
    m = ContactMethod
    columns = (m.id, m.user_id, m.kind, m.address, m.name, m.format, m.template, m.content_type)
    query = select(*columns).where(m.user_id.in_(user_ids)).order_by(m.id)
    for id, user_id, kind, address, name, *shape in (await tx.session.execute(query)).all():
        methods.setdefault(user_id, []).append(Method(id, user_id, kind, address, name, shape_of(*shape)))
    r = NotificationRule
    query2 = select(r.user_id, r.urgency, r.delay_minutes, r.contact_method_id).where(r.user_id.in_(user_ids))
    for user_id, urgency, delay, method_id in (await tx.session.execute(query2.order_by(r.id))).all():
        rules.setdefault(user_id, []).append(Rule(user_id, Urgency(urgency), delay, method_id))
    return methods, rules


async def delivery(tx: Tx, id: UUID) -> Delivery:
    """Return one delivery; raises `NotFound`."""
    return await get_record(tx, Delivery, id, "delivery")


async def deliveries(
    tx: Tx,
    *,
    alert_id: UUID | None = None,
    incident_id: UUID | None = None,
    page_ids: Sequence[UUID] | None = None,
    user_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[tuple[Delivery, str]]:
    """Return deliveries with the names of the people they are for, the newest first, older than `before`."""
    query = select(Delivery, User.name).join(User, User.id == Delivery.user_id)
    if alert_id is not None:
        query = query.where(Delivery.alert_id == alert_id)
    if incident_id is not None:
        query = query.where(Delivery.incident_id == incident_id)
    if page_ids is not None:
        query = query.where(Delivery.page_id.in_(page_ids))
    if user_id is not None:
        query = query.where(Delivery.user_id == user_id)
    if before is not None:
        query = query.where(Delivery.id < before)
    found = await tx.session.execute(query.order_by(Delivery.id.desc()).limit(limit))
    return [(delivery, name) for delivery, name in found.all()]


async def deliveries_of_page(tx: Tx, page_id: UUID) -> list[Delivery]:
    """Return the deliveries of a page for changing, the oldest first."""
    query = select(Delivery).where(Delivery.page_id == page_id).order_by(Delivery.id).with_for_update()
    return list((await tx.session.scalars(query.execution_options(populate_existing=True))).all())


_ASTRAY = """
SELECT delivery.id FROM delivery WHERE delivery.id = ANY($1::uuid[]) AND NOT EXISTS (
    SELECT FROM contact_method AS method
    WHERE method.user_id = delivery.user_id AND method.kind = delivery.channel AND method.address = delivery.address)
"""


async def astray(tx: Tx, delivery_ids: Collection[UUID]) -> set[UUID]:
    """Return those of these deliveries whose address is their person's no longer: it was removed or corrected."""
    await tx.flush()
    rows = await (await tx.raw()).fetch(_ASTRAY, list(delivery_ids)) if delivery_ids else []
    return {row["id"] for row in rows}


_FAILING = """
SELECT contact_method_id FROM contact_method_health
WHERE failing_since < tocsin_now() - $1::interval AND last_failed_at > tocsin_now() - $2::interval
"""
# A method that failed for so long is left out while others work, and tried again so long after its last failure.
FAILING_FOR = timedelta(minutes=2)
TRIED_AGAIN_AFTER = timedelta(minutes=10)


async def failing_methods(tx: Tx) -> set[UUID]:
    """Return the contact methods that do not work at present. Not of the cached configuration: it changes by itself."""
    rows = await (await tx.raw()).fetch(_FAILING, FAILING_FOR, TRIED_AGAIN_AFTER)
    return {row["contact_method_id"] for row in rows}


# The latest messages to each address; what went to an earlier address of the method says nothing of this one.
_CONDITIONS = """
SELECT method.id, method.kind, latest.accepted_at, latest.confirmed_at, latest.unknown_at,
       health.failing_since, health.last_error, health.answers_after
FROM contact_method AS method
LEFT JOIN contact_method_health AS health ON health.contact_method_id = method.id
CROSS JOIN LATERAL (
    SELECT max(sent_at) FILTER (WHERE state IN ('sent', 'delivered')) AS accepted_at,
           max(delivered_at) AS confirmed_at, max(ended_at) FILTER (WHERE state = 'unknown') AS unknown_at
    FROM (SELECT * FROM delivery WHERE contact_method_id = method.id ORDER BY id DESC LIMIT 100) AS recent
    WHERE recent.address = method.address
) AS latest
WHERE method.id = ANY($1::uuid[])
"""


async def conditions(tx: Tx, method_ids: Collection[UUID], channels: Collection[str]) -> dict[UUID, Condition]:
    """Return how it stands with these contact methods; `channels` are those that this installation has."""
    rows = await (await tx.raw()).fetch(_CONDITIONS, list(method_ids)) if method_ids else []
    return {
        row["id"]: condition(
            Known(
                accepted_at=row["accepted_at"],
                confirmed_at=row["confirmed_at"],
                unknown_at=row["unknown_at"],
                failing_since=row["failing_since"],
                error=row["last_error"],
                answers_after=row["answers_after"],
            ),
            is_set_up=row["kind"] in channels,
        )
        for row in rows
    }


async def failing(tx: Tx, *, limit: int = 100) -> list[tuple[ContactMethod, str, ContactMethodHealth]]:
    """Return the contact methods that fail, with the names of their people, those that fail the longest first."""
    query = (
        select(ContactMethod, User.name, ContactMethodHealth)
        .join(ContactMethodHealth, ContactMethodHealth.contact_method_id == ContactMethod.id)
        .join(User, User.id == ContactMethod.user_id)
        .where(ContactMethodHealth.failing_since.is_not(None), User.is_active)
        .order_by(ContactMethodHealth.failing_since, ContactMethod.id)
        .limit(limit)
    )
    return [(method, name, health) for method, name, health in (await tx.session.execute(query)).all()]


async def count_failing(tx: Tx) -> dict[str, int]:
    """Count the contact methods that fail, of people whose accounts are on, by channel."""
    query = (
        select(ContactMethod.kind, func.count())
        .join(ContactMethodHealth, ContactMethodHealth.contact_method_id == ContactMethod.id)
        .join(User, User.id == ContactMethod.user_id)
        .where(ContactMethodHealth.failing_since.is_not(None), User.is_active)
        .group_by(ContactMethod.kind)
    )
    return {kind: number for kind, number in (await tx.session.execute(query)).all()}


def reach(channels: Collection[str]) -> ColumnElement[str]:
    """Say in SQL how a `User` can be reached on these channels; whether their account is on is another question."""
    m, health = ContactMethod, ContactMethodHealth
    usable = select(m.id).outerjoin(health, health.contact_method_id == m.id)
    usable = usable.where(m.user_id == User.id, m.kind.in_(channels)).correlate(User)
    return case(
        (usable.where(health.failing_since.is_(None)).exists(), Reach.WELL.value),
        (usable.exists(), Reach.FAILING.value),
        else_=Reach.NONE.value,
    )


async def reaches(tx: Tx, user_ids: Collection[UUID], channels: Collection[str]) -> dict[UUID, Reach]:
    """Return whether each of these people can be reached on these channels; those whose account is off are left out."""
    query = select(User.id, reach(channels)).where(User.id.in_(user_ids), User.is_active)
    return {id: Reach(word) for id, word in (await tx.session.execute(query)).all()}


async def kinds_of_methods(
    tx: Tx, user_ids: Collection[UUID], channels: Collection[str]
) -> dict[UUID, list[tuple[str, bool]]]:
    """Return the kinds of these people's contact methods on these channels, each with whether it fails, in order."""
    found: dict[UUID, list[tuple[str, bool]]] = {user_id: [] for user_id in user_ids}
    m, health = ContactMethod, ContactMethodHealth
    query = select(m.user_id, m.kind, health.failing_since.is_not(None))
    query = query.outerjoin(health, health.contact_method_id == m.id).order_by(m.id)
    query = query.where(m.user_id.in_(user_ids), m.kind.in_(channels))
    for user_id, kind, fails in (await tx.session.execute(query)).all():
        found[user_id].append((kind, fails))
    return found


async def lateness(tx: Tx, page_ids: Collection[UUID]) -> dict[UUID, timedelta]:
    """Return those of these pages of which a message has gone out, with how late the first of them was."""
    if not page_ids:
        return {}
    first_sent = func.min(Delivery.sent_at).filter(Delivery.state.in_(REACHED))
    query = (
        select(Delivery.page_id, first_sent - func.min(Delivery.wanted_at))
        .where(Delivery.page_id.in_(page_ids))
        .group_by(Delivery.page_id)
        .having(first_sent.is_not(None))
    )
    return {id: late for id, late in (await tx.session.execute(query)).all() if id is not None}


async def states_of_page(tx: Tx, page_id: UUID) -> list[DeliveryState]:
    """Return where each delivery of a page stands."""
    query = select(Delivery.state).where(Delivery.page_id == page_id)
    return [DeliveryState(state) for state in (await tx.session.scalars(query)).all()]


async def count_by_state(tx: Tx) -> dict[str, int]:
    """Count the deliveries that are not at an end, by state."""
    query = select(Delivery.state, func.count()).where(Delivery.state.in_(UNDER_WAY)).group_by(Delivery.state)
    rows: Sequence[Any] = (await tx.session.execute(query)).all()
    return {state: number for state, number in rows}


async def news_preference(tx: Tx, user_id: UUID) -> NewsPreference | None:
    """Return what this person wants to be told, None where they have not said."""
    return await tx.session.get(NewsPreference, user_id, populate_existing=True)


async def let_news_wait(tx: Tx, kind: SubjectKind, subject_id: UUID, *, round: int, user_ids: Sequence[UUID]) -> None:
    """Note for these people that a subject has changed; a later round makes them forget what they were told."""
    rows = [
        {"user_id": id, "kind": kind, "subject_id": subject_id, "round": round, "waits_since": tx.now}
        for id in user_ids
    ]
    if not rows:
        return
    new = insert(NewsItem).values(rows)
    is_later = new.excluded.round > NewsItem.round
    wait = new.on_conflict_do_update(
        index_elements=[NewsItem.user_id, NewsItem.kind, NewsItem.subject_id],
        set_={
            "round": func.greatest(NewsItem.round, new.excluded.round),
            "waits_since": func.coalesce(case((is_later, None), else_=NewsItem.waits_since), new.excluded.waits_since),
            "told": case((is_later, None), else_=NewsItem.told),
            "told_before": case((is_later, None), else_=NewsItem.told_before),
        },
    )
    await tx.session.execute(wait)


async def let_untold_news_wait(tx: Tx, delivery_ids: Sequence[UUID]) -> set[UUID]:
    """Let what these messages would have told wait again; returns for whom."""
    untold = (
        update(NewsItem)
        .where(NewsItem.delivery_id.in_(delivery_ids))
        .values(
            told=NewsItem.told_before,
            delivery_id=None,
            waits_since=func.coalesce(NewsItem.waits_since, tx.now),
        )
        .returning(NewsItem.user_id)
        .execution_options(synchronize_session=False)
    )
    return set((await tx.session.scalars(untold)).all())


async def lock_waiting_news(tx: Tx, user_id: UUID) -> list[NewsItem]:
    """Return what may be news to this person, and keep others from changing it."""
    query = (
        select(NewsItem)
        .where(NewsItem.user_id == user_id, NewsItem.waits_since.is_not(None))
        .order_by(NewsItem.kind, NewsItem.subject_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list((await tx.session.scalars(query)).all())


async def lock_news_in(tx: Tx, delivery_id: UUID) -> list[NewsItem] | None:
    """Return what a message of news tells, and keep others from changing it; None while somebody is changing it.

    It waits for nobody: whoever changes one part of a message goes on to its other parts, in an order of their own.
    """
    number = select(func.count()).select_from(NewsItem).where(NewsItem.delivery_id == delivery_id)
    query = (
        select(NewsItem)
        .where(NewsItem.delivery_id == delivery_id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    found = list((await tx.session.scalars(query)).all())
    return found if len(found) == await tx.session.scalar(number) else None


async def messages_about(tx: Tx, kind: SubjectKind, subject_id: UUID) -> list[UUID]:
    """Return the deliveries of news by which somebody was told last how this alert or incident stands."""
    query = (
        select(NewsItem.delivery_id)
        .where(NewsItem.kind == kind, NewsItem.subject_id == subject_id, NewsItem.delivery_id.is_not(None))
        .distinct()
    )
    return [id for id in (await tx.session.scalars(query)).all() if id is not None]


async def pages_that_reached(tx: Tx, user_id: UUID, subject: Subject) -> list[Reached]:
    """Return the messages by which this person was paged about a subject, in its present round, and reached."""
    is_own = (Delivery.incident_id == subject.id) if subject.kind is SubjectKind.INCIDENT else false()
    urgency = Delivery.content["urgency"].astext
    query = select(Delivery.created_at, urgency, Delivery.contact_method_id, Delivery.alert_id).where(
        Delivery.user_id == user_id,
        Delivery.kind == DeliveryKind.PAGE,
        Delivery.state.in_(REACHED),
        Delivery.created_at >= subject.since,
        or_(Delivery.alert_id.in_(subject.alert_ids), is_own),
    )
    rows = (await tx.session.execute(query)).all()
    return [Reached(at, urgency == Urgency.HIGH, method_id, alert_id) for at, urgency, method_id, alert_id in rows]
