"""What has expired is deleted, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.use_cases.accounts import BROWSER, CLI, IP, PASSWORD, actor_of, claim, in_tx, make, pass_time
from tocsin.db.engine import Database
from tocsin.identity import service as identity
from tocsin.kit.errors import Unauthenticated
from tocsin.kit.ids import new_id


async def test_the_sweep_removes_what_is_over_and_nothing_else(db: Database) -> None:
    """Identity: nothing that has expired is kept."""
    ada = await make(db, "ada", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=2)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await identity.sign_in(db, ada.email, "wrong", IP, BROWSER, days=2)
    await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))
    await claim(db, new_id())

    async def left() -> list[int]:
        await in_tx(db, identity.sweep)
        tables = ("session", "one_time_link", "sign_in_throttle", "idempotency_key")
        return [await db.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]

    assert await left() == [1, 1, 3, 1]
    await pass_time(db, timedelta(hours=1))
    # The failures of this network against this account are remembered for a day.
    assert await left() == [1, 0, 1, 1]
    await pass_time(db, timedelta(hours=24))
    assert await left() == [1, 0, 0, 0]
    assert await actor_of(db, cookie) is not None
    await pass_time(db, timedelta(days=20))
    assert await left() == [0, 0, 0, 0]
