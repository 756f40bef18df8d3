"""What the messages were about by whose links somebody came."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.notifications.model import ContactMethod, Delivery
from tocsin.oncall.model import Page


@dataclass(frozen=True, slots=True)
class About:
    """What a message to this person was about: the alert, and the incident, which is that of the alert by now."""

    user_id: UUID
    alert_id: UUID | None
    incident_id: UUID | None


async def about(tx: Tx, delivery_ids: Collection[UUID]) -> dict[UUID, About]:
    """Return what each of these messages was about.

    What went to an address that is its person's no longer was about nothing: whoever reads there may be somebody else.
    """
    is_theirs = (
        select(ContactMethod.id)
        .where(
            ContactMethod.user_id == Delivery.user_id,
            ContactMethod.kind == Delivery.channel,
            ContactMethod.address == Delivery.address,
        )
        .exists()
    )
    query = (
        select(Delivery.id, Delivery.recipient_id, Page.alert_id, func.coalesce(Page.incident_id, Alert.incident_id))
        .select_from(Delivery)
        .join(Page, Page.id == Delivery.page_id)
        .outerjoin(Alert, Alert.id == Page.alert_id)
        .where(Delivery.id.in_(delivery_ids), Delivery.user_id == Page.user_id, is_theirs)
    )
    rows = (await tx.session.execute(query)).all()
    return {id: About(user_id, alert_id, incident_id) for id, user_id, alert_id, incident_id in rows}
