"""What some tests need that not every machine has, and what becomes of them where it is missing.

Whoever runs the tests on their own machine as an ordinary user gets all that can be run there, and a list of what was
left out at the end. Where everything has to hold, as root or with `CI` set, a missing need is a failure.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tools.test_tools import TOOLS


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a test cannot do without: `@pytest.mark.needs("root")`."""

    is_met: Callable[[], bool]
    sentence: str


def _mounts() -> bool:
    with tempfile.TemporaryDirectory(prefix="tocsin-test-") as where:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where], capture_output=True, check=False)
        if mounted.returncode == 0:
            subprocess.run(["umount", where], check=True)
        return mounted.returncode == 0


NEEDS = {
    "root": Need(lambda: os.geteuid() == 0, "These start PostgreSQL as another account. Run `make test` as root."),
    "mounts": Need(
        lambda: os.geteuid() == 0 and _mounts(),
        "These fill a small disk of their own. Run `make test` as root, in a container with CAP_SYS_ADMIN.",
    ),
    "glibc": Need(
        lambda: hasattr(ctypes.CDLL(None), "__res_state") and sys.maxsize > 2**32,
        "Only glibc, on 64-bit machines, has a name server for each thread.",
    ),
    **{
        name: Need(lambda tool=tool: tool.find() is not None, f"{tool.name} is missing. {tool.how}")
        for name, tool in TOOLS.items()
    },
}
_PROPERTY = "left out for want of"
MARKER = f"needs(name): needs one of {', '.join(NEEDS)}; left out where it is missing, but not as root or in CI"


class LeftOut:
    """The plugin: looks before each test, and tells at the end."""

    def __init__(self, *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self._left_out: dict[str, list[str]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        names = [marker.args[0] for marker in item.iter_markers("needs")]
        # Nobody has to remember the marker who asks for the browser.
        names += [name for name in ("chromium",) if name in getattr(item, "fixturenames", ())]
        for name in names:
            if NEEDS[name].is_met():
                continue
            if self._is_strict:
                pytest.fail(NEEDS[name].sentence, pytrace=False)
            # Part of the report, so it also comes from a process that runs some of the tests.
            item.user_properties.append((_PROPERTY, name))
            pytest.skip(NEEDS[name].sentence)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            for what, name in report.user_properties:
                if what == _PROPERTY:
                    self._left_out[str(name)].append(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._left_out:
            return
        number = sum(map(len, self._left_out.values()))
        terminalreporter.section(f"{number} tests were left out", sep="─")
        for name, tests in self._left_out.items():
            terminalreporter.write_line(f"{len(tests)} for want of {name}: {NEEDS[name].sentence}")
            by_file: dict[str, int] = defaultdict(int)
            for test in tests:
                by_file[test.partition("::")[0]] += 1
            for file, count in by_file.items():
                terminalreporter.write_line(f"    {count:3} in {file}")


def is_strict() -> bool:
    return os.geteuid() == 0 or os.environ.get("CI", "").lower() not in ("", "0", "false")
