"""One fault on trial: a child process in which the module is the changed one, and the tests that may notice."""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tools.mutants import changes

SAID = Path(".cache/mutants/said.txt")
# What takes so much longer than it did under coverage has no end.
_PATIENCE, _TIMES, _LONGEST = 20.0, 3.0, 90.0
_MEMORY = 3 * 1024**3
_OPTIONS = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--timeout=0", "--tb=line"]


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, and runs a changed text of it."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._path, self._tree = name, path, tree

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        is_package = self._path.name == "__init__.py"
        spec = importlib.machinery.ModuleSpec(name, self, origin=str(self._path), is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [str(self._path.parent)]
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)


def preload() -> None:
    """Import all that others have written, once for all children; of ours nothing."""
    ask = "import sys, tests.conftest, tests.surfaces.conftest; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout.split()
    import pytest  # noqa: F401, PLC0415

    for name in names:
        if name.partition(".")[0] not in ("tocsin", "tests", "__main__"):
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # One that only its own package can import.


@contextmanager
def postgres() -> Iterator[None]:
    """One PostgreSQL for all children, kept by a process of its own."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert keeper.stdin is not None and keeper.stdout is not None
    os.environ["TOCSIN_TEST_POSTGRES"] = keeper.stdout.readline().strip()
    try:
        yield
    finally:
        keeper.stdin.close()
        keeper.wait()


def judge(module: str, path: Path, number: int | None, tests: Sequence[str], seconds: float) -> str:
    """Say what became of a fault, or of the module as it is: `killed`, `survived`, `timed out` or `broken`."""
    child = os.fork()
    if child == 0:
        _try(module, path, number, tests)
    deadline = time.monotonic() + min(_PATIENCE + _TIMES * seconds, _LONGEST)
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return _outcome(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def _try(module: str, path: Path, number: int | None, tests: Sequence[str]) -> None:
    code = 1
    try:
        os.setsid()
        # Some faults take all the memory that there is.
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        with SAID.open("w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        if number is not None:
            sys.meta_path.insert(0, _Changed(module, path, changes.changed(path.read_text(), number)))
        import pytest  # noqa: PLC0415

        code = pytest.main([*_OPTIONS, "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests])
        sys.stdout.flush()
    finally:
        os._exit(int(code))


def _outcome(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    said = SAID.read_text(errors="replace")
    # The tests have moved since the lines were recorded.
    if code == 5 or "ERROR: not found" in said or "file or directory not found" in said:
        return "broken"
    return "survived" if code == 0 else "killed"
