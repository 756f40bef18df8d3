"""The caller's inbox of news: what happened to the incidents that they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, post
from litestar.params import JSONBody, QueryParameter

from tocsin.api.base.body import Body, ids_in
from tocsin.api.base.http import Time, answer, when
from tocsin.api.base.resource import AskedBy, Order, Resource
from tocsin.api.shapes.action_items import IncidentRef
from tocsin.db.engine import Tx
from tocsin.edge.context import Context, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.edge.rights import Right
from tocsin.identity.model import Actor
from tocsin.incidents import inbox_queries, inbox_words
from tocsin.incidents.following import ChangeKind
from tocsin.incidents.inbox_model import ENTRY_ID, InboxEntry
from tocsin.incidents.model import INCIDENT_ID, Incident
from tocsin.incidents.service import inbox
from tocsin.kit.clock import stamp

_MOST_AT_ONCE = 100


class InboxEntryOut(msgspec.Struct):
    """One piece of news. `count` changes of the same minute are one: the gravest is named.

    `detail` is one line; of a comment it is how that begins now. `name` is that of the event.
    """

    id: str
    incident: IncidentRef
    change: ChangeKind
    name: str
    text: str
    detail: str
    by: str
    count: int
    at: Time
    read_at: Time | None


class MarkNews(Body, kw_only=True):
    """Which news are read (or, with `is_read` false, unread again): these, or `all` of them."""

    example: ClassVar[Mapping[str, Any]] = {"all": True}
    ids: Annotated[list[str], msgspec.Meta(max_length=_MOST_AT_ONCE)] = msgspec.field(default_factory=list[str])
    all: bool = False
    is_read: bool = True


class Unread(msgspec.Struct):
    """How many news are unread now; it stops at 1000."""

    unread: int


_Row = tuple[InboxEntry, Incident]
_OnlyUnread = Annotated[bool | None, QueryParameter(description="Only unread news, or only those that were read.")]


async def _entries(tx: Tx, who: Actor, *, before: UUID | None, limit: int, is_unread: bool | None) -> list[_Row]:
    me = who.must_be_someone()
    return await inbox_queries.entries(tx, who.access, me, before=before, limit=limit, is_unread=is_unread)


async def _write(tx: Tx, _context: Context, who: Actor, rows: Sequence[_Row]) -> list[InboxEntryOut]:
    return [
        InboxEntryOut(
            id=ENTRY_ID.write(each.entry.id),
            incident=IncidentRef(
                INCIDENT_ID.write(each.incident.id),
                each.incident.reference,
                each.incident.title,
                each.incident.severity,
            ),
            change=ChangeKind(each.entry.change),
            name=each.entry.name,
            text=each.text,
            detail=each.detail,
            by=each.entry.actor_name,
            count=each.entry.count,
            at=stamp(each.entry.at),
            read_at=when(each.entry.read_at),
        )
        for each in await inbox_words.told(tx, who.access, rows)
    ]


def _id_at(cursor: str | None) -> UUID | None:
    return read_place(cursor, UUID)


def _id_of(row: _Row) -> UUID:
    return row[0].id


@post("/inbox/actions/read", needs=Right.SIGNED_IN, status_code=200)
async def mark_news(context: Ctx, who: Who, data: JSONBody[MarkNews]) -> Response[Unread]:
    """Mark news as read, or as unread again. Ids of news that are not the caller's change nothing."""
    ids = None if data.all else ids_in("ids", ENTRY_ID, data.ids)
    async with context.begin() as tx:
        unread = await inbox.mark_news(tx, who, ids, is_read=data.is_read)
    return answer(Unread(unread))


INBOX: Resource[_Row, InboxEntryOut] = Resource(
    "/inbox", ENTRY_ID, InboxEntryOut, _write, view=Right.SIGNED_IN, tag="inbox", order=Order(_id_of, _id_at, "before")
)
ROUTER = Router(
    "/",
    route_handlers=[
        INBOX.router(
            INBOX.list(
                AskedBy(_entries),
                "List the caller's news, the newest first; kept for 30 days. What they see no more is left out.",
                asks={"is_unread": (_OnlyUnread, None)},
            )
        ),
        mark_news,
    ],
    tags=["inbox"],
)
