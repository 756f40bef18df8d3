"""Text templates: what an incident of a usual kind begins with, so that nobody has to think of it at night."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from tocsin.incidents.model import Category
from tocsin.kit.ids import IdKind
from tocsin.kit.record import Record, one_of

TEMPLATE_ID = IdKind("text_template", "ttp", "/settings/text-templates")


class TextTemplate(Record):
    """What a declaration begins with. Title and summary may have placeholders (`placeholders`); all of it may be empty.

    `short_id` is what programs call it, and never changes.
    """

    __tablename__ = "text_template"
    __table_args__ = (
        CheckConstraint("severity BETWEEN 1 AND 5", name="severity"),
        CheckConstraint(one_of("category", Category), name="category"),
        Index("text_template_type_id_idx", "type_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    short_id: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="")
    title: Mapped[str] = mapped_column(server_default="")
    summary: Mapped[str] = mapped_column(server_default="")
    severity: Mapped[int | None]
    category: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    team_ids: Mapped[list[UUID]] = mapped_column(server_default="{}")
    type_id: Mapped[UUID | None] = mapped_column(ForeignKey("incident_type.id"))
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")
