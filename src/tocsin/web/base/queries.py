"""What stands around every page."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import String, cast, func, select

from tocsin.alerts.model import OPEN as OPEN_ALERTS
from tocsin.alerts.model import Alert
from tocsin.alerts.queries import MOST_COUNTED
from tocsin.alerts.visibility import visible as visible_alerts
from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.identity.model import Organisation, User
from tocsin.incidents.model import OPEN, Incident
from tocsin.incidents.visibility import visible


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around every page."""

    org_name: str
    time_zone: str
    open_incidents: int
    open_alerts: int
    # The place in the live stream from which on something may have happened that this page does not show.
    place: str


async def surroundings(tx: Tx, access: Access, user_id: UUID) -> Surroundings:
    """Return the organisation, the reader's zone and the two counts of the navigation in one statement."""
    incidents = select(Incident.id).where(Incident.status.in_(OPEN), visible(access)).limit(MOST_COUNTED).subquery()
    is_open = Alert.status.in_(OPEN_ALERTS)
    alerts = select(Alert.id).where(is_open, visible_alerts(access)).limit(MOST_COUNTED).subquery()
    query = select(
        select(Organisation.name).where(Organisation.id == 1).scalar_subquery(),
        select(User.time_zone).where(User.id == user_id).scalar_subquery(),
        select(func.count()).select_from(incidents).scalar_subquery(),
        select(func.count()).select_from(alerts).scalar_subquery(),
        cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), String),
    )
    name, zone, open_incidents, open_alerts, pending = (await tx.session.execute(query)).one()
    return Surroundings(name or "", zone or "UTC", open_incidents, open_alerts, f"{pending}-0")
