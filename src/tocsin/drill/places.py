"""Where a drill takes place: a directory that goes away with it, a PostgreSQL beside the product, a disk that fills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

from tocsin.db.embedded import EmbeddedServer, files
from tocsin.drill.processes import descendants, send_to_all
from tocsin.kit import clock

_ENDS_WITHIN = 10.0
# Room for an empty database and what PostgreSQL wants free at its start, and little more.
_SMALL_DISK = 320 * 2**20
# What a server may still write where no disk can be made small: into files that are hardly begun.
_ALLOWED = 64 * 1024


@contextlib.contextmanager
def place(prefix: str = "tocsin-drill-") -> Generator[Path]:
    """A directory below the one for temporary files, which another account can pass through to.

    A PostgreSQL that is left in it is ended, and then it is removed.
    """
    root = Path(tempfile.mkdtemp(prefix=prefix))
    root.chmod(0o755)
    try:
        yield root
    finally:
        for pid in servers_left(root):
            _end(pid)
        shutil.rmtree(root, ignore_errors=True)


def _end(pid: int) -> None:
    """End a server whose Tocsin was killed, without asking it to write anything down."""
    everything = [pid, *descendants(pid)]
    send_to_all(everything, signal.SIGCONT)
    send_to_all([pid], signal.SIGQUIT)
    end = clock.monotonic() + _ENDS_WITHIN
    while files.is_alive(pid) and clock.monotonic() < end:
        time.sleep(0.05)
    send_to_all([each for each in everything if files.is_alive(each)], signal.SIGKILL)


def servers_left(root: Path) -> list[int]:
    """Return the PostgreSQL servers that run on a data directory below this one."""
    found: list[int] = []
    for pidfile in root.rglob("postmaster.pid"):
        left = files.read_postmaster(pidfile.parent)
        if left and files.is_alive(left.pid) and files.serves(left.pid, pidfile.parent):
            found.append(left.pid)
    return found


@contextlib.asynccontextmanager
async def store(root: Path, *, bin_dir: Path | None, account: str | None) -> AsyncGenerator[EmbeddedServer]:
    """A PostgreSQL that no process of the product owns."""
    server = EmbeddedServer(root / "store", bin_dir=bin_dir, account=account, report=lambda _: None)
    await server.start()
    watch = asyncio.create_task(server.watch())
    try:
        yield server
    finally:
        await server.stop()
        await watch


def postmaster(data_dir: Path) -> int:
    """Return the process of the server that runs on this data directory."""
    found = files.read_postmaster(data_dir / files.CLUSTER)
    if found is None or not files.is_alive(found.pid):
        raise ConnectionError("The embedded PostgreSQL does not run.")
    return found.pid


@contextlib.contextmanager
def frozen(*pids: int) -> Generator[None]:
    """Stop these processes and all below them, and let them go on at the end of the block."""
    # From the top down: who is stopped starts nobody new.
    stopped: list[int] = []
    try:
        for pid in pids:
            stopped.append(pid)
            send_to_all([pid], signal.SIGSTOP)
            below = descendants(pid)
            stopped += below
            send_to_all(below, signal.SIGSTOP)
        yield
    finally:
        send_to_all(stopped, signal.SIGCONT)


class SmallDisk:
    """The disk of one data directory, which can be filled.

    As root it is a small file system in memory, filled with a file, where such a one can be mounted. Elsewhere the
    server's processes are forbidden to write beyond the first bytes of a file (RLIMIT_FSIZE), which fails as early.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._is_mounted = False
        self._filling = data_dir / "filling"

    @property
    def how(self) -> str:
        return "a small tmpfs" if self._is_mounted else "RLIMIT_FSIZE on PostgreSQL"

    @contextlib.contextmanager
    def there(self) -> Generator[None]:
        self._data_dir.mkdir(mode=0o755)
        if os.geteuid() == 0:
            size = f"size={_SMALL_DISK},mode=711"
            words = ["mount", "-t", "tmpfs", "-o", size, "tocsin-drill", str(self._data_dir)]
            with contextlib.suppress(FileNotFoundError):
                self._is_mounted = subprocess.run(words, check=False, capture_output=True).returncode == 0
        try:
            yield
        finally:
            if self._is_mounted:
                for pid in servers_left(self._data_dir):
                    _end(pid)
                subprocess.run(["umount", "--lazy", str(self._data_dir)], check=False, capture_output=True)

    async def stay_full(self, seconds: float) -> None:
        """Leave no room for so long, whoever is started meanwhile."""
        if self._is_mounted:
            await self._fill(seconds)
            return
        end = clock.monotonic() + seconds
        limited: set[int] = set()
        try:
            while clock.monotonic() < end:
                with contextlib.suppress(ConnectionError):
                    pid = postmaster(self._data_dir)
                    for each in {pid, *descendants(pid)} - limited:
                        limited.add(each)
                        _limit(each, _ALLOWED)
                await asyncio.sleep(0.1)
        finally:
            for each in limited:
                _limit(each, None)

    async def _fill(self, seconds: float) -> None:
        try:
            end = clock.monotonic() + seconds
            while clock.monotonic() < end:
                # Again and again: what PostgreSQL gives back itself must not be room.
                with self._filling.open("ab", buffering=0) as filling, contextlib.suppress(OSError):
                    while filling.write(bytes(2**16)):
                        pass
                await asyncio.sleep(0.1)
        finally:
            self._filling.unlink(missing_ok=True)


def _limit(pid: int, most: int | None) -> None:
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if most is None else most, hard))
