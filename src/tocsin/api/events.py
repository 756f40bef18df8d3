"""The audit: every event of the log, as a list or as newline-delimited JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.params import QueryParameter
from litestar.response import Stream

from tocsin.alerts import queries as alerts
from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.http import Cursor, Limit, Listing, Time, listing, reference
from tocsin.api.shapes.actors import ActorOut, write_actor
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import read_position
from tocsin.events import log
from tocsin.events.base import EVENT_ID, Subject
from tocsin.events.log import LoggedEvent
from tocsin.events.words import describe, told
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID
from tocsin.incidents import queries as incidents
from tocsin.incidents.comment_queries import WrittenComment, comment_of, written_in
from tocsin.incidents.model import COMMENT_ID, INCIDENT_ID
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import read_any

NDJSON = "application/x-ndjson"
_AT_ONCE = 500
_SUBJECT = "Only what is about this, by its id: a policy, a source, a team, a person, a route, a contact method …"


class EventOut(msgspec.Struct):
    """Something that happened. `data` holds the fields of its kind; `text` says it in words.

    `team_ids` owned what it is about when it happened, and `is_private` says whether that was for them only; both are
    null in what Tocsin 0.1 wrote. Neither follows what is changed later.

    A comment is not in the log: `body` in the `data` of `incident.comment_added` is what it says now.
    """

    id: str
    position: int
    name: str
    at: Time
    actor: ActorOut
    alert_id: str | None
    incident_id: str | None
    team_ids: list[str] | None
    is_private: bool | None
    text: str
    data: dict[str, Any]


class _Wanted(msgspec.Struct, frozen=True):
    names: tuple[str, ...]
    alert_id: UUID | None
    incident_id: UUID | None
    subject: Subject | None

    async def read(self, tx: Tx, before: int | None, limit: int) -> list[LoggedEvent]:
        return await log.newest_first(
            tx,
            alert_id=self.alert_id,
            incident_id=self.incident_id,
            subject=self.subject,
            names=self.names,
            before=before,
            limit=limit,
        )


async def _write_all(tx: Tx, events: Sequence[LoggedEvent]) -> dict[int, EventOut]:
    """Write events, by their positions."""
    written = await written_in(tx, events)
    return {event.position: _write(event, written) for event in events}


def _write(event: LoggedEvent, written: Mapping[UUID | None, WrittenComment]) -> EventOut:
    data = told(event.name, event.data)
    if "comment_id" in data:
        data = {**data, "comment_id": COMMENT_ID.write(UUID(data["comment_id"]))}
    if (comment := written.get(comment_of(event.name, event.data))) is not None:
        data["body"] = comment.body
    return EventOut(
        id=EVENT_ID.write(event.id),
        position=event.position,
        name=event.name,
        at=stamp(event.at),
        actor=write_actor(event),
        alert_id=ALERT_ID.write_or_none(event.alert_id),
        incident_id=INCIDENT_ID.write_or_none(event.incident_id),
        team_ids=None if event.team_ids is None else [TEAM_ID.write(id) for id in event.team_ids],
        is_private=event.is_private,
        text=describe(event.name, event.actor_name, event.data).text,
        data=data,
    )


@get("/events", needs=P.ADMIN_VIEW)
async def list_events(
    request: AppRequest,
    context: Ctx,
    who: Who,
    name: Annotated[list[str] | None, QueryParameter(description="Only events of this name.")] = None,
    alert_id: Annotated[str | None, QueryParameter(max_length=40)] = None,
    incident: Annotated[str | None, QueryParameter(description="Only this incident (`INC-7` or `inc_…`).")] = None,
    subject: Annotated[str | None, QueryParameter(description=_SUBJECT, max_length=40)] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[EventOut]]:
    """List events, the newest first. With `Accept: application/x-ndjson` all of them, one JSON object per line."""
    before = read_position(cursor)
    if subject is not None and (alert_id is not None or incident is not None):
        raise Invalid("subject", "Give one of subject, alert_id and incident.")
    async with context.begin() as tx:
        wanted = _Wanted(
            names=tuple(word for word in name or () if "\0" not in word),
            alert_id=await alerts.id_of(tx, who.access, alert_id) if alert_id is not None else None,
            incident_id=(await incidents.get(tx, who.access, reference(incident))).id if incident is not None else None,
            subject=Subject(*read_any(subject)) if subject is not None else None,
        )
        if NDJSON in request.headers.get("accept", ""):
            return _exported(context, wanted, before)
        rows = await wanted.read(tx, before, limit + 1)
        written = await _write_all(tx, rows)
    return listing(request, rows, limit, lambda event: written[event.position], lambda event: event.position)


def _exported(context: Context, wanted: _Wanted, before: int | None) -> Any:
    return Stream(_lines(context, wanted, before), media_type=NDJSON)


async def _lines(context: Context, wanted: _Wanted, before: int | None) -> AsyncIterator[bytes]:
    while not context.stopping():
        async with context.begin() as tx:
            rows = await wanted.read(tx, before, _AT_ONCE)
            written = await _write_all(tx, rows)
        if not rows:
            return
        yield b"".join(msgspec.json.encode(each) + b"\n" for each in written.values())
        before = rows[-1].position


ROUTER = Router("/", route_handlers=[list_events], tags=["events"])
