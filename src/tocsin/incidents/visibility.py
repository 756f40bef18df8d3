"""Which incidents somebody may see: by role, team or grant, and what they were asked into."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, and_, false, func, literal, not_, or_, select, text, true, union
from sqlalchemy.orm import aliased

from tocsin.alerts.model import Alert
from tocsin.db.arrays import IDS, among, overlaps
from tocsin.identity.access import Access, P, ResourceKind
from tocsin.incidents.model import Incident, Responder


def visible(access: Access, rows: type[Incident] = Incident) -> ColumnElement[bool]:
    """Say in SQL that the incident may be seen. Whoever has been asked into it or was on it sees it."""
    if P.INCIDENT_VIEW not in access.within:
        return false()
    if access.sees_all(P.INCIDENT_VIEW):
        return true()
    if P.INCIDENT_VIEW not in access.organisation:
        return rows.id.in_(_found(access))
    on_it, alert = aliased(Responder), aliased(Alert)
    is_open = not_(rows.is_private)
    if access.closed:
        is_open = and_(is_open, not_(overlaps(rows.team_ids, access.closed)))
    asked = select(on_it.user_id).where(on_it.incident_id == rows.id, on_it.user_id == access.user_id)
    ways = [is_open, overlaps(rows.team_ids, access.teams_with(P.INCIDENT_VIEW)), asked.exists()]
    if granted := access.granted(ResourceKind.INCIDENT, P.INCIDENT_VIEW):
        ways.append(among(rows.id, granted))
    if sources := access.granted(ResourceKind.ALERT_SOURCE, P.INCIDENT_VIEW):
        ways.append(select(alert.id).where(alert.incident_id == rows.id, among(alert.source_id, sources)).exists())
    return or_(*ways)


def _found(access: Access) -> CompoundSelect[Any]:
    """Return the few that somebody sees of many, found by themselves and not looked for in all of them."""
    on_it, own, alert = aliased(Responder), aliased(Incident), aliased(Alert)
    sources = access.granted(ResourceKind.ALERT_SOURCE, P.INCIDENT_VIEW)
    return union(
        select(on_it.incident_id).where(on_it.user_id == access.user_id),
        select(own.id).where(
            overlaps(own.team_ids, access.teams_with(P.INCIDENT_VIEW)), own.team_ids != text("'{}'::uuid[]")
        ),
        select(func.unnest(literal(access.granted(ResourceKind.INCIDENT, P.INCIDENT_VIEW), IDS))),
        select(alert.incident_id).where(among(alert.source_id, sources), alert.incident_id.is_not(None)),
    )
