"""Holding back what flaps: a source may say that a problem which comes again soon after its end pages nobody at once.

Invariant: one key pages at most once per hold-down, and nothing that stays open goes without a page. The time counts
from the end of the last alert that somebody was told of; one that was held back itself does not extend it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.alerts import holding_queries, queries
from tocsin.alerts.holding_queries import Before, Held
from tocsin.alerts.lifecycle import Act, may
from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.events.alerts import AlertHeld
from tocsin.events.base import SYSTEM
from tocsin.events.log import emit


async def hold_back(
    tx: Tx, alerts: Sequence[queries.Unrouted], table: queries.RoutingTable
) -> tuple[set[UUID], list[Held]]:
    """Return which of these alerts page nobody yet, and those of them whose wait begins now.

    Not held back: what is worse than the alert before it, what somebody gave back, what follows on an end by hand, and
    what nobody was told of last time. The caller has locked them, and routes those whose wait begins anew at its end.
    """
    asked = [each for each in alerts if may(each.status, Act.PAGE) and each.source_id in table.hold_downs]
    if not asked:
        return set(), []
    earliest = {each.id: tx.now - table.hold_downs[each.source_id] for each in asked}
    before = await holding_queries.alerts_before(tx, earliest)
    held: set[UUID] = set()
    begun: list[Held] = []
    for each in asked:
        last = before.get(each.id)
        if last is None or _is_worse(each, last) or (each.held_until is not None and each.held_until <= tx.now):
            continue
        held.add(each.id)
        if each.held_until is None:
            begun.append(Held(each.id, last.resolved_at + table.hold_downs[each.source_id]))
            await _note(tx, each, last, table.hold_downs[each.source_id])
    await holding_queries.hold(tx, begun)
    return held, begun


def _is_worse(now: queries.Unrouted, before: Before) -> bool:
    return now.severity < before.severity or (now.urgency == "high" and before.urgency != "high")


async def _note(tx: Tx, alert: queries.Unrouted, last: Before, hold_down: timedelta) -> None:
    until = last.resolved_at + hold_down
    event = AlertHeld(
        actor=SYSTEM,
        alert_id=alert.id,
        incident_id=alert.incident_id,
        until=until,
        last_number=last.number,
        over_for=int((tx.now - last.resolved_at).total_seconds()),
        hold_down_minutes=int(hold_down.total_seconds() // 60),
    )
    await emit(tx, event)


def held_until(alert: Alert) -> datetime | None:
    """Return until when an alert pages nobody; None when it is not held back."""
    # Whoever gives an alert back lets go of it: its time is then that of the change.
    until = alert.held_until
    if until is None or until <= alert.updated_at:
        return None
    return until if may(alert.status, Act.PAGE) and alert.routed_at is None else None


def lets_go(held: Collection[Held]) -> dict[datetime, list[UUID]]:
    """Return when which of these alerts are to be looked at again."""
    found: dict[datetime, list[UUID]] = {}
    for each in held:
        found.setdefault(each.until, []).append(each.alert_id)
    return found
