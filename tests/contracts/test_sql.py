"""SQL stands in `queries` and `<subject>_queries`, where each statement has a name; elsewhere are rules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import tocsin

ROOT = Path(tocsin.__file__).parent
# Where else a statement may stand, and why.
EXCEPTIONS = {
    "db/": "what all statements go through, and migrations",
    "jobs/": "the engine of jobs has tables of its own, and each statement is one of its moves",
    "events/log.py": "the queries of the log",
    "events/live.py": "the live stream reads the log in an order of its own",
    "alerts/statements.py": "the statements of intake; thousands of signals a second go through them",
    "alerts/batch.py": "executes them, and nothing else",
    "alerts/intake.py": "finds the source of a token before there is a transaction",
    "cli/": "commands look at PostgreSQL itself",
    "drill/": "stands beside the product and looks at it from the outside",
}
# What makes a statement, and what a use case may do with rows that a query gave it.
_MAKERS = {"select", "insert", "update", "delete", "text", "union", "union_all", "exists", "lambda_stmt"}
_OF_ROWS = {"add", "add_all", "delete", "flush", "refresh", "begin_nested"}
_SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|WITH \w+ AS|LOCK TABLE)\b")


def _is_query(name: str) -> bool:
    return name.endswith("queries.py") or any(name.startswith(place) for place in EXCEPTIONS)


def _statements(name: str, tree: ast.Module) -> list[str]:
    """Where a module has a statement, or asks the database for something."""
    makers = {
        each.asname or each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for each in node.names
        if each.name in _MAKERS
    }
    # A table is declared with texts of SQL, and what may be seen is a condition that queries add; neither asks.
    is_of_models = name.endswith(("model.py", "visibility.py"))
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=maker)) if maker in makers and not is_of_models:
                found.append(f"{name}:{node.lineno} {maker}(…)")
            case ast.Attribute(value=ast.Attribute(attr="session"), attr=asked) if asked not in _OF_ROWS:
                found.append(f"{name}:{node.lineno} session.{asked}")
            case ast.Attribute(value=ast.Attribute(attr="pool"), attr=asked):
                found.append(f"{name}:{node.lineno} pool.{asked}")
            case ast.Attribute(value=ast.Name(id="tx"), attr="raw"):
                found.append(f"{name}:{node.lineno} tx.raw")
            case ast.Constant(value=str(words)) if _SQL.match(words):
                found.append(f"{name}:{node.lineno} {words.split()[0]}")
            case _:
                pass
    return found


def test_statements_stand_in_queries_only() -> None:
    found = [
        statement
        for path in sorted(ROOT.rglob("*.py"))
        if not _is_query(name := path.relative_to(ROOT).as_posix())
        for statement in _statements(name, ast.parse(path.read_text()))
    ]
    assert not found, "move them to `queries`, under a name:\n" + "\n".join(found)


def test_no_exception_is_left_that_nobody_needs() -> None:
    for place in EXCEPTIONS:
        modules = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).as_posix().startswith(place)]
        names = {path: path.relative_to(ROOT).as_posix() for path in modules}
        assert any(_statements(name, ast.parse(path.read_text())) for path, name in names.items()), place


def test_what_is_looked_for_is_found() -> None:
    """So that the tests above do not pass because nothing is."""
    bad = """
from sqlalchemy import select, delete as remove
from sqlalchemy.dialects.postgresql import insert
async def use_case(tx, db):
    await tx.session.execute(x)
    select(x)
    remove(x)
    insert(x)
    await tx.session.get(x, 1)
    await (await tx.raw()).fetch("SELECT 1")
    await self.db.pool.fetch(x)
    tx.session.add(x)
    await tx.session.flush()
"""
    said = [each.split(" ", 1)[1] for each in _statements("x/service.py", ast.parse(bad))]
    expected = [
        "session.execute",
        "select(…)",
        "remove(…)",
        "insert(…)",
        "session.get",
        "tx.raw",
        "SELECT",
        "pool.fetch",
    ]
    assert sorted(said) == sorted(expected)
