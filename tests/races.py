"""Races that happen in every run: one is held where it waits or is about to go on, and another is let through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from tests.postgres import until_somebody_waits
from tests.processes import PATIENCE
from tests.world import World
from tocsin.db.engine import Database, Tx

T = TypeVar("T")
Act = Callable[[Tx], Awaitable[object]]


async def act(world: World, what: Act) -> None:
    """Do something in a transaction of its own, as the second of `behind` for instance."""
    async with world.db.begin() as tx:
        await what(tx)


async def behind(db: Database, first: Act, second: Coroutine[Any, Any, T]) -> T:
    """Let `second` begin once `first` has done its part and not yet committed; returns what becomes of `second`.

    It has to wait for a lock of the first. One that comes to its end without waiting has seen nothing of the first,
    so that is a failure.
    """
    async with db.begin() as tx:
        await first(tx)
        going, waiting = asyncio.ensure_future(second), asyncio.ensure_future(until_somebody_waits(db))
        await asyncio.wait({going, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if going.done():
            waiting.cancel()
            pytest.fail(f"The second did not wait for the first: {going.exception() or going.result()!r}")
        await waiting
    return await going


async def keep_from_locking(tx: Tx, table: str) -> None:
    """Let others read the rows of a table and lock none: who finds first and locks then waits between the two."""
    await (await tx.raw()).execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")


@asynccontextmanager
async def held_at(owner: object, name: str, held: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Future[T]]:
    """Let `held` run to its first call of this function; then the block runs, and `held` goes on after it.

    Nobody but `held` is held: what the block itself calls is the function as it was.
    """
    came, go_on = asyncio.Event(), asyncio.Event()

    async def gate(*given: Any, **named: Any) -> Any:
        came.set()
        await go_on.wait()
        return await function(*given, **named)

    function = getattr(owner, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, gate)
        going = asyncio.ensure_future(held)
        async with asyncio.timeout(PATIENCE):
            await came.wait()
    try:
        yield going
    finally:
        go_on.set()
        await asyncio.wait({going})
