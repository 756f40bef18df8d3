"""The order of locks is one that can be kept, and the watch over it sees who does not."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from uuid import UUID, uuid4

import pytest

import tocsin
from tests.lock_order import Transaction, locks_of
from tocsin.db.locks import ORDER, WORK
from tocsin.kit.record import Record

ROOT = Path(tocsin.__file__).parent
# Who locks in a way of their own, and why.
OWN_WAYS = {
    "db/locks.py": "`for_change`",
    "db/records.py": "one row by its id, for changing or for good",
    "identity/access_queries.py": "a role that is given is kept, one that is removed is locked for good",
    "identity/credential_queries.py": "rows of one person, browser or program, which nobody else waits for",
    "identity/queries.py": "`keep_active`, and the one row of the organisation",
    "incidents/text_template_queries.py": "a template that is declared with is kept",
    "incidents/type_queries.py": "types and fields that are named are kept",
    "notifications/queries.py": "messages and news of one person or page",
}
A, B = uuid4(), uuid4()
INCIDENT = "SELECT incident.id FROM incident WHERE incident.id = $1 FOR NO KEY UPDATE OF incident"
RUN = "SELECT escalation_run.id FROM escalation_run WHERE escalation_run.id = $1 FOR NO KEY UPDATE"
ALERT = "SELECT alert.id FROM alert WHERE alert.id = $1 ORDER BY alert.id FOR NO KEY UPDATE OF alert"
KEEP = "SELECT user_account.id FROM user_account WHERE user_account.id IN ($1) FOR SHARE"
PERSON = "SELECT user_account.id FROM user_account WHERE user_account.id = $1 FOR NO KEY UPDATE"
RECALL = "UPDATE delivery SET state = 'cancelled' WHERE page_id = ANY($1)"


def test_every_table_in_the_order_is_one() -> None:
    assert set(ORDER) <= set(Record.metadata.tables)
    assert len(set(ORDER)) == len(ORDER)
    assert [table for table in ORDER if table in WORK] == list(WORK)


def test_rows_are_locked_in_the_one_way() -> None:
    """`for_change` has the ids in order; whoever cannot use it stands above."""
    found = {
        name
        for path in ROOT.rglob("*.py")
        if not (name := path.relative_to(ROOT).as_posix()).startswith("db/migrations")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute | ast.keyword)
        and (getattr(node, "attr", None) or getattr(node, "arg", None)) == "with_for_update"
    }
    assert found == set(OWN_WAYS)
    by_hand = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\bFOR (NO KEY UPDATE|UPDATE|SHARE)\b", node.value)
        and "SELECT" in node.value
    }
    assert all(name.endswith("queries.py") or name.startswith(("jobs/", "db/")) for name in by_hand), by_hand


@pytest.mark.parametrize(
    ("statements", "wrong"),
    [
        ([(INCIDENT, A), (ALERT, A), (KEEP, A), (RUN, A), (RECALL, A)], None),
        ([(ALERT, A), (INCIDENT, A)], "incident is locked after alert"),
        ([(RUN, A), (ALERT, A)], "alert is locked after escalation_run"),
        ([(RECALL, A), (RUN, A)], "escalation_run is locked after delivery"),
        # Whoever holds what the runs are about may go from one to the next.
        ([(ALERT, A), (RUN, A), (RECALL, A), (RUN, B)], None),
        # A row that is held may be locked and changed again, another one may not.
        ([(INCIDENT, A), (ALERT, A), (INCIDENT, A), ("UPDATE incident SET status = $1 WHERE id = $2", A)], None),
        ([(INCIDENT, A), (ALERT, A), (INCIDENT, B)], "incident is locked after alert"),
        # Nobody waits for a row that nobody can see yet, and nobody waits at all with SKIP LOCKED.
        ([(ALERT, A), ("INSERT INTO incident (id) VALUES ($1)", B), ("UPDATE incident SET x = $1", B)], None),
        ([(RUN, A), (ALERT + " SKIP LOCKED", B)], None),
        ([(KEEP, A), (ALERT, A)], None),
        ([(RUN, A), (RECALL, A), (KEEP, A)], "user_account is kept too late"),
        ([(PERSON, A), (ALERT, A)], "alert is locked by who changes a person"),
        ([(PERSON, A), ("SELECT id FROM contact_method WHERE id = $1 FOR SHARE", A), (RECALL, A)], None),
    ],
)
def test_the_watch_sees_who_goes_up(statements: list[tuple[str, UUID]], wrong: str | None) -> None:
    transaction, call = Transaction(), object()
    said = [transaction.take(statement, {id}, call) for statement, id in statements]
    assert [each.partition(":")[0] for each in said if each] == ([wrong] if wrong else [])


def test_what_a_statement_locks_is_read_from_it() -> None:
    def names(statement: str) -> list[str]:
        return [taken.table for taken in locks_of(statement)]

    assert names("WITH held AS (SELECT id FROM alert ORDER BY id FOR NO KEY UPDATE) UPDATE delivery SET a = 1") == [
        "alert",
        "delivery",
    ]
    assert names("SELECT d.id FROM delivery AS d JOIN contact_method AS m ON true FOR UPDATE OF d") == ["delivery"]
    assert names("DELETE FROM news_item WHERE true") == ["news_item"]
    assert names("SELECT alert.id FROM alert WHERE alert.id IN (NULL) AND (1 != 1) FOR UPDATE") == []
    assert names("SELECT id FROM alert") == []
