"""The one order in which rows are locked, and locking them.

Two transactions that lock the same rows in another order may wait for each other for ever. So every transaction goes
down this list and never up again, and takes several rows of a table in the order of their ids. It may skip as much as
it likes. A row that it holds already it may change and look at again at any time.

Tests watch every transaction and fail where one goes up (`tests/lock_order.py`).
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select

from tocsin.kit.record import Record

Q = TypeVar("Q", bound=Select[Any])

# How a row is locked for changing: rows elsewhere that refer to it can still be written meanwhile, so that nobody who
# edits a policy or a person holds up a page.
LOCK: dict[str, Any] = {"key_share": True}

ORDER: tuple[str, ...] = (
    "organisation",
    "custom_role",
    "team",
    "user_account",
    "alert_source",
    "escalation_policy",
    "alert_route",
    "incident",
    "alert",
    "fallback_target",
    "escalation_run",
    "page",
    "contact_method",
    "delivery",
    "contact_method_health",
    "news_item",
    "job",
)


def for_change(query: Q, kind: type[Record], *, skip_locked: bool = False) -> Q:
    """Have a query lock what it finds of this kind, in the order of the ids, and return it as it is then.

    `skip_locked`: without what somebody else has locked.
    """
    ordered = query.order_by(kind.__table__.c.id)
    locking = ordered.with_for_update(**LOCK, of=kind, skip_locked=skip_locked)
    return locking.execution_options(populate_existing=True)
