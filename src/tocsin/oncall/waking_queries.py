"""Which runs and pages a change of the configuration may matter to: no more of them than that, as there may be many."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, not_, or_, select
from sqlalchemy.orm import aliased

from tocsin.db.engine import Tx
from tocsin.identity.model import User
from tocsin.jobs.queue import Job
from tocsin.notifications.model import ContactMethod, Delivery, DeliveryKind
from tocsin.notifications.origins import origin_of
from tocsin.oncall.model import EscalationRun, EscalationStep, EscalationTarget, Page, PageState
from tocsin.oncall.queries import has_reached, is_in


async def waiting_to_reach(tx: Tx, kind: str, id: UUID) -> list[UUID]:
    """Return the runs that a change of this person, contact method, policy or fallback may concern, by their ids.

    These are the runs that go on and have reached nobody; of a policy all that are climbing it.
    """
    match kind:
        case "escalation_policy":
            return await _running(tx, EscalationRun.policy_id == id)
        case "fallback_target":
            return await _running(tx, _silent())
        case "contact_method":
            return await _running(tx, _silent(), _asks(select(ContactMethod.user_id).where(ContactMethod.id == id)))
        case _:
            return await _running(tx, _silent(), _asks(select(User.id).where(User.id == id)))


async def waiting_for_origin(tx: Tx, method_id: UUID) -> list[UUID]:
    """Return the runs that have reached nobody and ask somebody whom the same origin reaches as this contact method."""
    method = await tx.session.get(ContactMethod, method_id)
    if method is None:
        return []
    reached = select(ContactMethod.user_id).where(ContactMethod.kind == method.kind)
    if (origin := origin_of(method.kind, method.address)) != method.kind:
        reached = reached.where(ContactMethod.address.startswith(origin, autoescape=True))
    return await _running(tx, _silent(), _asks(reached))


def _silent() -> ColumnElement[bool]:
    return and_(EscalationRun.unreached_since.is_not(None), not_(has_reached(EscalationRun)))


def _asks(people: Select[UUID]) -> ColumnElement[bool]:
    """Say that a run asks somebody of these people, on whatever step."""
    naming = (
        select(EscalationStep.policy_id)
        .join(EscalationTarget, EscalationTarget.step_id == EscalationStep.id)
        .where(EscalationTarget.user_id.in_(people))
    )
    return or_(EscalationRun.direct_user_id.in_(people), EscalationRun.policy_id.in_(naming))


# What has begun already may have looked before this change, so only what waits counts, and only what is due.
_COMES_AGAIN = """
SELECT EXISTS (SELECT FROM job WHERE kind = $1 AND id > $2 AND owner IS NULL AND due <= tocsin_now()
               AND payload ->> 'event' = $3 AND payload -> 'fields' ->> 'kind' = $4
               AND payload -> 'fields' ->> 'id' = $5)
"""


async def comes_again(tx: Tx, job: Job, event: str, kind: str, id: UUID) -> bool:
    """Say whether the same has happened again to the same thing, and that is still to be looked at."""
    found: bool = await (await tx.raw()).fetchval(_COMES_AGAIN, job.kind, job.id, event, kind, str(id))
    return found


async def _running(tx: Tx, *which: ColumnElement[bool]) -> list[UUID]:
    query = select(EscalationRun.id).where(is_in("running"), *which).order_by(EscalationRun.id)
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
        .where(is_in("running"), Page.state == PageState.PAGING)
        .where(Delivery.kind == DeliveryKind.PAGE, Delivery.contact_method_id.is_(None))
        .distinct()
        .order_by(Page.id)
    )
    return list((await tx.session.scalars(query)).all())
