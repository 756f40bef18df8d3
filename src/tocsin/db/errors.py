"""What the store, or the way to it, may raise, and how to read it. The one place that knows the driver's words."""

from __future__ import annotations

import re
from collections.abc import Iterator

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

# SQLSTATE classes of a store that is away, overloaded or in trouble: connection, resources, intervention, its disk; a
# standby, or a database that was made read-only; and the end of a session that did nothing in its transaction for too
# long. All of it passes, so whoever wanted something may come again.
_AWAY = ("08", "53", "57", "58", "25006", "25P03")


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


# What PostgreSQL and the driver quote of a row or of an argument: `DETAIL:  Failing row contains (…)` up to a hint,
# and `invalid input for query argument $3: '…' (…)`.
_QUOTED = re.compile(r"(?s)\n?DETAIL:.*?(?=\nHINT:|\n?\[SQL:|\Z)|(?<=query argument \$)(\d+):.*?(?=\n?\[SQL:|\Z)")


def hide_values(error: BaseException) -> None:
    """Take out of this error, and of those that it came from, the values that the store quotes.

    Among them are hashes and tokens, and an error goes into the log, into `last_error` and before the operator's eyes.
    """
    for one in _chain(error):
        if isinstance(one, asyncpg.PostgresError):
            setattr(one, "detail", None)  # noqa: B010  The driver sets it without declaring it.
        if isinstance(one, STORE_ERRORS) or type(one).__module__.startswith("sqlalchemy."):
            one.args = tuple(_without_values(arg) if isinstance(arg, str) else arg for arg in one.args)


def _without_values(text: str) -> str:
    return _QUOTED.sub(lambda found: f"{found[1]}: …" if found[1] else "", text)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and everything that it came from or holds, each once."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        one = left.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [one.__cause__, one.__context__, getattr(one, "orig", None)]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions  # pyright: ignore[reportUnknownMemberType]  What it holds is checked above.
