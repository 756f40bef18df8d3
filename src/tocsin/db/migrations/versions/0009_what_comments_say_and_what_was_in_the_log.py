"""What comments say comes out of the log into their table, and what was read from the log into columns."""

from __future__ import annotations

from alembic import op

from tocsin.db.revising import fill

revision = "0009"
down_revision = "0008"

SAFE_BECAUSE = (
    "The version before changes no event, and shows comments without their text until it is replaced. Of incidents and "
    "pages only those change that were reopened, cancelled or passed on, and of deliveries a few thousand at a time. "
    "A trigger names the recipient where it writes none."
)


def upgrade() -> None:
    """Move and fill. What the version before has written since is there already, by the triggers of 0008."""
    op.execute(_MOVE_COMMENTS)
    op.execute(_PASSED_ON)
    op.execute(_REOPENED)
    op.execute(_CANCELLED)
    fill("delivery", "recipient_id = user_id", where="recipient_id IS NULL")
    # With the constraint, nothing has to be looked through for NOT NULL.
    op.execute("ALTER TABLE delivery ADD CONSTRAINT delivery_named_check CHECK (recipient_id IS NOT NULL) NOT VALID")
    op.execute("ALTER TABLE delivery VALIDATE CONSTRAINT delivery_named_check")
    op.execute("ALTER TABLE delivery ALTER COLUMN recipient_id SET NOT NULL")
    op.execute("ALTER TABLE delivery DROP CONSTRAINT delivery_named_check")


# The log refuses every change. For the one statement that takes texts out of it, the function that refuses does not;
# it is put back as it was in the same transaction, so nobody else ever sees it otherwise.
_MOVE_COMMENTS = """
DO $move$
DECLARE
    as_it_was constant text := pg_get_functiondef('refuse_change()'::regprocedure);
BEGIN
    INSERT INTO comment (id, incident_id, author_kind, author_id, author_name, created_at)
    SELECT id, incident_id, actor_kind, actor_id, actor_name, at
    FROM event WHERE name = 'incident.comment_added' AND data ? 'body';

    INSERT INTO comment_revision (comment_id, number, body, written_at, author_kind, author_id, author_name)
    SELECT id, 1, data ->> 'body', at, actor_kind, actor_id, actor_name
    FROM event WHERE name = 'incident.comment_added' AND data ? 'body';

    CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    UPDATE event SET data = jsonb_build_object('comment_id', id, 'revision', 1)
    WHERE name = 'incident.comment_added' AND data ? 'body';
    EXECUTE as_it_was;
END $move$
"""
_PASSED_ON = """
UPDATE page SET passed_on_at = passed.at
FROM (
    SELECT DISTINCT ON (page.id) page.id, event.at FROM event JOIN page ON page.user_id = event.actor_id
        AND page.run_id = (event.data ->> 'run_id')::uuid AND page.step = (event.data ->> 'step')::bigint
        AND page.paged_at <= event.at
    WHERE event.name = 'page.escalated' AND page.state = 'no_answer' ORDER BY page.id, event.position DESC
) AS passed
WHERE page.id = passed.id
"""
_REOPENED = """
UPDATE incident SET reopened_at = last.at, reopen_reason = last.reason
FROM (
    SELECT DISTINCT ON (incident_id) incident_id, at, data ->> 'reason' AS reason
    FROM event WHERE name = 'incident.reopened' ORDER BY incident_id, position DESC
) AS last
WHERE incident.id = last.incident_id AND incident.reopened_at IS NULL
"""
_CANCELLED = """
UPDATE incident SET cancel_note = last.note
FROM (
    SELECT DISTINCT ON (incident_id) incident_id, data ->> 'note' AS note
    FROM event WHERE name = 'incident.cancelled' ORDER BY incident_id, position DESC
) AS last
WHERE incident.id = last.incident_id AND incident.status = 'cancelled'
"""
