"""Live streams of the pages: server-sent events that say that something changed, so that the page asks again.

One message is `event: changed` with the event's name as data and its place in the log as id; a reader that comes back
with `Last-Event-ID`, or whose page was read at `?after=…`, is told of what it missed. At most two messages a second:
in a flood the last one speaks for all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from litestar import get
from litestar.params import FromPath

from tocsin.alerts import queries as alerts
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.stream import EventStream, happening
from tocsin.events.live import Seen
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import queries as incidents
from tocsin.incidents.sight import sight

_GAP = 0.5

Wants = Callable[[Seen], bool]

# What may change how many alerts are in nobody's hands: the list of incidents says so at its head.
_OF_ANY_ALERT = frozenset(
    {
        *("escalation.unreached", "escalation.exhausted", "escalation.started", "page.sent", "page.delivered"),
        *("page.declined", "alert.acknowledged", "alert.unacknowledged", "alert.resolved"),
    }
)


@get("/incidents/events", needs=P.INCIDENT_VIEW)
async def incident_list_events(request: AppRequest, context: Ctx, who: Who) -> EventStream:
    """Tell of everything that happens to any incident, and of what leaves an alert in nobody's hands or takes it up."""
    who.must_look(P.INCIDENT_VIEW)
    async with context.db.begin() as tx:
        theirs = await sight(tx, who.access)
    return _stream(
        request,
        context,
        who,
        lambda seen: (seen.incident_id is not None or seen.name in _OF_ANY_ALERT) and theirs.sees(seen),
    )


@get("/incidents/{ref:str}/events", needs=P.INCIDENT_VIEW)
async def incident_events(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> EventStream:
    """Tell of everything that happens to one incident and its alerts."""
    who.must_look(P.INCIDENT_VIEW)
    async with context.db.begin() as tx:
        id = (await incidents.get(tx, who.access, ref)).id
        theirs = await sight(tx, who.access)
    return _stream(request, context, who, lambda seen: seen.incident_id == id and theirs.sees(seen))


@get("/alerts/events", needs=P.ALERT_VIEW)
async def alert_list_events(request: AppRequest, context: Ctx, who: Who) -> EventStream:
    """Tell of everything that happens to any alert."""
    who.must_look(P.ALERT_VIEW)
    async with context.db.begin() as tx:
        theirs = await sight(tx, who.access)
    return _stream(request, context, who, lambda seen: seen.alert_id is not None and theirs.sees(seen))


@get("/alerts/{id:str}/events", needs=P.ALERT_VIEW)
async def alert_events(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> EventStream:
    """Tell of everything that happens to one alert."""
    who.must_look(P.ALERT_VIEW)
    async with context.db.begin() as tx:
        alert_id = (await alerts.named(tx, who.access, id)).id
    return _stream(request, context, who, lambda seen: seen.alert_id == alert_id)


def _stream(request: AppRequest, context: Context, who: Actor, wants: Wants) -> EventStream:
    after = request.headers.get("last-event-id") or request.query_params.get("after")
    return EventStream(context, who, lambda reader: _messages(happening(context, reader, wants, after)))


class _News:
    """What has come in since the last message."""

    def __init__(self) -> None:
        self.latest: Seen | None = None
        self.woken = asyncio.Event()

    async def read(self, events: AsyncGenerator[Seen | None]) -> None:
        """Follow the log until it ends; None only keeps the line open."""
        async with contextlib.aclosing(events):
            async for event in events:
                self.latest = event or self.latest
                self.woken.set()


async def _messages(events: AsyncGenerator[Seen | None]) -> AsyncGenerator[str]:
    # The first bytes tell the browser, and every proxy in between, that the line is open.
    yield "retry: 2000\n: open\n\n"
    news = _News()
    reading = asyncio.create_task(news.read(events), name="stream")
    reading.add_done_callback(lambda _: news.woken.set())
    try:
        # Ends when the reader fell behind or the process stops; it comes back with the last id that it has seen.
        while news.latest is not None or not reading.done():
            await news.woken.wait()
            news.woken.clear()
            if news.latest is None:
                yield ": still here\n\n"
                continue
            latest, news.latest = news.latest, None
            yield f"id: {latest.cursor}\nevent: changed\ndata: {latest.name}\n\n"
            await asyncio.sleep(_GAP)
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


HANDLERS = [incident_list_events, incident_events, alert_list_events, alert_events]
