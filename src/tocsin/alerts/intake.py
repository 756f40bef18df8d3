"""Durable intake: many requests, one transaction.

Invariant: a request is answered only after the commit that holds its raw body and everything that follows from it.
While one batch commits, the next one gathers; there is no timer. A request of many signals is stored in portions, so
that its neighbours do not wait for all of it. Within a batch equal signals are merged and rows are
written in the order of their keys, so that several writers cannot deadlock. Signals of one key keep their order: a
trigger, a resolve and another trigger in one batch are three rounds of the same transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError

from tocsin.alerts import masking, statements
from tocsin.alerts.model import AlertStatus, SignalEffect, SignalOutcome
from tocsin.alerts.portions import MOST_SIGNALS, portions
from tocsin.alerts.service import (
    SOURCES_TOPIC,
    close_if_over,
    note_missed,
    paging_anew_jobs,
    reword_pages,
    routing_jobs,
    updated,
)
from tocsin.alerts.sources.base import Action, Parsed, Signal
from tocsin.db.engine import Connection, Database, Tx, decode_json, encode_json
from tocsin.db.errors import STORE_ERRORS, sqlstate
from tocsin.events.alerts import AlertAcknowledged, AlertNotRouted, AlertResolved, AlertTriggered
from tocsin.events.base import SYSTEM, ActorRef, Event
from tocsin.events.log import emit
from tocsin.jobs.queue import enqueue
from tocsin.kit.clock import monotonic
from tocsin.kit.errors import Denied, Invalid, Unavailable
from tocsin.kit.ids import new_id
from tocsin.oncall import service as oncall
from tocsin.oncall.model import RunState

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


_SOURCE = "SELECT id, name, kind, is_enabled FROM alert_source WHERE token = $1"


@dataclass(frozen=True, slots=True)
class Source:
    """What intake needs to know about a source."""

    id: UUID
    name: str
    kind: str
    is_enabled: bool


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
        found = Source(row["id"], row["name"], row["kind"], row["is_enabled"]) if row else None
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[token] = (now + (_SOURCE_TTL if found else _UNKNOWN_TTL), found)
        return found


@dataclass(slots=True)
class _Item:
    """One request that waits for its commit, or a portion of it; the body is stored with the first."""

    source: Source
    body: bytes
    content_type: str
    signals: tuple[Signal, ...]
    outcome: str
    detail: str
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    id: UUID = field(default_factory=new_id)
    is_first: bool = True


@dataclass(slots=True)
class _Merged:
    """All signals of one key and one action in one round: `signal` is the worst of them, `newest` says what counts."""

    source: Source
    signal: Signal
    newest: Signal
    count: int
    items: list[_Item]

    def add(self, signal: Signal, item: _Item) -> None:
        self.count += 1
        self.items.append(item)
        if signal.severity < self.signal.severity:
            self.signal = signal
        if not signal.is_older_than(self.newest):
            self.newest = signal


Key = tuple[UUID, str]


class Intake:
    """The group-commit writer of one web process."""

    def __init__(self, db: Database, *, limit: int) -> None:
        self.measure: Callable[[str, int], None] = lambda _result, _number: None
        self._db = db
        self._limit = limit
        self._waiting: deque[_Item] = deque()
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

    async def submit(self, source: Source, body: bytes, content_type: str, parsed: Parsed) -> None:
        """Store a request and what it asks for; returns after the commit.

        Raises `Unavailable` when the queue is full (a resolve always finds a place) or the store is down. Of a source
        that is switched off only what ends or answers its alerts is taken; when there was more, it raises `Denied`
        after the commit, and the request is kept as one that was refused.
        """
        taken = parsed if source.is_enabled else parsed.without_triggers()
        refused = len(parsed.signals) - len(taken.signals)
        await self._store(_accepted(source, body, content_type, taken, refused))
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
        await self._store(_Item(source, body, content_type[:200], (), SignalOutcome.REJECTED, reason[:2000]))
        self.measure("rejected", 1)

    async def _store(self, item: _Item) -> None:
        size = max(1, len(item.signals))
        resolves = any(signal.action is Action.RESOLVE for signal in item.signals)
        if self._stopping or (self._signals >= self._limit and not resolves):
            self.measure("shed", size)
            raise Unavailable("Too many signals wait to be stored. Try again.", retry_after=RETRY_AFTER)
        # One portion after the other, each behind what has come meanwhile. When one of them fails, so does the request;
        # its sender repeats it, and what is there already counts as one more.
        for at, part in enumerate(portions(item.signals)):
            done = asyncio.get_running_loop().create_future()
            await self._store_part(replace(item, signals=part, is_first=at == 0, done=done))

    async def _store_part(self, item: _Item) -> None:
        size = max(1, len(item.signals))
        if self._stopping:
            raise Unavailable("Tocsin stops. Try again.", retry_after=RETRY_AFTER)
        self._waiting.append(item)
        self._signals += size
        self._arrived.set()
        try:
            async with asyncio.timeout(STORE_WITHIN):
                await item.done
        except TimeoutError:
            # It stays in the queue and may still be stored; the sender's repetition then counts as one more signal.
            self.measure("unavailable", size)
            raise Unavailable("The store does not answer. Try again.", retry_after=RETRY_AFTER) from None

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
            if self._stopping:
                return

    def _take(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 0
        while self._waiting and size < MOST_SIGNALS:
            item = self._waiting.popleft()
            size += max(1, len(item.signals))
            batch.append(item)
        self._signals -= size
        return batch

    async def _write(self, batch: list[_Item]) -> None:
        """Write a batch; when one request spoils it, write each alone so that only that one fails."""
        try:
            await self._attempt(batch)
        except (*STORE_ERRORS, ValueError) as error:
            if not _blames_request(error):
                log.warning("intake.store_unreachable", error=type(error).__name__, requests=len(batch))
                self.measure("unavailable", sum(max(1, len(item.signals)) for item in batch))
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

    async def _attempt(self, batch: list[_Item]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                # Triggers need no session; ending escalations does.
                begin = self._db.begin_hot if _only_triggers(batch) else self._db.begin
                async with asyncio.timeout(30), begin() as tx:
                    await _store_batch(tx, batch)
                return
            except (asyncpg.PostgresError, DBAPIError) as error:
                if sqlstate(error) not in _DEADLOCK or attempt == _ATTEMPTS:
                    raise
                log.info("intake.deadlock_retried", attempt=attempt)


async def store(tx: Tx, source: Source, body: bytes, content_type: str, parsed: Parsed) -> None:
    """Store one request and what it asks for as a part of this transaction."""
    await tx.flush()
    await _store_batch(tx, [_accepted(source, body, content_type, parsed)])


def _accepted(source: Source, body: bytes, content_type: str, parsed: Parsed, refused: int = 0) -> _Item:
    """Lay out what is taken of a request; `refused` is how many of its triggers a source that is off has lost."""
    problems = "; ".join(f"item {item.index}: {item.reason}" for item in parsed.rejected)
    outcome = SignalOutcome.PARTLY_ACCEPTED if parsed.rejected or refused else SignalOutcome.ACCEPTED
    if refused and not parsed.signals:
        outcome = SignalOutcome.REJECTED
    off = "The source is switched off, so nothing was opened." if refused else ""
    detail = "; ".join(part for part in (off, problems, *parsed.notes) if part)
    body = masking.without(parsed.routing_key, body)
    return _Item(source, body, content_type[:200], parsed.signals, outcome, detail[:2000])


def _only_triggers(batch: Sequence[_Item]) -> bool:
    return all(signal.action is Action.TRIGGER for item in batch for signal in item.signals)


def _blames_request(error: BaseException) -> bool:
    # The driver's own DataError, raised before anything is sent, is a ValueError.
    return sqlstate(error).startswith(_BLAMES_REQUEST) or isinstance(error, ValueError)


def _fail(batch: Sequence[_Item], error: Exception) -> None:
    for item in batch:
        if not item.done.done():
            item.done.set_exception(error)


def _rounds(batch: Sequence[_Item]) -> list[dict[Key, _Merged]]:
    """Merge equal signals and keep the order of different ones: a key stands at most once in a round."""
    rounds: list[dict[Key, _Merged]] = []
    latest: dict[Key, int] = {}
    for item in batch:
        for signal in item.signals:
            key = (item.source.id, signal.dedup_key)
            at = latest.get(key)
            if at is not None and rounds[at][key].signal.action is signal.action:
                rounds[at][key].add(signal, item)
                continue
            at = 0 if at is None else at + 1
            if at == len(rounds):
                rounds.append({})
            rounds[at][key] = _Merged(item.source, signal, signal, 1, [item])
            latest[key] = at
    return rounds


@dataclass(slots=True)
class _Written:
    """What a batch did, gathered for the events and jobs at its end."""

    events: list[Event] = field(default_factory=list[Event])
    opened: set[UUID] = field(default_factory=set[UUID])
    to_route: list[UUID] = field(default_factory=list[UUID])
    got_worse: list[UUID] = field(default_factory=list[UUID])
    repeated: list[UUID] = field(default_factory=list[UUID])
    reworded: list[UUID] = field(default_factory=list[UUID])
    # Opened to be kept, page nobody, and yet their end may have been told already.
    recorded: list[UUID] = field(default_factory=list[UUID])
    effects: set[tuple[UUID, UUID, str]] = field(default_factory=set[tuple[UUID, UUID, str]])

    def note(self, alert_id: UUID, merged: _Merged, effect: str) -> None:
        self.effects.update((alert_id, item.id, effect) for item in merged.items)

    def sorted_effects(self) -> tuple[list[UUID], list[UUID], list[str]]:
        """Return alerts, signals and effects, each in a column, in the order of the table's key."""
        rows = sorted(self.effects)
        return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


