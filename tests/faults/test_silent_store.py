"""The way to PostgreSQL falls silent, or backends freeze, while alerts come in: pages go on by another way (G04)."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from tests.faults.harness import ROUNDS, Installation, OwnPostgres, installation, traversable_directory, until
from tests.processes import PATIENCE
from tocsin.drill.proxy import Proxy, proxied

pytestmark = [pytest.mark.faults, pytest.mark.timeout(450 * (ROUNDS + 1))]

WITHIN = float(PATIENCE)


@contextlib.asynccontextmanager
async def behind_a_proxy() -> AsyncIterator[tuple[Installation, OwnPostgres, Proxy]]:
    with traversable_directory() as place:
        server = OwnPostgres(place)
        server.make()
        await server.start()
        try:
            async with proxied(server.dsn) as proxy, installation(proxy.dsn) as made:
                migrate = await made.process("migrate")

                async def migrated() -> bool:
                    return migrate.has_ended

                await until(migrated, PATIENCE, "the schema is there")
                serve = await made.process("serve")
                await made.serves(serve)
                await made.furnish()
                yield made, server, proxy
                assert not serve.has_ended
        finally:
            server.freeze(signal.SIGCONT)
            await server.stop()


async def pages_go_on(made: Installation, key: str) -> float:
    """Wait until an alert that comes in now has been paged; returns how long that took."""
    began = time.monotonic()

    async def accepted() -> bool:
        return await made.fire(key=key) == 202

    async def paged() -> bool:
        return any(page.title == key for page in made.sink.pages)

    await until(accepted, WITHIN, "the alert is accepted")
    await until(paged, WITHIN, "somebody is paged about it")
    return time.monotonic() - began


async def some_are_given_up(proxy: Proxy, old: set[int]) -> None:
    """Wait until somebody has ended connections of these, and say how many.

    Only Tocsin does: their other side takes whatever is sent, so no system ever finds them dead. One that nobody uses
    is found silent when it is.
    """

    async def given_up() -> bool:
        return not old <= proxy.held

    await until(given_up, WITHIN, "silent connections are given up")
    print(f"{len(old - proxy.held)} of {len(old)} silent connections were given up")


async def test_pages_go_on_when_the_network_swallows_what_was_under_way() -> None:
    """G04: new connections work, the old ones stay open and say nothing for ever."""
    async with behind_a_proxy() as (made, _, proxy):
        longest = 0.0
        for round in range(ROUNDS + 1):
            async with made.under_load(most=2000):
                await made.have_been_accepted(5)
                proxy.swallow()
                old = set(proxy.held)
                assert old
                longest = max(longest, await pages_go_on(made, f"after silence {round}"))
                await some_are_given_up(proxy, old)
                await made.have_been_accepted(5)
        print(f"pages went on within {longest:.1f} s")
        assert made.load.refusals_without_retry_after == 0
        assert set(made.load.answers) <= {202, 503}
        await made.settle(120)
        # What was being sent when the way fell silent may come again, marked.
        print(await made.must_hold(duplicates=len(made.sink.pages)))


async def test_pages_go_on_when_the_backends_freeze() -> None:
    """G04: the server takes new connections, the processes behind the old ones never answer."""
    async with behind_a_proxy() as (made, server, proxy):
        async with made.under_load(most=2000):
            await made.have_been_accepted(5)
            old = set(proxy.held)
            frozen: list[psutil.Process] = server.backends()
            assert frozen
            for backend in frozen:
                backend.send_signal(signal.SIGSTOP)
            try:
                print(f"pages went on within {await pages_go_on(made, 'after the freeze'):.1f} s")
                await some_are_given_up(proxy, old)
                await made.have_been_accepted(5)
            finally:
                for backend in frozen:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        backend.send_signal(signal.SIGCONT)
        assert made.load.refusals_without_retry_after == 0
        assert set(made.load.answers) <= {202, 503}
        await made.settle(120)
        print(await made.must_hold(duplicates=len(made.sink.pages)))
