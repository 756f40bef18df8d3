"""Which alerts and sources somebody may see: what their role, their teams or a grant lets them, and what paged them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, false, not_, or_, select, true, union
from sqlalchemy.orm import InstrumentedAttribute, aliased

from tocsin.alerts.model import Alert, AlertSource
from tocsin.db.arrays import among, overlaps
from tocsin.identity.access import Access, P, Permission, ResourceKind
from tocsin.oncall.model import Page


def visible(access: Access, rows: type[Alert] = Alert) -> ColumnElement[bool]:
    """Say in SQL that the alert may be seen. What somebody was paged about they see, and the rest of its incident."""
    if P.ALERT_VIEW not in access.within:
        return false()
    if _sees_every(access, P.ALERT_VIEW):
        return true()
    of_source = _of_source(access, P.ALERT_VIEW, rows.source_id)
    mine = aliased(Page)
    if P.ALERT_VIEW not in access.organisation:
        # Few are seen of many, so these are found by themselves and not looked for in all of them.
        near, own = aliased(Alert), Page.user_id == access.user_id
        asked = union(
            select(Page.alert_id).where(own, Page.alert_id.is_not(None)),
            select(near.id).where(near.incident_id.in_(select(mine.incident_id).where(mine.user_id == access.user_id))),
        )
        return or_(of_source, rows.id.in_(asked))
    about = select(mine.alert_id).where(mine.user_id == access.user_id, mine.alert_id == rows.id)
    near = select(mine.incident_id).where(mine.user_id == access.user_id, mine.incident_id == rows.incident_id)
    return or_(of_source, about.exists(), near.exists())


def visible_sources(access: Access) -> ColumnElement[bool]:
    """Say in SQL that the source may be seen, and with it what it sent."""
    return true() if _sees_every(access, P.SOURCE_VIEW) else _of_source(access, P.SOURCE_VIEW, AlertSource.id)


def _sees_every(access: Access, permission: Permission) -> bool:
    return access.sees_all(permission) or (permission in access.organisation and not access.hidden_sources)


def _of_source(access: Access, permission: Permission, id: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    given = access.granted(ResourceKind.ALERT_SOURCE, permission)
    if permission in access.organisation:
        return not_(among(id, access.hidden_sources.difference(given)))
    owned = select(AlertSource.id).where(overlaps(AlertSource.team_ids, access.teams_with(permission)))
    return or_(false(), among(id, given), id.in_(owned))
