"""Bringing what is still to be sent about an alert up to date with what the alert says by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from tocsin.db.engine import Tx, encode_json
from tocsin.notifications import service as notifications


@dataclass(frozen=True, slots=True)
class PageWords:
    """The part of a page that an alert says of itself, and that may change while people are paged for it."""

    title: str
    body: str
    severity: int
    labels: Mapping[str, Any]


# Runs are locked in the order of their ids, as everywhere.
_REWORD = """
WITH held AS (
    SELECT id, alert_id FROM escalation_run WHERE alert_id = ANY($1::uuid[]) AND state = 'running'
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE escalation_run AS run SET content = run.content || words.content
FROM held JOIN unnest($1::uuid[], $2::jsonb[]) AS words (alert_id, content) ON words.alert_id = held.alert_id
WHERE run.id = held.id
"""


async def reword(tx: Tx, words: Mapping[UUID, PageWords]) -> None:
    """Let the next step, repeat or attempt of what runs for these alerts say this. The caller holds the alerts.

    Needs no session: intake calls it, with many alerts at once.
    """
    contents = {id: encode_json(asdict(said)) for id, said in words.items()}
    connection = await tx.raw()
    await connection.execute(_REWORD, list(contents), list(contents.values()))
    # A statement of its own, and after the lock: a step that was being taken has written its messages by now.
    await notifications.reword_deliveries(tx, contents)
