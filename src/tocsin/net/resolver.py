"""Names into addresses. A name whose servers are dead holds up nobody who calls another name.

Serves F060. The machine is asked (getaddrinfo), and no DNS library of our own, because /etc/hosts, search domains
and whatever else it is set up with must count. That call cannot be given a limit: with a dead name server it hangs
for 5 to 30 seconds, and an event loop has four threads for it. So each look-up has a thread of its own here, at most
one for a name and a bounded number in all, and nobody waits for it longer than 3 seconds.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

import structlog

from tocsin.kit import clock
from tocsin.kit.errors import Transient

log = structlog.stdlib.get_logger(__name__)

WITHIN = 3.0
# A thread that hangs costs a stack and a socket. Whoever comes when so many hang is refused at once. Those that do not
# hang yet are as many as there are callers who wait for them.
MOST_HANGING = 100
# The last good answers outlive a name server that is away for a day.
MOST_KEPT = 2000
KEPT_FOR = 24 * 3600.0

# The addresses of a host, in the order to try them; raises `Transient` when it has none.
Resolve = Callable[[str], Awaitable[Sequence[str]]]


def ask_the_machine(host: str) -> list[str]:
    """Look the host up as every program of this machine does. Blocks, for as long as the name servers like."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class _LookUp:
    """A question under way. Its answer is the addresses, none when there are none."""

    answer: asyncio.Future[tuple[str, ...]]
    since: float = field(default_factory=clock.monotonic)


@dataclass(slots=True)
class _Kept:
    """The last good answer for a name. It is doubtful as soon as a newer question found no answer."""

    addresses: tuple[str, ...]
    at: float = field(default_factory=clock.monotonic)
    is_doubtful: bool = False


class Resolver:
    """Looks names up. Use it inside one event loop.

    What was answered last is kept and given out again while the name servers do not answer, or say that there is no
    such name, as they do when they are in trouble. It is an answer like any other: the caller checks it each time.
    """

    def __init__(
        self,
        ask: Callable[[str], Sequence[str]] = ask_the_machine,
        *,
        within: float = WITHIN,
        most_hanging: int = MOST_HANGING,
        most_kept: int = MOST_KEPT,
        kept_for: float = KEPT_FOR,
    ) -> None:
        self._ask = ask
        self._within = within
        self._most_hanging = most_hanging
        self._most_kept = most_kept
        self._kept_for = kept_for
        self._under_way: dict[str, _LookUp] = {}
        # The oldest answer first.
        self._kept: dict[str, _Kept] = {}

    async def __call__(self, host: str) -> Sequence[str]:
        """Return the addresses of the host, in the order to try them; raises `Transient` when there is none."""
        if _is_address(host):
            return [host]
        kept = self._recall(host)
        look_up = self._under_way.get(host)
        if kept is not None and kept.is_doubtful:
            # The name servers are asked beside it: to wait for them would hold up every message anew.
            if look_up is None and len(self._under_way) < self._most_hanging:
                self._begin(host)
            return kept.addresses
        if look_up is None and self._hanging() < self._most_hanging:
            look_up = self._begin(host)
        if look_up is None:
            return self._instead(host, kept, f"The name {host} was not looked up: too many others hang.")
        await asyncio.wait([look_up.answer], timeout=self._within)
        if not look_up.answer.done():
            return self._instead(host, kept, f"The name {host} was not answered for within {self._within:g} s.")
        return look_up.answer.result() or self._instead(host, kept, f"The name {host} could not be found.")

    def _hanging(self) -> int:
        before = clock.monotonic() - self._within
        return sum(look_up.since < before for look_up in self._under_way.values())

    def _recall(self, host: str) -> _Kept | None:
        kept = self._kept.get(host)
        return kept if kept is not None and clock.monotonic() - kept.at < self._kept_for else None

    def _instead(self, host: str, kept: _Kept | None, why: str) -> Sequence[str]:
        if kept is None:
            raise Transient(why)
        log.warning("net.last_answer_for_name", host=host, reason=why)
        kept.is_doubtful = True
        return kept.addresses

    def _begin(self, host: str) -> _LookUp | None:
        loop = asyncio.get_running_loop()
        look_up = _LookUp(loop.create_future())

        def work() -> None:
            addresses: Sequence[str] = ()
            try:
                addresses = self._ask(host)
            except (OSError, UnicodeError):
                # No such name, no name server, or no name at all.
                pass
            finally:
                _tell(loop, self._end, host, look_up, tuple(addresses))

        # The interpreter does not wait for a daemon at its end: a dead name server must not hold up a stop.
        thread = threading.Thread(target=work, name=f"name {host}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The machine has no more threads.
            return None
        self._under_way[host] = look_up
        return look_up

    def _end(self, host: str, look_up: _LookUp, addresses: tuple[str, ...]) -> None:
        del self._under_way[host]
        if addresses:
            self._kept.pop(host, None)
            self._kept[host] = _Kept(addresses)
            while len(self._kept) > self._most_kept:
                del self._kept[next(iter(self._kept))]
        look_up.answer.set_result(addresses)


def _tell(loop: asyncio.AbstractEventLoop, end: Callable[..., None], *what: object) -> None:
    try:
        loop.call_soon_threadsafe(end, *what)
    except RuntimeError:
        # The loop was closed meanwhile; nobody waits any more.
        return


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
