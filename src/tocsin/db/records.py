"""Records by their ids, for reading or for changing, and new ones; `what` is what people call such a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.db.locks import LOCK, for_change
from tocsin.kit.errors import NotFound
from tocsin.kit.record import Record

R = TypeVar("R", bound=Record)


async def get_record(tx: Tx, kind: type[R], id: UUID, what: str) -> R:
    """Return one record; raises `NotFound`."""
    return _found(await tx.session.get(kind, id), what)


async def lock_record(tx: Tx, kind: type[R], id: UUID, what: str) -> R:
    """Return one record as it is now and keep others from changing it until the commit; raises `NotFound`."""
    return _found(await tx.session.get(kind, id, with_for_update=LOCK, populate_existing=True), what)


async def lock_records(tx: Tx, kind: type[R], ids: Iterable[UUID], what: str, *only: ColumnElement[bool]) -> list[R]:
    """Lock several records in the order of their ids; raises `NotFound` when one is missing, or is none of `only`."""
    wanted = set(ids)
    query = for_change(select(kind).where(kind.__table__.c.id.in_(wanted), *only), kind)
    found = list((await tx.session.scalars(query)).all())
    if len(found) < len(wanted):
        raise _missing(what)
    return found


async def insert_record(tx: Tx, kind: type[R], values: Mapping[str, Any]) -> R | None:
    """Insert one record and return it; None when another has taken what must be unique, be it a moment ago."""
    new = insert(kind).values(dict(values)).on_conflict_do_nothing().returning(kind)
    return (await tx.session.scalars(new)).one_or_none()


def _found(record: R | None, what: str) -> R:
    if record is None:
        raise _missing(what)
    return record


def _missing(what: str) -> NotFound:
    return NotFound(f"There is no such {what}.")