async def _store_batch(tx: Tx, batch: Sequence[_Item]) -> None:
    connection = await tx.raw()
    written = _Written()
    for round in _rounds(batch):
        await _trigger(tx, connection, round, written)
        await _change(tx, connection, round, AlertStatus.ACKNOWLEDGED, written)
        await _change(tx, connection, round, AlertStatus.RESOLVED, written)
    requests = [item for item in batch if item.is_first]
    await connection.execute(
        statements.SIGNALS,
        [item.id for item in requests],
        [item.source.id for item in requests],
        [item.content_type for item in requests],
        [item.body for item in requests],
        [item.outcome for item in requests],
        [item.detail for item in requests],
        tx.now,
        *written.sorted_effects(),
    )
    await emit(tx, *written.events)
    await reword_pages(tx, written.reworded)
    await close_if_over(tx, written.recorded)
    await enqueue(tx, *await paging_anew_jobs(tx, written.repeated))
    await enqueue(tx, *routing_jobs(written.to_route), *routing_jobs(written.got_worse, anew=True))


async def _trigger(tx: Tx, connection: Connection, round: dict[Key, _Merged], written: _Written) -> None:
    wanted = sorted(((k, m) for k, m in round.items() if m.signal.action is Action.TRIGGER), key=_by_key)
    if not wanted:
        return
    ids = {key: new_id() for key, _ in wanted}
    signals, newest = [m.signal for _, m in wanted], [m.newest for _, m in wanted]
    rows = await connection.fetch(
        statements.UPSERT,
        list(ids.values()),
        [key[0] for key, _ in wanted],
        [key[1] for key, _ in wanted],
        [s.title for s in newest],
        [s.description for s in newest],
        [s.severity for s in signals],
        [s.native_severity for s in newest],
        [s.urgency for s in signals],
        [encode_json(s.labels) for s in newest],
        [encode_json([{"href": link.href, "text": link.text} for link in s.links]) for s in newest],
        [m.count for _, m in wanted],
        [s.record_only for s in signals],
        tx.now,
        [s.said_at for s in newest],
    )
    for row in rows:
        key = (row["source_id"], row["dedup_key"])
        merged = round[key]
        if row["id"] != ids[key]:
            written.note(row["id"], merged, SignalEffect.REPEATED)
            written.repeated.append(row["id"])
            if row["got_worse"]:
                written.got_worse.append(row["id"])
            if row["was"] is not None:
                written.reworded.append(row["id"])
                written.events += updated(
                    row["id"], row["incident_id"], merged.source, decode_json(row["was"]), dict(row)
                )
            continue
        written.note(row["id"], merged, SignalEffect.OPENED)
        _opened(row["id"], merged, written)


