"""Answering a repeated request with the answer of the first one (`Idempotency-Key`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.identity.model import IdempotencyKey
from tocsin.kit.errors import Conflict, Invalid

KEPT_FOR = timedelta(hours=24)
# A request that has run this long without an answer belonged to a process that is gone.
ABANDONED_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer that was given the first time."""

    status: int
    headers: dict[str, str]
    body: bytes


async def claim_idempotency(tx: Tx, caller: UUID, key: str, request_digest: bytes) -> Stored | None:
    """Take the key for a request that is about to run, or return the answer it had before.

    None: the key is the caller's; commit this transaction, run the request in the next one and call
    `complete_idempotency` in it (or `forget_idempotency` when it failed). Of two claims at once one gets None.
    Raises `Invalid` (`idempotency.mismatch`) when the key was used for another request and `Conflict`
    (`idempotency.in_progress`) while the first request runs; after 60 s without an answer it is taken over.
    """
    new = insert(IdempotencyKey).values(caller=caller, key=key, request_digest=request_digest, created_at=tx.now)
    abandoned = and_(
        IdempotencyKey.status.is_(None),
        IdempotencyKey.created_at < tx.now - ABANDONED_AFTER,
        IdempotencyKey.request_digest == new.excluded.request_digest,
    )
    claim = new.on_conflict_do_update(
        index_elements=[IdempotencyKey.caller, IdempotencyKey.key],
        set_={
            "request_digest": new.excluded.request_digest,
            "created_at": new.excluded.created_at,
            "status": None,
            "headers": None,
            "body": None,
        },
        where=or_(abandoned, IdempotencyKey.created_at < tx.now - KEPT_FOR),
    ).returning(IdempotencyKey.key)
    if (await tx.session.execute(claim)).first() is not None:
        return None

    # The refused upsert has locked the row, so it is still there.
    query = select(IdempotencyKey).where(IdempotencyKey.caller == caller, IdempotencyKey.key == key)
    row = (await tx.session.scalars(query.execution_options(populate_existing=True))).one()
    if row.request_digest != request_digest:
        problem = Invalid("", "This Idempotency-Key was used for another request. Use a new one.")
        problem.code = "idempotency.mismatch"
        raise problem
    if row.status is None:
        raise Conflict(
            "The first request with this Idempotency-Key is still running. Try again in a moment.",
            code="idempotency.in_progress",
        )
    return Stored(status=row.status, headers=row.headers or {}, body=row.body or b"")


async def complete_idempotency(
    tx: Tx, caller: UUID, key: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Keep the answer for 24 hours from the claim. The first answer stays when the key had been taken over."""
    await tx.session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.caller == caller, IdempotencyKey.key == key, IdempotencyKey.status.is_(None))
        .values(status=status, headers=dict(headers), body=body)
        .execution_options(synchronize_session=False)
    )


async def forget_idempotency(tx: Tx, caller: UUID, key: str) -> None:
    """Give the key back after a request that failed on our side, so that it can be tried again at once."""
    await tx.session.execute(
        delete(IdempotencyKey)
        .where(IdempotencyKey.caller == caller, IdempotencyKey.key == key, IdempotencyKey.status.is_(None))
        .execution_options(synchronize_session=False)
    )
