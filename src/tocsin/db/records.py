"""Records by their ids, for reading or for changing, and new ones; `what` is what people call such a record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, SQLColumnExpression, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.db.locks import LOCK, for_change
from tocsin.kit.errors import NotFound
from tocsin.kit.record import Record
from tocsin.kit.text import storable

R = TypeVar("R", bound=Record)
# The word "name" as a number; the other half of an advisory lock's key is the table.
_NAMES = 0x6E616D65


async def list_records(
    tx: Tx,
    kind: type[R],
    *only: ColumnElement[bool],
    after: UUID | None = None,
    backwards: bool = False,
    limit: int,
) -> list[R]:
    """Return records of which `only` holds in the order in which they were made, those after the id `after`.

    `backwards` are those before it, the latest first.
    """
    id = kind.__table__.c.id
    query = select(kind).where(*only, *([] if after is None else [id < after if backwards else id > after]))
    return list((await tx.session.scalars(query.order_by(id.desc() if backwards else id).limit(limit))).all())


async def count_records(tx: Tx, kind: type[R], *only: ColumnElement[bool], most: int) -> int:
    """Count the records of which `only` holds, and stop when they are more than `most`."""
    found = select(kind.__table__.c.id).where(*only).limit(most + 1).subquery()
    return await tx.session.scalar(select(func.count()).select_from(found)) or 0


def has_words(words: Collection[str], *texts: SQLColumnExpression[str]) -> list[ColumnElement[bool]]:
    """Say in SQL that each of these words (`kit.search`) stands in one of the texts."""
    return [or_(*(each.icontains(storable(word), autoescape=True) for each in texts)) for word in words]


async def get_record(tx: Tx, kind: type[R], id: UUID, what: str, *only: ColumnElement[bool]) -> R:
    """Return one record; raises `NotFound`, also for one of which `only` does not hold."""
    if not only:
        return _found(await tx.session.get(kind, id), what)
    query = select(kind).where(kind.__table__.c.id == id, *only)
    return _found((await tx.session.scalars(query)).one_or_none(), what)


async def lock_record(tx: Tx, kind: type[R], id: UUID, what: str) -> R:
    """Return one record as it is now and keep others from changing it until the commit; raises `NotFound`."""
    return _found(await tx.session.get(kind, id, with_for_update=LOCK, populate_existing=True), what)


async def lock_to_delete(tx: Tx, kind: type[R], id: UUID, what: str) -> R:
    """Return one record for removing: once nobody begins to refer to it, and nobody can; raises `NotFound`."""
    return _found(await tx.session.get(kind, id, with_for_update=True, populate_existing=True), what)


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


async def lock_names(tx: Tx, kind: type[Record]) -> dict[UUID, str]:
    """Return the name of each record of this kind by its id, and let nobody else ask for them until the commit.

    Whoever gives one a name asks first, so that two who do it at once come one after the other.
    """
    await tx.session.execute(select(func.pg_advisory_xact_lock(_NAMES, func.hashtext(kind.__tablename__))))
    columns = kind.__table__.c
    return {id: name for id, name in await tx.session.execute(select(columns.id, columns.name))}


def _found(record: R | None, what: str) -> R:
    if record is None:
        raise _missing(what)
    return record


def _missing(what: str) -> NotFound:
    return NotFound(f"There is no such {what}.")
