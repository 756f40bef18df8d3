"""Whose an event is, found by a function: its plans are kept, where those of the statement that asks are made anew."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the function; nothing of the version before uses it."""
    op.execute(
        """
        CREATE FUNCTION scope_of_event(
            event_name text, about_alert uuid, about_incident uuid, OUT team_ids uuid[], OUT is_private boolean
        ) LANGUAGE plpgsql STABLE AS $$
        BEGIN
            SELECT coalesce(array_agg(DISTINCT owner.id), '{}'), coalesce(bool_and(owner.is_private), false)
            INTO team_ids, is_private
            FROM (
                SELECT unnest(CASE WHEN incident.team_ids = '{}' THEN ARRAY[NULL]::uuid[] ELSE incident.team_ids END),
                       incident.is_private
                FROM incident WHERE incident.id = about_incident
                UNION ALL
                SELECT unnest(CASE WHEN source.team_ids = '{}' THEN ARRAY[NULL]::uuid[] ELSE source.team_ids END),
                       source.is_private
                FROM alert JOIN alert_source AS source ON source.id = alert.source_id
                WHERE alert.id = about_alert AND event_name NOT LIKE 'incident.%'
            ) AS owner (id, is_private);
            team_ids := array_remove(team_ids, NULL);
        END $$
        """
    )
