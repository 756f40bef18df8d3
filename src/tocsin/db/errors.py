"""What the store, or the way to it, may raise, and how to read it. The one place that knows the driver's words."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Everything that working with the store may raise, bugs in a statement included.
STORE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # The driver's word for a connection that ends in the middle of a statement, among others.
    asyncpg.InternalClientError,
    SQLAlchemyError,
)

# SQLSTATE classes of a store that is away or overloaded: connection, resources, intervention; and the end of a session
# that did nothing in its transaction for too long.
_AWAY = ("08", "53", "57", "25P03")


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's five-character code, empty when the error did not come from it."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(original, "sqlstate", None) or "")


def is_away(error: BaseException) -> bool:
    """Say whether the store cannot be reached, rather than having refused a statement."""
    if isinstance(error, OSError | PoolTimeout | asyncpg.InternalClientError | asyncpg.InterfaceError):
        return not isinstance(error, asyncpg.DataError)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return sqlstate(error).startswith(_AWAY)
