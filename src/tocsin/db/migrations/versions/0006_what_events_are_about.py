"""What events are about, so that the history of a policy or a person is found, and whose that was when it happened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Name the subjects of events, also of those that the version before goes on writing."""
    # What it writes has neither of these, which is how its rows are known. Those that are there follow in 0007.
    op.add_column("event", sa.Column("team_ids", postgresql.ARRAY(sa.Uuid())))
    op.add_column("event", sa.Column("is_private", sa.Boolean()))
    op.create_table(
        "event_subject",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "position", name=op.f("event_subject_pkey")),
    )
    op.execute(
        """
        CREATE TRIGGER event_subject_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_subject
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )
    # The same as `Event.subjects()`, for what knows nothing of it.
    op.execute(
        """
        CREATE FUNCTION subjects_of_event(name text, data jsonb, actor_kind text, actor_id uuid)
        RETURNS TABLE (kind text, id uuid) LANGUAGE sql IMMUTABLE AS $$
            SELECT CASE data->>'kind' WHEN 'token' THEN 'api_token' WHEN 'sign_in_link' THEN 'user'
                                      WHEN 'notification_rules' THEN 'user' ELSE data->>'kind' END,
                   (data->>'id')::uuid
            WHERE name LIKE 'configuration.%' OR name = 'contact_method.recovered'
            UNION ALL
            SELECT 'user', (data->>'user_id')::uuid WHERE name IN ('user.deactivated', 'user.lost_rights')
            UNION ALL
            SELECT 'user', actor_id WHERE name IN ('user.signed_in', 'user.sign_in_failed') AND actor_kind = 'user'
            UNION ALL
            SELECT 'session', (data->>'session_id')::uuid WHERE name = 'user.session_revoked'
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION name_subjects() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO event_subject (kind, id, position)
            SELECT about.kind, about.id, NEW.position
            FROM subjects_of_event(NEW.name, NEW.data, NEW.actor_kind, NEW.actor_id) AS about
            WHERE about.kind IS NOT NULL AND about.id IS NOT NULL
            ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $$
        """
    )
    # Whoever writes now waits for this revision, and the trigger sees them then: nothing is missed. Of the hot paths
    # it costs one look at the row; it can go once no version before 0.2.0 can run beside this schema.
    op.execute(
        """
        CREATE TRIGGER event_names_subjects AFTER INSERT ON event
        FOR EACH ROW WHEN (NEW.team_ids IS NULL AND NEW.alert_id IS NULL AND NEW.incident_id IS NULL)
        EXECUTE FUNCTION name_subjects()
        """
    )
    # Validated by the next revision, which makes the table a partition by it. Nobody ever writes what it refuses.
    op.execute(f"ALTER TABLE event ADD CONSTRAINT event_past_check CHECK (position < {1 << 40}) NOT VALID")