def _by_key(pair: tuple[Key, _Merged]) -> Key:
    return pair[0]


def _opened(alert_id: UUID, merged: _Merged, written: _Written) -> None:
    signal, source = merged.signal, merged.source
    written.opened.add(alert_id)
    written.events.append(
        AlertTriggered(
            actor=ActorRef(kind="source", name=source.name, id=source.id),
            alert_id=alert_id,
            title=merged.newest.title,
            severity=signal.severity,
            urgency=signal.urgency,
            source_name=source.name,
            native_severity=signal.native_severity,
        )
    )
    if signal.record_only:
        reason = "The source marks this signal as information only."
        written.events.append(AlertNotRouted(actor=SYSTEM, alert_id=alert_id, reason=reason))
        written.recorded.append(alert_id)
    else:
        written.to_route.append(alert_id)


_ACTION = {AlertStatus.ACKNOWLEDGED: Action.ACKNOWLEDGE, AlertStatus.RESOLVED: Action.RESOLVE}


async def _change(
    tx: Tx, connection: Connection, round: dict[Key, _Merged], to: AlertStatus, written: _Written
) -> None:
    wanted = sorted(((k, m) for k, m in round.items() if m.signal.action is _ACTION[to]), key=_by_key)
    if not wanted:
        return
    rows = await connection.fetch(
        statements.CHANGE,
        [key[0] for key, _ in wanted],
        [key[1] for key, _ in wanted],
        to.value,
        tx.now,
        [m.source.name for _, m in wanted],
        statements.BEFORE[to],
        [m.newest.said_at for _, m in wanted],
    )
    if to is AlertStatus.RESOLVED and len(rows) < len(wanted):
        missed = dict(wanted).keys() - {(row["source_id"], row["dedup_key"]) for row in rows}
        for key, alert_id in (await note_missed(tx, {key: round[key].newest.said_at for key in missed})).items():
            written.note(alert_id, round[key], SignalEffect.OUTDATED)
    for row in rows:
        merged = round[(row["source_id"], row["dedup_key"])]
        written.note(row["id"], merged, SignalEffect(to.value))
        common: dict[str, Any] = {
            "actor": ActorRef(kind="source", name=merged.source.name, id=merged.source.id),
            "alert_id": row["id"],
            "incident_id": row["incident_id"],
        }
        resolved = to is AlertStatus.RESOLVED
        written.events.append(AlertResolved(**common) if resolved else AlertAcknowledged(**common))
    # Nobody is paged yet for what this very batch has opened, as nobody else has seen it.
    if paged := [row["id"] for row in rows if row["id"] not in written.opened]:
        resolved = to is AlertStatus.RESOLVED
        await oncall.end_runs(
            tx,
            alert_ids=paged,
            state=RunState.CANCELLED if resolved else RunState.ANSWERED,
            reason="The alert is resolved." if resolved else "The alert was acknowledged at its source.",
        )
