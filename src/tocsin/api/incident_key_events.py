"""Key events: the milestones that people write into the timeline of an incident, each at the time when it happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec

from tocsin.api.base.body import Body
from tocsin.api.base.http import Time, when
from tocsin.api.base.resource import IF_MATCH, Called, Order, Resource, by_id, plainly
from tocsin.api.shapes.actors import ActorOut, write_who
from tocsin.api.shapes.refs import INCIDENT
from tocsin.db.engine import Tx
from tocsin.edge.cursors import read_moment
from tocsin.identity.access import Access, P
from tocsin.incidents import comment_queries, service
from tocsin.incidents.comment_queries import WrittenComment
from tocsin.incidents.model import COMMENT_ID
from tocsin.incidents.service.comments import KEY_EVENT_LIMIT, KeyEventChanges
from tocsin.kit.clock import stamp

Text = Annotated[str, msgspec.Meta(max_length=KEY_EVENT_LIMIT, description="Markdown.")]


class KeyEventOut(msgspec.Struct):
    """A milestone: what happened and when; `recorded_at` is when somebody wrote it. Erased, it has no `text`."""

    id: str
    occurred_at: Time
    recorded_at: Time
    author: ActorOut
    text: str
    edited_at: Time | None
    erased_at: Time | None
    version: int


class AddKeyEvent(Body, kw_only=True):
    """What happened, and when; without a time it is now."""

    example: ClassVar[Mapping[str, Any]] = {"text": "The vendor confirmed the outage."}
    text: Text
    occurred_at: datetime | None = None


class EditKeyEvent(Body, kw_only=True):
    """What it says from now on, and when it happened: null is when it was written."""

    example: ClassVar[Mapping[str, Any]] = {"text": "The vendor confirmed the outage of its API."}
    text: Text | msgspec.UnsetType = msgspec.UNSET
    occurred_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


def _write(written: WrittenComment) -> KeyEventOut:
    comment = written.comment
    return KeyEventOut(
        id=COMMENT_ID.write(comment.id),
        occurred_at=stamp(comment.occurred_at or comment.created_at),
        recorded_at=stamp(comment.created_at),
        author=write_who(comment.author_kind, comment.author_id, comment.author_name),
        text=written.body,
        edited_at=when(comment.edited_at),
        erased_at=when(comment.erased_at),
        version=comment.version,
    )


async def _one(tx: Tx, access: Access, ref: str, id: UUID) -> WrittenComment:
    return await comment_queries.key_event(tx, access, ref, id)


KEY_EVENTS = Resource(
    "/incidents/{id:str}/key_events",
    Called("key_event", by_id(COMMENT_ID).read),
    KeyEventOut,
    plainly(_write),
    view=P.INCIDENT_VIEW,
    manage=P.INCIDENT_EDIT,
    tag="incidents",
    order=Order(attrgetter("comment.created_at", "comment.id"), read_moment, to="before"),
    below=INCIDENT,
    item="key_event_id",
)
ROUTER = KEY_EVENTS.router(
    KEY_EVENTS.list(comment_queries.key_events, "List the key events that people wrote, what was written last first."),
    KEY_EVENTS.create(
        AddKeyEvent,
        service.add_key_event,
        "Write a milestone into the timeline; also afterwards, and when the incident is over.",
    ),
    KEY_EVENTS.get(_one, "Show one key event."),
    KEY_EVENTS.edit(
        EditKeyEvent,
        KeyEventChanges,
        service.edit_key_event,
        "Let one's own key event say something else, or have happened at another time. What it said before is kept.",
    ),
    KEY_EVENTS.delete(
        service.erase_key_event,
        "Take out for good what a key event says and said. That it was there, and who erased it when, stays.",
        asks=IF_MATCH,
    ),
)
