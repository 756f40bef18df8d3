"""Live streams as server-sent events: what happens, for as long as the process runs, and the answer that carries it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from litestar.response import Stream

from tocsin.db.errors import STORE_ERRORS
from tocsin.edge.context import Context
from tocsin.events.live import Seen, follow
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.kit.clock import monotonic

# How soon a stream notices that the process stops.
_LOOK_AROUND = 1.0
# How soon it notices that its reader has been signed out, deactivated or given another role.
ASK_AGAIN = 15.0


def answer(messages: AsyncIterator[str | bytes]) -> Stream:
    """Send messages as they come; no cache and no proxy holds them back."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(messages, media_type="text/event-stream", headers=headers)


async def happening(
    context: Context, who: Actor, wants: Callable[[Seen], bool], after: str | None
) -> AsyncGenerator[Seen | None]:
    """Follow the log as `follow` does; end soon after the process was asked to stop or `who` is no longer the same.

    A reader that still may read comes back, and a browser that is signed out is told so then.
    """
    events = follow(context.live, wants, after)
    coming = asyncio.ensure_future(anext(events))
    asked_at = monotonic()
    try:
        while not context.stopping():
            if monotonic() - asked_at >= ASK_AGAIN:
                asked_at = monotonic()
                if not await _is_still(context, who):
                    return
            done, _ = await asyncio.wait({coming}, timeout=_LOOK_AROUND)
            if not done:
                continue
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            yield event
            coming = asyncio.ensure_future(anext(events))
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _is_still(context: Context, who: Actor) -> bool:
    try:
        async with context.db.look() as tx:
            return await identity.as_of_now(tx, who) == who
    except STORE_ERRORS:
        return True  # While the store is away, nothing happens that could be told.
