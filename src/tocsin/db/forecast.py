"""What a revision will do to a database that is in use: which tables it locks, for whom, and what it builds.

Reads the SQL of the revision and runs nothing. A statement that the version before may not survive, or that locks a
table for as long as it takes, is a danger; so is one whose effect is not known here.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from enum import StrEnum

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script


class Waits(StrEnum):
    """Who waits while a statement runs."""

    NOBODY = "nobody waits"
    MOMENT = "everybody waits for a moment"
    WRITERS = "whoever writes waits until it is done"
    EVERYBODY = "everybody waits until it is done"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a revision, the table that it touches, and the index that it builds concurrently."""

    sql: str
    table: str | None
    waits: Waits
    danger: str | None = None
    index: str | None = None


# What the version before may still use, or what takes as long as the table is large. The first that is found counts.
_DANGERS = (
    (r"\bDROP (COLUMN|TABLE|VIEW|FUNCTION|SEQUENCE)\b", "It takes away what the version before may use.", Waits.MOMENT),
    (
        r"^ALTER .*\bDROP (?!CONSTRAINT\b|DEFAULT\b|NOT NULL\b|IDENTITY\b|EXPRESSION\b)",
        "It takes away what the version before may use.",
        Waits.MOMENT,
    ),
    (r"\bRENAME\b", "The version before knows it by its old name.", Waits.MOMENT),
    (r"\bALTER (COLUMN )?\w+ (SET DATA )?TYPE\b", "It may write the whole table anew.", Waits.EVERYBODY),
    (r"\bSET NOT NULL\b", "The version before may write nothing into it, and it reads all rows.", Waits.EVERYBODY),
    (r"\bALTER (COLUMN )?\w+ DROP DEFAULT\b", "The version before may count on the default.", Waits.MOMENT),
    (r"^TRUNCATE\b", "It takes away what the version before may use.", Waits.EVERYBODY),
    (r"\bGENERATED ALWAYS AS\b.*\bSTORED\b", "It writes the whole table anew.", Waits.EVERYBODY),
    (r"^CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)", "Build it by `create_index`, concurrently.", Waits.WRITERS),
    (r"^DROP INDEX (?!CONCURRENTLY)", "Drop it concurrently.", Waits.MOMENT),
    (
        r"\bADD (CONSTRAINT \w+ )?(CHECK|FOREIGN KEY)\b(?!.*\bNOT VALID\b)",
        "Add it NOT VALID and validate it in a second statement.",
        Waits.EVERYBODY,
    ),
    (
        r"\bADD (CONSTRAINT \w+ )?(UNIQUE|PRIMARY KEY|EXCLUDE)\b(?!.*\bUSING INDEX\b)",
        "Build its index concurrently first, and add it USING INDEX.",
        Waits.EVERYBODY,
    ),
    (r"^(UPDATE|DELETE)\b", "It holds the rows that it changes until the revision is done.", Waits.WRITERS),
)
_NOT_NULL = re.compile(r"\bADD (COLUMN )?(?!CONSTRAINT\b)[^,]*?\bNOT NULL\b[^,]*", re.IGNORECASE)
_TABLE = (
    r"^CREATE (?:UNIQUE )?INDEX .*? ON (?:ONLY )?(\w+)",
    r"^CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*? ON (\w+)",
    r"^DROP TRIGGER .*? ON (\w+)",
    r"^(?:ALTER|DROP) TABLE (?:IF EXISTS )?(?:ONLY )?(\w+)",
    r"^UPDATE (\w+)",
    r"^(?:INSERT INTO|DELETE FROM|COMMENT ON TABLE|LOCK TABLE(?: ONLY)?|TRUNCATE(?: TABLE)?) (\w+)",
)
_CONCURRENTLY = re.compile(r"^CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)
_MAKES = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)
_HARMLESS = (
    (r"^CREATE (UNIQUE )?INDEX CONCURRENTLY\b", Waits.NOBODY),
    (r"^DROP INDEX CONCURRENTLY\b", Waits.NOBODY),
    (r"^CREATE (TABLE|SEQUENCE|EXTENSION|TYPE|VIEW|(OR REPLACE )?FUNCTION)\b", Waits.NOBODY),
    (r"^(INSERT INTO|COMMENT ON|SELECT)\b", Waits.NOBODY),
    (r"^ALTER TABLE \w+ (VALIDATE CONSTRAINT|SET \()", Waits.NOBODY),
    (r"^ALTER TABLE \w+ (ADD|DROP CONSTRAINT|ALTER|ATTACH PARTITION)\b", Waits.MOMENT),
    (r"^LOCK TABLE\b", Waits.MOMENT),
    (r"^(CREATE (CONSTRAINT )?|DROP )TRIGGER\b", Waits.MOMENT),
)


def statements(script: Script) -> list[Statement]:
    """Return what this revision would execute, in its order."""
    said: list[str] = []
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": io.StringIO()}
    )
    context.impl.static_output = lambda text: said.append(text)
    with Operations.context(context):
        script.module.upgrade()
    found = [" ".join(sql.rstrip(";").split()) for sql in said]
    made = {
        match[1] for sql in found if (match := re.match(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", sql, re.IGNORECASE))
    }
    return [_read(sql, made) for sql in found if sql not in ("BEGIN", "COMMIT", "")]


def _read(sql: str, made: set[str]) -> Statement:
    match = next((match for pattern in _TABLE if (match := re.search(pattern, sql, re.IGNORECASE))), None)
    table = match[1] if match else None
    if table in made:
        # Nobody else has seen the table yet.
        return Statement(sql, None, Waits.NOBODY)
    found = next(((why, waits) for what, why, waits in _DANGERS if re.search(what, sql, re.IGNORECASE)), None)
    if found is None and any(" DEFAULT " not in added[0].upper() for added in _NOT_NULL.finditer(sql)):
        found = ("The version before writes nothing into it; give it a default.", Waits.MOMENT)
    if found is not None:
        return Statement(sql, table, found[1], found[0])
    for what, waits in _HARMLESS:
        if re.search(what, sql, re.IGNORECASE):
            index = _CONCURRENTLY.match(sql)
            return Statement(sql, table, waits, index=index[1] if index else None)
    return Statement(sql, table, Waits.EVERYBODY, "What it does to others is not known.")


def reason(script: Script) -> str | None:
    """Return why a revision with dangers may be taken, as it says itself in `SAFE_BECAUSE`."""
    return getattr(script.module, "SAFE_BECAUSE", None)
