"""What a statement of a revision does to those who use the database meanwhile."""

from __future__ import annotations

import pytest

from tocsin.db import forecast
from tocsin.db.forecast import Waits

read = forecast._read  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE alert DROP COLUMN title",
        "ALTER TABLE alert DROP title",
        "ALTER TABLE alert RENAME COLUMN title TO headline",
        "ALTER TABLE alert RENAME title TO headline",
        "ALTER TABLE alert RENAME TO warning",
        "ALTER INDEX alert_pkey RENAME TO other",
        "ALTER TABLE alert ALTER COLUMN title TYPE varchar(20)",
        "ALTER TABLE alert ALTER title SET DATA TYPE varchar(20)",
        "ALTER TABLE alert ALTER COLUMN title SET NOT NULL",
        "ALTER TABLE alert ALTER COLUMN count DROP DEFAULT",
        "ALTER TABLE alert ADD COLUMN mark text NOT NULL",
        "ALTER TABLE alert ADD mark text NOT NULL",
        "ALTER TABLE alert ADD COLUMN a text DEFAULT 'x' NOT NULL, ADD COLUMN b text NOT NULL",
        "ALTER TABLE alert ADD COLUMN mark text GENERATED ALWAYS AS (title) STORED",
        "ALTER TABLE alert ADD CONSTRAINT c CHECK (count > 0)",
        "ALTER TABLE alert ADD CONSTRAINT c FOREIGN KEY (source_id) REFERENCES alert_source (id)",
        "ALTER TABLE alert ADD CONSTRAINT c UNIQUE (title)",
        "CREATE INDEX i ON alert (title)",
        "CREATE UNIQUE INDEX i ON alert (title)",
        "DROP INDEX alert_title_idx",
        "DROP TABLE alert",
        "DROP FUNCTION tocsin_now()",
        "TRUNCATE alert",
        "UPDATE alert SET title = ''",
        "DELETE FROM alert",
        "REINDEX TABLE alert",
        "CLUSTER alert",
        "alter table alert drop column title",
    ],
)
def test_what_the_version_before_may_not_survive_is_a_danger(sql: str) -> None:
    assert read(sql, set()).danger


@pytest.mark.parametrize(
    ("sql", "table", "waits", "index"),
    [
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON alert USING btree (title)", "alert", Waits.NOBODY, "i"),
        ("DROP INDEX CONCURRENTLY IF EXISTS i", None, Waits.NOBODY, None),
        ("CREATE TABLE asset (id uuid NOT NULL, CHECK (true))", None, Waits.NOBODY, None),
        ("ALTER TABLE alert ADD COLUMN mark text", "alert", Waits.MOMENT, None),
        ("ALTER TABLE alert ADD COLUMN mark text DEFAULT '' NOT NULL", "alert", Waits.MOMENT, None),
        ("ALTER TABLE alert ADD CONSTRAINT c CHECK (count > 0) NOT VALID", "alert", Waits.MOMENT, None),
        ("ALTER TABLE alert ADD CONSTRAINT c UNIQUE USING INDEX i", "alert", Waits.MOMENT, None),
        ("ALTER TABLE alert VALIDATE CONSTRAINT c", "alert", Waits.NOBODY, None),
        ("ALTER TABLE alert DROP CONSTRAINT alert_status_check", "alert", Waits.MOMENT, None),
        ("ALTER TABLE alert ALTER COLUMN title DROP NOT NULL", "alert", Waits.MOMENT, None),
        ("INSERT INTO schedule VALUES ('x', now())", "schedule", Waits.NOBODY, None),
    ],
)
def test_what_is_harmless_is_told_with_its_table(sql: str, table: str | None, waits: Waits, index: str | None) -> None:
    found = read(sql, set())
    assert (found.danger, found.table, found.waits, found.index) == (None, table, waits, index)


def test_a_table_that_the_revision_itself_makes_is_free() -> None:
    assert read("CREATE INDEX i ON asset (name)", {"asset"}).danger is None
    assert read("CREATE INDEX i ON alert (name)", {"asset"}).danger is not None
