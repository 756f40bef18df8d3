"""Reading what belongs to an incident elsewhere: its links, and the incidents that it has to do with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, func, literal, or_, select, tuple_, union_all

from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.incidents import queries
from tocsin.incidents.model import Incident, IncidentLink, IncidentRelation, Relation, RelationKind
from tocsin.incidents.queries import Ref
from tocsin.incidents.visibility import visible
from tocsin.kit.errors import NotFound

# Any constant will do that nobody else takes; see `db/migrate.py`.
_FAMILY = 7_302_101_003


@dataclass(frozen=True, slots=True)
class Related:
    """Another incident, and what it is to the one that was asked about."""

    relation: Relation
    incident: Incident

    @property
    def place(self) -> tuple[UUID, Relation]:
        return self.incident.id, self.relation


async def links(tx: Tx, access: Access, ref: Ref, *, after: UUID | None = None, limit: int = 100) -> list[IncidentLink]:
    """Return the links of an incident that may be seen, in the order in which they were added."""
    incident = await queries.get(tx, access, ref)
    query = select(IncidentLink).where(IncidentLink.incident_id == incident.id)
    if after is not None:
        query = query.where(IncidentLink.id > after)
    return list((await tx.session.scalars(query.order_by(IncidentLink.id).limit(limit))).all())


async def link(tx: Tx, incident_id: UUID, id: UUID) -> IncidentLink:
    """Return a link of this incident; raises `NotFound`. Lock the incident before you change it."""
    query = select(IncidentLink).where(IncidentLink.id == id, IncidentLink.incident_id == incident_id)
    found = (await tx.session.scalars(query)).one_or_none()
    if found is None:
        raise NotFound("There is no such link.")
    return found


async def count_links(tx: Tx, incident_id: UUID) -> int:
    """Return how many links the incident has."""
    query = select(func.count()).where(IncidentLink.incident_id == incident_id)
    return (await tx.session.execute(query)).scalar_one()


async def relations(
    tx: Tx, access: Access, ref: Ref, *, after: tuple[UUID, Relation] | None = None, limit: int = 100
) -> list[Related]:
    """Return the incidents that one that may be seen has to do with, as far as they may be seen, the oldest first."""
    incident = await queries.get(tx, access, ref)
    named = union_all(*_named_by(incident.id)).subquery()
    query = select(named.c.relation, Incident).join(Incident, Incident.id == named.c.id).where(visible(access))
    if after is not None:
        query = query.where(tuple_(Incident.id, named.c.relation) > tuple_(*after))
    query = query.order_by(Incident.id, named.c.relation).limit(limit)
    found = await tx.session.execute(query)
    rows = cast("Sequence[tuple[str, Incident]]", found.all())
    return [Related(Relation(relation), other) for relation, other in rows]


def _named_by(id: UUID) -> list[Select[Any]]:
    row, parent = IncidentRelation, IncidentRelation.kind == RelationKind.PARENT
    related = IncidentRelation.kind == RelationKind.RELATED

    def told(relation: Relation, other: Any) -> Select[Any]:
        return cast("Select[Any]", select(literal(relation.value).label("relation"), other.label("id")))

    return [
        told(Relation.PARENT, row.other_id).where(row.incident_id == id, parent),
        told(Relation.CHILD, row.incident_id).where(row.other_id == id, parent),
        told(Relation.RELATED, row.other_id).where(row.incident_id == id, related),
        told(Relation.RELATED, row.incident_id).where(row.other_id == id, related),
        told(Relation.DUPLICATE_OF, Incident.duplicate_of_id).where(
            Incident.id == id, Incident.duplicate_of_id.is_not(None)
        ),
        told(Relation.DUPLICATE, Incident.id).where(Incident.duplicate_of_id == id),
    ]


async def between(tx: Tx, one: UUID, other: UUID) -> IncidentRelation | None:
    """Return what two incidents are to each other; lock both before you change it."""
    row = IncidentRelation
    query = select(row).where(
        or_(
            (row.incident_id == one) & (row.other_id == other),
            (row.incident_id == other) & (row.other_id == one),
        )
    )
    return (await tx.session.scalars(query)).one_or_none()


async def parent_of(tx: Tx, id: UUID) -> UUID | None:
    """Return the parent of an incident."""
    row = IncidentRelation
    query = select(row.other_id).where(row.incident_id == id, row.kind == RelationKind.PARENT)
    return (await tx.session.scalars(query)).one_or_none()


async def lock_family(tx: Tx) -> None:
    """Keep others from giving parents until the commit: two of them could close a circle that neither sees."""
    await tx.session.execute(select(func.pg_advisory_xact_lock(_FAMILY)))


async def ancestors(tx: Tx, id: UUID) -> set[UUID]:
    """Return the incidents above one: its parent, the parent of that, and so on."""
    row = IncidentRelation
    above = select(row.other_id.label("id")).where(row.incident_id == id, row.kind == RelationKind.PARENT)
    chain = above.cte("above", recursive=True)
    further = select(row.other_id).join(chain, chain.c.id == row.incident_id).where(row.kind == RelationKind.PARENT)
    return set(await tx.session.scalars(select(chain.union(further).c.id)))
