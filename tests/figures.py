"""What a run took, for each folder, beside what it may take: figures at its end. No test fails for being slow."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

import pytest

# Seconds of all tests of a folder together, one after the other, on a machine with two processors that does nothing
# else. A folder that is above its budget on such a machine has grown slow, or has grown.
BUDGETS = {
    "contracts": 40,
    "faults": 400,
    "journeys": 240,
    "rules": 20,
    "surfaces": 200,
    "use_cases": 200,
}


class Figures:
    """The plugin: adds up what the tests took, with what stands before and after them."""

    def __init__(self) -> None:
        self._took: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        parts = report.nodeid.split("/")
        if len(parts) > 2:
            self._took[parts[1]][report.nodeid] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if sum(map(len, self._took.values())) < 100:
            return
        terminalreporter.section("what the tests took", sep="─")
        terminalreporter.write_line(
            f"{'':12}{'tests':>7}{'seconds':>10}{'budget':>9}{'median ms':>12}{'longest s':>12}"
        )
        for folder, took in sorted(self._took.items()):
            budget = BUDGETS.get(folder, 0)
            seconds, longest = sum(took.values()), max(took.values())
            terminalreporter.write_line(
                f"{folder:12}{len(took):7}{seconds:10.0f}{budget:9}{median(took.values()) * 1000:12.0f}{longest:12.1f}"
                + ("   above its budget" if seconds > budget else "")
            )
