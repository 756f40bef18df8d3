"""Closing what has been resolved for as long as its type says."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor
from tocsin.incidents import queries
from tocsin.incidents.model import Status
from tocsin.incidents.service.ending import close
from tocsin.incidents.service.filling_in import may_pass

_TOCSIN = Actor.system("Tocsin")
_LATER = timedelta(days=1)


async def close_by_itself(tx: Tx, incident_id: UUID, round: int) -> datetime | None:
    """Close an incident that is still resolved, and was not begun again since; returns when to look again.

    What its type requires to close it keeps it resolved; that is looked at again a day later.
    """
    incident = await queries.lock(tx, EVERYTHING, incident_id)
    if incident.status != Status.RESOLVED or incident.round != round:
        return None
    if not await may_pass(tx, incident, Status.CLOSED):
        return tx.now + _LATER
    await close(tx, _TOCSIN, incident_id)
    return None
