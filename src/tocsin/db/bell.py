"""The bell: tells this process and others that a commit left something to do or to show.

It is a hint and never the truth: every listener also polls. NOTIFY inside a domain transaction would serialise
commits, so the bell is rung after the commit, on a connection of its own, at most once per 10 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable

import structlog

from tocsin.db import link
from tocsin.db.errors import STORE_ERRORS
from tocsin.db.link import CLAIMS_WITHIN

_CHANNEL = "tocsin"
_COALESCE = 0.010
_RECONNECT = 1.0
# So often a silent bell asks whether it is still heard.
_ASK_EVERY = 10.0
# A payload of NOTIFY is limited to 8,000 bytes; beyond this many topics the ring says "everything".
_MOST_TOPICS = 100
EVERYTHING = "*"

log = structlog.stdlib.get_logger(__name__)


class Bell:
    """Rings topics such as `lane:page` or `events` in this process at once and in the others by NOTIFY."""

    def __init__(self, dsn: str, *, remote: bool = True) -> None:
        self._dsn = dsn
        self._remote = remote
        self._listeners: defaultdict[str, set[Callable[[], None]]] = defaultdict(set)
        self._waiting: set[str] = set()
        self._pending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def listen(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever the topic rings; the returned function ends that."""
        self._listeners[topic].add(wake)
        return lambda: self._listeners[topic].discard(wake)

    def ring(self, topics: Iterable[str]) -> None:
        """Wake the listeners here now and those elsewhere within about 10 ms."""
        wanted = set(topics)
        self._wake(wanted)
        if self._remote and self._task is not None:
            self._waiting |= wanted
            self._pending.set()

    def start(self) -> None:
        """Begin to hear and to be heard by the other processes."""
        if self._remote and self._task is None:
            self._task = asyncio.create_task(self._run(), name="bell")

    async def stop(self) -> None:
        """Fall silent towards other processes."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def _wake(self, topics: set[str]) -> None:
        if EVERYTHING in topics:
            topics = set(self._listeners)
        for topic in topics:
            for wake in tuple(self._listeners.get(topic, ())):
                wake()

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except STORE_ERRORS as error:
                log.warning("bell.disconnected", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT)

    async def _serve(self) -> None:
        connection = await link.connect(
            self._dsn, settings={"application_name": "tocsin"}, answers_within=CLAIMS_WITHIN
        )
        lost = asyncio.Event()

        def notice_loss(_: object) -> None:
            lost.set()
            self._pending.set()

        connection.add_termination_listener(notice_loss)
        mine = connection.get_server_pid()
        try:
            await connection.add_listener(
                _CHANNEL, lambda _c, pid, _ch, payload: None if pid == mine else self._wake(set(str(payload).split()))
            )
            # Whatever rang while nobody listened is caught up with by waking everybody once.
            self._wake({EVERYTHING})
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ASK_EVERY):
                        await self._pending.wait()
                if not self._pending.is_set():
                    await connection.fetchval("SELECT 1")
                self._pending.clear()
                topics, self._waiting = self._waiting, set()
                if topics and not lost.is_set():
                    payload = EVERYTHING if len(topics) > _MOST_TOPICS else " ".join(sorted(topics))
                    await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, payload)
                    await asyncio.sleep(_COALESCE)
        finally:
            await connection.close()
