"""What a list of alerts says of those who are asked about them, for all of a page at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from tocsin.db.engine import Tx
from tocsin.oncall.model import EscalationRun, Page, RunState


async def running_runs(tx: Tx, alert_ids: Collection[UUID]) -> list[EscalationRun]:
    """Return the runs that page about these alerts now; those that ask the last resort come last."""
    query = (
        select(EscalationRun)
        .where(EscalationRun.alert_id.in_(alert_ids), EscalationRun.state == RunState.RUNNING)
        .order_by(EscalationRun.is_fallback, EscalationRun.id)
    )
    return list((await tx.session.scalars(query)).all()) if alert_ids else []


@dataclass(frozen=True, slots=True)
class AskedInVain:
    """How many people were paged about an alert, and when the last of them was."""

    people: int
    last_at: datetime


async def asked_in_vain(tx: Tx, alert_ids: Collection[UUID]) -> dict[UUID, AskedInVain]:
    """Return whom these alerts were paged to, for those of which nobody answered."""
    query = (
        select(Page.alert_id, func.count(Page.user_id.distinct()), func.max(Page.paged_at))
        .where(Page.alert_id.in_(alert_ids))
        .group_by(Page.alert_id)
    )
    rows: Sequence[Any] = (await tx.session.execute(query)).all() if alert_ids else ()
    return {id: AskedInVain(people, last_at) for id, people, last_at in rows}
