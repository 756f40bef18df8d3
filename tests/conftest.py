"""Fixtures for every test: a PostgreSQL for the process, a database for the test, a world to tell stories in."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from tests import figures, lanes, lock_order, needs, postgres
from tests.databases import Databases, Handed, Lent
from tests.processes import PATIENCE
from tests.world import World, make_world
from tocsin.db import bell, engine, link
from tocsin.db.engine import Database
from tocsin.jobs import clockwatch, worker
from tocsin.kit import crypto

# The same examples in every run, and no example fails because the machine is slow.
settings.register_profile(
    "tocsin", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tocsin")


def _wait_for_slow_machines() -> None:
    """Take no store for silent because this machine is busy; tests of silence bring bounds of their own."""
    link.CONNECTS_WITHIN = engine.ANSWERS_WITHIN = float(PATIENCE)
    link.IDLE_IN_TRANSACTION = f"{PATIENCE}s"
    for module in (bell, worker, clockwatch):
        module.CLAIMS_WITHIN = float(PATIENCE)
    worker.SILENT_IN_TRANSACTION = timedelta(seconds=PATIENCE)


# What the product hashes passwords with takes tens of milliseconds, as it should; a test asks for it where it matters.
STRONG = crypto._hasher


def _hash_passwords_fast() -> None:
    crypto._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


LOCKS = lock_order.Watch()


def pytest_configure(config: pytest.Config) -> None:
    LOCKS.begin()
    _wait_for_slow_machines()
    _hash_passwords_fast()
    config.addinivalue_line("markers", needs.MARKER)
    config.pluginmanager.register(needs.LeftOut(is_strict=needs.is_strict()))
    config.pluginmanager.register(lanes.Spreading())
    config.pluginmanager.register(figures.Figures())


def pytest_collection_finish() -> None:
    """Have the collector pass over what all tests share; each of its rounds would look at a million objects."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return lanes.processes()


@pytest.fixture
def strong_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as the product does it."""
    monkeypatch.setattr(crypto, "_hasher", STRONG)


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The DSN of this process's server with `{}` where the database's name goes."""
    with postgres.server() as dsn:
        asyncio.run(postgres.make_template(dsn))
        yield dsn


@pytest.fixture(scope="session")
async def databases(postgres_dsn: str) -> AsyncIterator[Databases]:
    """The databases of this process, which go from test to test."""
    databases = Databases(postgres_dsn)
    yield databases
    await databases.close()


@pytest.fixture
async def handed(databases: Databases, request: pytest.FixtureRequest) -> AsyncIterator[Handed]:
    """A migrated database that is as new; it has a clock to be moved for those who ask for a world."""
    is_new = request.node.get_closest_marker("own_database") is not None
    async with databases.one(with_clock="world" in request.fixturenames, is_new=is_new) as handed:
        yield handed


@pytest.fixture
async def dsn(handed: Handed) -> str:
    """The DSN of a migrated database that is as new."""
    return handed.dsn


@pytest.fixture
async def db(handed: Handed) -> AsyncIterator[Database]:
    """An open database that is empty but for the schema."""
    db = Lent(await handed.lender("db"), bell=False)
    await db.open()
    yield db
    await db.close()


@pytest.fixture
async def world(handed: Handed) -> AsyncIterator[World]:
    """An installation to tell stories in."""
    async with make_world(handed.dsn, await handed.lender("world")) as world:
        yield world


@pytest.fixture(autouse=True)
def locks_in_order() -> Iterator[None]:
    """Fails the test in which the product locked rows against the order (`tocsin.db.locks`)."""
    LOCKS.wrong.clear()
    yield
    wrong = "\n".join(LOCKS.wrong)
    assert not wrong, wrong
