"""Which other incidents an incident has to do with, and making one of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Router

from tocsin.api.base.body import Body, naming
from tocsin.api.base.http import reference
from tocsin.api.base.resource import IF_MATCH, Called, Order, Resource, plainly
from tocsin.api.shapes.incident import INCIDENTS
from tocsin.api.shapes.refs import INCIDENT
from tocsin.db.engine import Tx
from tocsin.edge.cursors import read_place
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import related_queries
from tocsin.incidents.model import INCIDENT_ID, Incident, Relation, Status
from tocsin.incidents.related_queries import Related
from tocsin.incidents.service import ending, relating

_Reason = Annotated[str, msgspec.Meta(max_length=ending.REASON_LIMIT)]


class Relate(Body, kw_only=True):
    """What another incident is to this one: `parent`, `child` or `related`."""

    example: ClassVar[Mapping[str, Any]] = {"type": "parent", "incident": "INC-6"}
    type: Relation
    incident: str


class RelatedIncident(msgspec.Struct):
    """The other incident."""

    id: str
    number: str
    title: str
    status: Status
    severity: int


class RelationOut(msgspec.Struct):
    """What another incident is to this one; those that you may not see are left out."""

    type: Relation
    incident: RelatedIncident


class MarkDuplicate(Body, kw_only=True):
    """The incident that goes on, by its id or number."""

    example: ClassVar[Mapping[str, Any]] = {"duplicate_of": "INC-6"}
    duplicate_of: str
    note: _Reason = ""


class MergeIncidents(Body, kw_only=True):
    """The incidents that are merged into this one, by their ids or numbers."""

    example: ClassVar[Mapping[str, Any]] = {"incidents": ["INC-8"]}
    incidents: Annotated[list[str], msgspec.Meta(min_length=1, max_length=relating.MOST_MERGED)]
    note: _Reason = ""


def _write(related: Related) -> RelationOut:
    other = related.incident
    named = RelatedIncident(
        INCIDENT_ID.write(other.id), other.reference, other.title, Status(other.status), other.severity
    )
    return RelationOut(related.relation, named)


def _place(cursor: str | None) -> tuple[UUID, Relation] | None:
    return read_place(cursor, tuple[UUID, Relation])


async def _relate(tx: Tx, who: Actor, ref: str, *, type: Relation, incident: str) -> Related:
    with naming("incident"):
        other = reference(incident)
    return await relating.relate(tx, who, ref, relation=type, incident=other)


async def _mark(tx: Tx, who: Actor, ref: str, *, duplicate_of: str, note: str, if_version: int | None) -> Incident:
    with naming("duplicate_of"):
        other = reference(duplicate_of)
    return await relating.mark_duplicate(tx, who, ref, other, note=note, if_version=if_version)


async def _merge(tx: Tx, who: Actor, ref: str, *, incidents: list[str], note: str) -> Incident:
    others: list[str] = []
    for at, each in enumerate(incidents):
        with naming("incidents", at):
            others.append(reference(each))
    return await relating.merge(tx, who, ref, others, note=note)


RELATIONS = Resource(
    "/incidents/{id:str}/relations",
    Called("relation", INCIDENT.read),
    RelationOut,
    plainly(_write),
    view=P.INCIDENT_VIEW,
    manage=P.INCIDENT_EDIT,
    tag="incidents",
    order=Order(lambda related: related.place, _place),
    below=INCIDENT,
    item="incident",
)
ROUTER = Router(
    "/",
    route_handlers=[
        RELATIONS.router(
            RELATIONS.list(
                related_queries.relations,
                "List the incidents that this one has to do with, duplicates included, the oldest first.",
            ),
            RELATIONS.create(
                Relate,
                _relate,
                """Say what another incident is to this one; the other says so, too.

                What was said of the two before is replaced. An incident has one parent, and none of those below it
                can be that (409).
                """,
            ),
            RELATIONS.delete(relating.unrelate, "Say that two incidents have nothing to do with each other."),
        ),
        INCIDENTS.router(
            INCIDENTS.action(
                "mark_duplicate",
                _mark,
                "Say that another incident goes on instead; alerts and whoever has joined go over to it.",
                MarkDuplicate,
                needs=P.INCIDENT_RESOLVE,
                asks=IF_MATCH,
            ),
            INCIDENTS.action(
                "merge",
                _merge,
                "Let this open incident go on for others, which are cancelled as its duplicates. All or none.",
                MergeIncidents,
                needs=P.INCIDENT_RESOLVE,
                name="merge_incidents",
            ),
        ),
    ],
)
