"""Durable intake: many requests, one transaction.

Invariant: a request is answered only after the commit that holds its raw body and everything that follows from it.
While one batch commits, the next one gathers; there is no timer. A request of many signals is stored in portions, so
that its neighbours do not wait for all of it. What a batch writes stands in `alerts.batch`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError

from tocsin.alerts import masking
from tocsin.alerts.batch import Item, Source, accepted, only_triggers, store_batch
from tocsin.alerts.model import SignalOutcome
from tocsin.alerts.portions import MOST_SIGNALS, portions
from tocsin.alerts.service import SOURCES_TOPIC
from tocsin.alerts.sources.base import Action, Parsed
from tocsin.db.engine import Database, Tx
from tocsin.db.errors import STORE_ERRORS, sqlstate
from tocsin.kit.clock import monotonic
from tocsin.kit.errors import Denied, Invalid, Unavailable

log = structlog.stdlib.get_logger(__name__)

RETRY_AFTER = 5
# Senders give up after 10 to 30 seconds; they hear from us before.
STORE_WITHIN = 8.0
_FIND_WITHIN = 5.0
_SOURCE_TTL = 5.0
_UNKNOWN_TTL = 1.0
_DEADLOCK = ("40P01", "40001")
_ATTEMPTS = 3

# SQLSTATE classes that blame what was sent (data exception, integrity, program limit). Everything else that the store
# or the way to it may say is an outage: the sender has done nothing wrong and should try again.
_BLAMES_REQUEST = ("22", "23", "54")

_SOURCE = """
SELECT id, name, kind, is_enabled, team_ids::text AS team_ids, is_private FROM alert_source WHERE token = $1
"""


class Sources:
    """Finds sources by token. Known ones are remembered for seconds, and forgotten at once when the bell rings."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, tuple[float, Source | None]] = {}
        db.bell.listen(SOURCES_TOPIC, self._known.clear)

    async def find(self, token: str) -> Source | None:
        """Return the source with this token; raises `Unavailable` when that cannot be said right now."""
        if not (token.isascii() and token.isprintable()):
            return None  # No token of ours, and a NUL is nothing that the store could look up.
        now = monotonic()
        if (known := self._known.get(token)) and known[0] > now:
            return known[1]
        try:
            async with asyncio.timeout(_FIND_WITHIN):
                row = await self._db.pool.fetchrow(_SOURCE, token)
        except (*STORE_ERRORS, ValueError) as error:
            log.warning("intake.store_unreachable", error=type(error).__name__)
            raise Unavailable("The store cannot be reached. Try again.", retry_after=RETRY_AFTER) from error
        found = _source(row) if row else None
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[token] = (now + (_SOURCE_TTL if found else _UNKNOWN_TTL), found)
        return found


def _source(row: asyncpg.Record) -> Source:
    scope = (row["team_ids"], row["is_private"])
    return Source(row["id"], row["name"], row["kind"], row["is_enabled"], scope)


