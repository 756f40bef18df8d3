"""The configuration has a version for each part that is kept in memory, counted once for each table and transaction."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tocsin.db.revising import create_index

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Count by part. The triggers stay as they are: deferred, so that the row is locked for the commit alone."""
    create_index("incident_teams_idx", "incident", "team_ids", using="gin", where="team_ids <> '{}'::uuid[]")
    for part in ("routing", "paging"):
        op.add_column("configuration_version", sa.Column(part, sa.BigInteger(), server_default="1", nullable=False))
    # A thousand people who are changed at once are one change. 0.1.0 asks for `version`, which counts every table.
    op.execute(
        """
        CREATE OR REPLACE FUNCTION count_configuration_change() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            mark constant text := 'tocsin.counted_' || TG_TABLE_NAME;
            mine constant text := pg_current_xact_id()::text;
            is_routing constant boolean := TG_TABLE_NAME IN ('alert_route', 'alert_source', 'escalation_policy');
            is_paging constant boolean := TG_TABLE_NAME NOT IN ('alert_route', 'alert_source');
        BEGIN
            IF current_setting(mark, true) IS DISTINCT FROM mine THEN
                UPDATE configuration_version SET version = version + 1,
                    routing = routing + is_routing::int, paging = paging + is_paging::int;
                PERFORM set_config(mark, mine, true);
            END IF;
            RETURN NULL;
        END $$
        """
    )
