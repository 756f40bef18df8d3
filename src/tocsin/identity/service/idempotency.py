"""Answering a repeated request with the answer of the first one (`Idempotency-Key`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.identity import idempotency_queries
from tocsin.kit.errors import Conflict, Invalid

KEPT_FOR = timedelta(hours=24)
# A request that has run this long without an answer belonged to a process that is gone.
ABANDONED_AFTER = timedelta(seconds=60)
# The status of an answer that was taken out of the store, because what it told of was erased.
FORGOTTEN = 410


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer that was given the first time."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_forgotten(self) -> bool:
        """Say whether only this is known any more, that the request was answered."""
        return self.status == FORGOTTEN


async def claim_idempotency(tx: Tx, caller: UUID, key: str, request_digest: bytes) -> Stored | None:
    """Take the key for a request that is about to run, or return the answer it had before.

    None: the key is the caller's, and `tx.now` is the name of the claim. Commit, run the request in the next
    transaction and call `complete_idempotency` in that one, so that effect and answer commit together; or
    `forget_idempotency` when it failed. Of two claims at once one gets None.
    Raises `Invalid` (`idempotency.mismatch`) when the key was used for another request and `Conflict`
    (`idempotency.in_progress`) while the first request runs; after 60 s without an answer it is taken over.
    """
    claimed = await idempotency_queries.claim(
        tx, caller, key, request_digest, abandoned_before=tx.now - ABANDONED_AFTER, kept_since=tx.now - KEPT_FOR
    )
    if claimed:
        return None
    # The refused upsert has locked the row, so it is still there.
    row = await idempotency_queries.get(tx, caller, key)
    if row.request_digest != request_digest:
        problem = Invalid(
            "", "This Idempotency-Key was used for another request or with other permissions. Use a new one."
        )
        problem.code = "idempotency.mismatch"
        raise problem
    if row.status is None:
        raise Conflict(
            "The first request with this Idempotency-Key is still running. Try again in a moment.",
            code="idempotency.in_progress",
        )
    return Stored(status=row.status, headers=row.headers or {}, body=row.body or b"")


async def complete_idempotency(
    tx: Tx,
    caller: UUID,
    key: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    claimed_at: datetime | None = None,
) -> bool:
    """Keep the answer for 24 hours from the claim; False when the claim is no longer the caller's.

    With `claimed_at` it is the answer of that claim, in place of one that was kept for the meantime. Then False means
    that a repetition has taken the key over: roll back, or the request is carried out twice. Without it the first
    answer stays.
    """
    return await idempotency_queries.keep(tx, caller, key, status, headers, body, claimed_at=claimed_at)


async def forget_idempotency(
    tx: Tx, caller: UUID, key: str, *, claimed_at: datetime | None = None, answered: bool = False
) -> None:
    """Give the key back after a request that failed on our side, so that it can be tried again at once.

    An answer that is kept stays, unless `answered` says that this claim has kept one for the meantime only. Whoever
    still commits one is waited for.
    """
    await idempotency_queries.forget(tx, caller, key, claimed_at=claimed_at, is_open_only=not answered)


async def forget_answers(tx: Tx, naming: str) -> None:
    """Take out of the store every kept answer that has this text in it. What was done stays done: see `Stored`."""
    await idempotency_queries.replace_answers(tx, naming, status=FORGOTTEN)
