"""The engine, the transaction that every use case runs in, and the raw pool for the few hot statements."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar, cast, get_args
from weakref import WeakSet

import asyncpg
import msgspec
from sqlalchemy import ExceptionContext, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from tocsin.db import link
from tocsin.db.bell import Bell
from tocsin.db.condition import TRY_TO_WRITE, Condition
from tocsin.db.errors import STORE_ERRORS
from tocsin.db.link import ANSWERS_WITHIN, Connection, Link, Pool


@dataclass(frozen=True, slots=True)
class Listener:
    """A reaction: the job that is put into a lane when an event is written, or when one is of which `when` holds."""

    lane: str
    kind: str
    when: Callable[[Any], bool] | None = None


# Event name → the reactions to it.
Listeners = Mapping[str, Sequence[Listener]]

T = TypeVar("T")

_NOW = text("SELECT tocsin_now()")
# Parts of the configuration that are kept in memory, and the columns that count their changes.
Part = Literal["routing", "paging"]
Versions = Mapping[Part, int]
_PARTS: tuple[Part, ...] = get_args(Part)
_VERSIONS = f"SELECT {', '.join(_PARTS)} FROM configuration_version"  # noqa: S608
_NOW_AND_VERSIONS = f"SELECT tocsin_now() AS now, {', '.join(_PARTS)} FROM configuration_version"  # noqa: S608


def encode_json(value: object) -> str:
    """Write JSON for a jsonb column."""
    return msgspec.json.encode(value).decode()


def decode_json(value: str | bytes) -> Any:
    """Read JSON from a jsonb column."""
    return msgspec.json.decode(value)


class Tx:
    """One transaction: its one instant, its session, and what to ring once it is committed.

    Use cases take it first and never commit; the edge that opened it does. A hot transaction (`Database.begin_hot`)
    has only the driver's connection: it costs a third, and is for the few paths that must keep up with a burst.
    """

    __slots__ = ("_began_at", "_connection", "_db", "_rings", "_session", "_versions", "depth", "listeners", "now")

    def __init__(
        self,
        db: Database,
        now: datetime,
        *,
        session: AsyncSession | None = None,
        connection: Connection | None = None,
        depth: int = 0,
        began_at: Versions | None = None,
    ) -> None:
        self._db = db
        # The versions of the configuration when it began, where that was asked for.
        self._began_at = began_at
        self._session = session
        self._connection = connection
        self._versions: Versions | None = None
        self._rings: set[str] = set()
        self.now = now
        self.listeners = db.listeners
        # How many reactions led to this transaction; `emit` stops a chain that has become too long.
        self.depth = depth

    @property
    def session(self) -> AsyncSession:
        if self._session is None:
            raise RuntimeError("A hot transaction has no session, and one that is over has none any more.")
        return self._session

    @contextlib.contextmanager
    def ending(self) -> Generator[None]:
        """Let go of the connection at the end of the block: who used it then would take one that nobody gives back."""
        try:
            yield
        finally:
            self._session = self._connection = None

    def ring(self, topic: str) -> None:
        """Ring this topic after the commit."""
        self._rings.add(topic)

    @property
    def rings(self) -> frozenset[str]:
        return frozenset(self._rings)

    async def flush(self) -> None:
        """Write what the session holds back, so that the statements that follow see it."""
        if self._session is not None:
            await self._session.flush()

    async def raw(self) -> Connection:
        """Return the driver's connection of this transaction, for the statements that must be fast."""
        if self._connection is None:
            fairy = await (await self.session.connection()).get_raw_connection()
            if not isinstance(fairy.driver_connection, asyncpg.Connection):
                raise TypeError("The database driver is not asyncpg.")
            self._connection = cast("Connection", fairy.driver_connection)
        return self._connection

    async def cached(self, part: Part, load: Callable[[Tx], Awaitable[T]]) -> T:
        """Return a part of the configuration, read anew only when somebody has changed it.

        The database counts every committed change (see `configuration_version` in the migrations), so what is
        returned is never older than this transaction's first look. Changes of this transaction itself are not in it.
        """
        if self._versions is None:
            self._versions = await _versions(await self.raw())
        return await self._db.snapshot(part, load, at_least=self._versions[part])

    async def at_hand(self, part: Part, load: Callable[[Tx], Awaitable[T]]) -> T | None:
        """Return what `cached` would, as of the begin of the transaction; None when that would have to be read.

        It is read then, but for whoever asks later: nobody waits for it here.
        """
        if self._began_at is None:
            self._began_at = await _versions(await self.raw())
        return self._db.at_hand(part, load, at_least=self._began_at[part])


async def _versions(connection: Connection) -> Versions:
    return _versions_in((await connection.fetch(_VERSIONS))[0])


