"""One connection to PostgreSQL that a silent server cannot hold: how it is made, how long it waits, how it is given up.

A server falls silent without a word when a network swallows packets, a machine is paused or a fail-over takes an
address away. Whoever waits for it then waits for ever, unless each wait has an end of its own: for a connection, for
the answer to a statement, for a goodbye. The kernel looks after the rest: an idle connection whose other end is gone,
and bytes that nobody confirms.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.connection import LoggedQuery

from tocsin.kit.clock import monotonic

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

CONNECTS_WITHIN = 5.0
# A statement that takes longer is taken for one whose answer never comes. Rows are locked for less.
ANSWERS_WITHIN = 8.0
# For the few statements that the job engine lives by.
CLAIMS_WITHIN = 5.0
CLOSES_WITHIN = 2.0

# Seconds until an idle connection is asked for a sign of life, between two asks, and how many may go unanswered; then
# how many milliseconds bytes may stay unconfirmed. Without them Linux asks after two hours and sends for 15 minutes.
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 8000))

# A process that is frozen or cut off in the middle of a transaction must not hold its locks against all others: after
# this long PostgreSQL ends its session. None of ours is idle that long, since nothing waits for the outside in one.
IDLE_IN_TRANSACTION = "10s"


class Link(Connection):
    """A connection of the driver that is given up at once when it does not answer, and whenever its user goes away."""

    __slots__ = ("made_at",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.made_at = monotonic()

    def _cancel_current_command(self, *_: object) -> None:
        """End the connection instead of asking the server to cancel what it does.

        The driver calls this when a statement takes too long or its user is cancelled. Its own way is to ask on a
        second connection and to wait for the answer on both: a server that has fallen silent would hold the caller,
        and with it a place in the pool. PostgreSQL notices the end of the connection by itself
        (`client_connection_check_interval`), ends the statement and frees its locks.
        """
        # Not within this call, after which the driver still writes to the connection. And not `terminate`, which would
        # give its place in the pool back a second time.
        self._loop.call_soon(self._cut)

    def _cut(self) -> None:
        if self._protocol is not None:
            self._protocol.abort()

    async def close(self, *, timeout: float | None = None) -> None:
        """Say goodbye, but do not wait for one for long."""
        within = CLOSES_WITHIN if timeout is None else min(timeout, CLOSES_WITHIN)
        with contextlib.suppress(TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await super().close(timeout=within)


async def connect(
    dsn: str,
    *,
    settings: Mapping[str, str],
    answers_within: float | None,
    writes: bool = True,
    note: Callable[[BaseException], None] | None = None,
) -> Link:
    """Connect within seconds or raise one of `STORE_ERRORS`; `note` hears of every statement that fails.

    With `writes` a server that may only be read is refused: after a fail-over the address may lead to a standby.
    """
    connection = await asyncpg.connect(
        dsn,
        connection_class=Link,
        timeout=CONNECTS_WITHIN,
        command_timeout=answers_within,
        server_settings=_every_session() | dict(settings),
        target_session_attrs=SessionAttribute.read_write if writes else None,
    )
    _watch_line(connection)
    if note is not None:

        def tell(logged: LoggedQuery) -> None:
            if logged.exception is not None:
                note(logged.exception)

        connection.add_query_logger(tell)
    return connection


def _every_session() -> dict[str, str]:
    return {
        "jit": "off",
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION,
        # A client that has gone is noticed also while its statement runs or waits for a lock.
        "client_connection_check_interval": "2s",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


def _watch_line(connection: Any) -> None:
    """Have the kernel notice that the other end of a TCP connection is gone."""
    line = connection._transport.get_extra_info("socket")
    if line is None or line.family == socket.AF_UNIX:
        return
    # The loop's own object may not set options, so this one shares its socket for a moment.
    with socket.socket(fileno=os.dup(line.fileno())) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            # Not every system has all of them.
            if (option := getattr(socket, name, None)) is not None:
                ours.setsockopt(socket.IPPROTO_TCP, option, value)


async def ask_now_and_then(connection: Connection, gone: asyncio.Event, every: float) -> None:
    """Return when the connection has ended; raises `TimeoutError` when its server no longer answers.

    For connections that are held for what they are and not for their statements.
    """
    while not gone.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await gone.wait()
        if not gone.is_set():
            await connection.fetchval("SELECT 1", timeout=CLAIMS_WITHIN)
