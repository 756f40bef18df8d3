"""How PostgreSQL would run a statement: of what `queries` really sends, not of a copy that may drift from it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from sqlalchemy import event

from tocsin.db.engine import Tx


async def plan_of(tx: Tx, ask: Awaitable[object]) -> str:
    """Ask, and return the plan of the last statement that was sent for it."""
    connection = await tx.session.connection()
    sent: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    try:
        await ask
    finally:
        event.remove(connection.sync_connection, "before_cursor_execute", note)
    statement, parameters = sent[-1]
    return "\n".join(row[0] for row in await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))
