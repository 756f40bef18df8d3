"""Reaching one of several addresses: a dead first one costs a fraction of a second, not the whole call.

Happy Eyeballs (RFC 8305), but for whatever it takes until the other side has proved that it lives, TLS included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from tocsin.net.targets import Address

MAX_ADDRESSES = 4

T = TypeVar("T")


class Unreachable(Exception):
    """No address could be reached; `failures` has what each of them failed with, in the order they ended in."""

    def __init__(self, failures: Sequence[OSError]) -> None:
        super().__init__(*failures)
        self.failures = failures


def spread(addresses: Sequence[Address]) -> list[Address]:
    """Take turns between IPv6 and IPv4 (RFC 8305 §4) and keep the first four: a whole family may be dead."""
    first = [address for address in addresses if address.version == addresses[0].version]
    second = [address for address in addresses if address.version != addresses[0].version]
    turns = chain.from_iterable(zip_longest(first, second))
    return [address for address in turns if address is not None][:MAX_ADDRESSES]


async def reach(
    addresses: Sequence[Address],
    open: Callable[[Address], Awaitable[T]],
    *,
    seconds: float,
    head_start: float,
    discard: Callable[[T], None],
) -> T:
    """Open the address that answers first. Raises `Unreachable` when none does.

    Each has `head_start` seconds before the next is tried beside it, and `seconds` in all. What was opened one too
    many is discarded. Anything but an `OSError` ends the attempt: that is an answer, and no other address is asked.
    """

    async def attempt(address: Address) -> T:
        async with asyncio.timeout(seconds):
            return await open(address)

    waiting = list(addresses)
    under_way: set[asyncio.Task[T]] = set()
    failures: list[OSError] = []
    try:
        while waiting or under_way:
            if waiting:
                under_way.add(asyncio.create_task(attempt(waiting.pop(0))))
            done, _ = await asyncio.wait(
                under_way, timeout=head_start if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                under_way.discard(task)
                try:
                    return task.result()
                except OSError as error:
                    failures.append(error)
    finally:
        await _drop(under_way, discard)
    raise Unreachable(failures)


async def _drop(tasks: set[asyncio.Task[T]], discard: Callable[[T], None]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            discard(outcome)
