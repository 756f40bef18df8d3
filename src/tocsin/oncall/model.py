"""Escalation policies, the runs that work through them, and the pages they make. Rows and words; no database."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.kit.ids import IdKind
from tocsin.kit.record import JsonObject, Record, one_of
from tocsin.notifications.model import Urgency

POLICY_ID = IdKind("escalation_policy", "pol", "/policies")
PAGE_ID = IdKind("page", "pag")


class TargetKind(StrEnum):
    """What a step of a policy can page."""

    USER = "user"


class RunState(StrEnum):
    """Where an escalation run stands.

    running: people are being paged. answered: somebody acknowledged. exhausted: every step and repeat went by
    without an answer. cancelled: no longer needed. A run that has reached nobody goes on.
    """

    RUNNING = "running"
    ANSWERED = "answered"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"


class PageState(StrEnum):
    """Where one person's page stands.

    unreachable: the person has no contact method or every delivery failed.
    no_answer: the run went on without an answer. cancelled: somebody else answered or it is no longer needed.
    """

    PAGING = "paging"
    ACKNOWLEDGED = "acknowledged"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"


class PagingTrouble(StrEnum):
    """Why an open alert, or a call for help, is not in good hands.

    unreached: people are being paged, and no message has reached any of them. unanswered: people were paged and it
    ended without an answer, and nobody who is being paged now has been reached.
    """

    UNREACHED = "unreached"
    UNANSWERED = "unanswered"


class EscalationPolicy(Record):
    """Whom to page, in which order, and how long to wait in between."""

    __tablename__ = "escalation_policy"
    __table_args__ = (CheckConstraint("repeat BETWEEN 0 AND 9", name="repeat"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="")
    # How often the whole policy starts again after its last step.
    repeat: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")


class EscalationStep(Record):
    """One step: page these people, then wait so long for an answer."""

    __tablename__ = "escalation_step"
    __table_args__ = (
        UniqueConstraint("policy_id", "position"),
        CheckConstraint("wait_minutes BETWEEN 1 AND 1440", name="wait"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    policy_id: Mapped[UUID] = mapped_column(ForeignKey("escalation_policy.id", ondelete="CASCADE"))
    position: Mapped[int]
    wait_minutes: Mapped[int]


class EscalationTarget(Record):
    """One person that a step pages."""

    __tablename__ = "escalation_target"
    __table_args__ = (CheckConstraint(one_of("kind", TargetKind), name="kind"),)

    step_id: Mapped[UUID] = mapped_column(ForeignKey("escalation_step.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)


class FallbackTarget(Record):
    """Whom to ask when an escalation reached nobody or went unanswered: a policy or a person, or nobody.

    One row at most; there is none before somebody chose.
    """

    __tablename__ = "fallback_target"
    __table_args__ = (
        CheckConstraint("id = 1", name="single"),
        CheckConstraint("policy_id IS NULL OR user_id IS NULL", name="whom"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("escalation_policy.id"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    version: Mapped[int] = mapped_column(server_default="0")


class EscalationRun(Record):
    """One climb up one policy (or one direct page) for one alert or incident."""

    __tablename__ = "escalation_run"
    __table_args__ = (
        CheckConstraint(one_of("state", RunState), name="state"),
        CheckConstraint(one_of("urgency", Urgency), name="urgency"),
        CheckConstraint("(alert_id IS NULL) <> (incident_id IS NULL)", name="subject"),
        CheckConstraint("policy_id IS NULL OR direct_user_id IS NULL", name="whom"),
        Index("escalation_run_alert_id_idx", "alert_id", postgresql_where=text("alert_id IS NOT NULL")),
        Index("escalation_run_incident_id_idx", "incident_id", postgresql_where=text("incident_id IS NOT NULL")),
        # At most one run works for one alert at a time, and one that asks the fallback; a second start finds the first.
        Index(
            "escalation_run_open_key",
            "alert_id",
            "is_fallback",
            unique=True,
            postgresql_where=text("state = 'running'"),
        ),
        # An incident may have many runs, but asks the fallback once.
        Index(
            "escalation_run_fallback_key",
            "incident_id",
            unique=True,
            postgresql_where=text("state = 'running' AND is_fallback"),
        ),
        # Those by which a list finds what nobody answers.
        Index(
            "escalation_run_trouble_idx",
            "alert_id",
            postgresql_where=text("state = 'exhausted' OR (state = 'running' AND unreached_since IS NOT NULL)"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    alert_id: Mapped[UUID | None]
    incident_id: Mapped[UUID | None]
    # The incident that the run's alert belongs to, so that what happens stands on its timeline as well.
    linked_incident_id: Mapped[UUID | None]
    # A run that is over outlives its policy, and keeps its name.
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("escalation_policy.id", ondelete="SET NULL"), index=True)
    policy_name: Mapped[str]
    direct_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    urgency: Mapped[str]
    # What the page says: title, body, severity, source, labels.
    content: Mapped[JsonObject]
    state: Mapped[str]
    # The step that was taken last; 0 before the first. `round` counts the repeats, from 0.
    step: Mapped[int]
    round: Mapped[int]
    next_step_at: Mapped[datetime | None]
    round_started_at: Mapped[datetime]
    # Since when it is known that no message has reached anybody; the run does not end while that is so.
    unreached_since: Mapped[datetime | None]
    # It asks the organisation's last resort, because another run reached nobody or went unanswered.
    is_fallback: Mapped[bool] = mapped_column(server_default=text("false"))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # Why it ended (`facts.read`); `end_reason` is the sentence that 0.1.0 wrote instead.
    end_why: Mapped[JsonObject | None]
    end_reason: Mapped[str | None]


class Page(Record):
    """One person being asked once, by one step of one run."""

    __tablename__ = "page"
    __table_args__ = (
        CheckConstraint(one_of("state", PageState), name="state"),
        Index("page_run_id_idx", "run_id"),
        Index("page_alert_id_idx", "alert_id", postgresql_where=text("alert_id IS NOT NULL")),
        Index("page_incident_id_idx", "incident_id", postgresql_where=text("incident_id IS NOT NULL")),
        Index("page_user_id_idx", "user_id", "paged_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("escalation_run.id"))
    alert_id: Mapped[UUID | None]
    incident_id: Mapped[UUID | None]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    step: Mapped[int]
    round: Mapped[int]
    state: Mapped[str]
    # Why this person (`facts.read`); `reason` is the sentence that 0.1.0 wrote instead.
    why: Mapped[JsonObject | None]
    reason: Mapped[str] = mapped_column(server_default="")
    paged_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    # When its person asked for the step after this one.
    passed_on_at: Mapped[datetime | None]
