"""What comes back: an alert that a person ends while its source still sees the problem is opened anew by it."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from tocsin.alerts import queries
from tocsin.db.engine import Tx

CODE = "alert.comes_back"


async def coming_back(tx: Tx, alert_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return those of these alerts whose source has not said that they are over, and the sentence that warns of it.

    For alerts that are open, or that somebody has just ended. Those opened by hand do not come back.
    """
    return {
        id: may_come_back(name, is_enabled=is_enabled)
        for id, name, is_enabled in await queries.not_over_at_source(tx, alert_ids)
    }


def may_come_back(source_name: str, *, is_enabled: bool) -> str:
    """Say what a source may do about an alert that a person ended."""
    then = ", and people are paged again." if is_enabled else " once the source is switched on again."
    return f"{source_name} has not said that this is over. If it still sees the problem, it opens a new alert{then}"
