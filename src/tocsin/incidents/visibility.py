"""Which incidents somebody may see: by role, team or grant, and what they were asked into."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, and_, false, func, literal, not_, or_, select, text, true, union
from sqlalchemy.orm import aliased

from tocsin.alerts.model import Alert
from tocsin.db.arrays import IDS, among, found_among, holds, overlaps
from tocsin.identity.access import Access, P, ResourceKind
from tocsin.incidents.model import Incident, Responder

# Made once: an alias costs more than all the rest of a condition.
_ON_IT, _ALERT = aliased(Responder), aliased(Alert)


# Asked for several times with each request, and by the same people again and again.
@lru_cache(maxsize=128)
def visible(access: Access) -> ColumnElement[bool]:
    """Say in SQL that the incident may be seen. Whoever has been asked into it or was on it sees it."""
    if P.INCIDENT_VIEW not in access.within:
        return false()
    if access.only is not None:
        return and_(among(Incident.id, access.only.incident_ids), visible(replace(access, only=None)))
    if access.sees_all(P.INCIDENT_VIEW):
        return true()
    if P.INCIDENT_VIEW not in access.organisation:
        few = seen_by_itself(access)
        if teams := access.teams_with(P.INCIDENT_VIEW):
            # As the partial index says it.
            return or_(and_(overlaps(Incident.team_ids, teams), Incident.team_ids != text("'{}'::uuid[]")), few)
        return few
    is_open = not_(Incident.is_private)
    if access.closed:
        is_open = and_(is_open, not_(overlaps(Incident.team_ids, access.closed)))
    asked = select(_ON_IT.user_id).where(_ON_IT.incident_id == Incident.id, _ON_IT.user_id == access.user_id)
    ways = [is_open, overlaps(Incident.team_ids, access.teams_with(P.INCIDENT_VIEW)), holds(asked)]
    if granted := access.granted(ResourceKind.INCIDENT, P.INCIDENT_VIEW):
        ways.append(among(Incident.id, granted))
    if sources := access.granted(ResourceKind.ALERT_SOURCE, P.INCIDENT_VIEW):
        ways.append(holds(select(_ALERT.id).where(_ALERT.incident_id == Incident.id, among(_ALERT.source_id, sources))))
    return or_(*ways)


def seen_by_itself(access: Access) -> ColumnElement[bool]:
    """Say in SQL that the incident is seen whoever owns it: for having been asked or on it, or by a grant."""
    return found_among(Incident.id, _found(access))


def _found(access: Access) -> CompoundSelect[Any]:
    """Return the few that somebody sees of many, found by themselves and not looked for in all of them."""
    sources = access.granted(ResourceKind.ALERT_SOURCE, P.INCIDENT_VIEW)
    return union(
        select(_ON_IT.incident_id).where(_ON_IT.user_id == access.user_id),
        select(func.unnest(literal(access.granted(ResourceKind.INCIDENT, P.INCIDENT_VIEW), IDS))),
        select(_ALERT.incident_id).where(among(_ALERT.source_id, sources), _ALERT.incident_id.is_not(None)),
    )
