"""Real processes of Tocsin, a receiver of pages with a memory, a load, and the count of what must hold afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from tests import postgres
from tocsin.alerts import service as alerts
from tocsin.db.embedded import files, running_dsn
from tocsin.db.embedded.account import SpawnOptions
from tocsin.db.engine import Database
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.kit.ids import public
from tocsin.net.http import OutboundHttp
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.webhook import Webhook
from tocsin.oncall import service as oncall
from tocsin.settings import load as load_settings

# Taken out of the environment, because Tocsin refuses variables it does not know.
ROUNDS = max(1, int(os.environ.pop("TOCSIN_FAULT_ROUNDS", "1")))
SEED = os.environ.pop("TOCSIN_FAULT_SEED", "")
TOCSIN = Path(sys.executable).with_name("tocsin")
_STARTS_WITHIN = 60.0


def dice() -> random.Random:
    """Chance that can be had again: the seed is printed, and TOCSIN_FAULT_SEED sets it."""
    seed = int(SEED or time.time_ns() % 1_000_000)
    print(f"TOCSIN_FAULT_SEED={seed}")
    return random.Random(seed)


async def until(claim: Callable[[], Awaitable[object]], within: float, what: str) -> None:
    """Wait until the claim is true; a database that is away for the moment means that it is not."""
    end = time.monotonic() + within
    while True:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if await claim():
                return
        if time.monotonic() > end:
            raise AssertionError(f"Not within {within:.0f} s: {what}")
        await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The receiver of pages


@dataclass(frozen=True)
class Page:
    """One request that the receiver read to its end."""

    delivery_id: str
    title: str
    person: str
    possible_duplicate: bool
    at: float


class Sink:
    """A receiver of pages that remembers every one; it answers after `delay` seconds."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.in_hand: dict[str, int] = defaultdict(int)
        self.most_at_once = 0
        self.delay: Callable[[], float] = lambda: 0.0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
                message = json.loads(await reader.readexactly(int(headers["content-length"])))
                assert headers["idempotency-key"] == message["delivery_id"]
                await self._answer(writer, lines[0].split("/")[1].split(" ")[0], message)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, person: str, message: dict[str, Any]) -> None:
        id = message["delivery_id"]
        self.pages.append(Page(id, message["title"], person, message["possible_duplicate"], time.monotonic()))
        self.in_hand[id] += 1
        # The same message twice at one moment would mean that two workers had it in their hands.
        self.most_at_once = max(self.most_at_once, self.in_hand[id])
        try:
            await asyncio.sleep(self.delay())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        finally:
            self.in_hand[id] -= 1

    def by_delivery(self) -> dict[str, list[Page]]:
        found: dict[str, list[Page]] = defaultdict(list)
        for page in self.pages:
            found[page.delivery_id].append(page)
        return found


# Processes


class Process:
    """One `tocsin …` that can be killed and started again under the same address."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path, most_files: int | None = None) -> None:
        limit = f"ulimit -n {most_files} && " if most_files else ""
        self._command = ["/bin/sh", "-c", f'{limit}exec "$@"', "sh", str(TOCSIN), *words]
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
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )

    async def kill(self) -> None:
        """End it as a crash or the kernel's out-of-memory killer would."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End it in good order; it has 25 seconds by its own word."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(30):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

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

    def words_said(self, words: str) -> int:
        return self._log.read_text(errors="replace").count(words)


# The load


@dataclass
class Load:
    """Posts alerts and remembers which ones were accepted, and every other answer there was."""

    accepted: list[str] = field(default_factory=list)
    answers: dict[int | str, int] = field(default_factory=lambda: defaultdict(int))
    refusals_without_retry_after: int = 0
    number: int = 0


@dataclass
class Figures:
    """What a test counted, for its last line."""

    kills: int = 0
    in_flight: int = 0

    def line(self, name: str, **more: object) -> str:
        return f"faults: {name}: " + ", ".join(f"{k} {v}" for k, v in {**vars(self), **more}.items())


