"""The supervisor: starts PostgreSQL, keeps it running, stops it. It never kills it: SIGINT, and then it waits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncpg

from tocsin.db.embedded import account as accounts
from tocsin.db.embedded import binaries as programs
from tocsin.db.embedded import cluster as clusters
from tocsin.db.embedded import config, files, passage
from tocsin.db.embedded.errors import EmbeddedError
from tocsin.kit import clock

T = TypeVar("T")

# PostgreSQL stops hard when its disk is full, so it does not start on the last bytes.
REFUSE_BELOW = 100 * 1024 * 1024
WARN_BELOW = 1024 * 1024 * 1024

_LOOK_EVERY = 0.25
_SAY_EVERY = 5.0
_ROTATE_EVERY = 60.0
_ORPHANS_MAY_TAKE = 1.0
_LONGEST_WAIT = 10.0
_BUSY_WITH_EARLIER = "pre-existing shared memory block"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything a start needs to know, found once."""

    passage: passage.Passage
    binaries: programs.Binaries
    cluster: Path
    socket_dir: Path
    texts: dict[str, str]

    @property
    def account(self) -> accounts.Account:
        return self.passage.account


class EmbeddedServer:
    """One PostgreSQL on one data directory, which this object owns from `start` to `stop`.

    `report` gets one sentence for the operator at a time, always on the event loop. `account` counts as root only.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        account: str | None = None,
        report: Callable[[str], None],
    ) -> None:
        self._data_dir = data_dir.resolve()
        self._bin_dir = bin_dir
        self._wanted_account = account
        self._report = report
        self._lock = files.Lock(self._data_dir)
        self._log = files.Log(self._data_dir)
        self._plan: _Plan | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._stopping = asyncio.Event()
        self._busy = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process id of the server, or nothing while it does not run."""
        return self._pid

    @property
    def dsn(self) -> str:
        """The address of the database `tocsin`; known from `start` on."""
        return files.dsn_of(self._known.socket_dir)

    @property
    def _known(self) -> _Plan:
        if self._plan is None:
            raise RuntimeError("The embedded server has not been started.")
        return self._plan

    async def start(self) -> str:
        """Start the server, or adopt the one an earlier Tocsin left running; return the address of the database.

        Waits as long as PostgreSQL recovers. Raises `EmbeddedError` and leaves nothing running when it cannot.
        """
        async with self._busy:
            self._stopping.clear()
            try:
                with _in_words():
                    await _in_thread(self._claim)
                    self._plan = await _in_thread(self._prepare)
                self._tell_about_place()
                await self._bring_up()
            except BaseException:
                await self._halt()
                await _in_thread(self._lock.release)
                raise
        return self.dsn

    async def stop(self) -> None:
        """Stop the server by a fast shutdown, wait for its end however long, and free the data directory."""
        self._stopping.set()
        async with self._busy:
            await self._halt()
            await _in_thread(self._lock.release)

    async def watch(self) -> None:
        """Start the server again whenever it ends, until `stop`. Gives up never, and says what happens."""
        rotated = clock.monotonic()
        while True:
            await self._pause(_LOOK_EVERY)
            if self._stopping.is_set():
                return
            if clock.monotonic() - rotated > _ROTATE_EVERY:
                rotated = clock.monotonic()
                await self._rotate_log()
            if self._has_ended():
                async with self._busy:
                    await self._restart()

    # Preparing

    def _claim(self) -> None:
        files.make_data_dir(self._data_dir)
        self._lock.acquire()

    def _prepare(self) -> _Plan:
        cluster = self._data_dir / files.CLUSTER
        missing = clusters.is_missing(cluster)
        account = accounts.choose(self._wanted_account, cluster)
        way = passage.find(account, self._data_dir)
        self._require_space()
        binaries = programs.choose(self._bin_dir, account, cluster)
        socket_dir = files.socket_dir(self._data_dir, way)
        if missing:
            clusters.make(self._data_dir, binaries, way)
        texts = clusters.texts(socket_dir, binaries, account, files.name_of(self._data_dir))
        return _Plan(way, binaries, cluster, socket_dir, texts)

    def _require_space(self) -> int:
        free = shutil.disk_usage(self._data_dir).free
        if free < REFUSE_BELOW:
            raise EmbeddedError(
                f"Only {free // 2**20} MB are free on the disk of {self._data_dir}, and PostgreSQL needs "
                f"{REFUSE_BELOW // 2**20} MB to start safely. Make room and start again."
            )
        return free

    def _tell_about_place(self) -> None:
        free = shutil.disk_usage(self._data_dir).free
        if free < WARN_BELOW:
            self._report(f"Only {free // 2**20} MB are free on the disk of {self._data_dir}. Make room soon.")
        if self._known.socket_dir.parent != self._data_dir:
            self._report(
                f"{self._known.account.name} may not pass through to {self._data_dir}, and nothing was opened for it: "
                f"PostgreSQL is handed its own directory, and the socket is in {self._known.socket_dir}."
                if self._known.passage.is_barred
                else f"The path {self._data_dir} does not fit a socket's address, so the socket is in "
                f"{self._known.socket_dir}."
            )

    # Starting

    async def _bring_up(self) -> None:
        """Have a server that runs and is durable, and the database in it."""
        with _in_words():
            await _in_thread(self._require_space)
            adopted = await self._adopt()
            if not adopted:
                await self._launch()
            await self._verify()
        plan = self._known
        self._report(
            f"PostgreSQL {plan.binaries.version} from {plan.binaries.origin} ({plan.binaries.directory}) "
            f"{'was still running and was taken over' if adopted else 'runs'} as {plan.account.name} "
            f"(process {self._pid}); data in {plan.cluster}, reachable only through the socket in {plan.socket_dir}."
        )

    async def _adopt(self) -> bool:
        """Take over the server that a killed Tocsin left behind, if it is what we would start; else end it."""
        plan = self._known
        found = await _in_thread(lambda: files.read_postmaster(plan.cluster))
        if found is None or not files.is_alive(found.pid) or files.serves(found.pid, plan.cluster) is False:
            await _in_thread(lambda: files.clear_stale_locks(plan.cluster, plan.socket_dir))
            return False
        if files.serves(found.pid, plan.cluster) is None and not await self._answers(found):
            # The command line does not tell, and neither does a connection. PostgreSQL itself decides what this means.
            return False

        self._pid = found.pid
        if await _in_thread(lambda: self._is_as_planned(found)) and await self._until_ready():
            version = await self._ask("SELECT current_setting('server_version')")
            if str(version).split()[0] == plan.binaries.version:
                return True
        if not self._has_ended():
            self._report(
                f"A PostgreSQL of an earlier start runs on {plan.cluster} (process {found.pid}) with other settings "
                "or another version. It is stopped and started anew."
            )
        await self._halt()
        return False

    def _is_as_planned(self, found: files.Postmaster) -> bool:
        words = files.command_line(found.pid)
        return (
            clusters.is_configured(self._known.cluster, self._known.texts)
            and found.socket_dir == self._known.socket_dir
            and (words is None or words[0] == str(self._known.binaries.postgres))
        )

    async def _answers(self, found: files.Postmaster) -> bool:
        if found.socket_dir is None:
            return False
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            asked = f"SELECT coalesce(current_setting('{config.PLACE}', true), current_setting('data_directory'))"
            place = await self._ask(asked, socket_dir=found.socket_dir)
            return place == str(self._known.cluster)
        return False

    async def _launch(self) -> None:
        """Start a server and wait until it answers, also through the end of an earlier one's last processes."""
        began = said = clock.monotonic()
        while True:
            await _in_thread(self._spawn)
            if await self._until_ready():
                return
            if self._stopping.is_set():
                raise EmbeddedError("PostgreSQL was stopped while it started.")
            code = self._child.returncode if self._child else None
            words = await _in_thread(self._log.last_words)
            self._child = self._pid = None
            if _BUSY_WITH_EARLIER not in words:
                raise EmbeddedError(f"PostgreSQL did not start ({_how(code)}). {words} Its log is {self._log.path}.")
            if clock.monotonic() - began > _ORPHANS_MAY_TAKE:
                await _in_thread(self._end_orphans)
            if clock.monotonic() - said > _SAY_EVERY:
                said = clock.monotonic()
                self._report("PostgreSQL waits for the last processes of the server before it to end.")
            await self._pause(_LOOK_EVERY)

    def _spawn(self) -> None:
        plan = self._known
        clusters.configure(plan.cluster, plan.texts, plan.account)
        self._log.rotate()
        log = self._log.open()
        try:
            with plan.passage.to(plan.cluster) as (place, options):
                told = [] if place == str(plan.cluster) else ["-c", f"{config.PLACE}={plan.cluster}"]
                self._child = subprocess.Popen(
                    [plan.binaries.postgres, "-D", place, *told], stdout=log, stderr=log, **options
                )
        finally:
            os.close(log)
        self._pid = self._child.pid

    def _end_orphans(self) -> None:
        # A process in the middle of a long query does not notice that its server is gone. SIGTERM cancels the query;
        # nothing is lost, because the recovery that follows does not need the process.
        for pid in files.orphans(self._data_dir, self._known.account.uid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    async def _until_ready(self) -> bool:
        """Wait until the server answers. False: it ended, or we are to stop. There is no limit while it lives."""
        began = said = clock.monotonic()
        wait = 0.01
        while not self._stopping.is_set() and not self._has_ended():
            with contextlib.suppress(OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError):
                await self._ask("SELECT 1")
                return True
            if clock.monotonic() - said > _SAY_EVERY:
                said = clock.monotonic()
                words = await _in_thread(self._log.last_words)
                self._report(f"PostgreSQL is recovering, for {said - began:.0f} s now. {words}".rstrip())
            await self._pause(wait)
            wait = min(wait * 1.5, _LOOK_EVERY)
        return False

    async def _verify(self) -> None:
        """Make the database if it is missing, and refuse to run on a server that could lose a commit."""
        if not await self._ask("SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'tocsin')"):
            await self._ask("CREATE DATABASE tocsin")
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            for name in config.DURABLE:
                value = await connection.fetchval("SELECT current_setting($1)", name)
                if value != "on":
                    raise EmbeddedError(
                        f"PostgreSQL runs with {name} = {value}, so it could lose what was confirmed. Tocsin does not "
                        f"start on it. Remove {name} from {self._known.cluster / 'postgresql.auto.conf'} or undo the "
                        "ALTER SYSTEM, ALTER DATABASE or ALTER ROLE that set it."
                    )
        finally:
            await connection.close()

    async def _ask(self, question: str, *, socket_dir: Path | None = None) -> object:
        """Return the one value that the statement answers, from the database `postgres`."""
        directory = socket_dir or self._known.socket_dir
        connection = await asyncpg.connect(files.dsn_of(directory, "postgres"), timeout=10)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    # Running and stopping

    def _has_ended(self) -> bool:
        if self._pid is None:
            return True
        if self._child is not None:
            return self._child.poll() is not None
        # An adopted server is not our child. Its number may also have gone to another process by now.
        return not files.is_alive(self._pid) or files.serves(self._pid, self._known.cluster) is False

    async def _restart(self) -> None:
        began = clock.monotonic()
        how = _how(self._child.returncode if self._child else None)
        words = await _in_thread(lambda: self._log.last_words(only_grave=True))
        self._report(
            f"PostgreSQL (process {self._pid}) ended unexpectedly ({how}); starting it again. {words}".rstrip()
        )
        self._child = self._pid = None
        wait = 0.1
        while not self._stopping.is_set():
            try:
                await self._bring_up()
            except EmbeddedError as error:
                await self._halt()
                self._report(f"{error} The next attempt is in {wait:.1f} s.")
                await self._pause(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                self._report(f"PostgreSQL runs again after {clock.monotonic() - began:.1f} s.")
                return

    async def _halt(self) -> None:
        """End the server by a fast shutdown, if one runs, and wait for its end."""
        pid = self._pid
        if pid is None:
            return
        began = said = clock.monotonic()
        if not self._has_ended():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        wait = 0.01
        while not self._has_ended():
            if clock.monotonic() - said > _SAY_EVERY:
                said = clock.monotonic()
                self._report(f"PostgreSQL (process {pid}) is writing its data to disk, for {said - began:.0f} s now.")
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, _LOOK_EVERY)
        self._child = self._pid = None

    async def _rotate_log(self) -> None:
        try:
            await _in_thread(self._log.rotate)
        except OSError as error:
            self._report(f"The log of PostgreSQL could not be rotated: {error}.")

    async def _pause(self, seconds: float) -> None:
        """Wait that long, or until we are to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


async def _in_thread(work: Callable[[], T]) -> T:
    """Do the work off the loop. When cancelled, wait for its end first: no half of it may go on unseen."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


@contextlib.contextmanager
def _in_words() -> Generator[None]:
    """Turn what the system and PostgreSQL may answer into the error for the operator."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(f"The embedded PostgreSQL cannot run: {error}.") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise EmbeddedError(f"The embedded PostgreSQL does not answer as it should: {error}") from error


def _how(code: int | None) -> str:
    if code is None:
        return "it is not known how"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
