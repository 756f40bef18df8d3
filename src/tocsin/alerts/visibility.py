"""Which alerts and sources somebody may see: what their role, their teams or a grant lets them, and what paged them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, not_, or_, select, true, union
from sqlalchemy.orm import InstrumentedAttribute, aliased

from tocsin.alerts.model import Alert, AlertSource
from tocsin.db.arrays import among, found_among
from tocsin.identity.access import Access, P, Permission, ResourceKind
from tocsin.oncall.model import Page

# Made once: an alias costs more than all the rest of a condition.
_MINE, _NEAR = aliased(Page), aliased(Alert)


# Asked for several times with each request, and by the same people again and again.
@lru_cache(maxsize=128)
def visible(access: Access) -> ColumnElement[bool]:
    """Say in SQL that the alert may be seen. What somebody was paged about they see, and the rest of its incident."""
    if P.ALERT_VIEW not in access.within:
        return false()
    if access.only is not None:
        return and_(among(Alert.id, access.only.alert_ids), visible(replace(access, only=None)))
    if _sees_every(access, P.ALERT_VIEW):
        return true()
    of_source = _of_source(access, P.ALERT_VIEW, Alert.source_id)
    if P.ALERT_VIEW not in access.organisation:
        # Few are seen of many, so these are found by themselves and not looked for in all of them.
        own = Page.user_id == access.user_id
        asked = union(
            select(Page.alert_id).where(own, Page.alert_id.is_not(None)),
            select(_NEAR.id).where(
                _NEAR.incident_id.in_(select(_MINE.incident_id).where(_MINE.user_id == access.user_id))
            ),
        )
        return or_(of_source, found_among(Alert.id, asked))
    about = select(_MINE.alert_id).where(_MINE.user_id == access.user_id, _MINE.alert_id == Alert.id)
    near = select(_MINE.incident_id).where(_MINE.user_id == access.user_id, _MINE.incident_id == Alert.incident_id)
    return or_(of_source, about.exists(), near.exists())


def visible_sources(access: Access) -> ColumnElement[bool]:
    """Say in SQL that the source may be seen, and with it what it sent."""
    return true() if _sees_every(access, P.SOURCE_VIEW) else _of_source(access, P.SOURCE_VIEW, AlertSource.id)


def _sees_every(access: Access, permission: Permission) -> bool:
    return access.sees_all(permission) or (permission in access.organisation and not access.hidden_sources)


def _of_source(access: Access, permission: Permission, id: InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
    if permission in access.organisation:
        given = access.granted(ResourceKind.ALERT_SOURCE, permission)
        return not_(among(id, access.hidden_sources.difference(given)))
    seen = access.sources_with(permission)
    return among(id, seen) if seen else false()
