"""The live stream: tells everybody who watches what has just been committed, in order and without gaps.

Positions of the log are handed out before a commit, so a lower one may become visible after a higher one. The
stream therefore reads in the order of transactions and only up to the oldest transaction still in progress: what it
has passed can never change. An event's place in the stream is written `<transaction>-<position>`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from tocsin.db.engine import Database, decode_json
from tocsin.db.errors import STORE_ERRORS
from tocsin.events.log import TOPIC

log = structlog.stdlib.get_logger(__name__)

_POLL = 1.0
_BATCH = 500
_BACKLOG = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as watchers get it."""

    place: tuple[int, int]
    id: UUID
    name: str
    at: datetime
    actor_name: str
    alert_id: UUID | None
    incident_id: UUID | None
    data: dict[str, Any]
    # Who owns the incident, whether it is for them only, and which source the alert is of: as they are now.
    team_ids: frozenset[UUID] = frozenset()
    is_private: bool = False
    source_id: UUID | None = None

    @property
    def cursor(self) -> str:
        return f"{self.place[0]}-{self.place[1]}"


def read_cursor(text: str) -> tuple[int, int] | None:
    """Read a `Last-Event-ID`; None when it is not one of ours, or names a place that no log can have."""
    head, _, tail = text.partition("-")
    if not (head.isdecimal() and tail.isdecimal() and len(text) < 42):
        return None
    place = int(head), int(tail)
    return place if max(place) < 2**63 else None


# The table is named in the order: the bare name would mean the text that is returned, in which 9 comes after 10.
_AFTER = """
SELECT transaction::text AS transaction, position, event.id, event.name, at, actor_name, alert_id, event.incident_id,
       data, incident.team_ids, incident.is_private, alert.source_id
FROM event LEFT JOIN incident ON incident.id = event.incident_id LEFT JOIN alert ON alert.id = event.alert_id
WHERE (transaction, position) > ($1::text::xid8, $2) AND transaction < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY event.transaction, event.position LIMIT $3
"""
_END = """
SELECT transaction::text AS transaction, position FROM event
WHERE transaction < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY event.transaction DESC, event.position DESC LIMIT 1
"""


class Watcher:
    """One reader of the stream; a reader that cannot keep up is told that it has missed something."""

    def __init__(self, wants: Callable[[Seen], bool]) -> None:
        self.wants = wants
        self.queue: asyncio.Queue[Seen | None] = asyncio.Queue(_BACKLOG)
        self.missed = False

    def offer(self, event: Seen) -> None:
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.missed = True


class Live:
    """Reads the log once for all watchers of this process, and only while there are any."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._watchers: set[Watcher] = set()
        self._place: tuple[int, int] | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unlisten: Callable[[], None] = lambda: None

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def start(self) -> None:
        """Begin to follow the log."""
        self._unlisten = self._db.bell.listen(TOPIC, self._wake.set)
        self._task = asyncio.create_task(self._follow(), name="live")

    async def stop(self) -> None:
        """End every stream."""
        self._unlisten()
        for watcher in tuple(self._watchers):
            watcher.missed = True
            with contextlib.suppress(asyncio.QueueFull):
                watcher.queue.put_nowait(None)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @contextlib.contextmanager
    def watch(self, wants: Callable[[Seen], bool]) -> Generator[Watcher]:
        """Be told of every event that `wants` accepts for as long as the block lasts."""
        watcher = Watcher(wants)
        self._watchers.add(watcher)
        self._wake.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def since(self, place: tuple[int, int], limit: int = _BATCH) -> list[Seen]:
        """Return the events after a place in the stream, for readers that come back."""
        rows = await self._db.pool.fetch(_AFTER, str(place[0]), place[1], limit)
        return [
            Seen(
                place=(int(row["transaction"]), row["position"]),
                id=row["id"],
                name=row["name"],
                at=row["at"],
                actor_name=row["actor_name"],
                alert_id=row["alert_id"],
                incident_id=row["incident_id"],
                data=decode_json(row["data"]),
                team_ids=frozenset(row["team_ids"] or ()),
                is_private=bool(row["is_private"]),
                source_id=row["source_id"],
            )
            for row in rows
        ]

    async def end(self) -> tuple[int, int]:
        """Return the place after everything that is settled now."""
        row = await self._db.pool.fetchrow(_END)
        return (int(row["transaction"]), row["position"]) if row else (0, 0)

    async def anchor(self) -> None:
        """Fix where the live part begins, so that nothing falls between a reader's catching up and it."""
        if self._place is None:
            end = await self.end()
            self._place = self._place or end

    async def _follow(self) -> None:
        while True:
            try:
                await self._step()
            except STORE_ERRORS as error:
                log.warning("live.database_unreachable", error=type(error).__name__)
                await asyncio.sleep(_POLL)

    async def _step(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL):
                await self._wake.wait()
        self._wake.clear()
        if not self._watchers:
            self._place = None
            return
        await self.anchor()
        while self._place is not None and (batch := await self.since(self._place)):
            self._place = batch[-1].place
            for event in batch:
                for watcher in tuple(self._watchers):
                    if watcher.wants(event):
                        watcher.offer(event)


async def follow(live: Live, wants: Callable[[Seen], bool], after: str | None) -> AsyncGenerator[Seen | None]:
    """Yield events from a cursor on (now, without one of ours); None each 15 seconds without any, for the line to live.

    Ends when the reader fell behind or the process stops; the reader then comes back with its last cursor.
    """
    place = read_cursor(after) if after else None
    with live.watch(wants) as watcher:
        await live.anchor()
        place = place or await live.end()
        while batch := await live.since(place):
            for event in batch:
                place = event.place
                if wants(event):
                    yield event
        while not watcher.missed:
            try:
                async with asyncio.timeout(15):
                    event = await watcher.queue.get()
            except TimeoutError:
                yield None
                continue
            if event is None:
                return
            if event.place > place:
                place = event.place
                yield event
