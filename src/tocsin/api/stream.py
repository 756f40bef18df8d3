"""The live stream: Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Each event has the id of its place, its name and a JSON object; a comment each 15 seconds keeps the line open. Whoever
comes back with `Last-Event-ID` misses nothing. The stream ends when the process stops or the reader falls behind.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import HeaderParameter, QueryParameter

from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.http import Time, reference
from tocsin.edge.context import Ctx, Who
from tocsin.edge.stream import EventStream, happening
from tocsin.events.base import EVENT_ID
from tocsin.events.live import Seen
from tocsin.events.words import describe
from tocsin.identity.access import P
from tocsin.incidents import queries as incidents
from tocsin.incidents.comment_queries import comment_of, written_in
from tocsin.incidents.model import INCIDENT_ID
from tocsin.incidents.sight import Sight, sight
from tocsin.kit.clock import stamp

# What the comment says now that an event brought; nothing for every other event.
Said = Callable[[Seen], Awaitable[str]]


class LiveEvent(msgspec.Struct):
    """What happened, in the `data` of one server-sent event."""

    id: str
    name: str
    at: Time
    actor: str
    text: str
    detail: str
    alert_id: str | None
    incident_id: str | None


@get("/stream", media_type="text/event-stream", needs=P.INCIDENT_VIEW)
async def stream_events(
    context: Ctx,
    who: Who,
    incident: Annotated[str | None, QueryParameter(description="Only this incident (`INC-7` or `inc_…`).")] = None,
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID", max_length=60)] = None,
) -> EventStream:
    """Follow what happens to incidents and alerts, as Server-Sent Events."""
    async with context.db.begin() as tx:
        wanted = (await incidents.get(tx, who.access, reference(incident))).id if incident is not None else None
        seen = await sight(tx, who.access)

    def wants(event: Seen) -> bool:
        # Sign-ins and configuration are nobody's business but the audit's.
        return (wanted is None or event.incident_id == wanted) and seen.sees(event)

    async def said(event: Seen) -> str:
        if comment_of(event.name, event.data) is None:
            return ""
        async with context.db.look() as tx:
            written = await written_in(tx, [event])
        return next((each.body for each in written.values()), "")

    return EventStream(
        context, who, lambda reader: _written(happening(context, reader, wants, last_event_id), seen, said)
    )


async def _written(events: AsyncGenerator[Seen | None], theirs: Sight, said: Said) -> AsyncGenerator[bytes]:
    yield b"retry: 2000\n\n"
    async with aclosing(events):
        async for event in events:
            if event is None:
                yield b": still here\n\n"
            else:
                yield _write(theirs.told(event), await said(event))


def _write(event: Seen, said: str) -> bytes:
    line = describe(event.name, event.actor_name, event.data)
    data = LiveEvent(
        id=EVENT_ID.write(event.id),
        name=event.name,
        at=stamp(event.at),
        actor=event.actor_name,
        text=line.text,
        detail=said or line.detail,
        alert_id=ALERT_ID.write_or_none(event.alert_id),
        incident_id=INCIDENT_ID.write_or_none(event.incident_id),
    )
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event.cursor.encode(), event.name.encode(), msgspec.json.encode(data))


ROUTER = Router("/", route_handlers=[stream_events], tags=["events"])
