"""Text templates, which fill in what an incident of a usual kind begins with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"

# The ids of what every installation begins with are the same everywhere. A type that an organisation has deleted is
# named by none of them.
_TEMPLATES = """
INSERT INTO text_template
    (id, name, short_id, description, title, summary, severity, category, tags, type_id, created_at, updated_at)
VALUES
    ('01900000-0000-7000-8000-000000000201', 'Service down', 'service_down',
     'Something that customers use does not answer.',
     '{{ labels.service|default("A service") }} is down',
     '**What fails:** {{ alert.title|default("…") }}

**Who is affected:** …

**Since:** {{ incident.time }}, as far as we know

**What was tried:** …',
     1, 'availability', '{outage}', NULL, now(), now()),
    ('01900000-0000-7000-8000-000000000202', 'Data late or wrong', 'data_late',
     'A table, stream or report that people rely on is missing, late or wrong.',
     '{{ labels.dataset|default("A dataset") }} is late or wrong',
     '**What is wrong:** {{ alert.title|default("…") }}

**Who reads it:** …

**Last good data:** …

**Can readers be told to wait?** …',
     3, NULL, '{data}', (SELECT id FROM incident_type WHERE short_id = 'data_quality' AND archived_at IS NULL),
     now(), now()),
    ('01900000-0000-7000-8000-000000000203', 'Suspected break-in', 'break_in',
     'Somebody may have got in. Better declared once too often.',
     'Suspected break-in{{ ": " ~ alert.title if alert.title else "" }}',
     '**What was seen, by whom:** {{ alert.title|default("…") }}

**Which accounts and machines:** …

**Is it still going on?** …

Change nothing on the machines concerned before somebody has secured what they show.',
     2, 'security', '{security}', (SELECT id FROM incident_type WHERE short_id = 'security' AND archived_at IS NULL),
     now(), now())
"""


def upgrade() -> None:
    """Add the table and what every installation begins with; the version before declares with none of them."""
    op.create_table(
        "text_template",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("short_id", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("summary", sa.Text(), server_default="", nullable=False),
        sa.Column("severity", sa.BigInteger()),
        sa.Column("category", sa.Text()),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("team_ids", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("type_id", sa.Uuid()),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("severity BETWEEN 1 AND 5", name=op.f("text_template_severity_check")),
        sa.CheckConstraint(
            "category IN ('availability', 'cost', 'performance', 'security', 'technical_debt', 'compliance', "
            "'integration', 'reliability')",
            name=op.f("text_template_category_check"),
        ),
        sa.ForeignKeyConstraint(["type_id"], ["incident_type.id"], name=op.f("text_template_type_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("text_template_pkey")),
        sa.UniqueConstraint("name", name=op.f("text_template_name_key")),
        sa.UniqueConstraint("short_id", name=op.f("text_template_short_id_key")),
    )
    op.create_index("text_template_type_id_idx", "text_template", ["type_id"])
    op.execute(_TEMPLATES)
    op.execute("ALTER TABLE incident ADD COLUMN template_id uuid")
    op.execute(
        "ALTER TABLE incident ADD CONSTRAINT incident_template_id_fkey FOREIGN KEY (template_id) "
        "REFERENCES text_template (id) NOT VALID"
    )
    op.execute("ALTER TABLE incident VALIDATE CONSTRAINT incident_template_id_fkey")
