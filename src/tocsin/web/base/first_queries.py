"""How far a new installation is."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from tocsin.db.engine import Tx


@dataclass(frozen=True, slots=True)
class SetUpSoFar:
    """How far the installation is from an alert that reaches somebody."""

    has_method: bool
    has_policy: bool
    has_route: bool
    has_fallback: bool
    source_id: UUID | None
    has_signal: bool
    has_been_paged: bool


_SET_UP_SO_FAR = text("""
SELECT EXISTS (SELECT FROM contact_method AS method JOIN user_account AS person ON person.id = method.user_id
               WHERE person.is_active),
       EXISTS (SELECT FROM escalation_policy),
       EXISTS (SELECT FROM alert_route WHERE is_enabled AND escalation_policy_id IS NOT NULL),
       EXISTS (SELECT FROM fallback_target WHERE policy_id IS NOT NULL OR user_id IS NOT NULL),
       (SELECT id FROM alert_source WHERE is_enabled ORDER BY created_at, id LIMIT 1),
       -- Signals are deleted after a while, alerts stay.
       EXISTS (SELECT FROM alert) OR EXISTS (SELECT FROM signal WHERE outcome <> 'rejected'),
       -- Who answers has been reached, by whatever way.
       EXISTS (SELECT FROM delivery WHERE kind = 'page' AND state IN ('sent', 'delivered'))
         OR EXISTS (SELECT FROM page WHERE state = 'acknowledged')
""")


async def set_up_so_far(tx: Tx) -> SetUpSoFar:
    """Return what there is already of everything that an alert needs to reach somebody."""
    return SetUpSoFar(*(await tx.session.execute(_SET_UP_SO_FAR)).one())
