"""How an incident stands to the response targets of its severity, as its page says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tocsin.db.engine import Tx
from tocsin.incidents import target_queries
from tocsin.incidents.model import Incident
from tocsin.incidents.targets import ClockState, Goal

_WORDS: Mapping[Goal, str] = {
    Goal.ACKNOWLEDGE: "Acknowledge",
    Goal.UPDATE: "Next update",
    Goal.MITIGATE: "Mitigate",
    Goal.RESOLVE: "Resolve",
}


@dataclass(frozen=True, slots=True)
class ClockView:
    """How the incident stands to one response target."""

    words: str
    due_at: datetime
    met_at: datetime | None
    state: ClockState


async def clocks(tx: Tx, incident: Incident) -> list[ClockView]:
    """Return how it stands to each of its targets."""
    found = await target_queries.clocks_of(tx, incident)
    return [ClockView(_WORDS[clock.goal], clock.due_at, clock.met_at, clock.state) for clock in found]
