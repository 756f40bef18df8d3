"""Which words of the store mean that it is in trouble, and which that it was asked for something wrong."""

from __future__ import annotations

import asyncpg
import pytest

from tocsin.db.errors import is_away


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DiskFullError(),
        asyncpg.PostgresIOError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.AdminShutdownError(),
        asyncpg.TooManyConnectionsError(),
        ConnectionResetError(),
    ],
)
def test_trouble_of_the_store_passes_so_whoever_asks_may_come_again(error: Exception) -> None:
    """G04: 503, also where its disk fails and where a standby answers instead of the primary."""
    assert is_away(error)


@pytest.mark.parametrize("error", [asyncpg.UniqueViolationError(), asyncpg.UndefinedTableError(), ValueError()])
def test_what_was_asked_wrongly_is_wrong_the_next_time_too(error: Exception) -> None:
    assert not is_away(error)
