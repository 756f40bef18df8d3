"""What news say to their reader: of a comment how it begins now, of another incident nothing that they may not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.incidents import CommentAdded, CommentEdited
from tocsin.events.words import describe
from tocsin.identity.access import Access
from tocsin.incidents import comment_queries
from tocsin.incidents.following import ChangeKind
from tocsin.incidents.inbox_model import InboxEntry
from tocsin.incidents.model import Incident
from tocsin.incidents.retelling import retell
from tocsin.kit.text import one_line

_COMMENTS = (CommentAdded.name, CommentEdited.name)
_PREVIEW = 200


@dataclass(frozen=True, slots=True)
class News:
    """One piece of news as its reader is told of it. `detail` is one line, of a comment how it begins now."""

    entry: InboxEntry
    incident: Incident
    text: str
    detail: str


async def told(tx: Tx, access: Access, rows: Sequence[tuple[InboxEntry, Incident]], zone: tzinfo = UTC) -> list[News]:
    """Say what news tell, in their order, as far as the reader may know it."""
    entries = [entry for entry, _ in rows]
    said = await retell(tx, access, entries)
    bodies = await comment_queries.written_by_id(tx, {id for entry in entries if (id := _comment(entry)) is not None})
    found: list[News] = []
    for (entry, incident), each in zip(rows, said, strict=True):
        line = describe(entry.name, entry.actor_name, each.data, zone)
        comment = _comment(entry)
        text, detail = line.text, line.detail
        if comment is not None:
            text, detail = f"{entry.actor_name} commented", bodies.get(comment, "")
        if entry.change == ChangeKind.MENTIONS:
            text = f"{entry.actor_name} mentioned you"
        found.append(News(entry, incident, text, one_line(detail, _PREVIEW)))
    return found


def _comment(entry: InboxEntry) -> UUID | None:
    return UUID(str(entry.data["comment_id"])) if entry.name in _COMMENTS else None
