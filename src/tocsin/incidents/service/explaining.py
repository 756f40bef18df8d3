"""Reading what there is to explain about an alert; how it is told is a rule of `alerts.explain`."""

from __future__ import annotations

from datetime import UTC, tzinfo
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.explain import TURNS, Explanation, explain
from tocsin.db.engine import Tx
from tocsin.events import log
from tocsin.identity.model import Actor
from tocsin.incidents import queries


async def explain_alert(tx: Tx, who: Actor, alert_id: UUID, zone: tzinfo = UTC) -> Explanation:
    """Tell who was paged for the alert and who answered, or why nobody was. Bounded, however long it has gone on.

    Of an incident that the actor may not see nothing is told; raises `NotFound` for such an alert.
    """
    await alert_queries.get(tx, who.access, alert_id)
    chain = await log.chain_of(tx, alert_id=alert_id, keep=TURNS)
    involved = {event.incident_id for event in chain.events if event.incident_id is not None}
    hidden = involved - (await queries.by_id(tx, who.access, involved)).keys()
    return explain(log.without(chain, hidden) if hidden else chain, zone)
