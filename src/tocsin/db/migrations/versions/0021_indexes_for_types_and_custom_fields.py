"""Indexes by which incidents of a type, and those that have a custom field, are found."""

from __future__ import annotations

from tocsin.db.revising import create_index

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Build the indexes; nobody waits for them."""
    create_index("incident_type_idx", "incident", "type_id, declared_at DESC, id DESC")
    create_index("incident_fields_idx", "incident", "fields", using="gin", where="fields <> '{}'::jsonb")
