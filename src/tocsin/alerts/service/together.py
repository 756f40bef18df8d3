"""One act for several alerts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from tocsin.alerts import lifecycle, queries
from tocsin.alerts.lifecycle import Act as Move
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.alerts.service import by_hand
from tocsin.db.engine import Tx
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.errors import NotFound, Problem

Act = Literal["acknowledge", "unacknowledge", "resolve", "escalate"]
AtOnce = Callable[[Tx, Actor, Sequence[Alert]], Awaitable[object]]
_ACTS: Mapping[Act, Callable[[Tx, Actor, UUID], Awaitable[Alert]]] = {
    "unacknowledge": by_hand.unacknowledge,
    "escalate": by_hand.escalate,
}


# Those that change all as one.
_AT_ONCE: Mapping[Act, tuple[Move, AtOnce]] = {
    "acknowledge": (Move.ACKNOWLEDGE, by_hand.take_all_on),
    "resolve": (Move.RESOLVE, by_hand.end),
}
# So many at once are one transaction that others wait for.
MOST_TOGETHER = 200


@dataclass(frozen=True, slots=True)
class Done:
    """An alert as it is now, and whether this made it so; `was` is how it stood before."""

    alert: Alert
    was: AlertStatus
    is_new: bool


async def do_to_all(tx: Tx, who: Actor, act: Act, alert_ids: Sequence[UUID]) -> list[Done | Problem]:
    """Do the same to each of these alerts; returns what became of each, in the order of the ids.

    One that it cannot be done to stays as it is and does not stop the rest. All are locked first, in the order of
    their ids: an alert is locked before any run. What a storm needs, acknowledging and resolving, is one change of all.
    """
    who.must_somewhere(P.ALERT_EDIT)
    before = await queries.lock_known(tx, alert_ids)
    at_once = _AT_ONCE.get(act)
    if at_once is not None:
        became = await _at_once(tx, who, *at_once, before)
    else:
        became = {id: await _alone(tx, who, act, id, before) for id in dict.fromkeys(alert_ids)}
    return [became.get(id) or NotFound("There is no such alert.") for id in alert_ids]


async def _alone(tx: Tx, who: Actor, act: Act, id: UUID, before: Mapping[UUID, AlertStatus]) -> Done | Problem:
    try:
        async with tx.session.begin_nested():
            alert = await _ACTS[act](tx, who, id)
    except Problem as problem:
        return problem
    return Done(alert, before[id], act == "escalate" or alert.status != before[id])


async def _at_once(
    tx: Tx, who: Actor, move: Move, all_of_them: AtOnce, before: Mapping[UUID, AlertStatus]
) -> dict[UUID, Done | Problem]:
    found = await queries.lock_many(tx, who.access.reach, await queries.seen(tx, who.access.reach, before.keys()))
    refused = await by_hand.refusals(tx, who, found)
    refused |= {
        a.id: lifecycle.cannot(move) for a in found if a.id not in refused and not lifecycle.may(a.status, move)
    }
    await all_of_them(tx, who, [alert for alert in found if alert.id not in refused])
    done = {a.id: Done(a, before[a.id], a.status != before[a.id]) for a in found if a.id not in refused}
    return {**refused, **done}
