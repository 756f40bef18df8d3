"""The news of the incidents that the reader follows, as the inbox shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest
from tocsin.edge.cursors import read_place, write_place
from tocsin.identity.model import Actor
from tocsin.incidents import inbox_queries, inbox_words
from tocsin.incidents.following import ChangeKind
from tocsin.incidents.inbox_model import ENTRY_ID, MOST_COUNTED
from tocsin.kit.errors import Invalid
from tocsin.web.base import pages

_ICONS: Mapping[ChangeKind, tuple[str, str]] = {
    ChangeKind.MENTIONS: ("message-square", "violet"),
    ChangeKind.RESOLUTION: ("circle-check", "green"),
    ChangeKind.SEVERITY: ("arrow-up", "orange"),
    ChangeKind.STATUS: ("circle-dot", "amber"),
    ChangeKind.ROLES: ("user-check", "teal"),
    ChangeKind.UPDATES: ("pencil", "slate"),
    ChangeKind.ACTION_ITEMS: ("list", "slate"),
    ChangeKind.COMMENTS: ("message-square", "slate"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of news: what happened, to which incident, and how many more changes it stands for."""

    id: str
    text: str
    detail: str
    more: int
    ref: str
    title: str
    severity: int
    at: datetime
    is_unread: bool
    icon: str
    tone: str


@dataclass(frozen=True, slots=True)
class News:
    """One page of the news. `here` is its address, `older` that of the next one, if there is one."""

    rows: Sequence[Row]
    unread: int
    only_unread: bool
    is_first: bool
    here: str
    older: str


async def read(tx: Tx, request: AppRequest, who: Actor, now: datetime) -> News:
    """Read a page of the reader's news."""
    me = who.must_be_someone()
    only_unread = request.query_params.get("show") == "unread"
    before = _place(request.query_params.get("before", ""))
    found = await inbox_queries.entries(
        tx, who.access, me, before=before, is_unread=True if only_unread else None, limit=pages.PAGE_SIZE + 1
    )
    shown = found[: pages.PAGE_SIZE]
    told = await inbox_words.told(tx, who.access, shown, now.tzinfo or UTC)
    show = {"show": "unread"} if only_unread else {}
    place = {"before": write_place(shown[-1][0].id)} if len(found) > pages.PAGE_SIZE else {}
    asked = show | ({"before": write_place(before)} if before is not None else {})
    return News(
        rows=[_row(each) for each in told],
        unread=await inbox_queries.count_unread(tx, who.access, me, most=MOST_COUNTED),
        only_unread=only_unread,
        is_first=before is None,
        here=_address(asked),
        older=_address(show | place) if place else "",
    )


def _address(query: Mapping[str, str]) -> str:
    return f"/inbox?{urlencode(query)}" if query else "/inbox"


def _place(said: str) -> UUID | None:
    try:
        return read_place(said or None, UUID)
    except Invalid:
        return None


def _row(each: inbox_words.News) -> Row:
    entry, incident = each.entry, each.incident
    icon, tone = _ICONS[ChangeKind(entry.change)]
    return Row(
        id=ENTRY_ID.write(entry.id),
        text=each.text,
        detail=each.detail,
        more=entry.count - 1,
        ref=incident.reference,
        title=incident.title,
        severity=incident.severity,
        at=entry.at,
        is_unread=entry.read_at is None,
        icon=icon,
        tone=tone,
    )
