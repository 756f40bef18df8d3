"""The incident and the people on it. Rows and words; which way it may go stands in `lifecycle`."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, ForeignKey, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.identity.access import Owned, ResourceKind
from tocsin.identity.model import OwnedByTeams
from tocsin.incidents.type_model import GENERAL
from tocsin.kit.ids import IdKind
from tocsin.kit.record import JsonObject, Record, one_of
from tocsin.notifications.model import Urgency

INCIDENT_ID = IdKind("incident", "inc", "/incidents")
COMMENT_ID = IdKind("comment", "cmt")
LINK_ID = IdKind("incident_link", "lnk")
ACTION_ITEM_ID = IdKind("action_item", "act")


class Status(StrEnum):
    """Where an incident stands. The first five are open; closed and cancelled are final, but can be reopened."""

    DECLARED = "declared"
    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MITIGATED = "mitigated"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    CLOSED = "closed"
    CANCELLED = "cancelled"


OPEN = (Status.DECLARED, Status.INVESTIGATING, Status.IDENTIFIED, Status.MITIGATED, Status.MONITORING)


class CancelReason(StrEnum):
    """Why an incident was none."""

    FALSE_ALARM = "false_alarm"
    DUPLICATE = "duplicate"
    OTHER = "other"


class Category(StrEnum):
    """What kind of trouble it is."""

    AVAILABILITY = "availability"
    COST = "cost"
    PERFORMANCE = "performance"
    SECURITY = "security"
    TECHNICAL_DEBT = "technical_debt"
    COMPLIANCE = "compliance"
    INTEGRATION = "integration"
    RELIABILITY = "reliability"


class Priority(StrEnum):
    """What to turn to first. A label for sorting; whom it pages, and how, does not depend on it."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class ResponderState(StrEnum):
    """Where one responder stands."""

    PAGED = "paged"
    JOINED = "joined"
    DECLINED = "declined"
    LEFT = "left"


class Standing(StrEnum):
    """How somebody who was asked stands to the incident now: their state, and what became of the pages they got.

    Unreachable: nothing could be sent. Released: they are not asked any more, as another one answered or it is over.
    """

    ASKED = "asked"
    UNREACHABLE = "unreachable"
    RELEASED = "released"
    JOINED = "joined"
    DECLINED = "declined"
    LEFT = "left"


# Of whom one says that so many of so many have joined.
COUNTED = (Standing.ASKED, Standing.JOINED)


class ResponderSource(StrEnum):
    """How somebody came to be a responder."""

    PAGED = "paged"
    LINKED_ALERT = "linked_alert"
    SELF = "self"
    ROLE = "role"


class IncidentRole(StrEnum):
    """Roles that one person holds: coordinates, is responsible for the fix, speaks outward."""

    COMMANDER = "commander"
    LEAD = "lead"
    COMMUNICATOR = "communicator"


# As the partial index says it.
CAN_BE_HIDDEN = "is_private OR team_ids <> '{}'::uuid[]"


