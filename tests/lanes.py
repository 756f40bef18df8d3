"""How `pytest -n auto` spreads the tests over processes: what waits for its time, and beside it what is at work.

Tests in `tests/faults/` mostly wait: for a lease to run out, for a process that was killed to come back. So there are
two lanes. Half of the processes take what waits, one test at a time and the longest first; the other half takes the
rest, one file at a time. Whoever has finished its lane helps in the other one.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

WAITING = "tests/faults/"
# In which order they begin. What takes long begins early, so that nobody works alone at the end.
FIRST = (
    "tests/faults/test_drill.py::test_a_quick_drill_goes_through_every_kind_of_fault_and_loses_nothing",
    "tests/faults/test_strangers.py",
    "tests/faults/test_killed_processes.py",
    "tests/faults/",
    "tests/journeys/test_axe.py",
    "tests/journeys/",
    "tests/surfaces/test_cli_",
    "tests/surfaces/test_connections.py",
    "tests/use_cases/test_embedded_",
    "tests/surfaces/",
    "tests/use_cases/",
)


def waits(test: str) -> bool:
    return test.startswith(WAITING)


def place(test: str) -> int:
    """Return where in the order a test stands; those of one place keep the order that they have."""
    return next((number for number, start in enumerate(FIRST) if test.startswith(start)), len(FIRST))


class Lanes(LoadScopeScheduling):
    """The two lanes. The work comes in the order in which the tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if waits(nodeid) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        is_for_waiting = int(node.gateway.id.removeprefix("gw")) % 2 == 0
        own = (unit for unit in self.workqueue if waits(unit) is is_for_waiting)
        self.workqueue.move_to_end(next(own, next(iter(self.workqueue))), last=False)
        super()._assign_work_unit(node)


def processes() -> int:
    """Return how many processes run tests: as many as there are processors, and one in each lane at least."""
    return max(2, min(len(os.sched_getaffinity(0)), 8))


class Spreading:
    """The plugin: the lanes, and the tests in the order of `FIRST`."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Lanes:
        config.option.loadscopereorder = False
        return Lanes(config, log)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        # Whoever runs the tests in one process reads them in the order of the files.
        if hasattr(config, "workerinput"):
            items.sort(key=lambda item: place(item.nodeid))
