"""Live streams as server-sent events: what happens, for as long as its reader may and does read, and the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import structlog
from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.types import Message, Receive, Scope, Send

from tocsin.edge.context import Context
from tocsin.edge.readers import Reader
from tocsin.events.live import Seen, follow
from tocsin.identity.model import Actor

log = structlog.stdlib.get_logger(__name__)

# How long a reader may let what was sent lie, once all buffers on the way are full.
TAKEN_WITHIN = 20.0

# Writes what happens, for the reader that has been given a place.
Writes = Callable[[Reader], AsyncGenerator[str | bytes]]


class _TooSlow(Exception):
    """The reader does not take what it is sent."""


class _Answer(ASGIResponse):
    """Holds the reader's place from the first byte to the last, and cuts off whoever does not read."""

    _should_set_content_length = False

    def __init__(self, context: Context, who: Actor, writes: Writes, **given: Any) -> None:
        super().__init__(**given)
        self._context = context
        self._who = who
        self._writes = writes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(TAKEN_WITHIN):
                    await send(message)
            except TimeoutError as error:
                raise _TooSlow from error

        with self._context.readers.place(self._who) as reader:
            messages = self._messages = self._writes(reader)
            try:
                await super().__call__(scope, receive, send_in_time)
            except _TooSlow:
                log.info("stream.reader_too_slow", path=scope["path"])
            finally:
                # A stream that ends while it sends leaves its generator where it stood.
                await messages.aclose()

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send until the messages end or the reader goes, whichever comes first."""
        working = [asyncio.ensure_future(self._send_all(send)), asyncio.ensure_future(_leaves(receive))]
        try:
            done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        async for message in self._messages:
            body = message if isinstance(message, bytes) else message.encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _leaves(receive: Receive) -> None:
    """Wait until the reader is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Stream):
    """Messages as they come; no cache and no proxy holds them back."""

    def __init__(self, context: Context, who: Actor, writes: Writes) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__((), media_type="text/event-stream", headers=headers)
        self._given = (context, who, writes)

    def to_asgi_response(self, app: Any, request: Any, **given: Any) -> ASGIResponse:
        context, who, writes = self._given
        given = {name: value for name, value in given.items() if name not in ("type_encoders", "headers")}
        return _Answer(context, who, writes, **given | {"headers": self.headers, "media_type": self.media_type})


async def happening(
    context: Context, reader: Reader, wants: Callable[[Seen], bool], after: str | None
) -> AsyncGenerator[Seen | None]:
    """Follow the log as `follow` does, until the reader's time is over.

    A reader that still may read comes back, and a browser that is signed out is told so then.
    """
    events = follow(context.live, wants, after)
    try:
        while not reader.over.done():
            coming = asyncio.ensure_future(anext(events))
            try:
                await asyncio.wait({coming, reader.over}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    return
                event = coming.result()
            except StopAsyncIteration:
                return
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            yield event
    finally:
        await events.aclose()