class Incident(OwnedByTeams, Record):
    """The internal record of something that went wrong."""

    __tablename__ = "incident"
    __table_args__ = (
        CheckConstraint(one_of("status", Status), name="status"),
        CheckConstraint(one_of("cancel_reason", CancelReason), name="cancel_reason"),
        CheckConstraint("severity BETWEEN 1 AND 5", name="severity"),
        CheckConstraint(one_of("category", Category), name="category"),
        CheckConstraint(one_of("priority", Priority), name="priority"),
        CheckConstraint(one_of("urgency", Urgency), name="urgency"),
        CheckConstraint("status <> 'resolved' OR resolution_note <> ''", name="resolved_with_note"),
        Index("incident_status_idx", "status", text("declared_at DESC"), text("id DESC")),
        Index("incident_declared_at_idx", text("declared_at DESC"), text("id DESC")),
        Index("incident_severity_idx", "severity", text("declared_at DESC"), text("id DESC")),
        Index(
            "incident_category_idx",
            "category",
            text("declared_at DESC"),
            text("id DESC"),
            postgresql_where=text("category IS NOT NULL"),
        ),
        Index("incident_drill_idx", text("declared_at DESC"), text("id DESC"), postgresql_where=text("is_drill")),
        Index("incident_priority_idx", "priority", text("declared_at DESC"), text("id DESC")),
        # The open ones are few, whatever the table has grown to.
        Index(
            "incident_open_idx",
            "severity",
            text("declared_at DESC"),
            text("id DESC"),
            postgresql_where=text("status IN ('declared', 'investigating', 'identified', 'mitigated', 'monitoring')"),
        ),
        *(
            Index(
                f"incident_{person}_idx",
                person,
                text("declared_at DESC"),
                text("id DESC"),
                postgresql_where=text(f"{person} IS NOT NULL"),
            )
            for person in ("lead_id", "commander_id", "reporter_id")
        ),
        ForeignKeyConstraint(
            ["type_id", "type_version"],
            ["incident_type_version.type_id", "incident_type_version.number"],
            name="incident_type_fkey",
        ),
        Index("incident_type_idx", "type_id", text("declared_at DESC"), text("id DESC")),
        Index("incident_template_id_idx", "template_id", postgresql_where=text("template_id IS NOT NULL")),
        Index("incident_fields_idx", "fields", postgresql_using="gin", postgresql_where=text("fields <> '{}'::jsonb")),
        Index("incident_duplicate_of_id_idx", "duplicate_of_id", postgresql_where=text("duplicate_of_id IS NOT NULL")),
        Index(
            "incident_teams_idx",
            "team_ids",
            postgresql_using="gin",
            postgresql_where=text("team_ids <> '{}'::uuid[]"),
        ),
        Index("incident_tags_idx", "tags", postgresql_using="gin", postgresql_where=text("tags <> '{}'::text[]")),
        # What can be hidden from anybody, which is little where most is open.
        Index("incident_hidden_idx", "id", postgresql_where=text(CAN_BE_HIDDEN)),
        Index("incident_summary_idx", "summary", postgresql_using="gin", postgresql_ops={"summary": "gin_trgm_ops"}),
        Index("incident_title_idx", "title", postgresql_using="gin", postgresql_ops={"title": "gin_trgm_ops"}),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    # The number as people say it, such as INC-7; the prefix is fixed at the time of declaring.
    reference: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    summary: Mapped[str] = mapped_column(server_default="")
    # In lower case and in the order in which they were given.
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    severity: Mapped[int]
    # The word that it was read from, and whose that is; none once somebody here has judged.
    native_vocabulary: Mapped[str | None]
    native_severity: Mapped[str | None]
    category: Mapped[str | None]
    # An exercise: it says so wherever it is shown, and no figure counts it.
    is_drill: Mapped[bool] = mapped_column(server_default="false")
    # That of its alerts, the highest of them; high where it has none.
    urgency: Mapped[str] = mapped_column(server_default=Urgency.HIGH)
    # Derived from severity and urgency (`priorities`), unless somebody has set it.
    priority: Mapped[str] = mapped_column(server_default=Priority.P3)
    is_priority_set: Mapped[bool] = mapped_column(server_default="false")
    status: Mapped[str]
    # How often it has been reopened; each round has its own stamps in the timeline.
    round: Mapped[int] = mapped_column(server_default="0")
    reporter_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    reporter_name: Mapped[str]
    commander_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    lead_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    communicator_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    # What it does to customers: so many, or such a share of them, where, and in words.
    affected_users: Mapped[int | None]
    affected_percent: Mapped[float | None] = mapped_column(Double)
    affected_regions: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    consequence: Mapped[str] = mapped_column(server_default="")
    resolution_note: Mapped[str] = mapped_column(server_default="")
    cancel_reason: Mapped[str | None]
    # What was said with it, and when and why the last round began. None also where an earlier version did it.
    cancel_note: Mapped[str | None]
    reopened_at: Mapped[datetime | None]
    reopen_reason: Mapped[str | None]
    duplicate_of_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident.id"))
    started_at: Mapped[datetime]
    # Only where somebody has said so: else it was its first alert that detected it, at the latest whoever declared it.
    detected_at: Mapped[datetime | None]
    declared_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    identified_at: Mapped[datetime | None]
    mitigated_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]
    # The version of the type that it was declared with, or moved to since.
    type_id: Mapped[UUID] = mapped_column(server_default=text(f"'{GENERAL}'"))
    type_version: Mapped[int] = mapped_column(server_default="1")
    # What it was declared from, if it was.
    template_id: Mapped[UUID | None] = mapped_column(ForeignKey("text_template.id"))
    # Custom fields by their keys, as `custom_fields` stores them; what nobody has filled in is not there.
    fields: Mapped[JsonObject] = mapped_column(server_default="{}")
    version: Mapped[int] = mapped_column(server_default="1")

    @property
    def headline(self) -> str:
        """Return the title as messages say it, where nothing else would say that it is a drill."""
        return f"Drill: {self.title}" if self.is_drill else self.title

    @property
    def owned(self) -> Owned:
        return Owned(((ResourceKind.INCIDENT, self.id),), self.team_ids)