async def post(port: int, path: str, body: dict[str, Any], within: float = 20.0) -> tuple[int, dict[str, str]]:
    """Post JSON on a connection of its own; raises `OSError` when there is no whole answer."""
    raw = json.dumps(body).encode()
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            head = f"POST {path} HTTP/1.1\r\nhost: tocsin\r\ncontent-type: application/json\r\nconnection: close\r\n"
            writer.write(f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw)
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
    head, complete, _ = answer.partition(b"\r\n\r\n")
    if not complete:
        raise ConnectionResetError("no answer")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split(" ")[1]), headers


class Installation:
    """An installation on one database: processes around it, a policy of two steps, a receiver of pages."""

    def __init__(self, root: Path, dsn: str | None, **environment: str) -> None:
        self.root = root
        self.sink = Sink()
        self.load = Load()
        self.figures = Figures()
        self.port = free_port()
        self.path = ""
        self.processes: list[Process] = []
        self._dsn = dsn
        # Nothing of the caller's own installation may reach these processes.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        self._environment = clean | {
            "TOCSIN_DATA_DIR": str(root / "data"),
            "TOCSIN_PORT": str(self.port),
            "TOCSIN_OUTBOUND_ALLOW": "127.0.0.0/8",
            "TOCSIN_LOG_FORMAT": "json",
            **({"TOCSIN_DATABASE_URL": dsn} if dsn else {}),
            **environment,
        }

    @property
    def dsn(self) -> str:
        dsn = self._dsn or running_dsn(self.root / "data")
        if dsn is None:
            raise ConnectionError("The embedded PostgreSQL does not run.")
        return dsn

    async def process(self, *words: str, most_files: int | None = None, **environment: str) -> Process:
        log = self.root / f"{len(self.processes)}-{words[0]}.log"
        process = Process(list(words), self._environment | environment, log, most_files)
        self.processes.append(process)
        await process.start()
        return process

    async def serves(self, process: Process, within: float = _STARTS_WITHIN) -> None:
        """Wait until this web process answers."""

        async def answers() -> bool:
            if process.has_ended:
                raise AssertionError(f"tocsin ended: {process.last_words()}")
            with contextlib.suppress(OSError, TimeoutError):
                return (await post(self.port, "/in/generic/unknown", {}, within=2))[0] == 404
            return False

        await until(answers, within, f"the web process answers; it said {process.last_words()}")

    async def works(self, process: Process, times: int = 1, within: float = _STARTS_WITHIN) -> None:
        """Wait until this worker has been started so often."""

        async def runs() -> bool:
            if process.has_ended:
                raise AssertionError(f"tocsin ended: {process.last_words()}")
            return process.words_said("worker.started") >= times

        await until(runs, within, "the worker runs")

    async def furnish(self) -> None:
        """Make two people, a policy, a source and the route between them, through the use cases people have."""
        await self.sink.start()
        settings = load_settings({"TOCSIN_OUTBOUND_ALLOW": "127.0.0.0/8"}, {"data_dir": str(self.root / "data")})
        channels = {"webhook": Webhook(OutboundHttp(settings.outbound_allow))}
        who = Actor.system("test")
        db = Database(self.dsn, bell=False, pool_size=2)
        await db.open()
        async with db.begin() as tx:
            await identity.ensure_organisation(tx, "Harbourline")
            steps = []
            for name in ("ada", "bob"):
                user = await identity.create_user(
                    tx, who, email=f"{name}@example.org", name=name.capitalize(), role="responder"
                )
                address = f"http://127.0.0.1:{self.sink.port}/{name}"
                await notifications.add_contact_method(
                    tx, who, channels, user_id=user.id, kind="webhook", address=address
                )
                await tx.session.flush()
                steps.append(oncall.StepDraft([user.id], 30))
            policy = await oncall.create_policy(tx, who, name="Duty", steps=steps)
            source = await alerts.create_source(tx, who, name="Checks", kind="generic")
            await alerts.create_route(
                tx, who, alerts.RouteDraft("Everything", escalation_policy_id=policy.id, is_catch_all=True)
            )
        await db.close()
        self.path = f"/in/generic/{source.token}"

    async def ask(self, question: str, *values: object) -> Any:
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            return await connection.fetchval(question, *values)
        finally:
            await connection.close()

    # The load

    async def fire(self, *, key: str | None = None, status: str = "firing") -> int | str:
        """Post one signal; returns the answer's status, or the name of what came instead of an answer."""
        if key is None:
            self.load.number += 1
            key = f"alert {self.load.number}"
        try:
            code, headers = await post(
                self.port, self.path, {"title": key, "key": key, "status": status, "severity": "critical"}
            )
        except (OSError, TimeoutError) as error:
            self.load.answers[type(error).__name__] += 1
            return type(error).__name__
        self.load.answers[code] += 1
        if code == 202 and status == "firing":
            self.load.accepted.append(key)
        if code == 503 and int(headers.get("retry-after", "0")) < 1:
            self.load.refusals_without_retry_after += 1
        return code

    @contextlib.asynccontextmanager
    async def under_load(self, *, most: int, senders: int = 4, pause: float = 0.05) -> AsyncIterator[None]:
        """Post alerts for as long as the block lasts, `most` at most."""
        end = self.load.number + most

        async def send() -> None:
            while self.load.number < end:
                code = await self.fire()
                await asyncio.sleep(pause if code == 202 else 0.1)

        tasks = [asyncio.create_task(send()) for _ in range(senders)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            # A request that is cut off here may be stored; it was not answered, so nothing is claimed about it.
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(r is None or isinstance(r, asyncio.CancelledError) for r in results), results

    async def have_been_accepted(self, number: int, within: float = 60.0) -> None:
        """Wait until so many more alerts were accepted."""
        wanted = len(self.load.accepted) + number

        async def enough() -> bool:
            return len(self.load.accepted) >= wanted

        await until(enough, within, f"{number} more alerts are accepted; answers {dict(self.load.answers)}")

    async def count_in_flight(self, worker: int | None = None) -> None:
        """Count the sends that the kill of this worker, or of the only process, has cut off, right after it.

        The time that a call of a dead process may still last is taken as gone: the test knows that it is dead.
        """
        mine = (
            "EXISTS (SELECT FROM job WHERE owner = coalesce($1, owner) AND payload->>'delivery_id' = delivery.id::text)"
        )
        self.figures.kills += 1
        self.figures.in_flight += await self.ask(
            f"""
            WITH cut AS (
                UPDATE delivery SET unsure_until = tocsin_now()
                WHERE state = 'sending' AND unsure_until > tocsin_now()
                  AND ($1::bigint IS NULL OR {mine}) RETURNING 1
            )
            SELECT count(*) FROM cut
            """,
            worker,
        )
        if worker is None:
            await self.ask("UPDATE job SET due = tocsin_now() WHERE kind = 'notifications.send'")

    async def until_paged(self, person: str, within: float = 30.0) -> None:
        """Wait until this person gets a page."""

        async def paged() -> bool:
            return any(page.person == person for page in self.sink.pages)

        await until(paged, within, f"{person} is paged")

    async def until_busy(self, worker: int, within: float = 30.0) -> None:
        """Wait until this worker is sending something."""

        async def busy() -> bool:
            return bool(await self.ask("SELECT EXISTS (SELECT FROM job WHERE owner = $1)", worker))

        await until(busy, within, f"worker {worker} has something in its hands")

    async def let_the_wait_pass(self) -> None:
        """Make the timers of all steps due, as if nobody had answered for half an hour."""
        await self.ask(
            "UPDATE escalation_run SET next_step_at = next_step_at - interval '31 minutes' WHERE state = 'running'"
        )
        await self.ask("UPDATE page SET paged_at = paged_at - interval '31 minutes' WHERE state = 'paging'")
        await self.ask("UPDATE job SET due = due - interval '31 minutes' WHERE kind = 'oncall.advance'")

    # What must hold

    async def settle(self, within: float = 60.0) -> float:
        """Wait until nothing is under way any more; returns how long that took."""
        began = time.monotonic()

        async def quiet() -> bool:
            return not await self.ask(_UNDER_WAY)

        try:
            await until(quiet, within, "everything has settled")
        except AssertionError as error:
            error.add_note(str(await self.ask(_LEFT)))
            raise
        return time.monotonic() - began

    async def must_hold(self, *, duplicates: int | None = None, person: str = "ada") -> str:
        """Check the promises after everything has settled, and return the figures as a line.

        `duplicates`: how many pages may have come twice; not given: as many as were in flight at the kills.
        """
        accepted = set(self.load.accepted)
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            stored = {row["dedup_key"]: row for row in await connection.fetch(_ALERTS)}
            delivered = await connection.fetch(_DELIVERIES, person.capitalize())
            dead = await connection.fetchval("SELECT count(*) FROM job_dead")
            left = await connection.fetchval(_JOBS_LEFT)
        finally:
            await connection.close()
        seen = {page.title for page in self.sink.pages if page.person == person}
        states = {row["dedup_key"]: row for row in delivered}
        twice = {id: pages for id, pages in self.sink.by_delivery().items() if len(pages) > 1}
        repeats = [page for pages in twice.values() for page in pages[1:]]
        unmarked = [page for page in repeats if not page.possible_duplicate]
        allowed = self.figures.in_flight if duplicates is None else duplicates

        assert accepted - set(stored) == set(), "an alert that was accepted is not there"
        for key in accepted:
            row = stored[key]
            assert row["signals"] == row["bodies"] >= 1, f"{key} has no raw signal"
            assert row["triggered"] == 1, f"{key} stands in the record {row['triggered']} times"
        # What was cut off before its answer may be there too, and then it was handled like the others.
        for key in stored:
            assert key in seen, f"nobody was paged about {key}"
            assert states[key]["states"] == ["delivered"], f"{key}: {states[key]['states']}"
            assert public("dlv", states[key]["id"]) in self.sink.by_delivery()
        assert unmarked == [], "a page came twice without a word"
        assert len(repeats) <= allowed, f"{len(repeats)} pages came twice, {allowed} were in flight"
        assert self.sink.most_at_once <= 1, "two workers had one message in their hands"
        assert (left, dead) == (0, 0), "jobs are left or were given up"
        return self.figures.line(
            os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" ")[0],
            accepted=len(accepted),
            stored=len(stored),
            pages=len(self.sink.by_delivery()),
            repeated_marked=len(repeats) - len(unmarked),
            repeated_unmarked=len(unmarked),
            lost=len(accepted - seen),
            answers=dict(self.load.answers),
        )

    def complaints(self) -> Counter[str]:
        """What the processes logged as gone wrong, and how often."""
        found: Counter[str] = Counter()
        for line in (line for process in self.processes for line in process.last_words(2_000_000).splitlines()):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("level") != "info":
                    end = (entry.get("exception") or "").strip().splitlines()[-1:]
                    found[" ".join(str(w) for w in (entry["event"], entry.get("kind"), entry.get("error"), *end))] += 1
        return found

    async def close(self) -> None:
        for process in self.processes:
            await process.stop()
        await self.sink.stop()


