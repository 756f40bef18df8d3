"""What lists say of those who are paged, for all of a page at once, and how much there is of a list."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, union

from tocsin.db.engine import Tx
from tocsin.db.records import count_records, has_words
from tocsin.identity.access import P
from tocsin.identity.access_queries import accesses
from tocsin.identity.model import User
from tocsin.oncall.model import EscalationPolicy, EscalationRun, EscalationTarget, FallbackTarget, Page, RunState


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


async def count_policies(tx: Tx, words: Collection[str], *, most: int) -> int:
    """Count the policies that `policies` would find, and stop when they are more than `most`."""
    return await count_records(tx, EscalationPolicy, *has_words(words, EscalationPolicy.name), most=most)


async def may_be_paged(tx: Tx, user_ids: Collection[UUID]) -> set[UUID]:
    """Return whom of these people pages are for: who may work on alerts or incidents, and who is named for paging.

    Nobody misses a contact method of the others, and of those whose account is off.
    """
    named = union(
        select(EscalationTarget.user_id).where(EscalationTarget.user_id.in_(user_ids)),
        select(FallbackTarget.user_id).where(FallbackTarget.user_id.in_(user_ids)),
    )
    active = await tx.session.scalars(select(User.id).where(User.id.in_(user_ids), User.is_active))
    works = {
        id
        for id, access in (await accesses(tx, active.all())).items()
        if access.may_somewhere(P.INCIDENT_EDIT) or access.may_somewhere(P.ALERT_EDIT)
    }
    return works | set(await tx.session.scalars(named))
