"""An installation to be tried: processes around one database, people, policies, receivers, and a load of alerts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from tocsin.alerts import service as alerts
from tocsin.db.embedded import running_dsn
from tocsin.db.engine import Database, Tx
from tocsin.drill.mail import MailSink
from tocsin.drill.places import servers_left
from tocsin.drill.processes import TOCSIN, Process, descendants, environment, keep_port, send_to_all
from tocsin.drill.sink import Sink
from tocsin.drill.waiting import NotInTime, until
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.kit import clock
from tocsin.net.http import OutboundHttp
from tocsin.net.smtp import Mailer, Security, SmtpSettings
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.email import Email
from tocsin.notifications.channels.webhook import Webhook
from tocsin.oncall import service as oncall
from tocsin.settings import load as load_settings

STARTS_WITHIN = 120.0
_TRIES = 20
_LOOPBACK = "127.0.0.0/8"
# A name that only a resolver can answer which never does (see `deaf`).
DEAD_NAME = "receiver.drill.example"


@dataclass
class Load:
    """Which alerts were accepted, with the time at which each was sent, and every other answer there was."""

    accepted: dict[str, float] = field(default_factory=dict[str, float])
    answers: dict[int | str, int] = field(default_factory=lambda: defaultdict[int | str, int](int))
    refusals_without_retry_after: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Team:
    """People who get the alerts with their label `team`, one step after the other."""

    name: str
    kind: str
    addresses: Mapping[str, str]
    wait_minutes: int = 30


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
    """An installation below `root`, on the database at `dsn` or, without one, on its own embedded PostgreSQL."""

    def __init__(self, root: Path, dsn: str | None, **settings: str) -> None:
        self.root = root
        self.sink = Sink()
        self.mail = MailSink(self.sink)
        self.load = Load()
        self.ports: list[int] = []
        self._keepers: list[socket.socket] = []
        self._keep_port()
        self.path = ""
        self.processes: list[Process] = []
        # How the keys of the alerts begin that are sent now: what they belong to.
        self.about = "alert"
        self._dsn = dsn
        self._environment = environment(
            TOCSIN_DATA_DIR=str(root / "data"),
            TOCSIN_OUTBOUND_ALLOW=_LOOPBACK,
            TOCSIN_LOG_FORMAT="json",
            **({"TOCSIN_DATABASE_URL": dsn} if dsn else {}),
            **settings,
        )

    def _keep_port(self) -> None:
        keeper = keep_port()
        self._keepers.append(keeper)
        self.ports.append(int(keeper.getsockname()[1]))

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def dsn(self) -> str:
        dsn = self._dsn or running_dsn(self.root / "data")
        if dsn is None:
            raise ConnectionError("The embedded PostgreSQL does not run.")
        return dsn

    async def process(
        self,
        *words: str,
        node: int = 0,
        command: Sequence[str] = TOCSIN,
        most_files: int | None = None,
        **settings: str,
    ) -> Process:
        """Start a command; `node` says which of the ports it serves, and each but the first has a data directory."""
        while len(self.ports) <= node:
            self._keep_port()
        own = {"TOCSIN_PORT": str(self.ports[node])} | (
            {"TOCSIN_DATA_DIR": str(self.root / f"data{node}")} if node else {}
        )
        log = self.root / f"{len(self.processes)}-{words[0]}.log"
        made = Process(words, self._environment | own | settings, log, command=command, most_files=most_files)
        self.processes.append(made)
        await made.start()
        return made

    async def serves(self, process: Process, within: float = STARTS_WITHIN, *, node: int = 0) -> None:
        """Wait until this web process answers."""

        async def answers() -> bool:
            if process.has_ended:
                raise RuntimeError(f"tocsin ended: {process.last_words()}")
            with contextlib.suppress(OSError, TimeoutError):
                return (await post(self.ports[node], "/in/generic/unknown", {}, within=2))[0] == 404
            return False

        await until(answers, within, f"the web process answers; it said {process.last_words()}")

    async def works(self, process: Process, times: int = 1, within: float = STARTS_WITHIN) -> None:
        """Wait until this worker has been started so often."""

        async def runs() -> bool:
            if process.has_ended:
                raise RuntimeError(f"tocsin ended: {process.last_words()}")
            return process.words_said("worker.started") >= times

        await until(runs, within, "the worker runs")

    # What it is furnished with

    async def furnish(self, *teams: Team) -> None:
        """Make two people on a policy, a source, the route between them and the other teams, by the use cases."""
        port = await self.sink.open_port()
        duty = Team("duty", "webhook", {name: f"http://127.0.0.1:{port}/{name}" for name in ("ada", "bob")})
        db = Database(self.dsn, bell=False, pool_size=2)
        await db.open()
        try:
            async with db.begin() as tx:
                who = Actor.system("drill")
                await identity.ensure_organisation(tx, "Harbourline")
                source = await alerts.create_source(tx, who, name="Checks", kind="generic")
                for team in (*teams, duty):
                    await self._make_team(tx, who, team, takes_the_rest=team is duty)
        finally:
            await db.close()
        self.path = f"/in/generic/{source.token}"

    async def webhook(self, person: str, host: str = "127.0.0.1") -> str:
        """Return the address of a receiver of this person alone."""
        return f"http://{host}:{await self.sink.open_port()}/{person}"

    async def _make_team(self, tx: Tx, who: Actor, team: Team, *, takes_the_rest: bool) -> None:
        settings = load_settings({"TOCSIN_OUTBOUND_ALLOW": _LOOPBACK}, {"data_dir": str(self.root / "data")})
        mailer = Mailer(SmtpSettings("127.0.0.1", 25, "drill@example.org", security=Security.NONE))
        channels = {"webhook": Webhook(OutboundHttp(settings.outbound_allow)), "email": Email(mailer)}
        steps: list[oncall.StepDraft] = []
        for name, address in team.addresses.items():
            user = await identity.create_user(
                tx, who, email=f"{name}@example.org", name=name.capitalize(), role="responder"
            )
            await notifications.add_contact_method(tx, who, channels, user_id=user.id, kind=team.kind, address=address)
            await tx.session.flush()
            steps.append(oncall.StepDraft([user.id], team.wait_minutes))
        policy = await oncall.create_policy(tx, who, name=team.name.capitalize(), steps=steps)
        draft = alerts.RouteDraft(
            team.name.capitalize(),
            condition="" if takes_the_rest else f'has(labels.team) && labels.team == "{team.name}"',
            escalation_policy_id=policy.id,
            is_catch_all=takes_the_rest,
        )
        await alerts.create_route(tx, who, draft)
        await tx.session.flush()

    async def ask(self, question: str, *values: object) -> Any:
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            return await connection.fetchval(question, *values, timeout=30)
        finally:
            await connection.close()

    async def travel(self, by: timedelta) -> None:
        """Make everything that waits or was done for pages so much longer ago: for them, time has gone by."""
        for _ in range(_TRIES):
            # The product locks rows in an order of its own; whoever of us loses tries again.
            with contextlib.suppress(asyncpg.DeadlockDetectedError):
                await self._move_times(by)
                return
        raise NotInTime("time could not be moved, because the product was at work all the time")

    async def _move_times(self, by: timedelta) -> None:
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            async with connection.transaction():
                for table, column in await connection.fetch(_TIMES):
                    move = f"UPDATE {table} SET {column} = {column} - $1::interval WHERE {_STANDS_STILL[table]}"  # noqa: S608
                    await connection.execute(move, by)
        finally:
            await connection.close()

    # The load

    async def fire(
        self, *, key: str | None = None, status: str = "firing", team: str = "duty", node: int = 0
    ) -> int | str:
        """Post one signal; returns the answer's status, or the name of what came instead of an answer."""
        if key is None:
            self.load.number += 1
            key = f"{self.about} {self.load.number}"
        body = {"title": key, "key": key, "status": status, "severity": "critical", "labels": {"team": team}}
        sent_at = clock.monotonic()
        try:
            code, headers = await post(self.ports[node], self.path, body)
        except (OSError, TimeoutError) as error:
            self.load.answers[type(error).__name__] += 1
            return type(error).__name__
        self.load.answers[code] += 1
        if code == 202 and status == "firing":
            self.load.accepted[key] = sent_at
        if code == 503 and int(headers.get("retry-after", "0")) < 1:
            self.load.refusals_without_retry_after += 1
        return code

    @contextlib.asynccontextmanager
    async def under_load(self, *, most: int, senders: int = 4, pause: float = 0.05) -> AsyncGenerator[None]:
        """Post alerts, to all nodes in turn, for as long as the block lasts, `most` at most."""
        end = self.load.number + most

        async def send(sender: int) -> None:
            while self.load.number < end:
                code = await self.fire(node=sender % len(self.ports))
                await asyncio.sleep(pause if code == 202 else 0.1)

        tasks = [asyncio.create_task(send(n)) for n in range(senders)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            # A request that is cut off here may be stored; it was not answered, so nothing is claimed about it.
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def have_been_accepted(self, number: int, within: float = 60.0) -> None:
        """Wait until so many more alerts were accepted."""
        wanted = len(self.load.accepted) + number

        async def enough() -> bool:
            return len(self.load.accepted) >= wanted

        await until(enough, within, f"{number} more alerts are accepted; answers {dict(self.load.answers)}")

    async def until_paged(self, person: str, within: float = 60.0) -> None:
        """Wait until this person gets a page."""

        async def paged() -> bool:
            return any(page.person == person for page in self.sink.pages)

        await until(paged, within, f"{person} is paged")

    async def settle(self, within: float = 90.0) -> float:
        """Wait until nothing is under way any more; news is told only after half a minute. Returns how long it took."""
        began = clock.monotonic()

        async def quiet() -> bool:
            return not await self.ask(_UNDER_WAY)

        try:
            await until(quiet, within, "everything has settled")
        except AssertionError as error:
            error.add_note(str(await self.ask(_LEFT)))
            raise
        return clock.monotonic() - began

    async def close(self) -> None:
        """Stop all processes in good order, and the receivers."""
        for process in self.processes:
            await process.stop()
        await self.stop_receivers()

    async def kill(self) -> None:
        """End all processes at once with all that they have started, and the receivers.

        PostgreSQL is left to `place`, which ends it so that it gives its shared memory back.
        """
        servers = servers_left(self.root)
        spared = {*servers, *(pid for server in servers for pid in descendants(server))}
        for process in self.processes:
            if not process.has_ended:
                below = descendants(process.pid)
                await process.kill()
                send_to_all(set(below) - spared, signal.SIGKILL)
        await self.stop_receivers()

    async def stop_receivers(self) -> None:
        await self.sink.stop()
        await self.mail.stop()
        for keeper in self._keepers:
            keeper.close()


_UNDER_WAY = """
SELECT EXISTS (SELECT FROM alert WHERE routed_at IS NULL)
    OR EXISTS (SELECT FROM delivery WHERE state IN ('queued', 'sending'))
    OR EXISTS (SELECT FROM job WHERE coalesce(dedup, '') NOT LIKE 'schedule:%'
               AND (kind <> 'oncall.advance' OR due <= tocsin_now()))
    -- A backend whose client was killed may still be about to commit what it was told to.
    OR EXISTS (SELECT FROM pg_stat_activity
               WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid())
"""
_LEFT = """
SELECT (SELECT json_agg(job) FROM (SELECT kind, due, tocsin_now() AS now, attempt, owner, lease_until, last_error
                                   FROM job WHERE kind <> 'oncall.advance' OR due <= tocsin_now() LIMIT 5) AS job)::text
    || (SELECT json_object_agg(state, number)
        FROM (SELECT state, count(*) AS number FROM delivery GROUP BY state) AS states)::text
"""
# What is in somebody's hands at the moment stays in the present.
_STANDS_STILL = {
    "job": "owner IS NULL AND coalesce(dedup, '') NOT LIKE 'schedule:%'",
    "delivery": "state <> 'sending'",
    "page": "true",
    "escalation_run": "true",
}
_TIMES = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND data_type = 'timestamp with time zone'
  AND table_name IN ('job', 'delivery', 'page', 'escalation_run')
"""
