"""The PostgreSQL inside `tocsin serve`: its binaries, account, files and supervisor. No SQL of the product."""

from __future__ import annotations

from tocsin.db.embedded.errors import EmbeddedError
from tocsin.db.embedded.files import running_dsn
from tocsin.db.embedded.server import EmbeddedServer

__all__ = ["EmbeddedError", "EmbeddedServer", "running_dsn"]