class Intake:
    """The group-commit writer of one web process."""

    def __init__(self, db: Database, *, limit: int) -> None:
        self.measure: Callable[[str, int], None] = lambda _result, _number: None
        self._db = db
        self._limit = limit
        self._waiting: deque[Item] = deque()
        # In the order in which they came, those that have their answer left out now and then.
        self._unanswered: deque[tuple[float, Item]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._signals = 0
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many signals wait for the next commit."""
        return self._signals

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="intake")

    async def stop(self) -> None:
        """Write what has been taken in, then end; later requests are turned away."""
        self._stopping = True
        self._arrived.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await self._task
            self._task = None
        if self._watch is not None:
            self._watch.cancel()
        # Nobody looks after those any more.
        for _, item in self._unanswered:
            self._turn_away(item)

    async def submit(self, source: Source, body: bytes, content_type: str, parsed: Parsed) -> None:
        """Store a request and what it asks for; returns after the commit.

        Raises `Unavailable` when the queue is full (a resolve always finds a place) or the store is down. Of a source
        that is switched off only what ends or answers its alerts is taken; when there was more, it raises `Denied`
        after the commit, and the request is kept as one that was refused.
        """
        taken = parsed if source.is_enabled else parsed.without_triggers()
        refused = len(parsed.signals) - len(taken.signals)
        await self._store(accepted(source, body, content_type, taken, refused))
        self.measure("accepted", len(taken.signals))
        if refused:
            self.measure("rejected", refused)
            raise Denied("This alert source is switched off.", code="source.disabled")

    async def submit_rejected(
        self, source: Source, body: bytes, content_type: str, reason: str, *, routing_key: str = ""
    ) -> None:
        """Store a request that could not be read, so that people can see what their tool sent."""
        # The key is the credential; whoever may look at raw signals must not learn it.
        body = masking.without(routing_key, body)
        await self._store(Item(source, body, content_type[:200], (), SignalOutcome.REJECTED, reason[:2000]))
        self.measure("rejected", 1)

    async def _store(self, item: Item) -> None:
        size = max(1, len(item.signals))
        resolves = any(signal.action is Action.RESOLVE for signal in item.signals)
        if self._stopping or (self._signals >= self._limit and not resolves):
            self.measure("shed", size)
            raise Unavailable("Too many signals wait to be stored. Try again.", retry_after=RETRY_AFTER)
        # One portion after the other, each behind what has come meanwhile. When one of them fails, so does the request;
        # its sender repeats it, and what is there already counts as one more.
        item.signals, *others = portions(item.signals)
        await self._store_part(item)
        for part in others:
            done = asyncio.get_running_loop().create_future()
            await self._store_part(replace(item, signals=part, is_first=False, done=done))

    async def _store_part(self, item: Item) -> None:
        size = max(1, len(item.signals))
        if self._stopping:
            raise Unavailable("Tocsin stops. Try again.", retry_after=RETRY_AFTER)
        self._waiting.append(item)
        self._signals += size
        self._arrived.set()
        self._unanswered.append((monotonic() + STORE_WITHIN, item))
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(STORE_WITHIN, self._answer_late)
        await item.done

    def _answer_late(self) -> None:
        """Turn away who has waited too long. One timer for all of them: each by its own would cost more than parsing.

        Their signals stay in the queue and may still be stored; the repetition then counts as one more.
        """
        self._watch = None
        while self._unanswered:
            until, item = self._unanswered[0]
            if not item.done.done() and (wait := until - monotonic()) > 0:
                self._watch = asyncio.get_running_loop().call_later(wait, self._answer_late)
                return
            self._turn_away(item)
            self._unanswered.popleft()

    def _turn_away(self, item: Item) -> None:
        if not item.done.done():
            self.measure("unavailable", max(1, len(item.signals)))
            item.done.set_exception(Unavailable("The store does not answer. Try again.", retry_after=RETRY_AFTER))

    def _forget_answered(self) -> None:
        while self._unanswered and self._unanswered[0][1].done.done():
            self._unanswered.popleft()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                batch = self._take()
                try:
                    await self._write(batch)
                except Exception as error:
                    log.exception("intake.broken")
                    _fail(batch, error)
                self._forget_answered()
            if self._stopping:
                return

    def _take(self) -> list[Item]:
        batch: list[Item] = []
        size = 0
        while self._waiting and size < MOST_SIGNALS:
            item = self._waiting.popleft()
            size += max(1, len(item.signals))
            batch.append(item)
        self._signals -= size
        return batch

    async def _write(self, batch: list[Item]) -> None:
        """Write a batch; when one request spoils it, write each alone so that only that one fails."""
        try:
            await self._attempt(batch)
        except (*STORE_ERRORS, ValueError) as error:
            if not _blames_request(error):
                log.warning("intake.store_unreachable", error=type(error).__name__, requests=len(batch))
                waiting = [item for item in batch if not item.done.done()]
                self.measure("unavailable", sum(max(1, len(item.signals)) for item in waiting))
                _fail(batch, Unavailable("The store cannot be reached. Try again.", retry_after=RETRY_AFTER))
            elif len(batch) == 1:
                log.exception("intake.refused_by_store", source=str(batch[0].source.id))
                _fail(batch, Invalid("", "The store cannot keep this signal."))
            else:
                log.warning("intake.batch_split", error=type(error).__name__, requests=len(batch))
                for item in batch:
                    await self._write([item])
        else:
            for item in batch:
                if not item.done.done():
                    item.done.set_result(None)

    async def _attempt(self, batch: list[Item]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                # Triggers need no session; ending escalations does.
                begin = self._db.begin_hot if only_triggers(batch) else self._db.begin
                async with asyncio.timeout(30), begin() as tx:
                    await store_batch(tx, batch)
                return
            except (asyncpg.PostgresError, DBAPIError) as error:
                if sqlstate(error) not in _DEADLOCK or attempt == _ATTEMPTS:
                    raise
                log.info("intake.deadlock_retried", attempt=attempt)


async def store(tx: Tx, source: Source, body: bytes, content_type: str, parsed: Parsed) -> None:
    """Store one request and what it asks for as a part of this transaction."""
    await tx.flush()
    await store_batch(tx, [accepted(source, body, content_type, parsed)])


def _blames_request(error: BaseException) -> bool:
    # The driver's own DataError, raised before anything is sent, is a ValueError.
    return sqlstate(error).startswith(_BLAMES_REQUEST) or isinstance(error, ValueError)


def _fail(batch: Sequence[Item], error: Exception) -> None:
    for item in batch:
        if not item.done.done():
            item.done.set_exception(error)
