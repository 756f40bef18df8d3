"""Where passwords are hashed and compared: in few threads of their own, with a queue that has an end.

argon2 takes 19 MiB and tens of milliseconds of one processor. In the loop's own pool of threads, a rush of sign-ins
would eat the memory and hold up everything else that waits for a thread. There are two lanes, so that people who are
known never queue behind strangers.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from tocsin.kit.errors import Unavailable

T = TypeVar("T")


class Lane:
    """A queue with an end in front of one or two threads."""

    def __init__(self, name: str, *, threads: int, most_waiting: int, most_of_one: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"password-{name}")
        self._free = threads
        self._most_waiting = most_waiting
        self._most_of_one = most_of_one
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._of: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def inside(self) -> int:
        """How many hold a turn or wait for one."""
        return self._of.total()

    @asynccontextmanager
    async def turn(self, of: str) -> AsyncGenerator[None]:
        """Wait for a turn and hold it for the length of the block.

        Raises `Unavailable` at once when too many wait, or too many of this one: a network, a device or a person.
        """
        if self._of[of] >= self._most_of_one or (self._free == 0 and len(self._waiting) >= self._most_waiting):
            raise Unavailable("Too many people sign in at this moment. Try again in a few seconds.", retry_after=3)
        self._of[of] += 1
        try:
            await self._enter()
            try:
                yield
            finally:
                self._leave()
        finally:
            self._of[of] -= 1
            if not self._of[of]:
                del self._of[of]

    async def run(self, work: Callable[..., T], *given: object) -> T:
        """Do the work in this lane's threads. The caller holds a turn."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    async def _enter(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                # The turn was handed over at the very moment at which nobody wanted it any more.
                self._leave()
            else:
                with suppress(ValueError):
                    self._waiting.remove(mine)
            raise

    def _leave(self) -> None:
        while self._waiting:
            following = self._waiting.popleft()
            if not following.done():
                following.set_result(None)
                return
        self._free += 1


# Together at most three hashes at once: 57 MiB. With about 30 ms each, nobody waits for longer than some seconds.
STRANGERS = Lane("strangers", threads=1, most_waiting=40, most_of_one=10)
KNOWN = Lane("known", threads=2, most_waiting=100, most_of_one=10)


async def in_turn(of: str, work: Callable[..., T], *given: object) -> T:
    """Do one piece of work on a password for somebody who is known; `of` names them."""
    async with KNOWN.turn(of):
        return await KNOWN.run(work, *given)