def _versions_in(row: asyncpg.Record) -> Versions:
    return {part: row[part] for part in _PARTS}


class Database:
    """The connections of one process to one PostgreSQL."""

    def __init__(
        self,
        dsn: str,
        *,
        bell: bool = True,
        pool_size: int = 10,
        application: str = "tocsin",
        writes: bool = True,
        listeners: Listeners | None = None,
    ) -> None:
        self.dsn = dsn
        self.condition = Condition()
        self.bell = Bell(dsn, remote=bell)
        # Who reacts to what happens here. A command that only looks, or mends the database itself, has nobody.
        self.listeners: Listeners = listeners or {}
        # Each part with the version that it was read at, and what was read.
        self._snapshots: dict[Part, tuple[int, Any]] = {}
        self._reading = asyncio.Lock()
        self._fetching: asyncio.Task[None] | None = None
        self._pool: Pool | None = None
        self._pool_size = pool_size
        self._application = application
        self._writes = writes
        self._links: WeakSet[Link] = WeakSet()
        self.engine = self._engine(pool_size=pool_size, max_overflow=pool_size)
        self._looking = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # Snapshots are read on a connection of their own: whoever asks for one holds a connection already, and when
        # all of a full pool ask at once, each would wait for another to give its own back.
        self._snapshot_engine = self._engine(pool_size=1, max_overflow=0)

    def _engine(self, *, is_patient: bool = False, **pool: Any) -> AsyncEngine:
        async def connect() -> Link:
            # A generic plan knows neither the status that is asked for nor the limit, and walks whole tables for a
            # count.
            return await self._connect(is_patient=is_patient, plan_cache_mode="force_custom_plan")

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            json_serializer=encode_json,
            json_deserializer=decode_json,
            # What is written holds secrets, and a refused statement goes into the log.
            hide_parameters=True,
            **pool,
        )
        event.listen(engine.sync_engine, "checkout", self._refuse_doubtful)
        event.listen(engine.sync_engine, "handle_error", self._note)
        return engine

    async def _connect(self, *, is_patient: bool = False, **settings: str) -> Link:
        try:
            made = await link.connect(
                self.dsn,
                settings={"application_name": self._application} | settings,
                answers_within=None if is_patient else ANSWERS_WITHIN,
                writes=self._writes,
                note=self.condition.note,
            )
        except asyncpg.TargetServerAttributeNotMatched as error:
            self.condition.note(error)
            raise
        self._links.add(made)
        return made

    def _note(self, context: ExceptionContext) -> None:
        self.condition.note(context.original_exception)

    def _refuse_doubtful(self, connection: Any, *_: object) -> None:
        """Have the pool connect anew when PostgreSQL ended a connection that lay idle, or others as old have failed.

        Asks nothing over the wire.
        """
        held: Link = connection.driver_connection
        if held.made_at <= self.condition.doubted_at:
            held.terminate()
        if held.is_closed():
            raise DisconnectionError

    @property
    def pool(self) -> Pool:
        """The raw pool; only intake, the job engine and the live stream use it."""
        if self._pool is None:
            raise RuntimeError("The database has not been opened.")
        return self._pool

    @contextlib.asynccontextmanager
    async def patient(self) -> AsyncGenerator[AsyncConnection]:
        """Open a connection whose statements may take as long as they take. For migrations."""
        engine = self._engine(is_patient=True, poolclass=NullPool)
        async with engine.connect() as connection:
            yield connection
        await engine.dispose()

    async def open(self) -> None:
        """Open the raw pool and start the bell."""

        async def connect(*_: object, **__: object) -> Link:
            return await self._connect()

        self._pool = pool = await asyncpg.create_pool(
            self.dsn,
            # The first one shows whether there is a way. None is kept up: the driver would connect, and complain, by
            # itself for as long as there is none.
            init_size=1,
            min_size=0,
            max_size=self._pool_size,
            connect=connect,
            connection_class=Link,
            # Nothing that uses the pool leaves anything behind in a session, so there is nothing to reset.
            reset=_leave_as_it_is,
        )
        # Whoever asks next gets a new connection; nobody waits for the goodbye of an old one.
        self.condition.when_doubted = lambda: _in_background(pool.expire_connections())
        self.bell.start()

    async def close(self) -> None:
        """Close everything; work in progress is given a few seconds, and a silent server no more."""
        await self.bell.stop()
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})
        if self._pool is not None:
            try:
                async with asyncio.timeout(5):
                    await self._pool.close()
            except STORE_ERRORS:
                self._pool.terminate()
            self._pool = None
        # One by one they would each wait for a silent server.
        for left in tuple(self._links):
            left.terminate()
        await self._snapshot_engine.dispose()
        await self.engine.dispose()

    async def find_trouble(self) -> str | None:
        """Say what keeps the database from storing anything, None when it does; tries a write now and then."""
        if self.condition.wants_trial():
            failure: BaseException | None = None
            try:
                await self._try_to_write()
            except STORE_ERRORS as error:
                failure = error
            self.condition.tried(failure)
        return self.condition.trouble

    async def _try_to_write(self) -> None:
        async with self.pool.acquire() as connection:
            trial = connection.transaction()
            await trial.start()
            try:
                await connection.execute(TRY_TO_WRITE)
            finally:
                await trial.rollback()

    def at_hand(self, part: Part, load: Callable[[Tx], Awaitable[T]], *, at_least: int) -> T | None:
        """Return a part of the configuration that is not older than the version; see `Tx.at_hand`."""
        known = self._snapshots.get(part)
        if known is not None and known[0] >= at_least:
            return cast("T", known[1])
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch(part, load, at_least), name="configuration")
        return None

    async def _fetch(self, part: Part, load: Callable[[Tx], Awaitable[T]], at_least: int) -> None:
        # Who cannot do without it reads it, and says what is wrong.
        with contextlib.suppress(*STORE_ERRORS):
            await self.snapshot(part, load, at_least=at_least)

    async def snapshot(self, part: Part, load: Callable[[Tx], Awaitable[T]], *, at_least: int) -> T:
        """Return a part of the configuration that is not older than the version; see `Tx.cached`."""
        known = self._snapshots.get(part)
        if known is None or known[0] < at_least:
            async with self._reading:
                # Whoever waited here finds what the one before has read.
                known = self._snapshots.get(part)
                if known is None or known[0] < at_least:
                    known = self._snapshots[part] = await self._read_snapshot(part, load)
        return cast("T", known[1])

    async def _read_snapshot(self, part: Part, load: Callable[[Tx], Awaitable[T]]) -> tuple[int, T]:
        async with self._begin(self._snapshot_engine) as tx:
            version = (await _versions(await tx.raw()))[part]
            return version, await load(tx)

    @contextlib.asynccontextmanager
    async def begin(self, *, depth: int = 0) -> AsyncGenerator[Tx]:
        """Open a transaction; commit at the end of the block and ring the bell, or roll back when it raises."""
        async with self._begin(self.engine, depth=depth) as tx:
            yield tx

    @contextlib.asynccontextmanager
    async def look(self) -> AsyncGenerator[Tx]:
        """Open a session in which every statement is a transaction of its own: two round trips less than `begin`.

        For reading, which sees each statement's own moment in `begin` too, and for one write that stands by itself.
        Nothing is rolled back and no bell is rung, so use cases that emit or enqueue need `begin`.
        """
        async with AsyncSession(self._looking, expire_on_commit=False) as session:
            now: datetime = (await session.execute(_NOW)).scalar_one()
            tx = Tx(self, now, session=session)
            with tx.ending():
                yield tx

    @contextlib.asynccontextmanager
    async def _begin(self, engine: AsyncEngine, *, depth: int = 0) -> AsyncGenerator[Tx]:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            async with session.begin():
                now: datetime = (await session.execute(_NOW)).scalar_one()
                tx = Tx(self, now, session=session, depth=depth)
                with tx.ending():
                    yield tx
            if tx.rings:
                self.bell.ring(tx.rings)

    @contextlib.asynccontextmanager
    async def begin_hot(self, *, depth: int = 0) -> AsyncGenerator[Tx]:
        """Open a transaction without a session, for paths that must keep up with a burst."""
        async with self.pool.acquire() as proxy:
            connection = cast("Connection", proxy)
            async with _transaction(connection):
                (begun,) = await connection.fetch(_NOW_AND_VERSIONS)
                tx = Tx(self, begun["now"], connection=connection, depth=depth, began_at=_versions_in(begun))
                with tx.ending():
                    yield tx
        if tx.rings:
            self.bell.ring(tx.rings)


@contextlib.asynccontextmanager
async def _transaction(connection: Connection) -> AsyncGenerator[None]:
    """The driver's own block, but that a connection which has been given up does not hide why."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    except BaseException:
        with contextlib.suppress(*STORE_ERRORS):
            await transaction.rollback()
        raise
    await transaction.commit()


async def _leave_as_it_is(_: object) -> None:
    return None


_BACKGROUND: set[asyncio.Task[None]] = set()


def _in_background(work: Coroutine[Any, Any, None]) -> None:
    # The loop itself keeps no hold of a task.
    task = asyncio.ensure_future(work)
    _BACKGROUND.add(task)
    task.add_done_callback(_BACKGROUND.discard)
