"""Live streams as server-sent events: what happens, for as long as the process runs, and the answer that carries it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from litestar.response import Stream

from tocsin.edge.context import Context
from tocsin.events.live import Seen, follow

# How soon a stream notices that the process stops.
_LOOK_AROUND = 1.0


def answer(messages: AsyncIterator[str | bytes]) -> Stream:
    """Send messages as they come; no cache and no proxy holds them back."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(messages, media_type="text/event-stream", headers=headers)


async def happening(context: Context, wants: Callable[[Seen], bool], after: str | None) -> AsyncGenerator[Seen | None]:
    """Follow the log as `follow` does, and end soon after the process was asked to stop."""
    events = follow(context.live, wants, after)
    coming = asyncio.ensure_future(anext(events))
    try:
        while not context.stopping():
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
