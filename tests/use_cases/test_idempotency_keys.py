"""Requests with an Idempotency-Key, as they are kept."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.use_cases.accounts import claim, in_tx, pass_time, race
from tocsin.db.engine import Database
from tocsin.identity import service as identity
from tocsin.identity.service import Stored
from tocsin.kit.errors import Conflict, Invalid
from tocsin.kit.ids import new_id


async def complete(db: Database, caller: UUID, body: bytes = b"{}") -> None:
    async with db.begin() as tx:
        await identity.complete_idempotency(tx, caller, "key", 201, {"Location": "/x"}, body)


async def test_a_repeated_request_gets_the_first_answer(db: Database) -> None:
    """Identity: Idempotency-Key, kept 24 hours, each caller has its own keys."""
    caller = new_id()
    assert await claim(db, caller) is None
    await complete(db, caller)
    assert await claim(db, caller) == Stored(201, {"Location": "/x"}, b"{}")
    assert await claim(db, new_id()) is None
    await pass_time(db, timedelta(hours=24, seconds=1))
    assert await claim(db, caller, b"two") is None


async def test_a_key_is_for_one_request(db: Database) -> None:
    """Identity: Idempotency-Key; another body is refused, while running and afterwards."""
    caller = new_id()
    await claim(db, caller)
    for _ in range(2):
        with pytest.raises(Invalid) as caught:
            await claim(db, caller, b"two")
        assert (caught.value.status, caught.value.code) == (422, "idempotency.mismatch")
        await complete(db, caller)


async def test_of_two_equal_requests_at_once_one_runs(db: Database) -> None:
    """Identity: Idempotency-Key."""
    caller = new_id()
    won, lost = await race(claim(db, caller), claim(db, caller))
    assert won == [None]
    assert [(type(e), getattr(e, "code", "")) for e in lost] == [(Conflict, "idempotency.in_progress")]


async def test_an_abandoned_request_is_taken_over_by_one(db: Database) -> None:
    """Identity: Idempotency-Key; its first answer stays, also when the abandoned one answers after all."""
    caller = new_id()
    await claim(db, caller)
    await pass_time(db, timedelta(seconds=61))
    with pytest.raises(Invalid):
        await claim(db, caller, b"two")
    won, lost = await race(claim(db, caller), claim(db, caller))
    assert won == [None] and len(lost) == 1
    await complete(db, caller, b"first")
    await complete(db, caller, b"second")
    stored = await claim(db, caller)
    assert stored is not None and stored.body == b"first"


async def test_a_failed_request_can_be_tried_again_at_once(db: Database) -> None:
    """Identity: Idempotency-Key; an answer that was given is not forgotten."""
    caller = new_id()
    for _ in range(2):
        assert await claim(db, caller) is None
        await in_tx(db, lambda tx: identity.forget_idempotency(tx, caller, "key"))
    await claim(db, caller)
    await complete(db, caller)
    await in_tx(db, lambda tx: identity.forget_idempotency(tx, caller, "key"))
    assert await claim(db, caller) is not None
