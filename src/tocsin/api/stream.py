"""The live stream: Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Each event has the id of its place, its name and a JSON object; a comment each 15 seconds keeps the line open. Whoever
comes back with `Last-Event-ID` misses nothing. The stream ends when the process stops, the reader falls behind or the
store is away.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import msgspec
import structlog
from litestar import Router, get
from litestar.params import HeaderParameter, QueryParameter

from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.http import Time, reference
from tocsin.db.errors import STORE_ERRORS
from tocsin.edge.context import Context, Ctx, Who
from tocsin.edge.stream import EventStream, happening
from tocsin.events.base import EVENT_ID
from tocsin.events.live import Seen
from tocsin.events.words import describe
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import queries as incidents
from tocsin.incidents.model import INCIDENT_ID
from tocsin.incidents.retelling import Told, asks_the_store, retell
from tocsin.incidents.sight import Sight, sight
from tocsin.kit.clock import stamp

log = structlog.stdlib.get_logger(__name__)


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

    return EventStream(
        context, who, lambda reader: _written(context, who, seen, happening(context, reader, wants, last_event_id))
    )


async def _written(
    context: Context, who: Actor, theirs: Sight, events: AsyncGenerator[Seen | None]
) -> AsyncGenerator[bytes]:
    yield b"retry: 2000\n\n"
    async with aclosing(events):
        async for event in events:
            if event is None:
                yield b": still here\n\n"
                continue
            here = theirs.told(event)
            try:
                told = await _told(context, who, here)
            except STORE_ERRORS as error:
                # Half of what happened is not told: whoever comes back is told of it all.
                log.info("stream.store_away", error=type(error).__name__)
                return
            yield _write(here, told)


async def _told(context: Context, who: Actor, event: Seen) -> Told:
    if not asks_the_store(event):
        return Told(event.data)
    async with context.db.look() as tx:
        return (await retell(tx, who.access, [event]))[0]


def _write(event: Seen, told: Told) -> bytes:
    line = describe(event.name, event.actor_name, told.data)
    data = LiveEvent(
        id=EVENT_ID.write(event.id),
        name=event.name,
        at=stamp(event.at),
        actor=event.actor_name,
        text=line.text,
        detail=told.comment.body if told.comment is not None else line.detail,
        alert_id=ALERT_ID.write_or_none(event.alert_id),
        incident_id=INCIDENT_ID.write_or_none(event.incident_id),
    )
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event.cursor.encode(), event.name.encode(), msgspec.json.encode(data))


ROUTER = Router("/", route_handlers=[stream_events], tags=["events"])
