"""Who changed something, for the page that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events import log, words
from tocsin.events.base import Subject
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.ids import IdKind

# What is older is in the record.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One thing that was done to it."""

    at: datetime
    words: str
    detail: str


@dataclass(frozen=True, slots=True)
class History:
    """The newest of what was done to something; what is older the record has under its id."""

    lines: Sequence[HistoryLine]
    id: str
    has_more: bool


async def history(tx: Tx, who: Actor, kind: IdKind, id: UUID, now: datetime) -> History | None:
    """Return what was done to something, the newest first, for whoever may read the record."""
    if not who.may(P.ADMIN_VIEW):
        return None
    found = await log.newest_first(tx, subject=Subject(kind.name, id), limit=_SHOWN + 1)
    lines: list[HistoryLine] = []
    for event in found[:_SHOWN]:
        line = words.describe(event.name, event.actor_name, event.data, now.tzinfo or UTC)
        lines.append(HistoryLine(event.at, line.text, line.detail))
    return History(lines, kind.write(id), len(found) > _SHOWN)
