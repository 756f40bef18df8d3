"""Which runs and pages a change of the configuration may matter to: no more of them than that, as there may be many."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import and_, literal_column, not_, or_, select
from sqlalchemy.orm import aliased

from tocsin.db.engine import Tx
from tocsin.jobs.queue import Job
from tocsin.notifications.model import ContactMethod, Delivery, DeliveryKind
from tocsin.oncall.model import EscalationRun, EscalationStep, EscalationTarget, Page, PageState, RunState
from tocsin.oncall.queries import has_reached

# A constant, not a parameter: the partial index is chosen by it.
_RUNNING = EscalationRun.state == literal_column(f"'{RunState.RUNNING.value}'")


async def waiting_to_reach(tx: Tx, kind: str, id: UUID) -> list[UUID]:
    """Return the runs that a change of this person, contact method, policy or fallback may concern, by their ids.

    These are the runs that go on and have reached nobody; of a policy all that are climbing it.
    """
    of_policy = EscalationRun.policy_id == id
    if kind == "escalation_policy":
        return await _running(tx, of_policy)
    silent = and_(EscalationRun.unreached_since.is_not(None), not_(has_reached(EscalationRun)))
    if kind == "fallback_target":
        return await _running(tx, silent)
    user_id = id
    if kind == "contact_method":
        method = await tx.session.get(ContactMethod, id)
        if method is None:
            return []
        user_id = method.user_id
    naming = (
        select(EscalationStep.policy_id)
        .join(EscalationTarget, EscalationTarget.step_id == EscalationStep.id)
        .where(EscalationTarget.user_id == user_id)
    )
    theirs = or_(EscalationRun.direct_user_id == user_id, EscalationRun.policy_id.in_(naming))
    return await _running(tx, and_(theirs, silent))


# What has begun already may have looked before this change, so only what waits counts, and only what is due.
_COMES_AGAIN = """
SELECT EXISTS (SELECT FROM job WHERE kind = $1 AND id > $2 AND owner IS NULL AND due <= tocsin_now()
               AND payload -> 'fields' ->> 'kind' = $3 AND payload -> 'fields' ->> 'id' = $4)
"""


async def comes_again(tx: Tx, job: Job) -> bool:
    """Say whether the same part of the configuration was changed again, and that is still to be looked at."""
    fields = job.payload["fields"]
    found: bool = await (await tx.raw()).fetchval(_COMES_AGAIN, job.kind, job.id, fields["kind"], fields["id"])
    return found


async def _running(tx: Tx, *which: object) -> list[UUID]:
    query = select(EscalationRun.id).where(_RUNNING, *which).order_by(EscalationRun.id)  # pyright: ignore[reportArgumentType]
    return list((await tx.session.scalars(query)).all())


async def pages_of_method(tx: Tx, method_id: UUID) -> list[UUID]:
    """Return the pages that wait for an answer and could use this contact method of their person.

    They are older than it, or went to an address that it has no longer.
    """
    method, sent = aliased(ContactMethod), aliased(Delivery)
    elsewhere = (
        select(sent.id)
        .where(sent.page_id == Page.id, sent.contact_method_id == method.id, sent.address != method.address)
        .exists()
    )
    query = (
        select(Page.id)
        .join(method, method.user_id == Page.user_id)
        .where(method.id == method_id, Page.state == PageState.PAGING)
        .where(or_(method.created_at > Page.paged_at, elsewhere))
        .order_by(Page.id)
    )
    return list((await tx.session.scalars(query)).all())


async def pages_without_method(tx: Tx) -> list[UUID]:
    """Return the pages that wait for an answer and were sent by a contact method that has been removed."""
    query = (
        select(Page.id)
        .join(EscalationRun, EscalationRun.id == Page.run_id)
        .join(Delivery, Delivery.page_id == Page.id)
        .where(_RUNNING, Page.state == PageState.PAGING)
        .where(Delivery.kind == DeliveryKind.PAGE, Delivery.contact_method_id.is_(None))
        .distinct()
        .order_by(Page.id)
    )
    return list((await tx.session.scalars(query)).all())
