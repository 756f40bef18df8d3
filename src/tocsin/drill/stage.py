"""The set-ups in which exercises are done: each an installation of its own, gone when its block ends."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.drill import borrowed, places
from tocsin.drill.installation import DEAD_NAME, STARTS_WITHIN, Installation, Team
from tocsin.drill.processes import TOCSIN, Process
from tocsin.drill.proxy import Proxy, proxied
from tocsin.settings import Settings

# As many descriptors as most systems give a process.
_DESCRIPTORS = 1024
WEB_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What the caller of a drill has decided."""

    settings: Settings
    chance: random.Random
    rounds: int
    is_quick: bool
    database_url: str | None = None


@dataclass(slots=True)
class Stage:
    """One set-up that runs."""

    plan: Plan
    made: Installation
    processes: list[Process] = field(default_factory=list[Process])
    proxy: Proxy | None = None
    disk: places.SmallDisk | None = None

    @property
    def data_dir(self) -> Path:
        return self.made.root / "data"

    async def start(
        self,
        *words: str,
        node: int = 0,
        command: Sequence[str] = TOCSIN,
        most_files: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Process:
        """Start one more `tocsin serve` and wait until it answers."""
        process = await self.made.process(
            "serve", *words, node=node, command=command, most_files=most_files, **(settings or {})
        )
        self.processes.append(process)
        await self.made.serves(process, node=node)
        return process


Setup = Callable[[Plan], AbstractAsyncContextManager[Stage]]


def _settings(plan: Plan) -> dict[str, str]:
    """Return what a drill takes over of the installation's settings: how it runs, and nothing it speaks to."""
    ours = plan.settings
    taken = {
        "TOCSIN_BELL": "on" if ours.bell else "off",
        "TOCSIN_WORKER_LOCKS": "on" if ours.worker_locks else "off",
        "TOCSIN_INTAKE_QUEUE": str(ours.intake_queue),
        "TOCSIN_INTAKE_MAX_BYTES": str(ours.intake_max_bytes),
    }
    if ours.pg_bin is not None:
        taken["TOCSIN_PG_BIN"] = str(ours.pg_bin)
    if ours.pg_user is not None:
        taken["TOCSIN_PG_USER"] = ours.pg_user
    return taken


@contextlib.asynccontextmanager
async def _installed(plan: Plan, root: Path, dsn: str | None, **settings: str) -> AsyncGenerator[Stage]:
    stage = Stage(plan, Installation(root, dsn, **_settings(plan), **settings))
    stage.made.sink.delay = lambda: plan.chance.uniform(0.0, 0.1)
    try:
        yield stage
    finally:
        await stage.made.kill()


@contextlib.asynccontextmanager
async def embedded(plan: Plan) -> AsyncGenerator[Stage]:
    """`tocsin serve` with its own PostgreSQL."""
    with places.place() as root:
        async with _installed(plan, root, None) as stage:
            await stage.start()
            await stage.made.furnish()
            yield stage


@contextlib.asynccontextmanager
async def small_disk(plan: Plan) -> AsyncGenerator[Stage]:
    """`tocsin serve` with its own PostgreSQL on a disk that can be filled."""
    with places.place() as root:
        disk = places.SmallDisk(root / "data")
        with disk.there():
            async with _installed(plan, root, None) as stage:
                stage.disk = disk
                await stage.start()
                await stage.made.furnish()
                yield stage


@contextlib.asynccontextmanager
async def web_processes(plan: Plan) -> AsyncGenerator[Stage]:
    """`tocsin serve --workers 2` with its own PostgreSQL."""
    with places.place() as root:
        async with _installed(plan, root, None) as stage:
            await stage.start("--workers", str(WEB_PROCESSES))
            await stage.made.furnish()
            yield stage


@contextlib.asynccontextmanager
async def two_nodes(plan: Plan) -> AsyncGenerator[Stage]:
    """Two `tocsin serve` on one PostgreSQL of nobody's own, over a network that can fall silent."""
    async with contextlib.AsyncExitStack() as stack:
        root = stack.enter_context(places.place())
        proxy: Proxy | None = None
        if plan.database_url is not None:
            dsn = plan.database_url
            keeper = await stack.enter_async_context(borrowed.empty(dsn))
        else:
            kept = places.store(root, bin_dir=plan.settings.pg_bin, account=plan.settings.pg_user)
            server = await stack.enter_async_context(kept)
            proxy = await stack.enter_async_context(proxied(server.dsn))
            dsn, keeper = proxy.dsn, None
        stage = await stack.enter_async_context(_installed(plan, root, dsn))
        stage.proxy = proxy
        try:
            await (await stage.made.process("migrate")).ends_well(STARTS_WITHIN)
        finally:
            if keeper is not None:
                await keeper.note_what_is_new()
        for node in range(2):
            await stage.start(node=node)
        await stage.made.furnish()
        yield stage


@contextlib.asynccontextmanager
async def outside(plan: Plan) -> AsyncGenerator[Stage]:
    """`tocsin serve` with a mail server, dead name servers, and a team behind each receiver that will misbehave."""
    with places.place() as root:
        async with _installed(plan, root, None) as stage:
            made = stage.made
            await made.mail.start()
            deaf = (sys.executable, "-m", "tocsin.drill.deaf")
            await stage.start(command=deaf, settings=made.mail.settings)
            await made.furnish(
                Team("gateway", "webhook", {"carol": await made.webhook("carol")}),
                Team("mailed", "email", {"dora": "dora@example.org"}),
                Team("hanging", "webhook", {"erin": await made.webhook("erin")}),
                Team("nameless", "webhook", {"fred": await made.webhook("fred", DEAD_NAME)}),
                Team("away", "webhook", {"gina": await made.webhook("gina")}),
            )
            yield stage


@contextlib.asynccontextmanager
async def strangers(plan: Plan) -> AsyncGenerator[Stage]:
    """`tocsin serve` with no more descriptors than most systems give it."""
    with places.place() as root:
        async with _installed(plan, root, None) as stage:
            await stage.start(most_files=_DESCRIPTORS)
            await stage.made.furnish()
            yield stage
