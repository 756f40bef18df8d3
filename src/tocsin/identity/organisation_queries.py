"""Every query about the row of the organisation that somebody may have to make."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.identity.model import Organisation


async def name(tx: Tx, name: str) -> None:
    """Give the organisation its name, and make it; of two that do so at once the second waits."""
    new = insert(Organisation).values(id=1, name=name, created_at=tx.now)
    await tx.session.execute(new.on_conflict_do_update(index_elements=[Organisation.id], set_={"name": name}))


async def make_sure_of(tx: Tx, name: str) -> Organisation:
    """Return the organisation, and make it with this name if there is none."""
    new = insert(Organisation).values(id=1, name=name, created_at=tx.now).on_conflict_do_nothing()
    await tx.session.execute(new)
    return (await tx.session.scalars(select(Organisation).where(Organisation.id == 1))).one()


async def take_incident_number(tx: Tx) -> tuple[int, str] | None:
    """Take the next number of incidents and return it with the prefix; None before the set-up."""
    statement = (
        update(Organisation)
        .where(Organisation.id == 1)
        .values(last_incident_number=Organisation.last_incident_number + 1)
        .returning(Organisation.last_incident_number, Organisation.incident_prefix)
        .execution_options(synchronize_session=False)
    )
    row = (await tx.session.execute(statement)).one_or_none()
    return (row[0], row[1]) if row is not None else None
