"""Several web processes on one socket: started, started again when they die, stopped together.

The socket is bound once and inherited, so a process that dies takes no waiting connection with it. Each process also
holds one end of a lifeline; when this process is killed, the other end closes and they stop by themselves.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from typing import Any

from tocsin.cli import runtime
from tocsin.cli.listening import BACKLOG
from tocsin.cli.stopping import Stop
from tocsin.kit import clock
from tocsin.settings import PREFIX, Settings

COMMAND = "web-process"
# One process holds two pools (see `Database`), half as many again on demand, and three connections of its own.
_CONNECTIONS = 90
MOST_ON_EMBEDDED = _CONNECTIONS // 6
# A little more than a process gives itself.
_STOP_WITHIN = 27.0
_LIVED_WELL = 30.0
_LONGEST_WAIT = 10.0


def pool_size(settings: Settings) -> int:
    """Say how many connections each pool of a process may hold, so that all fit into the embedded PostgreSQL."""
    if settings.database_url is not None:
        return 10
    return max(1, min(10, (_CONNECTIONS // settings.workers - 3) // 3))


class WebProcesses:
    """The web processes of one `tocsin serve`."""

    def __init__(self, settings: Settings, dsn: str, listener: socket.socket, *, worker: bool) -> None:
        self._settings = settings
        self._listener = listener
        self._worker = worker
        self._environment = _environment(settings, dsn)
        self._running: dict[int, Process] = {}
        self._stopping = asyncio.Event()
        self._report_start: Callable[[], None] = lambda: None

    async def run(self, stop: Stop, started: Callable[[], None]) -> None:
        """Keep the processes running until a stop is asked for; returns when all have ended."""
        self._report_start = started
        self._listener.listen(BACKLOG)
        keepers = [asyncio.create_task(self._keep(n + 1)) for n in range(self._settings.workers)]
        everything = asyncio.gather(*keepers)
        try:
            await _first(asyncio.ensure_future(stop.asked.wait()), everything)
        finally:
            self._stopping.set()
            self._signal(signal.SIGTERM)
            await _first(everything, asyncio.ensure_future(stop.hurry.wait()), within=_STOP_WITHIN)
            if not everything.done():
                self._signal(signal.SIGTERM)
                await _first(everything, within=3)
                self._signal(signal.SIGKILL)
            await everything

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running.values():
            if process.returncode is None:
                process.send_signal(number)

    async def _keep(self, number: int) -> None:
        wait = 0.1
        while not self._stopping.is_set():
            began = clock.monotonic()
            code = await self._run(number)
            if self._stopping.is_set():
                return
            wait = 0.1 if clock.monotonic() - began > _LIVED_WELL else min(wait * 2, _LONGEST_WAIT)
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            runtime.say(f"Web process {number} ended unexpectedly ({how}); it starts again in {wait:.1f} s.")
            await _first(asyncio.ensure_future(self._stopping.wait()), within=wait)

    async def _run(self, number: int) -> int:
        """Run one process to its end; returns its exit code, or the negative number of the signal that ended it."""
        lifeline, theirs = socket.socketpair()
        lifeline.setblocking(False)
        fds = (self._listener.fileno(), theirs.fileno())
        words = [f"--listen-fd={fds[0]}", f"--lifeline-fd={fds[1]}", f"--pool-size={pool_size(self._settings)}"]
        if not self._worker:
            words.append("--no-worker")
        with lifeline, theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tocsin.cli", COMMAND, *words),
                stdin=DEVNULL,
                env=self._environment,
                pass_fds=fds,
                # A Ctrl-C in the terminal must reach this process only: the order of the shutdown is ours.
                start_new_session=True,
            )
            theirs.close()
            self._running[number] = process
            if self._stopping.is_set():
                process.send_signal(signal.SIGTERM)
            ready = asyncio.create_task(self._await_ready(lifeline))
            code = await process.wait()
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)
            return code

    async def _await_ready(self, lifeline: socket.socket) -> None:
        if await asyncio.get_running_loop().sock_recv(lifeline, 1):
            self._report_start()


def _environment(settings: Settings, dsn: str) -> dict[str, str]:
    """Return our environment with the decisions that this process has made for all of them."""
    environment = dict(os.environ)
    decided = {
        "DATABASE_URL": dsn,
        "HOST": settings.host,
        "PORT": str(settings.port),
        "BASE_URL": settings.base_url,
        "CONSOLE_PAGES": "on" if settings.console_pages else "off",
    }
    for name, value in decided.items():
        environment.pop(f"{PREFIX}{name}_FILE", None)
        environment[f"{PREFIX}{name}"] = value
    return environment


async def _first(*work: asyncio.Future[Any], within: float | None = None) -> None:
    """Wait until one of these is done, or for so long; those of our own that only wait are cancelled."""
    await asyncio.wait(work, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    for each in work:
        if isinstance(each, asyncio.Task) and not each.done():
            each.cancel()
