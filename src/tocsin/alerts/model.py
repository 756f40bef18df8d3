"""Alerts, the sources they come from, the signals they are made of and the routes they take. Rows and words."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.identity.access import Owned, ResourceKind
from tocsin.identity.model import OwnedByTeams
from tocsin.kit.ids import IdKind
from tocsin.kit.record import JsonList, JsonObject, Record, one_of

ALERT_ID = IdKind("alert", "alt", "/alerts")
SOURCE_ID = IdKind("alert_source", "src", "/sources")
ROUTE_ID = IdKind("alert_route", "rte")
SIGNAL_ID = IdKind("signal", "sig")


class AlertStatus(StrEnum):
    """The three states of an alert. Resolved is final: the same key afterwards opens a new alert."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


# How the keys begin of alerts that no signal opened.
BY_HAND = "manual-"
OPEN = (AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED)


class SourceKind(StrEnum):
    """The formats a source can speak."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    GENERIC = "generic"
    PAGERDUTY = "pagerduty"


class SignalOutcome(StrEnum):
    """What became of a request: all of it was taken, a part of it, or nothing."""

    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly_accepted"
    REJECTED = "rejected"


class SignalEffect(StrEnum):
    """What a signal did to an alert."""

    OPENED = "opened"
    REPEATED = "repeated"
    # A resolve that by the sender's own time is older than the problem it would have ended.
    OUTDATED = "outdated"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class AlertSource(OwnedByTeams, Record):
    """A monitoring tool that may send signals; its token is the credential."""

    __tablename__ = "alert_source"
    __table_args__ = (
        CheckConstraint("close_after_hours BETWEEN 1 AND 8760", name="close_after"),
        CheckConstraint("hold_down_minutes BETWEEN 1 AND 1440", name="hold_down"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    # Kept readable, as people have to copy it into their tools again; only those who manage sources see it.
    token: Mapped[str] = mapped_column(unique=True)
    is_enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]
    # After so many hours without a word its open alerts are closed; None never closes any.
    close_after_hours: Mapped[int | None]
    # So long after its end a problem that comes again pages nobody; None holds nothing back.
    hold_down_minutes: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default="1")

    @property
    def owned(self) -> Owned:
        return Owned(((ResourceKind.ALERT_SOURCE, self.id),), self.team_ids)


class AlertRoute(Record):
    """A condition and the escalation policy that alerts go to when it is the first that holds."""

    __tablename__ = "alert_route"
    __table_args__ = (
        Index("alert_route_position_idx", "position"),
        Index("alert_route_catch_all_key", "is_catch_all", unique=True, postgresql_where=text("is_catch_all")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    # The catch-all has an empty condition and is tried after all others.
    position: Mapped[int]
    condition: Mapped[str] = mapped_column(server_default="")
    is_catch_all: Mapped[bool] = mapped_column(server_default=text("false"))
    is_enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    # None records the alert without paging anybody.
    escalation_policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("escalation_policy.id"), index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")


class Alert(Record):
    """One problem as one source sees it, from its first signal until it is resolved."""

    __tablename__ = "alert"
    __table_args__ = (
        CheckConstraint(one_of("status", AlertStatus), name="status"),
        CheckConstraint("severity BETWEEN 1 AND 5", name="severity"),
        CheckConstraint("urgency IN ('high', 'low')", name="urgency"),
        # One open alert per source and key, whatever races.
        Index("alert_open_key", "source_id", "dedup_key", unique=True, postgresql_where=text("status <> 'resolved'")),
        Index("alert_status_idx", "status", text("created_at DESC"), text("id DESC")),
        Index("alert_created_at_idx", text("created_at DESC"), text("id DESC")),
        # What was last told of a key, for sources that hold back what flaps.
        Index(
            "alert_over_idx",
            "source_id",
            "dedup_key",
            text("resolved_at DESC"),
            postgresql_where=text("status = 'resolved'"),
        ),
        # For lists. Only of what is over: the open ones are few, and intake need not write them.
        *(
            Index(
                f"alert_over_{what.removesuffix('_id')}_idx",
                what,
                text("created_at DESC"),
                text("id DESC"),
                postgresql_where=text("status = 'resolved'"),
            )
            for what in ("source_id", "severity", "urgency")
        ),
        Index(
            "alert_over_labels_idx",
            "labels",
            postgresql_using="gin",
            postgresql_ops={"labels": "jsonb_path_ops"},
            postgresql_where=text("status = 'resolved'"),
        ),
        Index("alert_incident_id_idx", "incident_id", postgresql_where=text("incident_id IS NOT NULL")),
        # Intake writes thousands of rows a second; the pending list of a fast-update GIN index keeps that cheap.
        Index("alert_title_idx", "title", postgresql_using="gin", postgresql_ops={"title": "gin_trgm_ops"}),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Identity(), unique=True)
    source_id: Mapped[UUID] = mapped_column(ForeignKey("alert_source.id"))
    dedup_key: Mapped[str]
    status: Mapped[str]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    # The worst since it was opened, whatever the source says now; `native_severity` is the source's word of now.
    severity: Mapped[int]
    native_severity: Mapped[str] = mapped_column(server_default="")
    urgency: Mapped[str]
    labels: Mapped[JsonObject]
    links: Mapped[JsonList]
    count: Mapped[int] = mapped_column(server_default="1")
    # created_at is also "first seen".
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # The newest time that its sender gave a signal of it, never in the future; None when it gave none.
    said_at: Mapped[datetime | None]
    # When what it says last changed: its words, its severity, its labels or links.
    worded_at: Mapped[datetime] = mapped_column(server_default=text("tocsin_now()"))
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    # The owner; None when it was acknowledged at its source.
    acknowledged_by_id: Mapped[UUID | None]
    # When its owner was last reminded of it.
    reminded_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    # Set once by routing. Not routed: routed_at set and route_id empty.
    routed_at: Mapped[datetime | None]
    route_id: Mapped[UUID | None]
    # Until then it pages nobody, as it came again soon after its end; a time that is past holds nothing back.
    held_until: Mapped[datetime | None]
    # The incident this alert belongs to; the incident domain is above this one, so it is a plain id.
    incident_id: Mapped[UUID | None]


class RawSignal(Record):
    """One request that a source sent, as it came, and what became of it. Its signals are in the body."""

    __tablename__ = "signal"
    __table_args__ = (
        CheckConstraint(one_of("outcome", SignalOutcome), name="outcome"),
        Index("signal_source_id_idx", "source_id", text("received_at DESC"), text("id DESC")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    source_id: Mapped[UUID]
    received_at: Mapped[datetime] = mapped_column(index=True)
    content_type: Mapped[str] = mapped_column(server_default="")
    body: Mapped[bytes] = mapped_column(LargeBinary)
    outcome: Mapped[str]
    detail: Mapped[str] = mapped_column(server_default="")


class AlertSignal(Record):
    """Which signal touched which alert, and how."""

    __tablename__ = "alert_signal"
    __table_args__ = (CheckConstraint(one_of("effect", SignalEffect), name="effect"),)

    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    signal_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)
    effect: Mapped[str] = mapped_column(primary_key=True)


class EarlyResolve(Record):
    """A resolve that found no open alert of its key. A trigger that by its own time is older comes too late."""

    __tablename__ = "alert_early_resolve"

    source_id: Mapped[UUID] = mapped_column(ForeignKey("alert_source.id", ondelete="CASCADE"), primary_key=True)
    dedup_key: Mapped[str] = mapped_column(primary_key=True)
    # The sender's own time of the end, and when it arrived.
    said_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(index=True)
