"""Comments in a table of their own, recipients of messages that need not be people, and state that was in the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tocsin.db.revising import create_index

revision = "0008"
down_revision = "0007"

_WHO = ("kind", "id", "name")


def upgrade() -> None:
    """Add the tables and columns. What the version before goes on writing is put where it belongs by triggers."""
    create_index("incident_duplicate_of_id_idx", "incident", "duplicate_of_id", where="duplicate_of_id IS NOT NULL")
    _comments()
    _recipients()
    _state()


def _who(prefix: str, *, nullable: bool) -> list[sa.Column[object]]:
    return [
        sa.Column(f"{prefix}_{what}", sa.Uuid() if what == "id" else sa.Text(), nullable=nullable or what == "id")
        for what in _WHO
    ]


def _comments() -> None:
    op.create_table(
        "comment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        *_who("author", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True)),
        sa.Column("erased_at", sa.DateTime(timezone=True)),
        *_who("erased_by", nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("(erased_at IS NULL) = (erased_by_name IS NULL)", name=op.f("comment_erased_check")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("comment_incident_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("comment_pkey")),
    )
    op.create_index(
        "comment_incident_id_idx", "comment", ["incident_id", sa.text("created_at DESC"), sa.text("id DESC")]
    )
    op.create_table(
        "comment_revision",
        sa.Column("comment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        *_who("author", nullable=False),
        sa.ForeignKeyConstraint(
            ["comment_id"], ["comment.id"], name=op.f("comment_revision_comment_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("comment_id", "number", name=op.f("comment_revision_pkey")),
    )
    # 0.1.0 writes the text into the event. It comes to stand here all the same, and not in the log.
    op.execute(
        """
        CREATE FUNCTION keep_comment() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO comment (id, incident_id, author_kind, author_id, author_name, created_at)
            VALUES (NEW.id, NEW.incident_id, NEW.actor_kind, NEW.actor_id, NEW.actor_name, NEW.at);
            INSERT INTO comment_revision (comment_id, number, body, written_at, author_kind, author_id, author_name)
            VALUES (NEW.id, 1, NEW.data ->> 'body', NEW.at, NEW.actor_kind, NEW.actor_id, NEW.actor_name);
            NEW.data := jsonb_build_object('comment_id', NEW.id, 'revision', 1);
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER event_keeps_no_comment BEFORE INSERT ON event FOR EACH ROW
        WHEN (NEW.name = 'incident.comment_added' AND NEW.data ? 'body') EXECUTE FUNCTION keep_comment()
        """
    )


def _recipients() -> None:
    op.add_column("delivery", sa.Column("recipient_kind", sa.Text(), server_default="user", nullable=False))
    op.add_column("delivery", sa.Column("recipient_id", sa.Uuid()))
    op.alter_column("delivery", "user_id", nullable=True)
    name = op.f("delivery_recipient_check")
    of_people = "(recipient_kind = 'user') = (user_id IS NOT NULL)"
    op.execute(f"ALTER TABLE delivery ADD CONSTRAINT {name} CHECK ({of_people}) NOT VALID")
    op.execute(f"ALTER TABLE delivery VALIDATE CONSTRAINT {name}")
    # 0.1.0 knows people only, by another column.
    op.execute(
        """
        CREATE FUNCTION name_recipient() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.recipient_id := NEW.user_id;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER delivery_names_recipient BEFORE INSERT ON delivery FOR EACH ROW
        WHEN (NEW.recipient_id IS NULL) EXECUTE FUNCTION name_recipient()
        """
    )


def _state() -> None:
    op.add_column("page", sa.Column("passed_on_at", sa.DateTime(timezone=True)))
    op.add_column("incident", sa.Column("reopened_at", sa.DateTime(timezone=True)))
    op.add_column("incident", sa.Column("reopen_reason", sa.Text()))
    op.add_column("incident", sa.Column("cancel_note", sa.Text()))
    # 0.1.0 says only in the log when an incident was reopened, and why.
    op.execute(
        """
        CREATE FUNCTION note_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.reopened_at := NEW.updated_at;
            NEW.reopen_reason := NULL;
            NEW.cancel_note := NULL;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER incident_notes_reopening BEFORE UPDATE ON incident FOR EACH ROW
        WHEN (NEW.round > OLD.round AND NEW.reopened_at IS NOT DISTINCT FROM OLD.reopened_at)
        EXECUTE FUNCTION note_reopening()
        """
    )
