"""The one order in which rows are locked, and locking them.

Two transactions that lock the same rows in another order may wait for each other for ever. So every transaction goes
down this list and never up again, and takes several rows of a table in the order of their ids (`for_change`). It may
skip as much as it likes. A row that it holds already it may change and look at again at any time.

Three kinds of rows are in no order, because nobody waits in a circle for them:

- What is locked only by whoever holds the row that it belongs to: pages and timers by their run, responders by their
  incident, the job of a delivery by that.
- A person who is only to stay as they are (`keep_active`, FOR SHARE), as long as no message is locked before. Whoever
  changes a person locks none of `WORK` in that transaction; what follows from the change is a reaction's, in
  transactions of its own. One case is left: declaring from an alert takes back what that was still to send, and brings
  a lead and others in behind it, so it may meet somebody who corrects one of their contact methods just then.
- What somebody else has locked and is passed over (SKIP LOCKED).

And whoever holds an alert or an incident may lock its runs one after the other, and end one before the next: all that
need two of them hold that, too.

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

# What people are paged for.
WORK: tuple[str, ...] = ("incident", "alert", "escalation_run")
ORDER: tuple[str, ...] = (
    "team",
    "alert_source",
    "escalation_policy",
    "alert_route",
    "fallback_target",
    "role",
    "user_account",
    # Whoever writes down what a type asks for keeps the fields that it names.
    "custom_field",
    # Whoever declares keeps the template, and then the type that it names.
    "text_template",
    "incident_type",
    "incident",
    "comment",
    "action_item",
    "alert",
    # Declaring takes the next number; the runs of the alerts are linked after that.
    "organisation",
    "escalation_run",
    "contact_method",
    "news_item",
    "delivery",
    "contact_method_health",
)


def place_of(table: str) -> int:
    """Return where in the order a table stands; what is in no order comes behind all that is."""
    return ORDER.index(table) if table in ORDER else len(ORDER)


def for_change(query: Q, kind: type[Record], *, skip_locked: bool = False) -> Q:
    """Have a query lock what it finds of this kind, in the order of the ids, and return it as it is then.

    `skip_locked`: without what somebody else has locked.
    """
    ordered = query.order_by(kind.__table__.c.id)
    locking = ordered.with_for_update(**LOCK, of=kind, skip_locked=skip_locked)
    return locking.execution_options(populate_existing=True)
