"""Finds code that nothing uses, by vulture, and takes out what is used in ways that it does not see.

    python -m tools.dead_code

Only the product is read: what nothing but a test uses is dead, too. Names in templates, fields of what the API answers
and columns that SQL names are used. The rest that is alive all the same stands in `ALIVE`, with the reason.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vulture import Vulture
from vulture.core import Item

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tocsin"
MIGRATIONS = SOURCE / "db" / "migrations" / "versions"

ALIVE = {
    # Chosen by people.
    "COST": "a category of incidents",
    "SECURITY": "a category of incidents",
    "TECHNICAL_DEBT": "a category of incidents",
    "COMPLIANCE": "a category of incidents",
    # Called by what it is written for.
    "capture_signals": "uvicorn calls it",
    "should_exit": "uvicorn reads it",
    "timeout_keep_alive_handler": "uvicorn calls it",
    "_unsupported_upgrade_warning": "uvicorn calls it",
    "send_400_response": "uvicorn calls it",
    "disconnected": "uvicorn reads it",
    "msg": "uvicorn gives it",
    "decode_bytes": "litestar calls it",
    "create_for_field_definition": "litestar calls it",
    "create_openapi_schema": "litestar calls it",
    "backend_cls": "litestar gives it",
    "handler_id": "litestar gives it",
    "send_body": "litestar calls it",
    "__qualname__": "litestar reads it",
    "to_asgi_response": "litestar calls it",
    "_cancel_current_command": "asyncpg calls it",
    "get_col_spec": "SQLAlchemy calls it",
    "cache_ok": "SQLAlchemy reads it",
    "type_annotation_map": "SQLAlchemy reads it",
    "static_output": "alembic calls it",
    "cwd": "an argument of a subprocess",
    "umask": "an argument of a subprocess",
    "start_new_session": "an argument of a subprocess",
    "pass_fds": "an argument of a subprocess",
    "extra_groups": "an argument of a subprocess",
    "Table": "named in a text, for the type checker",
    # Tables that only SQL by hand uses; a test compares them with the schema.
    "ClockWatchRow": "a table",
    "ClockStep": "a table",
    "ScheduleRow": "a table",
    "recipient_kind": "a column that is written, and read by whoever brings another kind",
    # Words of a closed set that only people choose.
    "DROPPED": "an end of an action item",
    # For tests, from beside the code that they are about.
    "WORK": "what the watch of the tests compares locks with (`tests/lock_order.py`)",
    "run_due": "runs what is due, one after the other",
    "until_paged": "the drill’s, for `tests/faults`",
    "swallow_answers": "the drill’s, for `tests/use_cases/test_silent_store.py`",
    "by_delivery": "the drill’s, for `tests/faults`",
}
_WORD = re.compile(r"[A-Za-z_]\w*")
_SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\b")


def _words_of_templates() -> set[str]:
    templates = (SOURCE / "web" / "templates").rglob("*.html")
    marks = re.compile(r"\{[{%](.*?)[}%]\}", re.DOTALL)
    return {word for each in templates for mark in marks.findall(each.read_text()) for word in _WORD.findall(mark)}


def _words_of_sql() -> set[str]:
    texts = (
        node.value
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.search(node.value)
    )
    return {word for text in texts for word in _WORD.findall(text)}


def _answers(path: Path) -> set[int]:
    """The lines on which the fields of what a surface answers are declared."""
    return {
        field.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    }


def _reported() -> Iterator[Item]:
    vulture = Vulture(ignore_decorators=["@*.command", "@*.command(*"])
    vulture.scavenge([str(SOURCE)])
    # A migration is called by alembic, and never changed.
    yield from (item for item in vulture.get_unused_code() if MIGRATIONS not in Path(item.filename).parents)


def dead() -> tuple[list[Item], set[str]]:
    """What nothing uses, and the names in `ALIVE` that need not stand there any more."""
    used = _words_of_templates() | _words_of_sql()
    found: list[Item] = []
    needed: set[str] = set()
    for item in _reported():
        path = Path(item.filename)
        is_answer = item.first_lineno in _answers(path) and (SOURCE / "api" in path.parents or path.stem == "readiness")
        if item.name in used or is_answer:
            continue
        if item.name in ALIVE:
            needed.add(item.name)
        else:
            found.append(item)
    return found, ALIVE.keys() - needed


def main() -> int:
    found, needless = dead()
    for item in found:
        print(f"{Path(item.filename).relative_to(ROOT)}:{item.first_lineno}: {item.message}")
    if found:
        print(
            "Take it away, or use it: what only a test uses is dead. A column that only a constraint reads, and what a "
            "library calls, stands in ALIVE (tools/dead_code.py) with the reason."
        )
    for name in sorted(needless):
        print(f"tools/dead_code.py: {name} need not stand in ALIVE any more")
    return int(bool(found or needless))


if __name__ == "__main__":
    sys.exit(main())
