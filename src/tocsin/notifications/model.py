"""How a person is reached: contact methods, personal rules, and deliveries with their states. Rules and rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.kit.ids import IdKind
from tocsin.kit.record import JsonObject, Record, one_of

METHOD_ID = IdKind("contact_method", "cm")
RULE_ID = IdKind("notification_rule", "nru")
DELIVERY_ID = IdKind("delivery", "dlv")


class Urgency(StrEnum):
    """Whether somebody has to be woken. High urgency climbs the escalation policy; low urgency only notifies."""

    HIGH = "high"
    LOW = "low"


class DeliveryKind(StrEnum):
    """Why a message is sent: to page, to try a contact method, or to tell what became of a page."""

    PAGE = "page"
    TEST = "test"
    NEWS = "news"


class Tell(StrEnum):
    """What somebody wants to be told of what they were paged for."""

    ALL = "all"
    OVER = "over"
    NONE = "none"


class SubjectKind(StrEnum):
    """What news can be about."""

    ALERT = "alert"
    INCIDENT = "incident"


class RecipientKind(StrEnum):
    """Whom a message is for. Only people so far: they have contact methods, rules and an account that may be off."""

    USER = "user"


class DeliveryState(StrEnum):
    """Where one message to one address stands.

    queued: waits for its time or for the next try. sending: handed to the channel, answer not yet known.
    sent: the provider took it. delivered: the far end confirmed it. failed: given up, `last_error` says why.
    unknown: given up, and it may have arrived all the same. cancelled: no longer needed, because somebody answered
    first or a newer message says the same.
    """

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class BodyFormat(StrEnum):
    """What a webhook is sent. tocsin: the plain JSON object. template: what its owner wrote. The others are presets."""

    TOCSIN = "tocsin"
    SLACK = "slack"
    TEAMS = "teams"
    DISCORD = "discord"
    GOOGLE_CHAT = "google_chat"
    MATTERMOST = "mattermost"
    TEXT = "text"
    TEMPLATE = "template"


# The one channel whose messages have a choice of formats.
WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Shape:
    """How the body of a webhook is written. Template and content type belong to `BodyFormat.TEMPLATE` alone.

    A template may hold a secret of its receiver, so it is shown to those who may see the address and to nobody else.
    """

    format: BodyFormat = BodyFormat.TOCSIN
    template: str | None = None
    content_type: str | None = None


PLAIN = Shape()


def write_shape(shape: Shape) -> JsonObject | None:
    """Write a shape as a delivery keeps it."""
    if shape == PLAIN:
        return None
    return {"format": shape.format.value, "template": shape.template, "content_type": shape.content_type}


def read_shape(stored: JsonObject | None) -> Shape:
    """Read a shape as a delivery keeps it."""
    return PLAIN if stored is None else shape_of(stored["format"], stored["template"], stored["content_type"])


def shape_of(format: str | None, template: str | None, content_type: str | None) -> Shape:
    """Read the three columns of a contact method."""
    return PLAIN if format is None else Shape(BodyFormat(format), template, content_type)


class ContactMethod(Record):
    """One address of one person on one channel. Only a webhook has a format."""

    __tablename__ = "contact_method"
    __table_args__ = (
        UniqueConstraint("user_id", "kind", "address"),
        CheckConstraint(one_of("format", BodyFormat), name="format"),
        CheckConstraint(
            "(format IS NOT DISTINCT FROM 'template') = (template IS NOT NULL)"
            " AND (template IS NULL) = (content_type IS NULL)",
            name="template",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    kind: Mapped[str]
    address: Mapped[str]
    name: Mapped[str]
    format: Mapped[str | None]
    template: Mapped[str | None]
    content_type: Mapped[str | None]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")

    @property
    def shape(self) -> Shape:
        """Return how its messages are written."""
        return shape_of(self.format, self.template, self.content_type)


class ContactMethodHealth(Record):
    """What is wrong with a contact method; one that has no row works as far as is known.

    `failing_since` is the first of the failures in a row; `answers_after` are seconds, when it answers slowly.
    """

    __tablename__ = "contact_method_health"

    contact_method_id: Mapped[UUID] = mapped_column(
        ForeignKey("contact_method.id", ondelete="CASCADE"), primary_key=True
    )
    failing_since: Mapped[datetime | None]
    last_failed_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    answers_after: Mapped[int | None]


class NotificationRule(Record):
    """One step of a person's own rules: so long after the page, use this contact method."""

    __tablename__ = "notification_rule"
    __table_args__ = (
        CheckConstraint(one_of("urgency", Urgency), name="urgency"),
        CheckConstraint("delay_minutes BETWEEN 0 AND 1440", name="delay"),
        Index("notification_rule_user_id_idx", "user_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    urgency: Mapped[str]
    delay_minutes: Mapped[int]
    contact_method_id: Mapped[UUID] = mapped_column(ForeignKey("contact_method.id", ondelete="CASCADE"), index=True)


class Delivery(Record):
    """One message to one address. It keeps what it said and where it went even when the contact method goes.

    It is for a recipient of some kind; of people, `user_id` is the same id once more, as it refers to their account.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint(one_of("kind", DeliveryKind), name="kind"),
        CheckConstraint(one_of("state", DeliveryState), name="state"),
        CheckConstraint("kind = 'test' OR exchange IS NULL", name="exchange"),
        CheckConstraint("(recipient_kind = 'user') = (user_id IS NOT NULL)", name="recipient"),
        Index("delivery_page_id_idx", "page_id"),
        Index("delivery_alert_id_idx", "alert_id"),
        Index("delivery_incident_id_idx", "incident_id", postgresql_where=text("incident_id IS NOT NULL")),
        Index("delivery_user_id_idx", "user_id", "created_at"),
        Index("delivery_contact_method_id_idx", "contact_method_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    # The page, alert and incident live in domains above this one, so these are plain ids.
    page_id: Mapped[UUID | None]
    alert_id: Mapped[UUID | None]
    incident_id: Mapped[UUID | None]
    recipient_kind: Mapped[str] = mapped_column(server_default=RecipientKind.USER.value)
    recipient_id: Mapped[UUID]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    contact_method_id: Mapped[UUID | None] = mapped_column(ForeignKey("contact_method.id", ondelete="SET NULL"))
    channel: Mapped[str]
    address: Mapped[str]
    content: Mapped[JsonObject]
    # How a webhook is written to; null is the plain JSON. Kept with the address: the two belong together.
    shape: Mapped[JsonObject | None]
    state: Mapped[str]
    # When it was meant to go out. `due_at` is when it is tried next.
    wanted_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempt: Mapped[int] = mapped_column(server_default="0")
    sending_at: Mapped[datetime | None]
    # Until then a worker that was thought dead may still be sending it.
    unsure_until: Mapped[datetime | None]
    # Refusals in a row, and the first of them; calls in a row that got no answer; calls whose outcome was lost.
    refusals: Mapped[int] = mapped_column(server_default="0")
    refused_since: Mapped[datetime | None]
    unanswered: Mapped[int] = mapped_column(server_default="0")
    outcomes_lost: Mapped[int] = mapped_column(server_default="0")
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    # When it was called off: what was being sent then may still arrive, and is not tried again.
    recalled_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    detail: Mapped[str] = mapped_column(server_default="")
    provider_id: Mapped[str | None]
    possible_duplicate: Mapped[bool] = mapped_column(server_default=text("false"))
    # What was sent and answered in the last attempt; only of test pages, and only for those who may see the address.
    exchange: Mapped[JsonObject | None]
    created_at: Mapped[datetime]


class NewsPreference(Record):
    """What one person wants to be told; whoever has no row is told everything of what was urgent."""

    __tablename__ = "news_preference"
    __table_args__ = (CheckConstraint(one_of("tell", Tell), name="tell"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    tell: Mapped[str]
    # Also of pages of low urgency, which have woken nobody.
    low_urgency: Mapped[bool]
    # None: the quietest one by which the page went out.
    contact_method_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("contact_method.id", ondelete="SET NULL"), index=True
    )


class NewsItem(Record):
    """What one person knows of one alert or incident, and since when there may be news of it for them.

    `round` is how often the subject had been reopened when the news was made: those of an earlier round are void.
    """

    __tablename__ = "news_item"
    __table_args__ = (
        CheckConstraint(one_of("kind", SubjectKind), name="kind"),
        Index("news_item_waiting_idx", "user_id", postgresql_where=text("waits_since IS NOT NULL")),
        Index("news_item_subject_idx", "subject_id"),
        Index("news_item_delivery_id_idx", "delivery_id", postgresql_where=text("delivery_id IS NOT NULL")),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    # Alerts and incidents live in domains above this one, so this is a plain id.
    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    round: Mapped[int]
    waits_since: Mapped[datetime | None]
    # What the person has been told last, and before the message that says so, which may still be taken back.
    told: Mapped[str | None]
    told_before: Mapped[str | None]
    delivery_id: Mapped[UUID | None]


# A message that has gone out, as far as the other side says.
REACHED = frozenset({DeliveryState.SENT, DeliveryState.DELIVERED})
# A message that was given up; whether it arrived is known or not.
GIVEN_UP = frozenset({DeliveryState.FAILED, DeliveryState.UNKNOWN})
# A message that waits for its time, its next attempt or the answer to one.
UNDER_WAY = frozenset({DeliveryState.QUEUED, DeliveryState.SENDING})


@dataclass(frozen=True, slots=True)
class Method:
    """A contact method as the rules see it."""

    id: UUID
    user_id: UUID
    kind: str
    address: str
    name: str
    shape: Shape = PLAIN


@dataclass(frozen=True, slots=True)
class Rule:
    """A personal rule as the rules see it."""

    user_id: UUID
    urgency: Urgency
    delay_minutes: int
    contact_method_id: UUID


@dataclass(frozen=True, slots=True)
class Planned:
    """One message that will go out, unless somebody answers first."""

    method: Method
    delay: timedelta


def plan(
    methods: Sequence[Method], rules: Sequence[Rule], urgency: Urgency, failing: Collection[UUID] = ()
) -> list[Planned]:
    """Say how one person is reached for one page.

    Somebody without rules for this urgency is reached on all contact methods at once: a page too many is better
    than none. While others work, they take the place of a method that is `failing`; for low urgency only those that
    the person wants it on.
    """
    by_id = {method.id: method for method in methods}
    mine = sorted((r for r in rules if r.urgency == urgency and r.contact_method_id in by_id), key=_by_delay)
    wished = [Planned(by_id[r.contact_method_id], timedelta(minutes=r.delay_minutes)) for r in mine]
    if not mine:
        wished = [Planned(method, timedelta()) for method in methods]
    usable = methods if urgency is Urgency.HIGH else [step.method for step in wished]
    works = [method for method in usable if method.id not in failing]
    if not works:
        return wished
    planned = [step for step in wished if step.method.id not in failing]
    for lost in (step for step in wished if step.method.id in failing):
        planned += [
            Planned(method, lost.delay)
            for method in works
            if not any(step.method.id == method.id and step.delay <= lost.delay for step in planned)
        ]
    return sorted(planned, key=lambda step: step.delay)


def in_time(planned: Sequence[Planned], wait: timedelta | None) -> list[Planned]:
    """Bring messages forward, the first of them to now, where an escalation would have gone on before any went out.

    `wait` is how long it waits; None when it does not go on. A wish to be asked later is no wish never to be asked.
    """
    first = planned[0].delay if planned else timedelta()
    if wait is None or first < wait:
        return list(planned)
    return [replace(step, delay=step.delay - first) for step in planned]


def _by_delay(rule: Rule) -> int:
    return rule.delay_minutes
