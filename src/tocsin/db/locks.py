"""The one order in which rows are locked, and locking them.

Two transactions that lock the same rows in another order may wait for each other for ever. So every transaction goes
down this list and never up again, and takes several rows of a table in the order of their ids. It may skip as much as
it likes. A row that it holds already it may change and look at again at any time.

Tests watch every transaction and fail where one goes up (`tests/lock_order.py`).
"""

from __future__ import annotations

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
