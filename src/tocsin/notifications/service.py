"""Use cases of reaching people: contact methods, personal rules, queueing and cancelling deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_

from tocsin.db.bulk import insert_rows
from tocsin.db.engine import Tx
from tocsin.events.base import Change, Subject
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.events.since import left_alone, must_be_unchanged
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.identity.permission import must_manage
from tocsin.jobs import queue
from tocsin.jobs.kinds import JobKind, Payload, soon
from tocsin.jobs.queue import NewJob
from tocsin.kit.changes import UNSET, Copy, UnsetType, set_or
from tocsin.kit.errors import Conflict, Invalid
from tocsin.kit.ids import new_id
from tocsin.notifications import queries, sending_queries
from tocsin.notifications.channels.base import Channel
from tocsin.notifications.channels.webhook import bodies
from tocsin.notifications.channels.webhook.bodies import Body
from tocsin.notifications.model import (
    WEBHOOK,
    BodyFormat,
    ContactMethod,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Method,
    NotificationRule,
    Planned,
    RecipientKind,
    Rule,
    Shape,
    Urgency,
    in_time,
    plan,
    write_shape,
)
from tocsin.notifications.origins import shares_of
from tocsin.notifications.redirecting import let_go, redirect

MOST_METHODS = 20
MOST_RULES = 40
NEWS_LANE = "news"


class ToSend(Payload, frozen=True):
    """The delivery that is to be sent."""

    delivery_id: UUID


# The delivery counts its attempts itself, so the job may be claimed as often as it takes.
SEND = JobKind("notifications.send", ToSend, lane="send", retry_after=soon, max_attempts=1_000_000)


@dataclass(frozen=True, slots=True)
class ToReach:
    """One person who is to be reached for one page. `wait`: how long until others are asked; None when it is not."""

    page_id: UUID
    user_id: UUID
    urgency: Urgency
    content: Mapping[str, Any]
    wait: timedelta | None = None
    alert_id: UUID | None = None
    incident_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """One step of a person's rules as they write it."""

    urgency: Urgency
    delay_minutes: int
    contact_method_id: UUID


async def queue_deliveries(
    tx: Tx,
    wanted: Sequence[ToReach],
    methods: Mapping[UUID, Sequence[Method]],
    rules: Mapping[UUID, Sequence[Rule]],
) -> dict[UUID, list[str]]:
    """Queue what each of these people wants to get and when; returns the channels by page."""
    rows: list[dict[str, Any]] = []
    channels: dict[UUID, list[str]] = {}
    failing = await queries.failing_methods(tx) if wanted else set[UUID]()
    for each in wanted:
        wished = plan(methods.get(each.user_id, ()), rules.get(each.user_id, ()), each.urgency, failing)
        planned = in_time(wished, each.wait)
        channels[each.page_id] = [step.method.kind for step in planned]
        for step in planned:
            row = row_of(tx, step, kind=DeliveryKind.PAGE, content=each.content, user_id=each.user_id)
            row |= {"page_id": each.page_id, "alert_id": each.alert_id, "incident_id": each.incident_id}
            rows.append(row)
    await queue_rows(tx, rows)
    return channels


