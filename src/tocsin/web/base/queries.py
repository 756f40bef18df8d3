"""What stands around every page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import String, cast, func, not_, select

from tocsin.alerts.model import Alert, AlertStatus
from tocsin.alerts.queries import MOST_COUNTED
from tocsin.alerts.visibility import visible as visible_alerts
from tocsin.db.arrays import holds
from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.identity.model import Organisation, User
from tocsin.incidents.inbox_queries import unread_of
from tocsin.incidents.model import OPEN, ActionItem, Incident
from tocsin.incidents.visibility import visible
from tocsin.oncall.model import PAGE_ID, EscalationRun, Page, PageState


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around every page."""

    org_name: str
    time_zone: str
    # What `Entry.count` names.
    badges: Mapping[str, int]
    # The pages that wait for the reader, by their public ids.
    paged: Sequence[str]
    # The place in the live stream from which on something may have happened that this page does not show.
    place: str


async def surroundings(tx: Tx, access: Access, user_id: UUID) -> Surroundings:
    """Return the organisation, the reader's zone, the counts of the navigation and their pages in one statement."""
    is_counted = (Incident.status.in_(OPEN), not_(Incident.is_drill), visible(access))
    incidents = select(Incident.id).where(*is_counted).limit(MOST_COUNTED).subquery()
    waits = Alert.status == AlertStatus.TRIGGERED
    alerts = select(Alert.id).where(waits, visible_alerts(access)).limit(MOST_COUNTED).subquery()
    mine = select(func.array_agg(Page.id)).where(Page.user_id == user_id, Page.state == PageState.PAGING)
    given = ActionItem.assignee_id == user_id, ActionItem.ended_at.is_(None)
    seen = select(Incident.id).where(Incident.id == ActionItem.incident_id, visible(access))
    to_do = select(ActionItem.id).where(*given, holds(seen)).limit(MOST_COUNTED).subquery()
    query = select(
        select(Organisation.name).where(Organisation.id == 1).scalar_subquery(),
        select(User.time_zone).where(User.id == user_id).scalar_subquery(),
        select(func.count()).select_from(incidents).scalar_subquery(),
        select(func.count()).select_from(alerts).scalar_subquery(),
        mine.scalar_subquery(),
        select(func.count()).select_from(to_do).scalar_subquery(),
        unread_of(access, user_id, most=MOST_COUNTED).scalar_subquery(),
        cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), String),
    )
    found = (await tx.session.execute(query)).one()
    name, zone, open_incidents, waiting_alerts, paged, mine_to_do, unread, pending = found
    pages = len(paged or ())
    badges = {"open_incidents": open_incidents, "waiting_alerts": waiting_alerts, "inbox": pages + unread}
    badges |= {"action_items": mine_to_do}
    return Surroundings(name or "", zone or "UTC", badges, [PAGE_ID.write(id) for id in paged or ()], f"{pending}-0")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A page that waits for its person, and what it is about."""

    page: Page
    run: EscalationRun
    alert: Alert | None
    incident: Incident | None


async def waiting_for(tx: Tx, user_id: UUID) -> list[Waiting]:
    """Return the pages that wait for this person, the gravest first and of these the oldest."""
    query = (
        select(Page, EscalationRun, Alert, Incident)
        .join(EscalationRun, EscalationRun.id == Page.run_id)
        .outerjoin(Alert, Alert.id == Page.alert_id)
        .outerjoin(Incident, Incident.id == Page.incident_id)
        .where(Page.user_id == user_id, Page.state == PageState.PAGING)
        .order_by(func.coalesce(Alert.severity, Incident.severity), Page.id)
    )
    return [Waiting(*row) for row in (await tx.session.execute(query)).all()]
