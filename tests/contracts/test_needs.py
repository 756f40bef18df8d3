"""Tests that this machine cannot run are left out by name and number, and never where everything has to hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs
from tests.contracts.test_layout import ROOT

_CONFTEST = """
from tests import needs

needs.NEEDS["gold"] = needs.Need(lambda: False, "Gold is missing. Buy some.")
needs.NEEDS["chromium"] = needs.Need(lambda: False, "Chromium is missing.")


def pytest_configure(config):
    config.addinivalue_line("markers", needs.MARKER)
    config.pluginmanager.register(needs.LeftOut(is_strict={is_strict}))
"""
_TESTS = """
import pytest


@pytest.fixture
def chromium():
    raise AssertionError("looked for before it is known to be there")


@pytest.mark.needs("gold")
@pytest.mark.parametrize("number", [1, 2])
def test_gold(number): ...


def test_page(chromium): ...


def test_other(): ...
"""


def _run(place: Path, *words: str, is_strict: bool) -> tuple[int, str]:
    (place / "conftest.py").write_text(_CONFTEST.format(is_strict=is_strict))
    (place / "test_it.py").write_text(_TESTS)
    (place / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-q",
            "--strict-markers",
            "-c",
            "pytest.ini",
            *words,
            ".",
        ],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


PROCESSES = pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["one process", "two processes"])


@PROCESSES
def test_what_cannot_be_run_is_left_out_and_counted_at_the_end(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, said = _run(tmp_path, *words, is_strict=False)
    assert code == 0, said
    assert "3 tests were left out" in said
    assert "2 for want of gold: Gold is missing. Buy some." in said
    assert "1 for want of chromium: Chromium is missing." in said
    assert "2 in test_it.py" in said
    assert "1 passed, 3 skipped" in said


@PROCESSES
def test_where_everything_has_to_hold_nothing_is_left_out(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, said = _run(tmp_path, *words, is_strict=True)
    assert code == 1, said
    assert "1 passed, 3 errors" in said
    assert "Gold is missing. Buy some." in said
    assert "left out" not in said


@pytest.mark.parametrize(
    ("uid", "ci", "strict"),
    [(0, None, True), (1000, None, False), (1000, "true", True), (1000, "1", True), (1000, "false", False)],
)
def test_root_and_ci_leave_nothing_out(monkeypatch: pytest.MonkeyPatch, uid: int, ci: str | None, strict: bool) -> None:
    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert needs.is_strict() is strict


def test_only_needs_skip_a_test() -> None:
    """A bare skip would leave a test out where nothing may be."""
    ways = ("mark.skip", "pytest.skip(", "importorskip")
    found = [
        f"{path.relative_to(ROOT)}: {way}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != Path(needs.__file__) and path != Path(__file__)
        for way in ways
        if way in path.read_text()
    ]
    assert found == []
