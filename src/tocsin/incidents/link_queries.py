"""What the messages were about by whose links somebody came."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, select

from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.notifications.model import ContactMethod, Delivery
from tocsin.oncall.model import Page


async def about(tx: Tx, user_id: UUID, delivery_ids: Collection[UUID]) -> list[tuple[UUID | None, UUID | None]]:
    """Return the alert and the incident, the one in which the alert is now, that each message to this person was about.

    What went to an address that is theirs no longer was about nothing: whoever reads there may be somebody else.
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
        select(Page.alert_id, func.coalesce(Page.incident_id, Alert.incident_id))
        .select_from(Delivery)
        .join(Page, Page.id == Delivery.page_id)
        .outerjoin(Alert, Alert.id == Page.alert_id)
        .where(Delivery.id.in_(delivery_ids), Delivery.user_id == user_id, Page.user_id == user_id, is_theirs)
    )
    return [(alert_id, incident_id) for alert_id, incident_id in (await tx.session.execute(query)).all()]
