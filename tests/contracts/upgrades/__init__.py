"""Databases as released versions left them, and how they are read; `freeze` makes one for a new release."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

from tocsin.db.engine import Database

HERE = Path(__file__).parent
# Revision → the release that fixed it, and the digest of its text.
FROZEN = HERE / "frozen.json"


def digest(revision: Path) -> str:
    """Return the digest of a revision's text."""
    return hashlib.sha256(revision.read_bytes()).hexdigest()


def frozen() -> dict[str, dict[str, str]]:
    """Return what is fixed, by revision; nothing before the first release."""
    return json.loads(FROZEN.read_text()) if FROZEN.exists() else {}


def dumps() -> dict[str, Path]:
    """Return the kept databases by release."""
    return {path.name.removesuffix(".sql.gz"): path for path in sorted(HERE.glob("*.sql.gz"))}


async def read_dump(db: Database, dump: Path) -> None:
    """Make the empty database what the dump says."""
    script = gzip.decompress(dump.read_bytes()).decode()
    connection = await db.pool.acquire()
    try:
        await connection.execute(script)
        # The dump ends with an empty search path.
        await connection.execute("RESET ALL")
    finally:
        await db.pool.release(connection)
