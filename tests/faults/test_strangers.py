"""One request of a stranger stops nothing: while each attack goes on, alerts are taken and people are paged (G04)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import resource
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from tests.faults.harness import Installation, Process, installation, until
from tests.processes import PATIENCE
from tocsin.drill.attacks import ATTACKS, Tally, Target

pytestmark = pytest.mark.faults

# As many as fit into a while in which nobody has to sleep for luck, and the attack is well under way.
INNOCENT = 10
# Most systems give a process no more.
DESCRIPTORS = 1024


@pytest.fixture(autouse=True)
def room_for_a_crowd() -> None:
    """The attacker needs more descriptors than its victim has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= 4096, "raise the limit of open files (ulimit -Hn) to 4096"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))


@contextlib.asynccontextmanager
async def attacked(made: Installation, name: str, tally: Tally) -> AsyncIterator[None]:
    """Have somebody attack for as long as the block lasts."""
    attack = asyncio.create_task(ATTACKS[name](Target(made.port, made.path), tally))  # pyright: ignore
    try:

        async def has_begun() -> bool:
            return tally.rounds > 0 or attack.done()

        await until(has_begun, PATIENCE, f"“{name}” has begun")
        yield
        assert not attack.done(), f"“{name}” has ended by itself"
    finally:
        attack.cancel()
        await asyncio.gather(attack, return_exceptions=True)


async def is_taken(made: Installation, title: str) -> bool:
    """Send an alert. A connection that waited for long makes room for others, and then every sender comes again."""
    code = await made.fire(key=title)
    assert code == 202 or isinstance(code, str), f"an innocent alert was answered {code}"
    return code == 202


def answers(made: Installation) -> set[int]:
    return {code for code in made.load.answers if isinstance(code, int)}


async def page_while(made: Installation, name: str) -> str:
    """Send innocent alerts while the attack goes on; all of them are taken in and paged before it ends."""
    tally = Tally()
    sent: dict[str, float] = {}
    answered = 0.0
    async with attacked(made, name, tally):
        for n in range(INNOCENT):
            title = f"{name} {n}"
            sent[title] = time.monotonic()
            await until(functools.partial(is_taken, made, title), PATIENCE, f"“{name}”: it is taken in; {tally}")
            answered = max(answered, time.monotonic() - sent[title])
            await asyncio.sleep(0.2)

        async def all_paged() -> bool:
            return set(sent) <= {page.title for page in made.sink.pages}

        await until(all_paged, PATIENCE, f"“{name}”: every innocent alert is paged; {tally}")
        rounds = tally.rounds
    delays = {page.title: page.at - sent[page.title] for page in made.sink.pages if page.title in sent}
    longest = max(delays.values())
    assert rounds > 0
    return f"{name:14} pages {len(delays)}, longest {longest:.2f} s, answer {answered:.2f} s; {rounds} {tally.answers}"


async def nothing_is_left(serve: Process, before: int) -> None:
    """Wait until the process has let go of everything that the attack made it hold."""
    process = psutil.Process(serve.pid)

    async def has_let_go() -> bool:
        return process.num_fds() <= before + 30

    await until(has_let_go, PATIENCE, f"connections are closed; {process.num_fds()} descriptors, before {before}")


async def test_people_are_paged_while_strangers_attack(dsn: str) -> None:
    async with installation(dsn) as made:
        serve = await made.process("serve", most_files=DESCRIPTORS)
        await made.serves(serve)
        await made.furnish()
        assert await made.fire(key="before") == 202
        await made.settle(PATIENCE)
        before = psutil.Process(serve.pid).num_fds()
        for name in ATTACKS:
            print(await page_while(made, name))
            assert not serve.has_ended
            await nothing_is_left(serve, before)
        assert answers(made) == {202}
        said = made.complaints()
        assert said, "they are told of, as refusals"
        assert not any("Traceback" in line or "broken" in line or "Exception" in line for line in said), said


async def test_a_crowd_before_several_web_processes_keeps_nobody_out(dsn: str) -> None:
    async with installation(dsn) as made:
        serve = await made.process("serve", "--workers", "2", most_files=DESCRIPTORS)
        await made.serves(serve)
        await made.furnish()
        print(await page_while(made, "crowd"))
        print(await page_while(made, "slow body"))
        assert not serve.has_ended
        assert answers(made) == {202}
