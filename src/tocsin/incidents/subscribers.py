"""Who follows an incident without responding. Rows and words."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.kit.ids import IdKind
from tocsin.kit.record import Record, one_of

SUBSCRIBER_ID = IdKind("subscriber", "sub")
# Each of them is told of each change.
MOST_SUBSCRIBERS = 200


class SubscriberSource(StrEnum):
    """How somebody came to follow: by themselves, added by somebody else, or named in a comment."""

    SELF = "self"
    ADDED = "added"
    MENTIONED = "mentioned"


class Subscriber(Record):
    """A person, or a team, who follows an incident. It gives no right to see it."""

    __tablename__ = "subscriber"
    __table_args__ = (
        UniqueConstraint("incident_id", "user_id"),
        UniqueConstraint("incident_id", "team_id"),
        CheckConstraint("(user_id IS NULL) <> (team_id IS NULL)", name="who"),
        CheckConstraint(one_of("source", SubscriberSource), name="source"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("team.id"), index=True)
    source: Mapped[str]
    added_by_name: Mapped[str]
    created_at: Mapped[datetime]
