"""Waiting for something to be true, with an end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import asyncpg

from tocsin.kit import clock


class NotInTime(AssertionError):
    """What should have come true did not, within the time it was given."""


async def until(claim: Callable[[], Awaitable[object]], within: float, what: str) -> None:
    """Wait until the claim is true; a database that is away for the moment means that it is not."""
    end = clock.monotonic() + within
    while True:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if await claim():
                return
        if clock.monotonic() > end:
            raise NotInTime(f"Not within {within:.0f} s: {what}")
        await asyncio.sleep(0.05)