_UNDER_WAY = """
SELECT EXISTS (SELECT FROM alert WHERE routed_at IS NULL)
    OR EXISTS (SELECT FROM delivery WHERE state IN ('queued', 'sending'))
    OR EXISTS (SELECT FROM job WHERE coalesce(dedup, '') NOT LIKE 'schedule:%'
               AND (kind <> 'oncall.advance' OR due <= tocsin_now()))
"""
_LEFT = """
SELECT (SELECT json_agg(job) FROM (SELECT kind, due, tocsin_now() AS now, attempt, owner, lease_until, last_error
                                   FROM job WHERE kind <> 'oncall.advance' OR due <= tocsin_now() LIMIT 5) AS job)::text
    || (SELECT json_object_agg(state, number)
        FROM (SELECT state, count(*) AS number FROM delivery GROUP BY state) AS states)::text
"""
# Timers of steps wait; they are the only jobs that may.
_JOBS_LEFT = "SELECT count(*) FROM job WHERE kind <> 'oncall.advance' AND coalesce(dedup, '') NOT LIKE 'schedule:%'"
_ALERTS = """
SELECT dedup_key,
       (SELECT count(*) FROM alert_signal WHERE alert_id = alert.id) AS signals,
       (SELECT count(*) FROM alert_signal JOIN signal ON signal.id = signal_id
        WHERE alert_id = alert.id AND length(body) > 0) AS bodies,
       (SELECT count(*) FROM event WHERE alert_id = alert.id AND name = 'alert.triggered') AS triggered
FROM alert
"""
_DELIVERIES = """
SELECT dedup_key, array_agg(delivery.state) AS states, (array_agg(delivery.id))[1] AS id
FROM delivery JOIN alert ON alert.id = delivery.alert_id JOIN user_account ON user_account.id = delivery.user_id
WHERE user_account.name = $1 GROUP BY 1
"""


