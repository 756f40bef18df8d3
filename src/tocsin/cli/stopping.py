"""Stopping: SIGTERM or Ctrl-C once ends in good order, twice ends at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


class Stop:
    """What the operator has asked for. While the process still starts, the first signal abandons the start."""

    def __init__(self, report: Callable[[str], None] = lambda _: None) -> None:
        self._report = report
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        self._starting: asyncio.Task[object] | None = asyncio.current_task()

    def listen(self) -> None:
        """Take SIGTERM and SIGINT over for the rest of this process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)

    def started(self) -> None:
        """Say that from now on a stop is an orderly one."""
        self._starting = None

    def ask(self) -> None:
        """Stop; asked again, stop at once."""
        if self.asked.is_set():
            self.hurry.set()
            return
        self.asked.set()
        self._report("Stopping. Ask once more to stop at once.")
        if self._starting is not None:
            self._starting.cancel()
