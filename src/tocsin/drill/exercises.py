"""What is done to the product, and how long: one function for each exercise, and the list of them all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from tocsin.drill import stage
from tocsin.drill.attacks import ATTACKS, Tally, Target
from tocsin.drill.places import frozen, postmaster
from tocsin.drill.processes import Process, send_to_all
from tocsin.drill.stage import WEB_PROCESSES, Stage
from tocsin.drill.waiting import NotInTime, until
from tocsin.kit import clock

_MOST = 5000
_PAUSE = 0.2
_TAKEN_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Exercise:
    """One way in which things go wrong. `run` returns what there is to say of it.

    `innocents`: while it runs somebody else is paged regularly, and these pages are timed for themselves.
    """

    name: str
    sentence: str
    setup: stage.Setup
    run: Callable[[Stage], Awaitable[str]]
    is_quick: bool = False
    innocents: bool = False


async def _some_moment(it: Stage) -> None:
    """Wait until the load is under way, and then a random while longer."""
    await it.made.have_been_accepted(it.plan.chance.randint(3, 10))
    await asyncio.sleep(it.plan.chance.uniform(0.0, 0.4))


def _load(it: Stage) -> contextlib.AbstractAsyncContextManager[None]:
    return it.made.under_load(most=_MOST, pause=_PAUSE)


# Kills


async def _kill_server(it: Stage) -> str:
    serve = it.processes[0]
    for _ in range(it.plan.rounds):
        async with _load(it):
            await _some_moment(it)
            await serve.kill()
            await serve.start()
            await it.made.serves(serve)
    return f"{it.plan.rounds} kills"


async def _kill_postgres(it: Stage) -> str:
    for _ in range(it.plan.rounds):
        async with _load(it):
            await _some_moment(it)
            os.kill(postmaster(it.data_dir), signal.SIGKILL)
            await it.made.have_been_accepted(5)
    return f"{it.plan.rounds} kills"


async def _kill_node(it: Stage) -> str:
    for _ in range(it.plan.rounds):
        node = it.plan.chance.randrange(len(it.processes))
        async with _load(it):
            await _some_moment(it)
            await it.processes[node].kill()
            await it.made.have_been_accepted(5)
            await it.processes[node].start()
            await it.made.serves(it.processes[node], node=node)
    return f"{it.plan.rounds} kills"


async def _start_until_it_stays(it: Stage, serve: Process) -> None:
    """Start it as a service manager does: the web processes of the one before finish first, and hold its address."""

    async def stays() -> bool:
        if serve.has_ended:
            await asyncio.sleep(1)
            await serve.start()
        return len(serve.web_processes()) == WEB_PROCESSES

    await until(stays, _TAKEN_WITHIN, f"it runs again; {serve.last_words()}")
    await it.made.serves(serve)


async def _kill_process(it: Stage) -> str:
    serve, whole = it.processes[0], 0
    for round in range(it.plan.rounds):
        async with _load(it):
            await _some_moment(it)
            # Each third time all of them go: who watched over them is killed.
            if round % 3 == 2:
                whole += 1
                await serve.kill()
                await _start_until_it_stays(it, serve)
                continue
            before = set(serve.web_processes())
            victim = it.plan.chance.choice(sorted(before))
            send_to_all([victim], signal.SIGKILL)

            async def is_replaced(before: set[int] = before) -> bool:
                return len(set(serve.web_processes()) - before) == 1

            await until(is_replaced, _TAKEN_WITHIN, "a web process is started again")
            await it.made.have_been_accepted(5)
    return f"{it.plan.rounds} kills, {whole} of them of the process that watches over the others"


# Freezes, silence, a full disk


async def _freeze_server(it: Stage) -> str:
    seconds = 3 if it.plan.is_quick else 10
    async with _load(it):
        await _some_moment(it)
        with frozen(it.processes[0].pid):
            await asyncio.sleep(seconds)
        await it.made.have_been_accepted(10)
    return f"all of it for {seconds} s"


async def _freeze_postgres(it: Stage) -> str:
    seconds = 3 if it.plan.is_quick else 10
    async with _load(it):
        await _some_moment(it)
        with frozen(postmaster(it.data_dir)):
            await asyncio.sleep(seconds)
        await it.made.have_been_accepted(10)
    return f"for {seconds} s"


async def _freeze_node(it: Stage) -> str:
    seconds = 12
    async with _load(it):
        await _some_moment(it)
        with frozen(it.processes[-1].pid):
            await asyncio.sleep(seconds)
        await it.made.have_been_accepted(10)
    return f"one of two for {seconds} s"


async def _cut(it: Stage) -> str:
    assert it.proxy is not None
    times = 1 if it.plan.is_quick else 3
    longest = 0.0
    for _ in range(times):
        async with _load(it):
            await _some_moment(it)
            it.proxy.swallow()
            began = clock.monotonic()
            await it.made.have_been_accepted(5)
            longest = max(longest, clock.monotonic() - began)
            await it.made.have_been_accepted(5)
    return f"{times} times; alerts were taken again after at most {longest:.1f} s"


async def _fill(it: Stage) -> str:
    assert it.disk is not None
    seconds = 6 if it.plan.is_quick else 20
    async with _load(it):
        await _some_moment(it)
        await it.disk.stay_full(seconds)
        began = clock.monotonic()
        await it.made.have_been_accepted(10)
    return f"for {seconds} s by {it.disk.how}; alerts were taken again after {clock.monotonic() - began:.1f} s"


# The outside


@contextlib.asynccontextmanager
async def _innocents(it: Stage, every: float = 1.0) -> AsyncGenerator[None]:
    """Send an alert to somebody who has nothing to do with it, regularly and as long as the block lasts."""

    async def send() -> None:
        number = 0
        while True:
            number += 1
            await it.made.fire(key=f"{it.made.about} innocent {number}")
            await asyncio.sleep(every)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _send(it: Stage, team: str, number: int) -> None:
    """Send alerts to a team; they belong to the exercise and are counted."""

    async def send(numbers: range) -> None:
        for n in numbers:
            await it.made.fire(key=f"{it.made.about} {team} {n}", team=team)

    await asyncio.gather(*(send(range(start, number, 8)) for start in range(8)))


async def _are_paged(it: Stage, team: str, within: float) -> float:
    """Wait until everything that was accepted for the team has been paged; returns how long that took."""
    began = clock.monotonic()
    theirs = {key for key in it.made.load.accepted if key.startswith(f"{it.made.about} {team} ")}

    async def paged() -> bool:
        return theirs <= {page.title for page in it.made.sink.pages}

    await until(paged, within, f"everything for {team} has been paged")
    return clock.monotonic() - began


def _refused(status: int) -> Callable[[Stage], Awaitable[str]]:
    async def run(it: Stage) -> str:
        async with _innocents(it):
            it.made.sink.refusing["carol"] = status
            try:
                await _send(it, "gateway", 10)
                await asyncio.sleep(5)
            finally:
                del it.made.sink.refusing["carol"]
            took = await _are_paged(it, "gateway", 120)
        return f"{it.made.sink.refused.pop('carol', 0)} refusals; all paged {took:.1f} s after it worked again"

    return run


async def _mail_refused(it: Stage) -> str:
    async with _innocents(it):
        it.made.mail.refuses_logins = True
        try:
            await _send(it, "mailed", 10)
            await asyncio.sleep(5)
        finally:
            it.made.mail.refuses_logins = False
        took = await _are_paged(it, "mailed", 120)
    return f"{it.made.sink.refused.pop('mail', 0)} refusals; all mailed {took:.1f} s after it worked again"


async def _hanging(it: Stage) -> str:
    number, seconds = 500, 30
    async with _innocents(it):
        it.made.sink.hanging.add("erin")
        try:
            await _send(it, "hanging", number)
            await asyncio.sleep(seconds)
        finally:
            it.made.sink.hanging.discard("erin")
        # Half a minute of it was enough for this receiver; whether all of its pages arrive is seen at the end.
    return f"{number} alerts to a receiver that hangs for {seconds} s"


async def _dead_names(it: Stage) -> str:
    number, seconds = 20, 15
    keys = [f"nowhere {n}" for n in range(number)]
    async with _innocents(it):
        for key in keys:
            await it.made.fire(key=key, team="nameless")
        await asyncio.sleep(seconds)
        # Nobody will ever be reached by that name, so it is over with them.
        for key in keys:
            await it.made.fire(key=key, team="nameless", status="resolved")
    return f"{number} alerts to a name that nobody answers for, for {seconds} s"


async def _away(it: Stage) -> str:
    steps = 12
    async with _innocents(it):
        it.made.sink.refusing["gina"] = 503
        try:
            await _send(it, "away", 5)
            for _ in range(steps):
                await it.made.travel(timedelta(minutes=5))
                await asyncio.sleep(1.5)
        finally:
            del it.made.sink.refusing["gina"]
        took = await _are_paged(it, "away", 120)
    attempts = it.made.sink.refused.pop("gina", 0)
    return f"an hour by moving every wait; {attempts} refusals; all paged {took:.1f} s after it worked again"


def _attack(name: str) -> Callable[[Stage], Awaitable[str]]:
    async def run(it: Stage) -> str:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        tally = Tally()
        attack = asyncio.ensure_future(ATTACKS[name](Target(it.made.port, it.made.path), tally))
        try:
            async with _innocents(it, every=0.5):
                await asyncio.sleep(8)
            if attack.done():
                raise NotInTime(f"the attack ended by itself: {attack.exception()}")
        finally:
            attack.cancel()
            await asyncio.gather(attack, return_exceptions=True)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return f"8 s, {tally.rounds} rounds"

    return run


EXERCISES: tuple[Exercise, ...] = (
    Exercise("kill-server", "kill -9 of `tocsin serve`", stage.embedded, _kill_server, is_quick=True),
    Exercise("kill-postgres", "kill -9 of its PostgreSQL", stage.embedded, _kill_postgres, is_quick=True),
    Exercise("freeze-server", "the machine stands still", stage.embedded, _freeze_server, is_quick=True),
    Exercise("freeze-postgres", "its PostgreSQL stands still", stage.embedded, _freeze_postgres, is_quick=True),
    Exercise("fill", "its disk is full", stage.small_disk, _fill, is_quick=True),
    Exercise("kill-node", "kill -9 of one of two nodes", stage.two_nodes, _kill_node, is_quick=True),
    Exercise("cut", "the network to the database falls silent", stage.two_nodes, _cut, is_quick=True),
    Exercise("freeze-node", "one of two nodes stands still", stage.two_nodes, _freeze_node),
    Exercise("kill-process", "kill -9 of one of two web processes", stage.web_processes, _kill_process),
    Exercise("refused", "a gateway answers 404 for 5 s", stage.outside, _refused(404), is_quick=True, innocents=True),
    Exercise("broken", "a gateway answers 503 for 5 s", stage.outside, _refused(503), innocents=True),
    Exercise("mail-refused", "the mail server takes no login for 5 s", stage.outside, _mail_refused, innocents=True),
    Exercise("away", "a provider is away for an hour", stage.outside, _away, innocents=True),
    Exercise("dead-names", "the name servers are dead", stage.outside, _dead_names, innocents=True),
    Exercise("hanging", "500 alerts to a receiver that hangs", stage.outside, _hanging, innocents=True),
    *(
        Exercise(
            f"stranger-{name.replace(' ', '-')}", f"a stranger: {name}", stage.strangers, _attack(name), innocents=True
        )
        for name in ATTACKS
    ),
)
# Only where the drill has a PostgreSQL of its own between the nodes.
NEEDS_OWN_DATABASE = frozenset({"cut"})
