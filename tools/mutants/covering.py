"""Which tests go through which line, from one run of them under coverage, and how long each takes.

As a plugin of pytest (`-p tools.mutants.covering`) it records; only what runs in the process of the test counts.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest
from coverage import Coverage, CoverageData
from tools.mutants.changes import Change

PLACE = Path(".cache/mutants")
LINES, TIMES = PLACE / "lines", PLACE / "times.json"


class Recording:
    """The plugin. It adds to what was recorded before."""

    def __init__(self) -> None:
        PLACE.mkdir(parents=True, exist_ok=True)
        self._times: dict[str, float] = json.loads(TIMES.read_text()) if TIMES.exists() else {}
        self._coverage = Coverage(
            data_file=str(LINES), source=["src/tocsin"], concurrency=["thread", "greenlet"], config_file=False
        )
        self._coverage.load()
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        self._times[item.nodeid] = 0.0
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._times[report.nodeid] += report.duration

    def pytest_unconfigure(self) -> None:
        self._coverage.stop()
        self._coverage.save()
        TIMES.write_text(json.dumps(self._times))


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("TOCSIN_RECORD_LINES"):
        config.pluginmanager.register(Recording())


class Covering:
    """What was recorded of one module."""

    def __init__(self, data: CoverageData, times: dict[str, float], path: Path) -> None:
        self._lines = data.contexts_by_lineno(str(path.resolve()))
        self._times = times

    @cached_property
    def _weights(self) -> dict[str, int]:
        """How many lines of the module each test goes through."""
        weights: dict[str, int] = defaultdict(int)
        for tests in self._lines.values():
            for test in tests:
                weights[test] += 1
        weights.pop("", None)
        return weights

    def tests(self, change: Change, most: int) -> list[str]:
        """The tests that go through these lines, those first that go through much of the module in little time.

        What is done once, when the module is imported, matters to all that go through any of it.
        """
        lines = range(change.first, change.last + 1)
        found = set(self._weights) if change.is_once else {test for line in lines for test in self._lines.get(line, ())}
        known = found & set(self._weights) & set(self._times)
        return sorted(known, key=lambda test: (-self._weights[test] / (self._times[test] + 0.05), test))[:most]

    def seconds(self, tests: list[str]) -> float:
        return sum(self._times[test] for test in tests)


def read() -> tuple[CoverageData, dict[str, float]]:
    data = CoverageData(str(LINES))
    data.read()
    return data, json.loads(TIMES.read_text())
