"""The first schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

revision = "0001"
down_revision = None


class _Xid8(UserDefinedType[int]):
    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


# Every time that decides something comes from this function, so that tests can move it.
_BEFORE = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    # The clock on the wall, and what everything goes by. Workers watch the first for steps.
    "CREATE FUNCTION tocsin_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'",
    "CREATE FUNCTION tocsin_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT tocsin_clock()'",
    "CREATE SEQUENCE worker_number",
)

# What decides who is paged. Each committed change of it counts, so that processes know when to read it again; the
# trigger is deferred, so that the counter is locked only for the moment of the commit.
_CONFIGURATION = (
    "alert_route",
    "alert_source",
    "contact_method",
    "escalation_policy",
    "escalation_step",
    "escalation_target",
    "fallback_target",
    "notification_rule",
    "user_account",
)

_AFTER = (
    "CREATE TABLE configuration_version (version bigint NOT NULL)",
    "INSERT INTO configuration_version VALUES (1)",
    """
    CREATE FUNCTION count_configuration_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE configuration_version SET version = version + 1;
        RETURN NULL;
    END $$
    """,
    *(
        f"""
        CREATE CONSTRAINT TRIGGER {table}_counts_change AFTER INSERT OR UPDATE OR DELETE ON {table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_configuration_change()
        """
        for table in _CONFIGURATION
    ),
    # The record cannot be changed, not even by this program.
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'The table % is append-only.', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    # Job rows live for milliseconds: leave room for updates in place, and clear the dead ones away early.
    """
    ALTER TABLE job SET (
        fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000, autovacuum_vacuum_cost_delay = 0
    )
    """,
    "INSERT INTO clock_watch (id, seen_at, horizon, steps) VALUES (1, tocsin_clock(), 0, 0)",
    "ALTER TABLE delivery SET (fillfactor = 80)",
    "ALTER TABLE escalation_run SET (fillfactor = 80)",
    # Each alert is updated once right after it was written, when it is routed. Room for both versions on one page
    # saves a new entry in every index.
    "ALTER TABLE alert SET (fillfactor = 50)",
)


def upgrade() -> None:
    """The first schema."""
    for statement in _BEFORE:
        op.execute(statement)
    op.create_table(
        "alert_signal",
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("signal_id", sa.Uuid(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "effect IN ('opened', 'repeated', 'outdated', 'acknowledged', 'resolved')",
            name=op.f("alert_signal_effect_check"),
        ),
        sa.PrimaryKeyConstraint("alert_id", "signal_id", "effect", name=op.f("alert_signal_pkey")),
    )
    op.create_index(op.f("alert_signal_signal_id_idx"), "alert_signal", ["signal_id"], unique=False)
    op.create_table(
        "alert_source",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_after_hours", sa.BigInteger(), nullable=True),
        sa.Column("hold_down_minutes", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("close_after_hours BETWEEN 1 AND 8760", name=op.f("alert_source_close_after_check")),
        sa.CheckConstraint("hold_down_minutes BETWEEN 1 AND 1440", name=op.f("alert_source_hold_down_check")),
        sa.CheckConstraint(
            "kind IN ('alertmanager', 'grafana', 'generic', 'pagerduty')", name=op.f("alert_source_kind_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_source_pkey")),
        sa.UniqueConstraint("token", name=op.f("alert_source_token_key")),
    )
    op.create_table(
        "escalation_policy",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("repeat", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("repeat BETWEEN 0 AND 9", name=op.f("escalation_policy_repeat_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("escalation_policy_pkey")),
        sa.UniqueConstraint("name", name=op.f("escalation_policy_name_key")),
    )
    op.create_table(
        "event",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transaction", _Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("depth", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("event_pkey")),
    )
    op.create_index(
        "event_alert_id_idx",
        "event",
        ["alert_id", "position"],
        unique=False,
        postgresql_where=sa.text("alert_id IS NOT NULL"),
    )
    op.create_index(
        "event_incident_id_idx",
        "event",
        ["incident_id", "position"],
        unique=False,
        postgresql_where=sa.text("incident_id IS NOT NULL"),
    )
    op.create_index("event_transaction_idx", "event", ["transaction", "position"], unique=False)
    op.create_table(
        "idempotency_key",
        sa.Column("caller", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("idempotency_key_pkey")),
    )
    op.create_index(op.f("idempotency_key_created_at_idx"), "idempotency_key", ["created_at"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("dedup", sa.Text(), nullable=True),
        sa.Column("shares", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("tocsin_now()"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("lane IN ('page', 'send', 'news', 'default', 'bulk', 'probe')", name=op.f("job_lane_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("job_pkey")),
    )
    op.create_index("job_dedup_key", "job", ["dedup"], unique=True, postgresql_where=sa.text("dedup IS NOT NULL"))
    op.create_index("job_due_idx", "job", ["lane", "due"], unique=False, postgresql_where=sa.text("owner IS NULL"))
    op.create_index("job_key_idx", "job", ["key"], unique=False, postgresql_where=sa.text("key IS NOT NULL"))
    op.create_index("job_owner_idx", "job", ["owner"], unique=False, postgresql_where=sa.text("owner IS NOT NULL"))
    op.create_table(
        "job_dead",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("died_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("job_dead_pkey")),
    )
    op.create_index(op.f("job_dead_died_at_idx"), "job_dead", ["died_at"], unique=False)
    op.create_table(
        "organisation",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("incident_prefix", sa.Text(), server_default="INC", nullable=False),
        sa.Column("last_incident_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remind_after_hours", sa.BigInteger(), server_default="4", nullable=True),
        sa.Column("give_back_after_hours", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("organisation_single_check")),
        sa.CheckConstraint("remind_after_hours BETWEEN 1 AND 720", name=op.f("organisation_remind_after_check")),
        sa.CheckConstraint("give_back_after_hours BETWEEN 1 AND 720", name=op.f("organisation_give_back_after_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("organisation_pkey")),
    )
    op.create_table(
        "schedule",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("schedule_pkey")),
    )
    op.create_table(
        "clock_step",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("clock_step_pkey")),
    )
    op.create_table(
        "clock_watch",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("horizon", sa.BigInteger(), nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("clock_watch_single_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("clock_watch_pkey")),
    )
    op.create_table(
        "secret",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("secret_pkey")),
    )
    op.create_table(
        "sign_in_throttle",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("over_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("sign_in_throttle_pkey")),
    )
    op.create_table(
        "signal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_type", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("outcome IN ('accepted', 'partly_accepted', 'rejected')", name=op.f("signal_outcome_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("signal_pkey")),
    )
    op.create_index(op.f("signal_received_at_idx"), "signal", ["received_at"], unique=False)
    op.create_index(
        "signal_source_id_idx",
        "signal",
        ["source_id", sa.literal_column("received_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "team",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("team_pkey")),
        sa.UniqueConstraint("name", name=op.f("team_name_key")),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("role IN ('admin', 'responder', 'stakeholder')", name=op.f("user_account_role_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("user_account_pkey")),
    )
    op.create_index("user_account_email_key", "user_account", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "alert",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("severity", sa.BigInteger(), nullable=False),
        sa.Column("native_severity", sa.Text(), server_default="", nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("links", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worded_at", sa.DateTime(timezone=True), server_default=sa.text("tocsin_now()"), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledged_by_id", sa.Uuid(), nullable=True),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("routed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("route_id", sa.Uuid(), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("status IN ('triggered', 'acknowledged', 'resolved')", name=op.f("alert_status_check")),
        sa.CheckConstraint("urgency IN ('high', 'low')", name=op.f("alert_urgency_check")),
        sa.CheckConstraint("severity BETWEEN 1 AND 5", name=op.f("alert_severity_check")),
        sa.ForeignKeyConstraint(["source_id"], ["alert_source.id"], name=op.f("alert_source_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_pkey")),
        sa.UniqueConstraint("number", name=op.f("alert_number_key")),
    )
    op.create_index(
        "alert_created_at_idx",
        "alert",
        [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "alert_incident_id_idx",
        "alert",
        ["incident_id"],
        unique=False,
        postgresql_where=sa.text("incident_id IS NOT NULL"),
    )
    op.create_index(
        "alert_open_key",
        "alert",
        ["source_id", "dedup_key"],
        unique=True,
        postgresql_where=sa.text("status <> 'resolved'"),
    )
    op.create_index(
        "alert_over_idx",
        "alert",
        ["source_id", "dedup_key", sa.literal_column("resolved_at DESC")],
        unique=False,
        postgresql_where=sa.text("status = 'resolved'"),
    )
    op.create_index(
        "alert_status_idx",
        "alert",
        ["status", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "alert_title_idx",
        "alert",
        ["title"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
    )
    op.create_table(
        "alert_early_resolve",
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["alert_source.id"],
            name=op.f("alert_early_resolve_source_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("source_id", "dedup_key", name=op.f("alert_early_resolve_pkey")),
    )
    op.create_index(op.f("alert_early_resolve_received_at_idx"), "alert_early_resolve", ["received_at"], unique=False)
    op.create_table(
        "alert_route",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("condition", sa.Text(), server_default="", nullable=False),
        sa.Column("is_catch_all", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("escalation_policy_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["escalation_policy_id"], ["escalation_policy.id"], name=op.f("alert_route_escalation_policy_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_route_pkey")),
    )
    op.create_index(op.f("alert_route_escalation_policy_id_idx"), "alert_route", ["escalation_policy_id"], unique=False)
    op.create_index(
        "alert_route_catch_all_key",
        "alert_route",
        ["is_catch_all"],
        unique=True,
        postgresql_where=sa.text("is_catch_all"),
    )
    op.create_index("alert_route_position_idx", "alert_route", ["position"], unique=False)
    op.create_table(
        "api_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("api_token_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_token_pkey")),
        sa.UniqueConstraint("token_digest", name=op.f("api_token_token_digest_key")),
    )
    op.create_index(op.f("api_token_user_id_idx"), "api_token", ["user_id"], unique=False)
    op.create_table(
        "contact_method",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=True),
        sa.Column("template", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "format IN ('tocsin', 'slack', 'teams', 'discord', 'google_chat', 'mattermost', 'text', 'template')",
            name=op.f("contact_method_format_check"),
        ),
        sa.CheckConstraint(
            "(format IS NOT DISTINCT FROM 'template') = (template IS NOT NULL) AND (template IS NULL) = (content_type IS NULL)",
            name=op.f("contact_method_template_check"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("contact_method_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("contact_method_pkey")),
        sa.UniqueConstraint("user_id", "kind", "address", name=op.f("contact_method_user_id_kind_address_key")),
    )
    op.create_table(
        "contact_method_health",
        sa.Column("contact_method_id", sa.Uuid(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("answers_after", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_method_id"],
            ["contact_method.id"],
            name=op.f("contact_method_health_contact_method_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("contact_method_id", name=op.f("contact_method_health_pkey")),
    )
    op.create_table(
        "escalation_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("linked_incident_id", sa.Uuid(), nullable=True),
        sa.Column("policy_id", sa.Uuid(), nullable=True),
        sa.Column("policy_name", sa.Text(), nullable=False),
        sa.Column("direct_user_id", sa.Uuid(), nullable=True),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("next_step_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("round_started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("unreached_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_fallback", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'answered', 'exhausted', 'cancelled')", name=op.f("escalation_run_state_check")
        ),
        sa.CheckConstraint("urgency IN ('high', 'low')", name=op.f("escalation_run_urgency_check")),
        sa.CheckConstraint("(alert_id IS NULL) <> (incident_id IS NULL)", name=op.f("escalation_run_subject_check")),
        sa.CheckConstraint("policy_id IS NULL OR direct_user_id IS NULL", name=op.f("escalation_run_whom_check")),
        sa.ForeignKeyConstraint(
            ["direct_user_id"], ["user_account.id"], name=op.f("escalation_run_direct_user_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["escalation_policy.id"],
            name=op.f("escalation_run_policy_id_fkey"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("escalation_run_pkey")),
    )
    op.create_index(
        "escalation_run_alert_id_idx",
        "escalation_run",
        ["alert_id"],
        unique=False,
        postgresql_where=sa.text("alert_id IS NOT NULL"),
    )
    op.create_index(
        "escalation_run_incident_id_idx",
        "escalation_run",
        ["incident_id"],
        unique=False,
        postgresql_where=sa.text("incident_id IS NOT NULL"),
    )
    op.create_index(
        "escalation_run_open_key",
        "escalation_run",
        ["alert_id", "is_fallback"],
        unique=True,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "escalation_run_fallback_key",
        "escalation_run",
        ["incident_id"],
        unique=True,
        postgresql_where=sa.text("state = 'running' AND is_fallback"),
    )
    op.create_index(op.f("escalation_run_policy_id_idx"), "escalation_run", ["policy_id"], unique=False)
    op.create_index(
        "escalation_run_trouble_idx",
        "escalation_run",
        ["alert_id"],
        unique=False,
        postgresql_where=sa.text("state = 'exhausted' OR (state = 'running' AND unreached_since IS NOT NULL)"),
    )
    op.create_table(
        "fallback_target",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("policy_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("fallback_target_single_check")),
        sa.CheckConstraint("policy_id IS NULL OR user_id IS NULL", name=op.f("fallback_target_whom_check")),
        sa.ForeignKeyConstraint(["policy_id"], ["escalation_policy.id"], name=op.f("fallback_target_policy_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fallback_target_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("fallback_target_pkey")),
    )
    op.create_table(
        "escalation_step",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("policy_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("wait_minutes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("wait_minutes BETWEEN 1 AND 1440", name=op.f("escalation_step_wait_check")),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["escalation_policy.id"], name=op.f("escalation_step_policy_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("escalation_step_pkey")),
        sa.UniqueConstraint("policy_id", "position", name=op.f("escalation_step_policy_id_position_key")),
    )
    op.create_table(
        "incident",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), server_default="", nullable=False),
        sa.Column("severity", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reporter_id", sa.Uuid(), nullable=True),
        sa.Column("reporter_name", sa.Text(), nullable=False),
        sa.Column("commander_id", sa.Uuid(), nullable=True),
        sa.Column("lead_id", sa.Uuid(), nullable=True),
        sa.Column("communicator_id", sa.Uuid(), nullable=True),
        sa.Column("resolution_note", sa.Text(), server_default="", nullable=False),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("duplicate_of_id", sa.Uuid(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mitigated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "status <> 'resolved' OR resolution_note <> ''", name=op.f("incident_resolved_with_note_check")
        ),
        sa.CheckConstraint(
            "status IN ('declared', 'investigating', 'identified', 'mitigated', 'monitoring', 'resolved', 'closed', 'cancelled')",
            name=op.f("incident_status_check"),
        ),
        sa.CheckConstraint("severity BETWEEN 1 AND 5", name=op.f("incident_severity_check")),
        sa.CheckConstraint(
            "cancel_reason IN ('false_alarm', 'duplicate', 'other')", name=op.f("incident_cancel_reason_check")
        ),
        sa.ForeignKeyConstraint(["commander_id"], ["user_account.id"], name=op.f("incident_commander_id_fkey")),
        sa.ForeignKeyConstraint(["communicator_id"], ["user_account.id"], name=op.f("incident_communicator_id_fkey")),
        sa.ForeignKeyConstraint(["duplicate_of_id"], ["incident.id"], name=op.f("incident_duplicate_of_id_fkey")),
        sa.ForeignKeyConstraint(["lead_id"], ["user_account.id"], name=op.f("incident_lead_id_fkey")),
        sa.ForeignKeyConstraint(["reporter_id"], ["user_account.id"], name=op.f("incident_reporter_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("incident_pkey")),
        sa.UniqueConstraint("number", name=op.f("incident_number_key")),
        sa.UniqueConstraint("reference", name=op.f("incident_reference_key")),
    )
    op.create_index(
        "incident_declared_at_idx",
        "incident",
        [sa.literal_column("declared_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "incident_status_idx",
        "incident",
        ["status", sa.literal_column("declared_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "incident_summary_idx",
        "incident",
        ["summary"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"summary": "gin_trgm_ops"},
    )
    op.create_index(
        "incident_title_idx",
        "incident",
        ["title"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
    )
    op.create_table(
        "one_time_link",
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("one_time_link_user_id_fkey")),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("one_time_link_pkey")),
    )
    op.create_index(op.f("one_time_link_user_id_idx"), "one_time_link", ["user_id"], unique=False)
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("new_password_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ip", sa.Text(), server_default="", nullable=False),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("session_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("session_pkey")),
        sa.UniqueConstraint("token_digest", name=op.f("session_token_digest_key")),
    )
    op.create_index(op.f("session_user_id_idx"), "session", ["user_id"], unique=False)
    op.create_table(
        "team_member",
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("team_member_team_id_fkey"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("team_member_user_id_fkey")),
        sa.PrimaryKeyConstraint("team_id", "user_id", name=op.f("team_member_pkey")),
    )
    op.create_index(op.f("team_member_user_id_idx"), "team_member", ["user_id"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("page_id", sa.Uuid(), nullable=True),
        sa.Column("alert_id", sa.Uuid(), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("contact_method_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("shape", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sending_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsure_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusals", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refused_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unanswered", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("outcomes_lost", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recalled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("possible_duplicate", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("exchange", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind = 'test' OR exchange IS NULL", name=op.f("delivery_exchange_check")),
        sa.CheckConstraint("kind IN ('page', 'test', 'news')", name=op.f("delivery_kind_check")),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'delivered', 'failed', 'unknown', 'cancelled')",
            name=op.f("delivery_state_check"),
        ),
        sa.ForeignKeyConstraint(
            ["contact_method_id"],
            ["contact_method.id"],
            name=op.f("delivery_contact_method_id_fkey"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("delivery_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("delivery_pkey")),
    )
    op.create_table(
        "news_preference",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("tell", sa.Text(), nullable=False),
        sa.Column("low_urgency", sa.Boolean(), nullable=False),
        sa.Column("contact_method_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("tell IN ('all', 'over', 'none')", name=op.f("news_preference_tell_check")),
        sa.ForeignKeyConstraint(
            ["contact_method_id"],
            ["contact_method.id"],
            name=op.f("news_preference_contact_method_id_fkey"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("news_preference_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("news_preference_pkey")),
    )
    op.create_index(
        op.f("news_preference_contact_method_id_idx"), "news_preference", ["contact_method_id"], unique=False
    )
    op.create_table(
        "news_item",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("waits_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told", sa.Text(), nullable=True),
        sa.Column("told_before", sa.Text(), nullable=True),
        sa.Column("delivery_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("kind IN ('alert', 'incident')", name=op.f("news_item_kind_check")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("news_item_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", "kind", "subject_id", name=op.f("news_item_pkey")),
    )
    op.create_index(
        "news_item_waiting_idx",
        "news_item",
        ["user_id"],
        unique=False,
        postgresql_where=sa.text("waits_since IS NOT NULL"),
    )
    op.create_index("news_item_subject_idx", "news_item", ["subject_id"], unique=False)
    op.create_index(
        "news_item_delivery_id_idx",
        "news_item",
        ["delivery_id"],
        unique=False,
        postgresql_where=sa.text("delivery_id IS NOT NULL"),
    )
    op.create_index("delivery_contact_method_id_idx", "delivery", ["contact_method_id", "id"], unique=False)
    op.create_index("delivery_alert_id_idx", "delivery", ["alert_id"], unique=False)
    op.create_index(
        "delivery_incident_id_idx",
        "delivery",
        ["incident_id"],
        unique=False,
        postgresql_where=sa.text("incident_id IS NOT NULL"),
    )
    op.create_index("delivery_page_id_idx", "delivery", ["page_id"], unique=False)
    op.create_index("delivery_user_id_idx", "delivery", ["user_id", "created_at"], unique=False)
    op.create_table(
        "escalation_target",
        sa.Column("step_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("kind IN ('user')", name=op.f("escalation_target_kind_check")),
        sa.ForeignKeyConstraint(
            ["step_id"], ["escalation_step.id"], name=op.f("escalation_target_step_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("escalation_target_user_id_fkey")),
        sa.PrimaryKeyConstraint("step_id", "position", name=op.f("escalation_target_pkey")),
    )
    op.create_index(op.f("escalation_target_user_id_idx"), "escalation_target", ["user_id"], unique=False)
    op.create_table(
        "notification_rule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("delay_minutes", sa.BigInteger(), nullable=False),
        sa.Column("contact_method_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("urgency IN ('high', 'low')", name=op.f("notification_rule_urgency_check")),
        sa.CheckConstraint("delay_minutes BETWEEN 0 AND 1440", name=op.f("notification_rule_delay_check")),
        sa.ForeignKeyConstraint(
            ["contact_method_id"],
            ["contact_method.id"],
            name=op.f("notification_rule_contact_method_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("notification_rule_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("notification_rule_pkey")),
    )
    op.create_index(
        op.f("notification_rule_contact_method_id_idx"), "notification_rule", ["contact_method_id"], unique=False
    )
    op.create_index("notification_rule_user_id_idx", "notification_rule", ["user_id"], unique=False)
    op.create_table(
        "page",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("paged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('paging', 'acknowledged', 'declined', 'no_answer', 'unreachable', 'cancelled')",
            name=op.f("page_state_check"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["escalation_run.id"], name=op.f("page_run_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("page_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("page_pkey")),
    )
    op.create_index(
        "page_alert_id_idx", "page", ["alert_id"], unique=False, postgresql_where=sa.text("alert_id IS NOT NULL")
    )
    op.create_index(
        "page_incident_id_idx",
        "page",
        ["incident_id"],
        unique=False,
        postgresql_where=sa.text("incident_id IS NOT NULL"),
    )
    op.create_index("page_run_id_idx", "page", ["run_id"], unique=False)
    op.create_index("page_user_id_idx", "page", ["user_id", "paged_at"], unique=False)
    op.create_table(
        "responder",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("paged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("source IN ('paged', 'linked_alert', 'self', 'role')", name=op.f("responder_source_check")),
        sa.CheckConstraint("state IN ('paged', 'joined', 'declined', 'left')", name=op.f("responder_state_check")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("responder_incident_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("responder_user_id_fkey")),
        sa.PrimaryKeyConstraint("incident_id", "user_id", name=op.f("responder_pkey")),
    )
    op.create_index(op.f("responder_user_id_idx"), "responder", ["user_id"], unique=False)
    for statement in _AFTER:
        op.execute(statement)
