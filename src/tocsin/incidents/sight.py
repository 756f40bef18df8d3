"""What of the live log somebody may see, decided for each event as it comes and without asking the database."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.live import Seen
from tocsin.events.log import is_of_incident, unlinked
from tocsin.identity.access import Access, Owned, P
from tocsin.incidents.sharing_queries import seen_by_itself_only

# Of what is not open to the reader anyway, so many of the newest are known from the beginning.
_MOST = 5000


class Sight:
    """Says which events a reader may be told of. What they are asked about while they watch joins what they see."""

    def __init__(self, access: Access, incident_ids: set[UUID]) -> None:
        self._access = access
        self._incidents = incident_ids
        self._alerts: set[UUID] = set()
        self._teams = frozenset(access.teams_with(P.INCIDENT_VIEW))
        self._sources = access.sources_with(P.ALERT_VIEW)

    def sees(self, event: Seen) -> bool:
        """Say whether the reader may know of it: of its incident, or of its alert where it has none."""
        if not self._access.reaches(event.alert_id, event.incident_id):
            return False
        if self._access.user_id is not None and event.data.get("user_id") == str(self._access.user_id):
            self._incidents |= {event.incident_id} if event.incident_id is not None else set()
            self._alerts |= {event.alert_id} if event.alert_id is not None else set()
        if event.incident_id is not None and self._sees_incident(event):
            return True
        # What happens to an alert is no secret because of where it is linked; what happens to the incident is.
        return event.alert_id is not None and not is_of_incident(event.name) and self._sees_alert(event)

    def told(self, event: Seen) -> Seen:
        """Return the event as the reader may know it: without the incident that it is in, if they do not see that."""
        if event.incident_id is None or self._sees_incident(event):
            return event
        return replace(event, incident_id=None, data=unlinked(event.data))

    def _sees_incident(self, event: Seen) -> bool:
        access = self._access
        if P.INCIDENT_VIEW not in access.within:
            return False
        if event.incident_id in self._incidents or not self._teams.isdisjoint(event.team_ids):
            return True
        is_hidden = access.hides(Owned(team_ids=event.team_ids), is_private=event.is_private)
        return P.INCIDENT_VIEW in access.organisation and not is_hidden

    def _sees_alert(self, event: Seen) -> bool:
        access = self._access
        if P.ALERT_VIEW not in access.within:
            return False
        if access.sees_all(P.ALERT_VIEW) or event.alert_id in self._alerts or event.source_id in self._sources:
            return True
        return P.ALERT_VIEW in access.organisation and event.source_id not in access.hidden_sources


async def sight(tx: Tx, access: Access) -> Sight:
    """Return what a reader may see of the log from now on."""
    if access.sees_all(P.INCIDENT_VIEW):
        return Sight(access, set())
    return Sight(access, await seen_by_itself_only(tx, access, limit=_MOST))
