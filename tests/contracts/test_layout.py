"""The shape of the source: what every file has to keep to, whoever writes it."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tocsin"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST = 500
# A migration is written once and read never again; the first one holds the whole schema.
MIGRATIONS = SOURCE / "db" / "migrations" / "versions"

# Joined from pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/" + r"(work|Users)/|/home/" + r"(?!user\b|you\b)\w+/"),
    "an address of a package index": re.compile(
        r"files\.pythonhosted\."
        + r"|//(test\.)?py"
        + r"pi\.|regis"
        + r"try\.npmjs|artifac"
        + r"tory|proxy\.gol"
        + "ang",
        re.IGNORECASE,
    ),
    "the name of an AI assistant": re.compile(
        r"\b(cl" + r"aude|anthro" + r"pic|chat" + r"gpt|co" + r"pilot|open" + r"ai|gem" + r"ini)\b", re.IGNORECASE
    ),
}
# What others have written and is kept byte for byte.
OTHERS = ("LICENSE", "src/tocsin/web/static/vendor/")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True)
    # Unpacked from an archive, or somebody else's in git's eyes: then it is what was not made here.
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else _not_made_here()
    return [ROOT / name for name in names if name and not name.startswith(OTHERS) and (ROOT / name).is_file()]


def _not_made_here() -> list[str]:
    made = ("__pycache__", "build", "dist")
    names = [each.relative_to(ROOT) for top in ROOT.iterdir() if top.name[0] != "." for each in (top, *top.rglob("*"))]
    return [name.as_posix() for name in names if not set(made) & set(name.parts)]


def test_nothing_is_imported_inside_a_function() -> None:
    found = [
        f"{_name(path)}:{inner.lineno}"
        for path in MODULES
        for outer in ast.walk(ast.parse(path.read_text()))
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert not found


def test_every_module_says_what_belongs_into_it() -> None:
    silent = [_name(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_no_module_is_longer_than_anybody_reads() -> None:
    long = {
        _name(path): count
        for path in MODULES
        if not path.is_relative_to(MIGRATIONS) and (count := len(path.read_text().splitlines())) > LONGEST
    }
    assert not long, f"split by subject: {long}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [_name(path) for path in MODULES if path.stem in empty or path.parent.name in empty]


def test_no_file_holds_what_does_not_belong_into_the_product() -> None:
    found: list[str] = []
    for path in _tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, start=1):
            found += [f"{_name(path)}:{number}: {what}" for what, words in FORBIDDEN.items() if words.search(line)]
    assert not found, "\n".join(found)
