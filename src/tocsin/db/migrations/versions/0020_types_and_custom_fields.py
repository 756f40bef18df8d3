"""Incident types with their versions, and fields of an organisation's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"

# The ids of what every installation begins with are the same everywhere.
_GENERAL = "01900000-0000-7000-8000-000000000001"
_TYPES = """
INSERT INTO incident_type
    (id, name, short_id, description, default_severity, layout, requirements, is_private, is_default,
     created_at, updated_at)
VALUES
    ('01900000-0000-7000-8000-000000000001', 'General', 'general',
     'Whatever has no type of its own. Nothing is asked beyond title, severity and summary.', NULL,
     '{title,severity,summary}', '{}', false, true, now(), now()),
    ('01900000-0000-7000-8000-000000000002', 'Data quality', 'data_quality',
     'Data is missing, late or wrong, whoever noticed it.', NULL,
     '{title,severity,dataset,data_problem,wrong_since,rows_affected,summary}',
     '{declared:dataset,resolved:data_problem}', false, false, now(), now()),
    ('01900000-0000-7000-8000-000000000003', 'Security', 'security',
     'Somebody got, or may have got, where they should not be.', 2,
     '{title,severity,summary,attack_vector,data_exposed,data_categories,authority_told_at}',
     '{resolved:attack_vector,resolved:data_exposed}', true, false, now(), now())
"""
_VERSIONS = """
INSERT INTO incident_type_version (type_id, number, layout, requirements, auto_close_days, made_at)
SELECT id, version, layout, requirements, auto_close_days, created_at FROM incident_type
"""
_FIELDS = """
INSERT INTO custom_field (id, name, key, kind, hint, options, minimum, required_when, created_at, updated_at)
VALUES
    ('01900000-0000-7000-8000-000000000101', 'Dataset', 'dataset', 'text',
     'The table, stream or report that is wrong.', '{}', NULL, '', now(), now()),
    ('01900000-0000-7000-8000-000000000102', 'What is wrong with it', 'data_problem', 'select', '',
     '{Missing,Late,Duplicated,"Wrong values","Schema changed","Something else"}', NULL, '', now(), now()),
    ('01900000-0000-7000-8000-000000000103', 'Wrong since', 'wrong_since', 'date_time',
     'The first data that is wrong, not when somebody noticed it.', '{}', NULL, '', now(), now()),
    ('01900000-0000-7000-8000-000000000104', 'Rows affected', 'rows_affected', 'number',
     'An estimate will do.', '{}', 0, '', now(), now()),
    ('01900000-0000-7000-8000-000000000105', 'Way in', 'attack_vector', 'select', '',
     '{Phishing,"Stolen credentials",Malware,Vulnerability,Misconfiguration,Insider,"Lost device","Not known"}',
     NULL, '', now(), now()),
    ('01900000-0000-7000-8000-000000000106', 'Data exposed', 'data_exposed', 'yes_no',
     'Whether anybody could read what they should not.', '{}', NULL, '', now(), now()),
    ('01900000-0000-7000-8000-000000000107', 'Kinds of data', 'data_categories', 'multi_select', '',
     '{"Names and addresses","E-mail addresses",Passwords,"Payment data","Health data","Trade secrets"}', NULL,
     'fields.data_exposed == true && status in ["resolved", "closed"]', now(), now()),
    ('01900000-0000-7000-8000-000000000108', 'Authority told', 'authority_told_at', 'date_time',
     'Where the law asks for it; in the EU within 72 hours of knowing.', '{}', NULL,
     'fields.data_exposed == true && status == "closed"', now(), now())
"""


def upgrade() -> None:
    """Add the tables and what every installation begins with; what the version before declares is of General."""
    op.create_table(
        "custom_field",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), server_default="", nullable=False),
        sa.Column("options", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("minimum", sa.Float(53)),
        sa.Column("maximum", sa.Float(53)),
        sa.Column("pattern", sa.Text(), server_default="", nullable=False),
        sa.Column("default_value", postgresql.JSONB()),
        sa.Column("required_when", sa.Text(), server_default="", nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "kind IN ('text', 'long_text', 'number', 'yes_no', 'select', 'multi_select', 'date_time', 'duration', "
            "'user', 'team', 'link')",
            name=op.f("custom_field_kind_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("custom_field_pkey")),
        sa.UniqueConstraint("key", name=op.f("custom_field_key_key")),
        sa.UniqueConstraint("name", name=op.f("custom_field_name_key")),
    )
    op.create_table(
        "incident_type",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("short_id", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("default_severity", sa.BigInteger()),
        sa.Column("layout", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("requirements", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("auto_close_days", sa.BigInteger()),
        sa.Column("is_private", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("default_severity BETWEEN 1 AND 5", name=op.f("incident_type_default_severity_check")),
        sa.CheckConstraint("auto_close_days BETWEEN 1 AND 365", name=op.f("incident_type_auto_close_days_check")),
        sa.CheckConstraint(
            "NOT (is_default AND archived_at IS NOT NULL)", name=op.f("incident_type_default_in_use_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("incident_type_pkey")),
        sa.UniqueConstraint("name", name=op.f("incident_type_name_key")),
        sa.UniqueConstraint("short_id", name=op.f("incident_type_short_id_key")),
    )
    op.create_index(
        "incident_type_is_default_key",
        "incident_type",
        ["is_default"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "incident_type_version",
        sa.Column("type_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("layout", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("requirements", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("auto_close_days", sa.BigInteger()),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["type_id"],
            ["incident_type.id"],
            name=op.f("incident_type_version_type_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("type_id", "number", name=op.f("incident_type_version_pkey")),
    )
    op.execute(_FIELDS)
    op.execute(_TYPES)
    op.execute(_VERSIONS)
    op.execute(f"ALTER TABLE incident ADD COLUMN type_id uuid NOT NULL DEFAULT '{_GENERAL}'")
    op.execute("ALTER TABLE incident ADD COLUMN type_version bigint NOT NULL DEFAULT 1")
    op.execute("ALTER TABLE incident ADD COLUMN fields jsonb NOT NULL DEFAULT '{}'")
    op.execute(
        "ALTER TABLE incident ADD CONSTRAINT incident_type_fkey FOREIGN KEY (type_id, type_version) "
        "REFERENCES incident_type_version (type_id, number) NOT VALID"
    )
    op.execute("ALTER TABLE incident VALIDATE CONSTRAINT incident_type_fkey")
