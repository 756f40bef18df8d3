"""What an organisation asks of its incidents beyond the built-in fields: custom fields, types, and their versions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.kit.ids import IdKind
from tocsin.kit.record import Record, one_of

FIELD_ID = IdKind("custom_field", "cfd", "/organisation/fields")
TYPE_ID = IdKind("incident_type", "ity", "/organisation/types")
# The type that every installation has from its first day on; incidents that were declared before types are of it.
GENERAL = UUID("01900000-0000-7000-8000-000000000001")


class Kind(StrEnum):
    """What a custom field holds."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    NUMBER = "number"
    YES_NO = "yes_no"
    SELECT = "select"
    MULTI_SELECT = "multi_select"
    DATE_TIME = "date_time"
    DURATION = "duration"
    USER = "user"
    TEAM = "team"
    LINK = "link"


class CustomField(Record):
    """A field that an organisation has thought of. `key` is what programs and conditions call it, and never changes."""

    __tablename__ = "custom_field"
    __table_args__ = (CheckConstraint(one_of("kind", Kind), name="kind"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    hint: Mapped[str] = mapped_column(server_default="")
    options: Mapped[list[str]] = mapped_column(server_default="{}")
    # Of a number itself, of a text its length, of several choices how many, of a duration its seconds.
    minimum: Mapped[float | None] = mapped_column(Double())
    maximum: Mapped[float | None] = mapped_column(Double())
    pattern: Mapped[str] = mapped_column(server_default="")
    # What a declaration begins with, as an incident stores it.
    default_value: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    # CEL; empty: never by itself.
    required_when: Mapped[str] = mapped_column(server_default="")
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")


class IncidentType(Record):
    """A kind of incident as it is now: what is asked, in which order, and what has to be said before it moves on."""

    __tablename__ = "incident_type"
    __table_args__ = (
        CheckConstraint("default_severity BETWEEN 1 AND 5", name="default_severity"),
        CheckConstraint("auto_close_days BETWEEN 1 AND 365", name="auto_close_days"),
        CheckConstraint("NOT (is_default AND archived_at IS NOT NULL)", name="default_in_use"),
        # There is one at most.
        Index("incident_type_is_default_key", "is_default", unique=True, postgresql_where=text("is_default")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    short_id: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="")
    default_severity: Mapped[int | None]
    # Keys of fields, the built-in title, summary and severity among them.
    layout: Mapped[list[str]] = mapped_column(server_default="{}")
    # `state:key`, each key with the first state that it is needed for.
    requirements: Mapped[list[str]] = mapped_column(server_default="{}")
    auto_close_days: Mapped[int | None]
    # Whether its incidents are for their teams only, unless whoever declares one says otherwise.
    is_private: Mapped[bool] = mapped_column(server_default="false")
    is_default: Mapped[bool] = mapped_column(server_default="false")
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")


class IncidentTypeVersion(Record):
    """What a type asked for at one of its versions: an incident keeps that of the day on which it was declared."""

    __tablename__ = "incident_type_version"

    type_id: Mapped[UUID] = mapped_column(ForeignKey("incident_type.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    layout: Mapped[list[str]]
    requirements: Mapped[list[str]]
    auto_close_days: Mapped[int | None]
    made_at: Mapped[datetime]