async def queue_rows(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write deliveries and a job for each."""
    await insert_rows(tx, Delivery, rows)
    await queue.enqueue(tx, *(_job(tx, row) for row in rows))


def row_of(tx: Tx, step: Planned, *, kind: DeliveryKind, content: Mapping[str, Any], user_id: UUID) -> dict[str, Any]:
    """Write one delivery as it begins."""
    return {
        "id": new_id(),
        "kind": kind,
        "page_id": None,
        "alert_id": None,
        "incident_id": None,
        "recipient_kind": RecipientKind.USER,
        "recipient_id": user_id,
        "user_id": user_id,
        "contact_method_id": step.method.id,
        "channel": step.method.kind,
        "address": step.method.address,
        "shape": write_shape(step.method.shape),
        "content": dict(content),
        "state": DeliveryState.QUEUED,
        "wanted_at": tx.now + step.delay,
        "due_at": tx.now + step.delay,
        "created_at": tx.now,
    }


def _job(tx: Tx, row: Mapping[str, Any]) -> NewJob:
    name = queue.subject("delivery", row["id"])
    return SEND.job(
        ToSend(row["id"]),
        lane=NEWS_LANE if row["kind"] == DeliveryKind.NEWS else None,
        due=row["due_at"] if row["due_at"] > tx.now else None,
        key=name,
        dedup=name,
        shares=shares_of(row["kind"], channel=row["channel"], address=row["address"], recipient_id=row["recipient_id"]),
    )


async def cancel_for_pages(tx: Tx, page_ids: Sequence[UUID]) -> None:
    """Take back what has not gone out yet for these pages; what is being sent is not tried again. Needs no session."""
    if page_ids:
        await tx.flush()
        await _cancel_jobs(tx, await sending_queries.recall_pages(tx, page_ids))


async def cancel_about(tx: Tx, *, alert_ids: Sequence[UUID] = (), incident_id: UUID | None = None) -> None:
    """Take back what has not gone out yet about these alerts, or to ask for help with this incident. News stay."""
    is_page = Delivery.kind == DeliveryKind.PAGE
    if alert_ids:
        await _cancel(tx, and_(is_page, Delivery.alert_id.in_(alert_ids)))
    if incident_id is not None:
        await _cancel(tx, and_(is_page, Delivery.incident_id == incident_id))


async def cancel_for_person(tx: Tx, user_id: UUID) -> None:
    """Take back whatever has not gone out yet to this person, because their account is off."""
    await _cancel(tx, Delivery.user_id == user_id)


async def cancel_planned(tx: Tx, page_ids: Sequence[UUID]) -> None:
    """Take back what these pages would send only later; what should have gone out by now is still tried."""
    if page_ids:
        await _cancel(tx, and_(Delivery.page_id.in_(page_ids), Delivery.attempt == 0, Delivery.wanted_at > tx.now))


async def cancel_news(tx: Tx, delivery_ids: Sequence[UUID]) -> list[UUID]:
    """Take back these messages as far as they have not gone out; returns those that never will."""
    return await _cancel(tx, Delivery.id.in_(delivery_ids)) if delivery_ids else []


async def _cancel(tx: Tx, which: ColumnElement[bool]) -> list[UUID]:
    gone = await sending_queries.recall(tx, which)
    await _cancel_jobs(tx, gone)
    return gone


async def _cancel_jobs(tx: Tx, gone: Sequence[UUID]) -> None:
    # What is being sent keeps its job, for whoever finds that the sender has died.
    await queue.cancel(tx, *(queue.subject("delivery", id) for id in gone))


@dataclass(frozen=True, slots=True)
class MethodChanges:
    """What to change about a contact method.

    Another format drops the template; a template that is not set then is the one there was, or an example.
    """

    address: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    format: str | UnsetType = UNSET
    template: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET


async def add_contact_method(
    tx: Tx,
    who: Actor,
    channels: Mapping[str, Channel],
    *,
    user_id: UUID,
    kind: str,
    address: str,
    name: str = "",
    format: str | None = None,
    template: str | None = None,
    content_type: str | None = None,
) -> ContactMethod:
    """Give a person another way to be reached. Address forms are the channel's (e-mail address, https URL, …).

    Only a webhook has a format, the plain JSON if none is given. A template that is left out is an example to begin
    with. Raises `Invalid` for a template that fails with a sample.
    """
    must_manage(who, user_id)
    # Locked, so that the same form sent twice at once meets its own result and not the table's constraint.
    await identity.lock_active_user(tx, user_id)
    channel = channels.get(kind)
    if channel is None:
        known = ", ".join(sorted(channels))
        raise Invalid("kind", f"“{kind}” is not a channel of this installation. It has: {known}.")
    normal = channel.check_address(address)
    shape = _shape(kind, format, template, content_type)
    mine = await queries.contact_methods(tx, user_id)
    if len(mine) >= MOST_METHODS:
        raise Conflict(
            f"A person can have {MOST_METHODS} contact methods. Remove one first.", code="contact_method.limit"
        )
    if any(method.kind == kind and method.address == normal for method in mine):
        raise _is_there()
    title = name.strip()[:100] or channel.label
    method = ContactMethod(
        id=new_id(),
        user_id=user_id,
        kind=kind,
        address=normal,
        name=title,
        created_at=tx.now,
        version=1,
    )
    _send_to(method, normal, shape)
    tx.session.add(method)
    of = (Subject("user", user_id),)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="contact_method", id=method.id, title=title, of=of))
    return method


def _is_there() -> Conflict:
    return Conflict("This contact method is there already.", code="contact_method.taken")


def _shape(kind: str, format: str | None, template: str | None, content_type: str | None) -> Shape | None:
    """Read how messages are written; None for a channel that has one form only."""
    if kind == WEBHOOK:
        return bodies.checked(format or BodyFormat.TOCSIN, template, content_type)
    for field, value in (("format", format), ("template", template), ("content_type", content_type)):
        if value:
            raise Invalid(field, "Only a webhook has a format.")
    return None


def _send_to(method: ContactMethod, address: str, shape: Shape | None) -> None:
    """Let messages go to this address in this shape from now on. The one place where either of them changes.

    What waits to be sent follows (`redirect`); what is being sent follows before it is tried again.
    """
    method.address = address
    method.format = shape.format if shape else None
    method.template = shape.template if shape else None
    method.content_type = shape.content_type if shape else None


async def update_contact_method(
    tx: Tx,
    who: Actor,
    channels: Mapping[str, Channel],
    *,
    user_id: UUID,
    method_id: UUID,
    changes: MethodChanges,
    if_version: Copy = None,
) -> ContactMethod:
    """Change a contact method; its kind stays. The record says that address or template changed, not what they are."""
    must_manage(who, user_id)
    await identity.lock_active_user(tx, user_id)
    method = await queries.lock_contact_method(tx, method_id, user_id=user_id)
    channel = channels.get(method.kind)
    address = method.address
    if changes.address is not UNSET and changes.address != method.address:
        if channel is None:
            raise Invalid("address", f"The channel “{method.kind}” is not set up on this installation.")
        address = channel.check_address(changes.address)
        mine = await queries.contact_methods(tx, user_id)
        if any(m.id != method.id and m.kind == method.kind and m.address == address for m in mine):
            raise _is_there()
    shape = _changed_shape(method, changes)
    name = method.name
    if changes.name is not UNSET:
        name = changes.name.strip()[:100] or (channel.label if channel else method.kind)
    said = _changes(method, address, name, shape)
    left = await _left_alone(tx, method, if_version, said)
    said = [each for each in said if each.field not in left]
    name, shape = method.name if "name" in left else name, method.shape if "format" in left else shape
    if said:
        is_new = address != method.address or shape not in (None, method.shape)
        _send_to(method, address, shape)
        method.name = name
        method.version += 1
        if is_new:
            await _start_afresh(tx, method)
        about: dict[str, Any] = {"id": method.id, "title": name, "of": (Subject("user", method.user_id),)}
        await emit(
            tx,
            ConfigurationChanged(actor=who.ref, kind="contact_method", **about, version=method.version, changes=said),
        )
    return method


async def _left_alone(tx: Tx, method: ContactMethod, copy: Copy, said: Sequence[Change]) -> frozenset[str]:
    about, called = Subject("contact_method", method.id), "this contact method"
    left = await left_alone(tx, about, method.version, copy, said, called)
    if any(each.field == "template" for each in said):
        # What a template says only its format can send, so whoever writes one has chosen that.
        await must_be_unchanged(tx, about, method.version, copy, ["format", "template"], called)
        return left - {"format"}
    return left


async def _start_afresh(tx: Tx, method: ContactMethod) -> None:
    """Let what waits go where it should now, at once, and forget what went wrong with the old address or format."""
    await tx.session.flush()
    # Deliveries before health, as whoever writes down an outcome locks them.
    await redirect(tx, method.id)
    await queries.forget_health(tx, method.id)


def _changed_shape(method: ContactMethod, changes: MethodChanges) -> Shape | None:
    if changes.format is UNSET and changes.template is UNSET and changes.content_type is UNSET:
        return method.shape if method.kind == WEBHOOK else None
    format = set_or(changes.format, method.format if method.kind == WEBHOOK else None)
    is_own = format == BodyFormat.TEMPLATE
    template = set_or(changes.template, method.template if is_own else None)
    content_type = set_or(changes.content_type, method.content_type if is_own else None)
    return _shape(method.kind, format, template, content_type)


def _changes(method: ContactMethod, address: str, name: str, shape: Shape | None) -> list[Change]:
    old = method.shape
    new = shape or old
    found = [Change(field="address", old=None, new="changed")] if address != method.address else []
    if name != method.name:
        found.append(Change(field="name", old=method.name, new=name))
    if new.format != old.format:
        found.append(Change(field="format", old=old.format, new=new.format))
    if (new.template, new.content_type) != (old.template, old.content_type) and new.template is not None:
        found.append(Change(field="template", old=None, new="changed"))
    return found


def preview_webhook(who: Actor, *, user_id: UUID, format: str, template: str | None, content_type: str | None) -> Body:
    """Write a sample page as a webhook of this person would get it; raises `Invalid` as saving it would."""
    must_manage(who, user_id)
    return bodies.preview(bodies.checked(format, template, content_type))


async def remove_contact_method(tx: Tx, who: Actor, *, user_id: UUID, method_id: UUID) -> None:
    """Take a contact method away, with the rules that use it. Nothing goes to its address any more."""
    must_manage(who, user_id)
    method = await queries.lock_contact_method(tx, method_id, user_id=user_id)
    await let_go(tx, method.id)
    await tx.session.delete(method)
    of = (Subject("user", user_id),)
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind="contact_method", id=method.id, title=method.name, of=of))


async def add_rule(tx: Tx, who: Actor, *, user_id: UUID, rule: RuleDraft) -> list[NotificationRule]:
    """Add one rule to a person's; one that is there already is not added again. Returns all of them."""
    kept = await _rules_to_change(tx, who, user_id)
    drafts = [draft for _, draft in kept]
    return await set_rules(tx, who, user_id=user_id, rules=drafts if rule in drafts else [*drafts, rule])


async def remove_rule(tx: Tx, who: Actor, *, user_id: UUID, rule_id: UUID) -> list[NotificationRule]:
    """Take one of a person's rules away; one that is gone already is no error. Returns those that are left."""
    kept = await _rules_to_change(tx, who, user_id)
    return await set_rules(tx, who, user_id=user_id, rules=[draft for id, draft in kept if id != rule_id])


async def _rules_to_change(tx: Tx, who: Actor, user_id: UUID) -> list[tuple[UUID, RuleDraft]]:
    """Return a person's rules with their ids; locks the person, so that two changes at once lose neither's rule."""
    must_manage(who, user_id)
    await identity.lock_active_user(tx, user_id)
    return [
        (rule.id, RuleDraft(Urgency(rule.urgency), rule.delay_minutes, rule.contact_method_id))
        for rule in await queries.rules(tx, user_id)
    ]


async def set_rules(tx: Tx, who: Actor, *, user_id: UUID, rules: Sequence[RuleDraft]) -> list[NotificationRule]:
    """Replace a person's rules. No rules for an urgency: all contact methods at once."""
    must_manage(who, user_id)
    await identity.lock_active_user(tx, user_id)
    mine = {method.id for method in await queries.contact_methods(tx, user_id)}
    if len(rules) > MOST_RULES:
        raise Invalid("rules", f"A person can have {MOST_RULES} rules.")
    for index, rule in enumerate(rules):
        if rule.contact_method_id not in mine:
            raise Invalid(f"rules/{index}/contact_method_id", "Choose one of this person's contact methods.")
        if not 0 <= rule.delay_minutes <= 1440:
            raise Invalid(f"rules/{index}/delay_minutes", "Wait between 0 and 1440 minutes.")
    await queries.delete_rules(tx, user_id)
    rows = [
        NotificationRule(
            id=new_id(),
            user_id=user_id,
            urgency=rule.urgency,
            delay_minutes=rule.delay_minutes,
            contact_method_id=rule.contact_method_id,
        )
        for rule in rules
    ]
    tx.session.add_all(rows)
    await emit(
        tx, ConfigurationChanged(actor=who.ref, kind="notification_rules", id=user_id, title="rules", changes=[])
    )
    return rows


async def send_test_page(tx: Tx, who: Actor, *, user_id: UUID, method_id: UUID | None = None) -> list[Delivery]:
    """Send a message that says it is only a test, on one contact method or on all; returns the deliveries."""
    must_manage(who, user_id)
    await identity.lock_active_user(tx, user_id)
    methods = await queries.contact_methods(tx, user_id)
    if method_id is not None:
        methods = [await queries.contact_method(tx, method_id, user_id=user_id)]
    if not methods:
        raise Conflict("There is no contact method to test. Add one first.", code="contact_method.none")
    content: dict[str, Any] = {
        "title": "Test page",
        "body": f"{who.name} sent this to see whether pages reach you. There is nothing to do.",
        "severity": 5,
        "urgency": "high",
        "source": "Tocsin",
        "labels": {},
        "reason": "This is only a test",
    }
    planned = plan([Method(m.id, m.user_id, m.kind, m.address, m.name, m.shape) for m in methods], (), Urgency.HIGH)
    rows = [row_of(tx, step, kind=DeliveryKind.TEST, content=content, user_id=user_id) for step in planned]
    deliveries = [Delivery(**row) for row in rows]
    tx.session.add_all(deliveries)
    await tx.session.flush()
    await queue.enqueue(tx, *(_job(tx, row) for row in rows))
    return deliveries