class OwnPostgres:
    """An external PostgreSQL that a test may stop, freeze and start again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._programs = root
        self._spawn: SpawnOptions = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.dsn = f"postgresql://tocsin@/postgres?host={root / 'run'}"

    def make(self) -> None:
        self._programs, self._spawn = postgres.make_cluster(self._root)

    async def start(self) -> None:
        with (self._root / "pg.log").open("ab") as log:
            options = ["listen_addresses=", "fsync=off", "max_connections=60"]
            self._process = subprocess.Popen(  # noqa: ASYNC220 (it does not wait)
                [self._programs / "postgres", "-D", self._root / "data", "-k", self._root / "run"]
                + [part for option in options for part in ("-c", option)],
                stdout=log,
                stderr=log,
                **self._spawn,
            )

        async def answers() -> bool:
            await (await asyncpg.connect(self.dsn, timeout=5)).close()
            return True

        await until(answers, 30, "PostgreSQL answers")

    def backends(self) -> list[psutil.Process]:
        """The server's processes that serve a client now."""
        assert self._process is not None
        everything = psutil.Process(self._process.pid).children()
        return [each for each in everything if each.cmdline()[:1] and " tocsin postgres " in each.cmdline()[0]]

    async def stop(self, number: int = signal.SIGINT) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            await asyncio.to_thread(self._process.wait, 30)

    def freeze(self, number: int) -> None:
        """Stop (SIGSTOP) or go on with (SIGCONT) every process of the server."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            process.send_signal(number)


@contextlib.contextmanager
def traversable_directory() -> Any:
    """A directory that the account of PostgreSQL can pass through to. A server left in it is stopped."""
    # pytest's own directories are private to root, so that account could not reach them.
    root = Path(tempfile.mkdtemp(prefix="tocsin-faults-", dir="/tmp"))
    root.chmod(0o755)
    try:
        yield root
    finally:
        for pidfile in root.rglob("postmaster.pid"):
            left = files.read_postmaster(pidfile.parent)
            if left and files.is_alive(left.pid) and files.serves(left.pid, pidfile.parent):
                os.kill(left.pid, signal.SIGQUIT)
        shutil.rmtree(root, ignore_errors=True)


@contextlib.asynccontextmanager
async def installation(dsn: str | None, **environment: str) -> AsyncIterator[Installation]:
    """An installation whose processes all end with the block."""
    with traversable_directory() as root:
        made = Installation(root, dsn, **environment)
        try:
            yield made
        except BaseException as error:
            for line, number in made.complaints().most_common(20):
                error.add_note(f"{number} × {line}")
            raise
        finally:
            await made.close()
