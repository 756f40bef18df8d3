"""Reading what there is to explain about an alert; how it is told is a rule of `explain`."""

from __future__ import annotations

from datetime import UTC, tzinfo
from uuid import UUID

from tocsin.alerts.explain import TURNS, Explanation, explain
from tocsin.db.engine import Tx
from tocsin.events import log


async def explained(tx: Tx, alert_id: UUID, zone: tzinfo = UTC) -> Explanation:
    """Tell who was paged for the alert and who answered, or why nobody was. Bounded, however long it has gone on."""
    return explain(await log.chain_of(tx, alert_id=alert_id, keep=TURNS), zone)
