"""Roles of an organisation's own, roles in teams, private teams, grants for single things, and who owns what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what says who may do and see what; nothing that is there changes its meaning."""
    op.add_column("user_account", sa.Column("given_role", sa.Text()))
    op.add_column("team", sa.Column("is_private", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("team", sa.Column("archived_at", sa.DateTime(timezone=True)))
    op.add_column("team", sa.Column("version", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column("team_member", sa.Column("role", sa.Text()))
    for table in ("incident", "alert_source"):
        op.add_column(
            table, sa.Column("team_ids", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False)
        )
        op.add_column(table, sa.Column("is_private", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_table(
        "role",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("permissions", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("role_pkey")),
        sa.UniqueConstraint("key", name=op.f("role_key_key")),
        sa.UniqueConstraint("name", name=op.f("role_name_key")),
    )
    op.create_table(
        "access_grant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("team_id", sa.Uuid()),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(user_id IS NULL) <> (team_id IS NULL)", name=op.f("access_grant_holder_check")),
        sa.CheckConstraint("kind IN ('incident', 'alert_source')", name=op.f("access_grant_kind_check")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("access_grant_user_id_fkey")),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("access_grant_team_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("access_grant_pkey")),
        sa.UniqueConstraint(
            "kind", "resource_id", "user_id", "team_id", name="access_grant_key", postgresql_nulls_not_distinct=True
        ),
    )
    op.create_index(op.f("access_grant_user_id_idx"), "access_grant", ["user_id"])
    op.create_index(op.f("access_grant_team_id_idx"), "access_grant", ["team_id"])
