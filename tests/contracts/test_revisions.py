"""What has been released stays as it is, and what comes after is safe while the version before runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from alembic.script import Script

from tests import postgres
from tests.contracts.upgrades import HERE, digest, dumps, frozen, read_dump
from tocsin.db import forecast, migrate
from tocsin.db.engine import Database

CHANGELOG = HERE.parents[2] / "CHANGELOG.md"
# Everything that a schema is made of, but for the order of columns, which nothing goes by.
_SCHEMA = """
SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull::text, attidentity,
       coalesce(pg_get_expr(adbin, adrelid), '')
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'table', relname, relkind::text, coalesce(reloptions::text, ''), '', '', ''
FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'part', relname, pg_get_expr(relpartbound, oid), '', '', '', ''
FROM pg_class WHERE relispartition AND relkind = 'r'
UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid::text, '', '', ''
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated::text, '', ''
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '', '', ''
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', proname, pg_get_functiondef(oid), '', '', '', ''
FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND NOT EXISTS (
    SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
UNION ALL SELECT 'extension', extname, '', '', '', '', '' FROM pg_extension
"""


async def schema(db: Database) -> set[tuple[str, ...]]:
    return {tuple(row) for row in await db.pool.fetch(_SCHEMA)}


def after_the_first() -> list[Script]:
    return [script for script in migrate.missing(None) if script.revision != "0001"]


def what_is_wrong(script: Script) -> list[str]:
    """The statements of a revision that the version before may not survive, unless it says why it does."""
    if forecast.reason(script):
        return []
    return [f"{found.danger} {found.sql}" for found in forecast.statements(script) if found.danger]


def test_a_frozen_revision_is_never_changed() -> None:
    paths = {script.revision: Path(script.path) for script in migrate.missing(None)}
    for revision, entry in frozen().items():
        assert revision in paths, f"{revision} was released with {entry['release']} and is gone"
        assert digest(paths[revision]) == entry["sha256"], (
            f"{paths[revision].name} was released with {entry['release']}: write a new revision instead"
        )


def test_a_changed_revision_is_noticed(tmp_path: Path) -> None:
    one, other = tmp_path / "0001_one.py", tmp_path / "0001_other.py"
    one.write_text("revision = '0001'\n")
    other.write_text("revision = '0001' \n")
    assert digest(one) != digest(other)


def test_revisions_are_numbered_without_a_gap_and_named_by_their_files() -> None:
    found = migrate.missing(None)
    assert [script.revision for script in found] == [f"{number:04}" for number in range(1, len(found) + 1)]
    for script in found:
        assert Path(script.path).name.startswith(f"{script.revision}_")
        assert (script.doc or "").strip().endswith("."), f"{script.path} has to say in a sentence what it is for"


def test_what_is_frozen_is_the_beginning() -> None:
    """No revision comes before one that somebody may have taken already."""
    found = [script.revision for script in migrate.missing(None)]
    assert found[: len(frozen())] == sorted(frozen())


def test_every_release_has_a_database_to_upgrade_from() -> None:
    released = set(re.findall(r"^## \[(\d[\w.]*)\]", CHANGELOG.read_text(), re.MULTILINE))
    assert set(dumps()) == released
    assert {entry["release"] for entry in frozen().values()} <= released


def test_every_revision_is_safe_while_the_version_before_runs() -> None:
    """A running server goes on with the new schema: nothing that it uses is taken away, and nothing holds it up."""
    assert {script.revision: found for script in after_the_first() if (found := what_is_wrong(script))} == {}


def test_a_revision_that_takes_something_away_is_refused_unless_it_says_why() -> None:
    (script,) = migrate.missing("0001", "0002")
    text = 'from alembic import op\ndown_revision = "0001"\ndef upgrade():\n    op.drop_column("alert", "title")\n'
    for mark, expected in (("", 1), ('SAFE_BECAUSE = "Nothing reads it since 0.2.0."\n', 0)):
        module = type(script.module)("made_up")
        exec(mark + text, module.__dict__)
        made = Script(module, script.revision, script.path)
        assert len(what_is_wrong(made)) == expected


def _not_repeatable(source: str) -> list[str]:
    """What a revision does before it builds an index, and could not do a second time: that is committed by then."""
    (upgrade,) = (
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    )
    done: list[str] = []
    found: list[str] = []
    for statement in upgrade.body[1:]:
        words = ast.unparse(statement)
        if re.search(r"(?<!\.)create_index\(", words):
            found += done
        elif "IF NOT EXISTS" not in words:
            done.append(words)
    return found


def test_a_revision_that_is_cut_off_can_be_taken_again() -> None:
    """To build an index ends the transaction, so it comes first or after what may be done twice."""
    for revision in after_the_first():
        assert _not_repeatable(Path(revision.path).read_text()) == [], revision.revision
    wrong = 'def upgrade():\n    """X."""\n    op.add_column("a")\n    create_index("b")\n'
    assert _not_repeatable(wrong) == ["op.add_column('a')"]


async def test_a_filled_database_of_every_release_comes_to_the_schema_of_a_fresh_one(
    db: Database, postgres_dsn: str
) -> None:
    expected = await schema(db)
    for release, dump in dumps().items():
        async with postgres.fresh(postgres_dsn, "template0") as dsn:
            old = Database(dsn, bell=False, pool_size=2)
            await old.open()
            await read_dump(old, dump)
            before = await rows(old)
            assert sum(number > 0 for number in before.values()) >= 25, f"the dump of {release} is not filled"

            await migrate.upgrade(old)

            assert await schema(old) == expected, release
            after = await rows(old)
            assert {name: after.get(name) for name in before} == before, "an upgrade loses no row"
            await migrate.check(old)
            await old.close()


async def rows(db: Database) -> dict[str, int]:
    """How many rows each table has."""
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    names = [row[0] for row in await db.pool.fetch(tables)]
    return {name: await db.pool.fetchval(f"SELECT count(*) FROM {name}") for name in names}
