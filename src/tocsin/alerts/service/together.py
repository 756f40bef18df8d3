"""One act for several alerts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal
from uuid import UUID

from tocsin.alerts import queries
from tocsin.alerts.model import Alert
from tocsin.alerts.service import by_hand
from tocsin.db.engine import Tx
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.errors import Problem

Act = Literal["acknowledge", "unacknowledge", "resolve", "escalate"]
_ACTS: Mapping[Act, Callable[[Tx, Actor, UUID], Awaitable[Alert]]] = {
    "acknowledge": by_hand.acknowledge,
    "unacknowledge": by_hand.unacknowledge,
    "resolve": by_hand.resolve,
    "escalate": by_hand.escalate,
}


async def do_to_all(tx: Tx, who: Actor, act: Act, alert_ids: Sequence[UUID]) -> list[Alert | Problem]:
    """Do the same to each of these alerts; returns what became of each, in the order of the ids.

    One that it cannot be done to stays as it is and does not stop the rest. All are locked first, in the order of
    their ids: an alert is locked before any run.
    """
    who.must_somewhere(P.ALERT_EDIT)
    await queries.lock_known(tx, alert_ids)
    became: dict[UUID, Alert | Problem] = {}
    for id in dict.fromkeys(alert_ids):
        try:
            async with tx.session.begin_nested():
                became[id] = await _ACTS[act](tx, who, id)
        except Problem as problem:
            became[id] = problem
    return [became[id] for id in alert_ids]
