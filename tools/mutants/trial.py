"""One fault on trial: a child process with the changed code, and the tests that may notice.

The parent has imported everything, so that a child costs little more than its tests. In the child the functions of the
module are given their changed code; what is run when the module is imported is imported anew.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import psutil
import pytest
from tools.mutants import changes

SAID = Path(".cache/mutants/said.txt")
# What is so much longer at work than all of it took under coverage has no end.
_PATIENCE, _TIMES = 20.0, 2.0
# Nor has what does next to nothing for so long.
_SIGN_OF_LIFE, _WAITS = 0.2, 25.0
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


# File → its functions, wherever they are held.
_FUNCTIONS: dict[str, list[FunctionType]] = defaultdict(list)


def preload(tests: Sequence[str]) -> None:
    """Import the product and its tests, once for all children."""
    for path in sorted(path for place in tests for path in Path(place).rglob("test_*.py")):
        importlib.import_module(".".join(path.with_suffix("").parts))
    for found in gc.get_objects():
        if isinstance(found, FunctionType):
            _FUNCTIONS[found.__code__.co_filename].append(found)
    gc.freeze()


def _is_replaced(path: Path, tree: ast.Module) -> bool:
    """Give the functions of a module their changed code, unless it is not in one of them or has other names."""
    wanted: dict[tuple[str, int], list[CodeType]] = defaultdict(list)
    waiting = [compile(tree, str(path.resolve()), "exec")]
    while waiting:
        code = waiting.pop()
        wanted[code.co_qualname, code.co_firstlineno].append(code)
        waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
    count = 0
    for function in _FUNCTIONS[str(path.resolve())]:
        new = wanted[function.__qualname__, function.__code__.co_firstlineno]
        if len(new) == 1 and new[0] != function.__code__:
            try:
                function.__code__ = new[0]
            except ValueError:
                return False
            count += 1
    return count > 0


def _import_anew(module: str, path: Path, tree: ast.Module) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tocsin", "tests")]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Changed(module, path, tree))


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


def judge(
    module: str, path: Path, number: int | None, tests: Sequence[str], seconds: float, *, is_once: bool = False
) -> str:
    """Say what became of a fault, or of the module as it is: `killed`, `survived`, `timed out` or `broken`."""
    child = os.fork()
    if child == 0:
        _try(module, path, number, tests, seconds, is_once=is_once)
    process, worked, at = psutil.Process(child), 0.0, time.monotonic()
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return _outcome(status)
        time.sleep(0.02)
        used = sum(process.cpu_times()[:2])
        if used > worked + _SIGN_OF_LIFE:
            worked, at = used, time.monotonic()
        if time.monotonic() > at + _WAITS:
            break
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def _try(module: str, path: Path, number: int | None, tests: Sequence[str], seconds: float, *, is_once: bool) -> None:
    code = 1
    try:
        os.setsid()
        # Some faults take all the memory that there is.
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        busy = int(_PATIENCE + _TIMES * seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (busy, busy + 5))
        with SAID.open("w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        if number is not None:
            tree = changes.changed(path.read_text(), number)
            if is_once or not _is_replaced(path, tree):
                _import_anew(module, path, tree)
        code = pytest.main([*_OPTIONS, "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests])
        sys.stdout.flush()
    finally:
        os._exit(int(code))


def _outcome(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return "timed out"
    said = SAID.read_text(errors="replace")
    # The tests have moved since the lines were recorded.
    if code == 5 or "ERROR: not found" in said or "file or directory not found" in said:
        return "broken"
    return "survived" if code == 0 else "killed"
