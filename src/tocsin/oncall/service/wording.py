"""Bringing what is still to be sent about an alert up to date with what the alert says by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from tocsin.db.engine import Tx, encode_json
from tocsin.notifications import sending_queries
from tocsin.oncall import bulk_queries


@dataclass(frozen=True, slots=True)
class PageWords:
    """The part of a page that an alert says of itself, and that may change while people are paged for it."""

    title: str
    body: str
    severity: int
    labels: Mapping[str, Any]


async def reword(tx: Tx, words: Mapping[UUID, PageWords]) -> None:
    """Let the next step, repeat or attempt of what runs for these alerts say this. The caller holds the alerts.

    Needs no session: intake calls it, with many alerts at once.
    """
    contents = {id: encode_json(asdict(said)) for id, said in words.items()}
    await bulk_queries.reword(tx, contents)
    # A statement of its own, and after the lock: a step that was being taken has written its messages by now.
    await sending_queries.reword(tx, contents)
