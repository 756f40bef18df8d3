"""The inbox of news: what one person is told of one incident. Rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.incidents.following import SENT, ChangeKind, Way
from tocsin.kit.ids import IdKind
from tocsin.kit.record import JsonObject, Record, one_of

ENTRY_ID = IdKind("inbox_entry", "ibx")
# Older ones are cleared away, read or not.
KEPT_FOR = timedelta(days=30)
# As many unread ones are counted around a page.
MOST_COUNTED = 1000
_WAYS = ", ".join(f"'{way.value}'" for way in SENT)


class InboxEntry(Record):
    """One piece of news for one person: an event as it was, and how many changes of that minute it stands for.

    `way` is how it leaves the inbox, and `send_at` when; once that is done it is None, and `delivery_id` says by what.
    """

    __tablename__ = "inbox_entry"
    __table_args__ = (
        CheckConstraint(one_of("change", ChangeKind), name="change"),
        CheckConstraint(f"way IN ({_WAYS})", name="way"),
        Index("inbox_entry_user_id_idx", "user_id", text("id DESC")),
        Index("inbox_entry_unread_of_idx", "user_id", text("id DESC"), postgresql_where=text("read_at IS NULL")),
        Index("inbox_entry_unread_idx", "user_id", "incident_id", postgresql_where=text("read_at IS NULL")),
        Index("inbox_entry_incident_id_idx", "incident_id"),
        Index("inbox_entry_at_idx", "at"),
        Index("inbox_entry_send_at_idx", "user_id", "send_at", postgresql_where=text("send_at IS NOT NULL")),
        Index("inbox_entry_delivery_id_idx", "delivery_id", postgresql_where=text("delivery_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incident.id"))
    change: Mapped[str]
    # The event as the record has it; what it says is said when it is read.
    name: Mapped[str]
    actor_name: Mapped[str]
    data: Mapped[JsonObject]
    count: Mapped[int] = mapped_column(server_default="1")
    began_at: Mapped[datetime]
    at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    way: Mapped[str | None]
    send_at: Mapped[datetime | None]
    delivery_id: Mapped[UUID | None]


class ChangePreference(Record):
    """How one person wants to be told of one kind of change, whatever they follow by; none: as `default_way` has it."""

    __tablename__ = "change_preference"
    __table_args__ = (
        CheckConstraint(one_of("change", ChangeKind), name="change"),
        CheckConstraint(one_of("way", Way), name="way"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    change: Mapped[str] = mapped_column(primary_key=True)
    way: Mapped[str]
