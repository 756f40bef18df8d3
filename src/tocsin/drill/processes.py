"""Processes of this program that are started, killed, frozen and started again under the same address."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tocsin.drill.waiting import NotInTime
from tocsin.settings import PREFIX

TOCSIN = (sys.executable, "-m", "tocsin.cli")
# By its own word a process stops within 25 s.
_STOPS_WITHIN = 30.0


def keep_port() -> socket.socket:
    """Return a socket that keeps a port of 127.0.0.1 for a server that asks for it by number, also between two starts.

    It is bound and does not listen, so connections are refused while no server does.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    return keeper


def environment(**settings: str) -> dict[str, str]:
    """Return our environment with exactly these settings: nothing of the installation itself reaches a drill."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "PG"))}
    return ours | settings


def descendants(pid: int) -> list[int]:
    """Return the processes below this one, as /proc tells."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name stands in brackets and may hold anything.
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(stat.parent.name))
    found, left = list[int](), [pid]
    while left:
        children = below.get(left.pop(), [])
        found += children
        left += children
    return found


def send_to_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to all that still live."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Process:
    """One `tocsin …`. `command` is the program; `most_files` limits its descriptors."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        command: Sequence[str] = TOCSIN,
        most_files: int | None = None,
    ) -> None:
        limit = f"ulimit -n {most_files} && " if most_files else ""
        self._command = ["/bin/sh", "-c", f'{limit}exec "$@"', "sh", *command, *words]
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                # A Ctrl-C in the terminal must reach the drill only: it ends its processes in their order.
                start_new_session=True,
            )

    async def kill(self) -> None:
        """End it as a crash or the kernel's out-of-memory killer would."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End it in good order; it has 25 seconds by its own word."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOPS_WITHIN):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def ends_well(self, within: float) -> None:
        """Wait for the end of a command that has one."""
        assert self._process is not None
        try:
            async with asyncio.timeout(within):
                code = await self._process.wait()
        except TimeoutError:
            raise NotInTime(f"Not within {within:.0f} s: the command ends; {self.last_words()}") from None
        if code != 0:
            raise RuntimeError(f"tocsin ended with {code}: {self.last_words()}")

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    def last_words(self, most: int = 3000) -> str:
        return self._log.read_text(errors="replace")[-most:]

    @property
    def worker_number(self) -> int:
        """The number that its worker took at its latest start."""
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if '"worker.started"' in line]
        return int(json.loads(lines[-1])["worker"])

    def web_processes(self) -> list[int]:
        """Return the processes that `serve --workers` runs."""
        found: list[int] = []
        for pid in descendants(self.pid):
            with contextlib.suppress(OSError):
                if re.search(rb"\0web-process\0", Path(f"/proc/{pid}/cmdline").read_bytes()):
                    found.append(pid)
        return found

    def words_said(self, words: str) -> int:
        return self._log.read_text(errors="replace").count(words)
