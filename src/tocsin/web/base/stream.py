"""The live stream of a signed-in browser: one for all of its pages (see `js/live.js`).

A message says what something happened to, so that the pages that show it ask again, and how the counts around every
page are by now:

    id: 4711-12
    data: {"topics": ["alerts", "alt_…"], "open_incidents": 2, "waiting_alerts": 1, "paged": ["pag_…"]}

A reader that comes back with `?after=` its last id is told of what it missed. At most two messages a second: in a flood
one speaks for all. A comment each 15 seconds says that the line is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

from litestar import get

from tocsin.alerts.model import ALERT_ID, SOURCE_ID
from tocsin.db.errors import STORE_ERRORS
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.readers import Reader
from tocsin.edge.rights import Right
from tocsin.edge.stream import EventStream, happening
from tocsin.events.live import Seen
from tocsin.identity.model import Actor
from tocsin.incidents.model import INCIDENT_ID
from tocsin.incidents.service.following import TOPIC
from tocsin.incidents.sight import sight
from tocsin.web.base import queries
from tocsin.web.base.screens import counts_around

_GAP = 0.5

Counts = Callable[[], Awaitable[dict[str, Any]]]


@get("/live", needs=Right.SIGNED_IN, by_link=True)
async def live(request: AppRequest, context: Ctx, who: Who) -> EventStream:
    """Tell of everything that happens to what the reader may see, by what it happens to.

    Who came by the link of a page is told of what that was about, and no counts: they have no navigation.
    """
    me = who.must_be_someone()
    async with context.db.begin() as tx:
        theirs = await sight(tx, who.access)
    after = request.headers.get("last-event-id") or request.query_params.get("after")

    async def counts() -> dict[str, Any]:
        if who.by_link_until is not None:
            return {}
        # Without the store there is nothing to count, and the pages themselves say what is wrong.
        with contextlib.suppress(*STORE_ERRORS):
            async with context.db.look() as tx:
                around = await queries.surroundings(tx, who.access, me)
            return counts_around(around.badges, around.paged)
        return {}

    def topics(seen: Seen) -> set[str]:
        return _topics(who, theirs.told(seen))

    def messages(reader: Reader) -> AsyncGenerator[str]:
        events = happening(context, reader, theirs.sees, after)
        # Who came by the link of a page hears of that alone; their inbox is for who is signed in.
        listen = _to_nothing if who.by_link_until is not None else partial(context.db.bell.listen, f"{TOPIC}{me}")
        return _messages(events, topics, counts, listen)

    return EventStream(context, who, messages)


def _topics(who: Actor, seen: Seen) -> set[str]:
    """Say what an event happened to, in the words of `ShellScreen.live`."""
    found: set[str] = set()
    # Of what a link does not open not even the id is told: not those of the other alerts of its incident.
    if seen.alert_id is not None and who.access.reaches(seen.alert_id):
        found |= {"alerts", ALERT_ID.write(seen.alert_id)}
    if seen.incident_id is not None:
        found |= {"incidents", INCIDENT_ID.write(seen.incident_id)}
    if seen.source_id is not None and who.by_link_until is None:
        found.add(SOURCE_ID.write(seen.source_id))
    if seen.data.get("user_id") == str(who.user_id):
        found.add("mine")
    return found


def _to_nothing(_: Callable[[], None]) -> Callable[[], None]:
    return lambda: None


class _News:
    """What has come in since the last message."""

    def __init__(self, topics: Callable[[Seen], set[str]]) -> None:
        self._topics = topics
        self.cursor = ""
        self.topics: set[str] = set()
        self.woken = asyncio.Event()

    def note_inbox(self) -> None:
        """Note that there is something new in the reader's inbox, which is no event."""
        self.topics.add("inbox")
        self.woken.set()

    async def read(self, events: AsyncGenerator[Seen | None]) -> None:
        """Follow the log until it ends; None only keeps the line open."""
        async with contextlib.aclosing(events):
            async for event in events:
                if event is not None:
                    self.cursor = event.cursor
                    self.topics |= self._topics(event)
                self.woken.set()

    def take(self) -> set[str]:
        taken, self.topics = self.topics, set()
        return taken


async def _messages(
    events: AsyncGenerator[Seen | None],
    topics: Callable[[Seen], set[str]],
    counts: Counts,
    listen: Callable[[Callable[[], None]], Callable[[], None]],
) -> AsyncGenerator[str]:
    news = _News(topics)
    with contextlib.ExitStack() as listening:
        # Before anything is counted: what comes in after the count is a message of its own.
        listening.callback(listen(news.note_inbox))
        # The first bytes tell the browser, and every proxy in between, that the line is open.
        yield ": open\n\n"
        began: dict[str, Any] = {"topics": []}
        yield f"data: {_json(began | await counts())}\n\n"
        reading = asyncio.create_task(news.read(events), name="stream")
        reading.add_done_callback(lambda _: news.woken.set())
        try:
            # Ends when the reader fell behind or the process stops; it comes back with the last id that it has seen.
            while news.topics or not reading.done():
                await news.woken.wait()
                news.woken.clear()
                if not news.topics:
                    yield ": still here\n\n"
                    continue
                cursor, told = news.cursor, {"topics": sorted(news.take())} | await counts()
                # Before the first event there is no place to come back to but the one that the page has.
                place = f"id: {cursor}\n" if cursor else ""
                yield f"{place}data: {_json(told)}\n\n"
                await asyncio.sleep(_GAP)
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


def _json(told: dict[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"))


HANDLERS = [live]