class Responder(Record):
    """One person on one incident."""

    __tablename__ = "responder"
    __table_args__ = (
        CheckConstraint(one_of("state", ResponderState), name="state"),
        CheckConstraint(one_of("source", ResponderSource), name="source"),
    )

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True, index=True)
    state: Mapped[str]
    source: Mapped[str]
    paged_at: Mapped[datetime | None]
    joined_at: Mapped[datetime | None]
    left_at: Mapped[datetime | None]


class Comment(Record):
    """What somebody wrote into the timeline. Its texts stand in its revisions; a comment that is erased has none.

    `version` is the number of the newest text, and one more once that is erased.
    """

    __tablename__ = "comment"
    __table_args__ = (
        CheckConstraint("(erased_at IS NULL) = (erased_by_name IS NULL)", name="erased"),
        Index("comment_incident_id_idx", "incident_id", text("created_at DESC"), text("id DESC")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    # As the record keeps who did something: their kind, id, and name at the time.
    author_kind: Mapped[str]
    author_id: Mapped[UUID | None]
    author_name: Mapped[str]
    created_at: Mapped[datetime]
    # When what it tells of happened, where somebody says that it was earlier than they wrote it.
    occurred_at: Mapped[datetime | None]
    # Whether it was written as a key event: a milestone, which leads in the timeline.
    is_key_event: Mapped[bool] = mapped_column(server_default="false")
    edited_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    erased_by_kind: Mapped[str | None]
    erased_by_id: Mapped[UUID | None]
    erased_by_name: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")


class TimelineMark(Record):
    """What somebody has said of one entry of the record: that it is a key event, or that it is none.

    The entry stays as it was written; what nobody has marked is a key event by its kind.
    """

    __tablename__ = "timeline_mark"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    is_key: Mapped[bool]


class ResponseTarget(Record):
    """How fast incidents of one severity are to be answered, told of, mitigated and resolved; None: no target."""

    __tablename__ = "response_target"

    severity: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    acknowledge_minutes: Mapped[int | None]
    update_minutes: Mapped[int | None]
    mitigate_minutes: Mapped[int | None]
    resolve_minutes: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default="0")


class TargetTold(Record):
    """That it was said once that a target of an incident is near or was missed."""

    __tablename__ = "target_told"

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"), primary_key=True)
    goal: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    is_missed: Mapped[bool] = mapped_column(primary_key=True)


class CommentRevision(Record):
    """One text of a comment (Markdown), who wrote it and when. The only place where it is kept."""

    __tablename__ = "comment_revision"

    comment_id: Mapped[UUID] = mapped_column(ForeignKey("comment.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[str]
    written_at: Mapped[datetime]
    author_kind: Mapped[str]
    author_id: Mapped[UUID | None]
    author_name: Mapped[str]


class ActionStatus(StrEnum):
    """Where an action item stands. The first two are open; of the others nothing more is to be done."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    DROPPED = "dropped"


TO_DO = (ActionStatus.OPEN, ActionStatus.IN_PROGRESS)


class ActionKind(StrEnum):
    """What an action item is for: to end the harm, to keep it from coming again, to see it sooner, or anything else."""

    MITIGATE = "mitigate"
    PREVENT = "prevent"
    DETECT = "detect"
    FOLLOW_UP = "follow_up"


# What has no due date comes last. asyncpg reads and writes it as `date.max`.
DUE = "coalesce(due_date, 'infinity'::date)"


class ActionItem(Record):
    """Something to be done because of an incident, during it or afterwards; it outlives the end of the incident."""

    __tablename__ = "action_item"
    __table_args__ = (
        CheckConstraint(one_of("status", ActionStatus), name="status"),
        CheckConstraint(one_of("kind", ActionKind), name="kind"),
        CheckConstraint(one_of("priority", Priority), name="priority"),
        CheckConstraint("(status IN ('done', 'dropped')) = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("(reminder IS NULL) = (remind_at IS NULL)", name="reminder"),
        Index("action_item_incident_id_idx", "incident_id", "id"),
        Index("action_item_due_idx", text(DUE), "id"),
        Index("action_item_open_idx", text(DUE), "id", postgresql_where=text("ended_at IS NULL")),
        Index(
            "action_item_assignee_idx",
            "assignee_id",
            text(DUE),
            "id",
            postgresql_where=text("assignee_id IS NOT NULL"),
        ),
        Index("action_item_kind_idx", "kind", text(DUE), "id", postgresql_where=text("kind IS NOT NULL")),
        Index("action_item_priority_idx", "priority", text(DUE), "id", postgresql_where=text("priority IS NOT NULL")),
        Index("action_item_unassigned_idx", text(DUE), "id", postgresql_where=text("assignee_id IS NULL")),
        Index("action_item_remind_at_idx", "remind_at", postgresql_where=text("remind_at IS NOT NULL")),
        Index(
            "action_item_description_idx",
            "description",
            postgresql_using="gin",
            postgresql_ops={"description": "gin_trgm_ops"},
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    # On one line: it is what people know it by.
    description: Mapped[str]
    kind: Mapped[str | None]
    priority: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=ActionStatus.OPEN.value)
    assignee_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    due_date: Mapped[date | None]
    # As the record keeps who did something: their kind, id, and name at the time.
    created_by_kind: Mapped[str]
    created_by_id: Mapped[UUID | None]
    created_by_name: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # Which reminder comes next (`incidents/reminding.py`), and when.
    reminder: Mapped[int | None]
    remind_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")


class LinkKind(StrEnum):
    """What stands behind a link. A meeting is where people talk now."""

    TICKET = "ticket"
    CHAT = "chat"
    MEETING = "meeting"
    DASHBOARD = "dashboard"
    DOCUMENT = "document"
    OTHER = "other"


class IncidentLink(Record):
    """A place elsewhere where the incident goes on, or where more is known of it."""

    __tablename__ = "incident_link"
    __table_args__ = (
        CheckConstraint(one_of("kind", LinkKind), name="kind"),
        Index("incident_link_incident_id_idx", "incident_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    kind: Mapped[str]
    name: Mapped[str]
    url: Mapped[str]
    created_at: Mapped[datetime]


class RelationKind(StrEnum):
    """What the other incident is to this one, as it is stored."""

    PARENT = "parent"
    RELATED = "related"


class IncidentRelation(Record):
    """What another incident is to one; of two that are related it is stored once, from the older one."""

    __tablename__ = "incident_relation"
    __table_args__ = (
        CheckConstraint(one_of("kind", RelationKind), name="kind"),
        CheckConstraint("incident_id <> other_id", name="others"),
        Index("incident_relation_other_id_idx", "other_id"),
        Index("incident_relation_parent_key", "incident_id", unique=True, postgresql_where=text("kind = 'parent'")),
    )

    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"), primary_key=True)
    other_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"), primary_key=True)
    kind: Mapped[str]
    created_at: Mapped[datetime]


class Relation(StrEnum):
    """What the other incident is to this one, as it is told."""

    PARENT = "parent"
    CHILD = "child"
    RELATED = "related"
    DUPLICATE_OF = "duplicate_of"
    DUPLICATE = "duplicate"
