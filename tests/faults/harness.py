"""Installations under test: what `tocsin drill` does them, with claims about every figure, and a PostgreSQL apart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from tests import postgres
from tests.processes import PATIENCE
from tocsin.db.embedded.account import SpawnOptions
from tocsin.drill import installation as shared
from tocsin.drill import ledger
from tocsin.drill.places import place
from tocsin.drill.processes import Process
from tocsin.drill.waiting import until
from tocsin.notifications.model import DELIVERY_ID
from tocsin.notifications.telling import TELL

__all__ = ["ROUNDS", "Installation", "OwnPostgres", "Process", "dice", "installation", "traversable_directory", "until"]

# Taken out of the environment, because Tocsin refuses variables it does not know.
ROUNDS = max(1, int(os.environ.pop("TOCSIN_FAULT_ROUNDS", "1")))
SEED = os.environ.pop("TOCSIN_FAULT_SEED", "")


def dice() -> random.Random:
    """Chance that can be had again: the seed is printed, and TOCSIN_FAULT_SEED sets it."""
    seed = int(SEED or time.time_ns() % 1_000_000)
    print(f"TOCSIN_FAULT_SEED={seed}")
    return random.Random(seed)


@dataclass
class Figures:
    """What a test counted, for its last line."""

    kills: int = 0
    in_flight: int = 0

    def line(self, name: str, **more: object) -> str:
        return f"faults: {name}: " + ", ".join(f"{k} {v}" for k, v in {**vars(self), **more}.items())


class Installation(shared.Installation):
    """An installation that counts what its kills have cut off, and that is held to its promises."""

    def __init__(self, root: Path, dsn: str | None, **environment: str) -> None:
        super().__init__(root, dsn, **environment)
        self.figures = Figures()

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

    async def until_busy(self, worker: int, within: float = PATIENCE) -> None:
        """Wait until this worker is sending something."""

        async def busy() -> bool:
            return bool(await self.ask("SELECT EXISTS (SELECT FROM job WHERE owner = $1)", worker))

        await until(busy, within, f"worker {worker} has something in its hands")

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

    async def let_the_wait_pass(self) -> None:
        """Make the timers of all steps due, as if nobody had answered for half an hour."""
        await self.ask(
            "UPDATE escalation_run SET next_step_at = next_step_at - interval '31 minutes' WHERE state = 'running'"
        )
        await self.ask("UPDATE page SET paged_at = paged_at - interval '31 minutes' WHERE state = 'paging'")
        await self.ask("UPDATE job SET due = due - interval '31 minutes' WHERE kind = 'oncall.advance'")

    async def settle(self, within: float = 90.0) -> float:
        """Wait until nothing is under way any more, and let the half minute be over in which news wait for more."""
        began = time.monotonic()

        async def only_news_wait() -> bool:
            return not await self.ask(_ELSE_UNDER_WAY)

        await until(only_news_wait, within, "nothing is under way but news that wait")
        await until(self._let_news_go, within, "news go out")
        await super().settle(within)
        return time.monotonic() - began

    async def _let_news_go(self) -> bool:
        """Make what waits with its news have waited long enough; the worker may be at work on it just now."""
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            async with connection.transaction():
                await connection.execute(
                    "UPDATE news_item SET waits_since = waits_since - interval '31 s' WHERE waits_since IS NOT NULL"
                )
                await connection.execute(
                    "UPDATE job SET due = tocsin_now() WHERE kind = $1 AND owner IS NULL AND due > tocsin_now()",
                    TELL.name,
                )
        finally:
            await connection.close()
        return True

    async def must_hold(self, *, duplicates: int | None = None, person: str = "ada") -> str:
        """Check the promises after everything has settled, and return the figures as a line.

        `duplicates`: how many pages may have come twice; not given: as many as were in flight at the kills.
        """
        counted = await ledger.count(self, person=person)
        allowed = self.figures.in_flight if duplicates is None else duplicates
        repeats = await ledger.count(self)

        assert counted.alerts_lost == 0, "an alert that was accepted is not there"
        # What was cut off before its answer may be there too, and then it was handled like the others.
        assert counted.pages_lost == 0, f"{counted.pages_lost} alerts are there and nobody was paged about them"
        assert counted.wrong == []
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            delivered = await connection.fetch(_DELIVERIES, person.capitalize())
        finally:
            await connection.close()
        for row in delivered:
            assert row["states"] == ["delivered"], f"{row['dedup_key']}: {row['states']}"
            assert DELIVERY_ID.write(row["id"]) in self.sink.by_delivery()
        assert len(delivered) == counted.due
        assert repeats.repeated == repeats.marked, "a page came twice without a word"
        assert repeats.repeated <= allowed, f"{repeats.repeated} pages came twice, {allowed} were in flight"
        assert await ledger.left_behind(self) == []
        return self.figures.line(
            os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" ")[0],
            accepted=counted.accepted,
            stored=counted.due,
            pages=len(self.sink.by_delivery()),
            repeated=repeats.repeated,
            marked=repeats.marked,
            lost=counted.pages_lost,
            answers=dict(self.load.answers),
        )


_ELSE_UNDER_WAY = f"""
SELECT EXISTS (SELECT FROM alert WHERE routed_at IS NULL)
    OR EXISTS (SELECT FROM delivery WHERE state IN ('queued', 'sending'))
    OR EXISTS (SELECT FROM job WHERE coalesce(dedup, '') NOT LIKE 'schedule:%'
               AND (kind NOT IN ('oncall.advance', '{TELL.name}') OR due <= tocsin_now()))
"""
_DELIVERIES = """
SELECT dedup_key, array_agg(delivery.state) AS states, (array_agg(delivery.id))[1] AS id
FROM delivery JOIN alert ON alert.id = delivery.alert_id JOIN user_account ON user_account.id = delivery.user_id
WHERE user_account.name = $1 AND delivery.kind = 'page' GROUP BY 1
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

        await until(answers, PATIENCE, "PostgreSQL answers")

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
            # A session that ended since it was listed has nothing to stop.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def traversable_directory() -> contextlib.AbstractContextManager[Path]:
    """A directory that the account of PostgreSQL can pass through to. A server left in it is stopped."""
    # pytest's own directories are private to root, so that account could not reach them.
    return place("tocsin-faults-")


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
