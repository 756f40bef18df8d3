"""The migrations make exactly the tables that the models say, and there is no way back."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, text

from tocsin import app as application
from tocsin.db import migrate
from tocsin.db.engine import Database
from tocsin.kit.record import Record

# Everything that has a table is imported by way of the composition root.
assert application
VERSIONS = Path(migrate.__file__).parent / "migrations" / "versions"
# Made and read by the database's own triggers; no model needs it.
SERVER_SIDE = {"configuration_version", "alembic_version"}
_PARTS = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"


def _differences(connection: Connection) -> list[Any]:
    # A part of a table is that table.
    left_out = SERVER_SIDE | set(connection.execute(text(_PARTS)).scalars())

    def is_compared(thing: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return not (kind == "table" and name in left_out)

    context = MigrationContext.configure(connection, opts={"include_object": is_compared, "compare_type": True})
    return list(compare_metadata(context, Record.metadata))


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
async def test_models_and_migrations_agree(db: Database) -> None:
    async with db.engine.connect() as connection:
        found = await connection.run_sync(_differences)
    assert found == [], "Write a revision that does what the models say, or correct the one that does not: see above."


_CHECKS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'c' AND conrelid <> 0 AND connamespace = 'public'::regnamespace
"""


def _words(condition: str) -> set[str]:
    return set(re.findall(r"'(\w*)'", condition))


async def test_every_check_of_a_model_is_in_the_database(db: Database) -> None:
    """Alembic does not compare CHECK constraints, and the words of every `StrEnum` stand in them."""
    written = {
        (table.name, str(constraint.name)): _words(str(constraint.sqltext))
        for table in Record.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    async with db.engine.connect() as connection:
        stored = {(row[0], row[1]): _words(row[2]) for row in (await connection.execute(text(_CHECKS))).all()}
    assert written == stored, "Change the constraint in a revision as the model has it, by its whole name."


def test_migrations_go_forward_only() -> None:
    for path in VERSIONS.glob("[0-9]*.py"):
        functions = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        assert "upgrade" in functions, path.name
        back = functions.get("downgrade")
        assert back is None or isinstance(back.body[-1], ast.Raise), f"{path.name} must not go back"


def test_there_is_one_line_of_migrations() -> None:
    script = ScriptDirectory(str(VERSIONS.parent))
    assert len(script.get_heads()) == 1
    assert [revision.revision for revision in script.walk_revisions()] == sorted(
        (revision.revision for revision in script.walk_revisions()), reverse=True
    )


async def test_the_record_cannot_be_changed(db: Database) -> None:
    guarded = """
        SELECT relname FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid
        WHERE tgname IN ('event_append_only', 'event_subject_append_only')
    """
    record = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname ~ '^event(_|$)'"
    async with db.engine.connect() as connection:
        tables = set((await connection.execute(text(record))).scalars())
        assert set((await connection.execute(text(guarded))).scalars()) == tables
        keeps = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'event_keeps_no_comment'"
        assert "event" in set((await connection.execute(text(keeps))).scalars())
    assert tables >= {"event", "event_past", "event_default", "event_subject"}
