"""The engine, the transaction that every use case runs in, and the raw pool for the few hot statements."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import msgspec
from sqlalchemy import event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tocsin.db.bell import Bell


@dataclass(frozen=True, slots=True)
class Listener:
    """A reaction: the job that is put into a lane when an event is written, or only when it is about an incident."""

    lane: str
    kind: str
    only_of_incidents: bool = False


Listeners = Mapping[str, Sequence[Listener]]

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

_NOW = text("SELECT tocsin_now()")


def encode_json(value: object) -> str:
    """Write JSON for a jsonb column."""
    return msgspec.json.encode(value).decode()


def decode_json(value: str | bytes) -> Any:
    """Read JSON from a jsonb column."""
    return msgspec.json.decode(value)


class Tx:
    """One transaction: a session, the one instant it happens at, and what to ring once it is committed.

    Use cases take it first and never commit; the edge that opened it does.
    """

    __slots__ = ("_rings", "depth", "listeners", "now", "session")

    def __init__(self, session: AsyncSession, now: datetime, listeners: Listeners, depth: int) -> None:
        self.session = session
        self.now = now
        # Event name → the reactions to it.
        self.listeners = listeners
        # How many reactions led to this transaction; `emit` stops a chain that has become too long.
        self.depth = depth
        self._rings: set[str] = set()

    def ring(self, topic: str) -> None:
        """Ring this topic after the commit."""
        self._rings.add(topic)

    @property
    def rings(self) -> frozenset[str]:
        return frozenset(self._rings)

    async def raw(self) -> Connection:
        """Return the driver's connection of this transaction, for the statements that must be fast."""
        connection = await self.session.connection()
        fairy = await connection.get_raw_connection()
        driver = fairy.driver_connection
        if not isinstance(driver, asyncpg.Connection):
            raise TypeError("The database driver is not asyncpg.")
        return cast("Connection", driver)


def _refuse_closed(connection: Any, *_: object) -> None:
    """Have the pool connect anew when PostgreSQL ended a connection that lay idle. Asks nothing over the wire."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


class Database:
    """The connections of one process to one PostgreSQL."""

    def __init__(
        self,
        dsn: str,
        *,
        bell: bool = True,
        pool_size: int = 10,
        application: str = "tocsin",
    ) -> None:
        self.dsn = dsn
        self.bell = Bell(dsn, remote=bell)
        self.listeners: Listeners = {}
        self._pool: Pool | None = None
        self._pool_size = pool_size
        self._application = application
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=pool_size,
            max_overflow=pool_size,
            json_serializer=encode_json,
            json_deserializer=decode_json,
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_closed)

    async def _connect(self) -> Connection:
        return await asyncpg.connect(self.dsn, timeout=10, server_settings={"application_name": self._application})

    @property
    def pool(self) -> Pool:
        """The raw pool; only intake, the job engine and the live stream use it."""
        if self._pool is None:
            raise RuntimeError("The database has not been opened.")
        return self._pool

    async def open(self) -> None:
        """Open the raw pool and start the bell."""
        self._pool = await asyncpg.create_pool(
            self.dsn,
            min_size=1,
            max_size=self._pool_size,
            timeout=10,
            command_timeout=60,
            server_settings={"application_name": self._application, "jit": "off"},
        )
        self.bell.start()

    async def close(self) -> None:
        """Close everything; work in progress is given a few seconds."""
        await self.bell.stop()
        if self._pool is not None:
            try:
                async with asyncio.timeout(5):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
            self._pool = None
        await self.engine.dispose()

    @contextlib.asynccontextmanager
    async def begin(self, *, depth: int = 0) -> AsyncGenerator[Tx]:
        """Open a transaction; commit at the end of the block and ring the bell, or roll back when it raises."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            async with session.begin():
                now: datetime = (await session.execute(_NOW)).scalar_one()
                tx = Tx(session, now, self.listeners, depth)
                yield tx
            if tx.rings:
                self.bell.ring(tx.rings)
