"""Fixes the schema of a release: `.venv/bin/python -m tests.contracts.upgrades.freeze 0.2.0`.

Fills a database with the demo, keeps its dump in this folder for the tests of later versions, notes the digests of the
revisions that are fixed now, and gives the changelog its heading. `--at REVISION` fixes the revisions up to that one
and leaves later ones open: their tables must have the columns that the program has now. Refuses a release that is
fixed already, unless `--again`.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests import postgres
from tests.contracts.upgrades import FROZEN, HERE, digest, frozen
from tocsin.cli import demo
from tocsin.db import migrate
from tocsin.db.embedded import account as accounts
from tocsin.db.embedded import binaries
from tocsin.db.engine import Database

CHANGELOG = HERE.parents[2] / "CHANGELOG.md"
_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
# What the demo has no story for: one row each, by the columns that have no default.
_MORE = (
    "INSERT INTO clock_step (at, seconds, moved) VALUES (now(), 60, 3)",
    """INSERT INTO job_dead VALUES (9999, 'send', 'notifications.send', NULL, 3, '{"delivery_id": "x"}', now(), now(),
    'It was refused.')""",
    """INSERT INTO idempotency_key VALUES (gen_random_uuid(), 'first', '\\x00', 200, '{}', '{}', now())""",
    "INSERT INTO sign_in_throttle VALUES ('\\x01', 3, now(), now() + interval '1 hour')",
)


def main() -> None:
    """Fix a release."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("release")
    reader.add_argument("--at", default=migrate.newest(), metavar="REVISION")
    reader.add_argument("--again", action="store_true", help="Make the dump and the digests of this release anew.")
    given = reader.parse_args()
    known = frozen()
    if not given.again and any(entry["release"] == given.release for entry in known.values()):
        sys.exit(f"{given.release} is fixed already. Add --again while it has not been published.")
    dump = asyncio.run(_fill_and_dump(given.at))
    (HERE / f"{given.release}.sql.gz").write_bytes(gzip.compress(dump.encode(), mtime=0))
    for script in migrate.missing(None, given.at):
        if script.revision not in known or known[script.revision]["release"] == given.release:
            known[script.revision] = {"release": given.release, "sha256": digest(Path(script.path))}
    FROZEN.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    _give_heading(given.release)
    where = HERE.relative_to(CHANGELOG.parent)
    print(f"{given.release} is fixed at revision {given.at}. Commit {where}/ and CHANGELOG.md.")


async def _fill_and_dump(at: str) -> str:
    with postgres.server() as dsn:
        async with postgres.fresh(dsn, "template0") as one:
            db = Database(one, bell=False, pool_size=5)
            await migrate.upgrade(db, to=at)
            await db.open()
            await demo.fill(db)
            for statement in _MORE:
                await db.pool.execute(statement)
            tables = [row[0] for row in await db.pool.fetch(_TABLES)]
            empty = [name for name in tables if not await db.pool.fetchval(f"SELECT EXISTS (SELECT FROM {name})")]
            print(f"{len(tables) - len(empty)} tables have rows; without: {', '.join(empty) or 'none'}.")
            await db.close()
            return _dump(one)


def _dump(dsn: str) -> str:
    """Return plain SQL that any PostgreSQL which Tocsin runs on can read, and the driver can send as it is."""
    nowhere = Path("/nonexistent")
    programs = binaries.choose(None, accounts.choose(None, nowhere), nowhere).directory
    words = ["--no-owner", "--no-privileges", "--no-comments", "--inserts", "--rows-per-insert=100", f"--dbname={dsn}"]
    said = subprocess.run([programs / "pg_dump", *words], check=True, capture_output=True, text=True).stdout
    # Words for psql, and a setting that PostgreSQL before 17 does not know.
    return re.sub(r"(?m)^(\\(un)?restrict .*|SET transaction_timeout = 0;|--.*)\n", "", said)


def _give_heading(release: str) -> None:
    text = CHANGELOG.read_text()
    if f"## [{release}]" in text:
        return
    heading = f"## [{release}] - {datetime.now(UTC):%Y-%m-%d}"
    CHANGELOG.write_text(text.replace("## [Unreleased]\n", f"## [Unreleased]\n\n{heading}\n", 1))


if __name__ == "__main__":
    main()
