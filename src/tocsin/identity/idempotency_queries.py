"""Every query about the keys of repeated requests and the answers that are kept for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.identity.model import IdempotencyKey


async def claim(
    tx: Tx, caller: UUID, key: str, request_digest: bytes, *, abandoned_before: datetime, kept_since: datetime
) -> bool:
    """Take a key that nobody has, whose answer is too old, or whose request was abandoned; says whether it was."""
    new = insert(IdempotencyKey).values(caller=caller, key=key, request_digest=request_digest, created_at=tx.now)
    abandoned = and_(
        IdempotencyKey.status.is_(None),
        IdempotencyKey.created_at < abandoned_before,
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
        where=or_(abandoned, IdempotencyKey.created_at < kept_since),
    ).returning(IdempotencyKey.key)
    return (await tx.session.execute(claim)).first() is not None


async def get(tx: Tx, caller: UUID, key: str) -> IdempotencyKey:
    """Return a key that is known to be there, as it is now."""
    query = select(IdempotencyKey).where(IdempotencyKey.caller == caller, IdempotencyKey.key == key)
    return (await tx.session.scalars(query.execution_options(populate_existing=True))).one()


async def keep(
    tx: Tx,
    caller: UUID,
    key: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    claimed_at: datetime | None,
) -> bool:
    """Keep the answer of a claim; says whether it was still the caller's."""
    kept = await tx.session.execute(
        update(IdempotencyKey)
        .where(_claim(caller, key, claimed_at))
        .values(status=status, headers=dict(headers), body=body)
        .returning(IdempotencyKey.key)
        .execution_options(synchronize_session=False)
    )
    return kept.first() is not None


async def forget(tx: Tx, caller: UUID, key: str, *, claimed_at: datetime | None, is_open_only: bool) -> None:
    """Delete a claim; `is_open_only`: unless there is an answer."""
    open_only = (IdempotencyKey.status.is_(None),) if is_open_only else ()
    await tx.session.execute(
        delete(IdempotencyKey)
        .where(_claim(caller, key, claimed_at), *open_only)
        .execution_options(synchronize_session=False)
    )


async def replace_answers(tx: Tx, holding: str, *, status: int) -> None:
    """Leave nothing but this status of every answer that has this text in it."""
    holds_it = func.position(literal(holding.encode()).op("IN")(IdempotencyKey.body)) > 0
    await tx.session.execute(
        update(IdempotencyKey)
        .where(holds_it)
        .values(status=status, headers={}, body=b"")
        .execution_options(synchronize_session=False)
    )


async def delete_older_than(tx: Tx, at: datetime) -> None:
    """Delete what was claimed before this time."""
    old = delete(IdempotencyKey).where(IdempotencyKey.created_at <= at)
    await tx.session.execute(old.execution_options(synchronize_session=False))


def _claim(caller: UUID, key: str, claimed_at: datetime | None) -> ColumnElement[bool]:
    mine = and_(IdempotencyKey.caller == caller, IdempotencyKey.key == key)
    # A claim that is taken over has another time.
    return and_(
        mine, IdempotencyKey.status.is_(None) if claimed_at is None else IdempotencyKey.created_at == claimed_at
    )
