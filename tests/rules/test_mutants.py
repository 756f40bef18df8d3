"""The faults that `make mutants` puts into the code."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest
from coverage import CoverageData
from tools.mutants.changes import Change, changed, changes
from tools.mutants.covering import Covering


def all_of(source: str) -> list[str]:
    return [ast.unparse(changed(source, change.number)) for change in changes(source)]


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("x = a < b", ["x = a <= b"]),
        ("x = a <= b", ["x = a < b"]),
        ("x = a == b != c", ["x = a != b != c", "x = a == b == c"]),
        ("x = a is None", ["x = a is not None"]),
        ("x = a not in b", ["x = a in b"]),
        ("x = not a", ["x = not not a"]),
        ("x = a and b", ["x = a or b"]),
        ("x = a or b", ["x = a and b"]),
        ("x = True", ["x = False"]),
        ("x = 0", ["x = 1"]),
        ("x = 5", ["x = 6", "x = 4"]),
        ("x = 'five' + y", []),
        ("x += y", ["x -= y"]),
        ("x = a if b else c", ["x = a if True else c", "x = a if False else c"]),
        ("await stop(tx)", ["None"]),
        ("log.info('stopped')", []),
        ("await tx.session.flush()", []),
        ("'A docstring.'", []),
        ("import a", []),
        ("x: Literal[1] = y", []),
        ("if a:\n    raise b", ["if False:\n    raise b"]),
        ("if a:\n    x = b", []),
        ("if a:\n    raise b\nelse:\n    x = c", []),
        ("if TYPE_CHECKING:\n    x = 1", []),
        ("def f() -> int:\n    return a", ["def f() -> int:\n    return None"]),
        ("def f() -> bool:\n    return True", ["def f() -> bool:\n    return False"]),
        ("def f() -> None:\n    return None", []),
        ("class P(Protocol):\n    x = 1", []),
        ("try:\n    x = y\nexcept E:\n    f()", ["try:\n    x = y\nexcept E:\n    None"]),
    ],
)
def test_what_is_changed(source: str, faults: list[str]) -> None:
    assert all_of(source) == faults


def test_each_fault_is_one_place_and_nothing_else() -> None:
    source = Path("src/tocsin/incidents/lifecycle.py").read_text()
    plain = ast.unparse(ast.parse(source)).splitlines()
    for fault in all_of(source):
        lines = fault.splitlines()
        same = sum(left == right for left, right in zip(plain, lines, strict=True))
        assert len(plain) - same == 1


def test_a_fault_in_the_head_of_a_statement_is_not_looked_for_in_its_body() -> None:
    (head, guard) = changes("def f():\n    if (\n        a ==\n        b\n    ):\n        return")[::-1]
    assert (guard.first, guard.last) == (2, 2)
    assert (head.first, head.last) == (2, 5)


@pytest.fixture
def recorded(tmp_path: Path) -> Covering:
    path = tmp_path / "module.py"
    data = CoverageData(str(tmp_path / "lines"))
    went: Mapping[str, set[int]] = {"": {1, 2}, "one": {3, 4}, "two": {3}, "slow": {3}, "unknown": {3}}
    for test, lines in went.items():
        data.set_context(test)
        data.add_lines({str(path): lines})
    return Covering(data, {"one": 2.0, "two": 0.5, "slow": 9.0}, path)


def test_who_knows_much_in_little_time_looks_first(recorded: Covering) -> None:
    assert recorded.tests(Change(0, 3, 3, ""), 10) == ["two", "one", "slow"]
    assert recorded.tests(Change(0, 3, 3, ""), 1) == ["two"]
    assert recorded.tests(Change(0, 4, 5, ""), 10) == ["one"]
    assert recorded.tests(Change(0, 6, 6, ""), 10) == []


def test_what_is_done_when_the_module_is_imported_matters_to_all(recorded: Covering) -> None:
    once, later, default = changes("A = 1\ndef f():\n    x = 1\nclass B:\n    y = 1")
    assert (once.is_once, later.is_once, default.is_once) == (True, False, True)
    assert recorded.tests(once, 10) == ["two", "one", "slow"]
