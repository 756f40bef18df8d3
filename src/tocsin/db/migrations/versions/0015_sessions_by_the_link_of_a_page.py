"""Browsers that came by the link of a page: which messages they came by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add a column that may stay empty.

    The version before knows of one kind of session only. It finds none of these: what is stored of their cookies is
    hashed in another way (`kit.crypto.digest_of_link_session`). It lists them, and ends them with all others.
    """
    op.add_column("session", sa.Column("delivery_ids", postgresql.ARRAY(sa.Uuid())))
