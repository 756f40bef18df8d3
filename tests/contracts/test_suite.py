"""How the tests themselves are run: in lanes, each once, with figures at the end, and nothing left by a killed run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import figures, lanes, postgres
from tests.contracts.test_layout import ROOT
from tests.processes import PATIENCE
from tocsin.db.embedded import files

_CONFTEST = """
from tests import figures, lanes


def pytest_configure(config):
    config.pluginmanager.register(lanes.Spreading())
    config.pluginmanager.register(figures.Figures())
"""
_TEST = """
import pytest


@pytest.mark.parametrize("number", range({number}))
def test_it(number): ...
"""
# A run of the tests that has a server, and is killed.
_RUN = """
import sys, tempfile, time
from tests import postgres
tempfile.tempdir = sys.argv[1]
postgres._SHM = postgres.Path(sys.argv[1], "nothing")
with postgres.server() as dsn:
    print(dsn, flush=True)
    time.sleep(3600)
"""


def _run(place: Path, *words: str) -> tuple[int, list[str]]:
    (place / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pytest.ini", *words, "tests"],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_what_waits_and_what_is_at_work_have_a_lane_each_and_every_test_runs_once(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    for folder, number in (("faults", 60), ("rules", 60)):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / f"test_{folder}.py").write_text(_TEST.format(number=number))
    code, said = _run(tmp_path, "-n", "2", "-v")
    assert code == 0, said
    ran = [line.split() for line in said if " PASSED " in line]
    first = {worker: next(each[-1] for each in ran if each[0] == worker) for worker in ("[gw0]", "[gw1]")}
    assert first["[gw0]"].startswith("tests/faults/") and first["[gw1]"].startswith("tests/rules/")
    assert sorted(each[-1] for each in ran) == sorted(
        f"tests/{folder}/test_{folder}.py::test_it[{number}]" for folder in ("faults", "rules") for number in range(60)
    )
    told = {words[0]: words[1] for line in said if (words := line.split()) and words[0] in figures.BUDGETS}
    assert told == {"faults": "60", "rules": "60"}


def test_what_is_to_begin_early_is_there() -> None:
    for start in lanes.FIRST:
        file, _, test = start.partition("::")
        found = sorted(ROOT.glob(f"{file}*"))
        assert found, f"{start} is not there any more"
        assert f"def {test}(" in found[0].read_text() if test else True


def test_every_folder_has_a_budget() -> None:
    assert set(figures.BUDGETS) == {each.parent.name for each in ROOT.glob("tests/*/__init__.py")}


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tocsin-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def _another_run(place: Path) -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    process = subprocess.Popen([sys.executable, "-c", _RUN, str(place)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        (root,) = place.glob(f"{postgres.PREFIX}*")
        left = files.read_postmaster(root / "data")
        assert left
        yield process, root, left.pid
    finally:
        process.kill()
        process.communicate()


def test_the_server_of_a_killed_run_is_ended_by_the_next_one(place: Path) -> None:
    with _another_run(place) as (process, root, server):
        postmaster = psutil.Process(server)
        assert postgres.clear_up(place) == []
        assert postmaster.is_running() and root.is_dir()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert postgres.clear_up(place) == [root]
        with contextlib.suppress(psutil.NoSuchProcess):
            postmaster.wait(PATIENCE)
        assert not root.exists()


def test_a_directory_that_nobody_has_held_is_left_alone(place: Path) -> None:
    """An older run, or one that is just beginning."""
    (place / f"{postgres.PREFIX}other" / "data").mkdir(parents=True)
    assert postgres.clear_up(place) == []
    assert (place / f"{postgres.PREFIX}other" / "data").is_dir()
