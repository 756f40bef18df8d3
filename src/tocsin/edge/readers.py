"""Who reads live streams of this process: how many there may be, and whether each still may read."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Generator
from uuid import UUID

from tocsin.identity.model import Actor
from tocsin.kit.errors import TooMany, Unavailable

MOST = 400
MOST_OF_ONE = 25
MOST_OF_PERSON = 100
# How often all readers are looked at, which is one question for all of them.
LOOK_EVERY = 0.5


class Reader:
    """One open stream and whose it is. `over` comes when it has to end."""

    def __init__(self, who: Actor) -> None:
        self.who = who
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


class Readers:
    """The open streams. `still_good` says which of their people may still read; it is asked while there are any."""

    def __init__(
        self, still_good: Callable[[Collection[Actor]], Awaitable[Collection[Actor]]], stopping: Callable[[], bool]
    ) -> None:
        self._still_good = still_good
        self._stopping = stopping
        self._open: set[Reader] = set()
        self._of: Counter[UUID | None] = Counter()
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int:
        return len(self._open)

    @property
    def counted(self) -> int:
        """How many places are taken in all counters together; nothing when nobody reads."""
        return self._of.total()

    @contextlib.contextmanager
    def place(self, who: Actor) -> Generator[Reader]:
        """Take a place for the length of the block; raises `TooMany` or, when the process is full, `Unavailable`."""
        limits = {who.session_id or who.token_id: MOST_OF_ONE, who.user_id: MOST_OF_PERSON}
        if any(self._of[key] >= most for key, most in limits.items()):
            raise TooMany("Too many live streams are open with this sign-in or token. Close some.", retry_after=10)
        if len(self._open) >= MOST:
            raise Unavailable("Too many live streams are open here. Pages work without; try again.", retry_after=10)
        reader = Reader(who)
        self._open.add(reader)
        self._of.update(limits.keys())
        if self._task is None:
            self._task = asyncio.create_task(self._look_after(), name="readers")
        try:
            yield reader
        finally:
            self._open.discard(reader)
            self._of.subtract(limits.keys())
            # What has come down to nothing goes, or the counter would keep every credential there ever was.
            self._of = +self._of

    async def _look_after(self) -> None:
        """End the streams of those who may not read any more, and all of them when the process stops."""
        try:
            while self._open:
                await asyncio.sleep(LOOK_EVERY)
                # Whoever comes while it is asked is looked at the next time.
                asked = tuple(self._open)
                good = () if self._stopping() else await self._still_good({reader.who for reader in asked})
                for reader in asked:
                    if reader.who not in good:
                        reader.end()
        finally:
            self._task = None
            # Nobody reads on unasked, should asking have failed.
            for reader in self._open:
                reader.end()
