"""Where else an incident goes on, what it has to do with others, and making one of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.log import emit
from tocsin.events.related_incidents import IncidentRelated, IncidentUnrelated, LinkAdded, LinkRemoved
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, queries, related_queries
from tocsin.incidents.model import (
    CancelReason,
    Incident,
    IncidentLink,
    IncidentRelation,
    LinkKind,
    Relation,
    RelationKind,
)
from tocsin.incidents.queries import Ref
from tocsin.incidents.related_queries import Related
from tocsin.incidents.service.ending import cancel
from tocsin.kit.errors import Conflict, Invalid, NotFound
from tocsin.kit.ids import new_id
from tocsin.kit.text import clean, is_blank, storable
from tocsin.net.targets import BadTarget, read_url

NAME_LIMIT = 120
URL_LIMIT = 2048
MOST_LINKS = 50
MOST_MERGED = 20

_BACK = {Relation.PARENT: Relation.CHILD, Relation.CHILD: Relation.PARENT, Relation.RELATED: Relation.RELATED}


async def add_link(tx: Tx, who: Actor, ref: Ref, *, kind: LinkKind, url: str, name: str = "") -> IncidentLink:
    """Say where else the incident goes on; also when it is over. Without a name it is called by its address.

    Only http and https, without a user name; raises `Invalid` for anything else, and `Conflict` beyond 50 links.
    """
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    address = _address(url)
    if await related_queries.count_links(tx, incident.id) >= MOST_LINKS:
        raise Conflict(f"{incident.reference} has {MOST_LINKS} links. Remove one first.", code="incident.links")
    called = " ".join(clean(storable(name)).split())
    if len(called) > NAME_LIMIT:
        raise Invalid("name", f"The name is longer than {NAME_LIMIT} characters.", code="too_long")
    link = IncidentLink(
        id=new_id(),
        incident_id=incident.id,
        kind=kind,
        name=address[:NAME_LIMIT] if is_blank(called) else called,
        url=address,
        created_at=tx.now,
    )
    tx.session.add(link)
    await tx.session.flush()
    await emit(tx, LinkAdded(actor=who.ref, incident_id=incident.id, **_said(link)))
    return link


def _address(url: str) -> str:
    # Read as it looks: what turns letters round, or cannot be seen, has no place in an address.
    text = storable(url).strip()
    if clean(text) != text:
        raise Invalid("url", "Write the web address without invisible characters.", code="invalid")
    if len(text) > URL_LIMIT:
        raise Invalid("url", f"The web address is longer than {URL_LIMIT:,} characters.", code="too_long")
    try:
        read_url(text)
    except BadTarget as problem:
        raise Invalid("url", str(problem), code="invalid") from None
    return text


async def remove_link(tx: Tx, who: Actor, ref: Ref, link_id: UUID) -> None:
    """Take a link away; the record keeps what it was. Raises `NotFound`."""
    incident = await queries.lock(tx, who.access.reach, ref)
    who.must(P.INCIDENT_EDIT, on=incident)
    link = await related_queries.link(tx, incident.id, link_id)
    await tx.session.delete(link)
    await emit(tx, LinkRemoved(actor=who.ref, incident_id=incident.id, **_said(link)))


def _said(link: IncidentLink) -> dict[str, Any]:
    return {"link_id": link.id, "kind": link.kind, "title": link.name, "url": link.url}


async def relate(tx: Tx, who: Actor, ref: Ref, *, relation: Relation, incident: Ref) -> Related:
    """Say what another incident is to this one: its `parent`, a `child` of it, or `related`; both say so since.

    Idempotent; something else between the same two replaces what was. Raises `Invalid` for an incident that the actor
    does not see, `Conflict` for a second parent and for one that is below its own child. A duplicate is marked as one
    by `mark_duplicate`.
    """
    if relation not in _BACK:
        raise Invalid("relation", "Use “mark_duplicate” for this.", code="use_mark_duplicate")
    here, other = await _lock_both(tx, who, ref, incident)
    if relation is not Relation.RELATED:
        await related_queries.lock_family(tx)
    row = await related_queries.between(tx, here.id, other.id)
    if row is not None and _seen_from(row, here) is relation:
        return Related(relation, other)
    if row is not None:
        await _drop(tx, who, row, here, other)
    child, parent = (other, here) if relation is Relation.CHILD else (here, other)
    if relation is Relation.RELATED:
        child, parent = sorted((here, other), key=lambda each: each.id)
    else:
        await _must_be_above(tx, child, parent)
    kind = RelationKind.RELATED if relation is Relation.RELATED else RelationKind.PARENT
    tx.session.add(IncidentRelation(incident_id=child.id, other_id=parent.id, kind=kind, created_at=tx.now))
    await tx.session.flush()
    for one, two, told in ((here, other, relation), (other, here, _BACK[relation])):
        related = IncidentRelated(
            actor=who.ref, incident_id=one.id, reference=two.reference, title=two.title, relation=told
        )
        await emit(tx, related)
    return Related(relation, other)


async def _must_be_above(tx: Tx, child: Incident, parent: Incident) -> None:
    if await related_queries.parent_of(tx, child.id) is not None:
        raise Conflict(f"{child.reference} has a parent already. Take that away first.", code="incident.has_parent")
    if child.id in await related_queries.ancestors(tx, parent.id):
        raise Conflict(
            f"{child.reference} stands above {parent.reference}, so it cannot stand below it as well.",
            code="incident.circle",
        )


async def unrelate(tx: Tx, who: Actor, ref: Ref, incident: Ref) -> None:
    """Say that two incidents have nothing to do with each other; where that is so already nothing changes."""
    here, other = await _lock_both(tx, who, ref, incident)
    row = await related_queries.between(tx, here.id, other.id)
    if row is not None:
        await _drop(tx, who, row, here, other)


async def _drop(tx: Tx, who: Actor, row: IncidentRelation, here: Incident, other: Incident) -> None:
    relation = _seen_from(row, here)
    await tx.session.delete(row)
    await tx.session.flush()
    for one, two, told in ((here, other, relation), (other, here, _BACK[relation])):
        dropped = IncidentUnrelated(
            actor=who.ref, incident_id=one.id, reference=two.reference, title=two.title, relation=told
        )
        await emit(tx, dropped)


def _seen_from(row: IncidentRelation, here: Incident) -> Relation:
    if row.kind == RelationKind.RELATED:
        return Relation.RELATED
    return Relation.PARENT if row.incident_id == here.id else Relation.CHILD


async def _lock_both(tx: Tx, who: Actor, ref: Ref, incident: Ref) -> tuple[Incident, Incident]:
    """Lock an incident and another one; to relate them is to edit both."""
    here = (await queries.get(tx, who.access.reach, ref)).id
    try:
        there = (await queries.get(tx, who.access.reach, incident)).id
    except NotFound as problem:
        raise Invalid("incident", problem.message, code="unknown") from None
    if here == there:
        raise Invalid("incident", "An incident has no relation to itself.", code="itself")
    locked = await queries.lock_many(tx, [here, there])
    for each in locked.values():
        who.must(P.INCIDENT_EDIT, on=each)
    return locked[here], locked[there]


async def mark_duplicate(
    tx: Tx, who: Actor, ref: Ref, duplicate_of: Ref, *, note: str = "", if_version: int | None = None
) -> Incident:
    """Say that another incident goes on instead of this one, as `cancel` does; alerts and people go over to it."""
    return await cancel(
        tx, who, ref, CancelReason.DUPLICATE, note=note, duplicate_of=duplicate_of, if_version=if_version
    )


async def merge(tx: Tx, who: Actor, ref: Ref, refs: Sequence[Ref], *, note: str = "") -> Incident:
    """Let this open incident go on for others, 1 to 20 of them, which are cancelled as its duplicates.

    Their alerts and whoever has joined come over. All of them or none.
    """
    who.must_somewhere(P.INCIDENT_RESOLVE)
    if not 1 <= len(refs) <= MOST_MERGED:
        raise Invalid("incidents", f"Name between 1 and {MOST_MERGED} incidents.", code="count")
    survivor = (await queries.get(tx, who.access.reach, ref)).id
    ids: list[UUID] = []
    for at, each in enumerate(refs):
        try:
            ids.append((await queries.get(tx, who.access.reach, each)).id)
        except NotFound as problem:
            raise Invalid(f"incidents/{at}", problem.message, code="unknown") from None
    if survivor in ids:
        raise Invalid("incidents", "An incident cannot be merged into itself.", code="itself")
    locked = await queries.lock_many(tx, [survivor, *ids])
    who.must(P.INCIDENT_EDIT, on=locked[survivor])
    lifecycle.must_be_open(locked[survivor])
    for id in dict.fromkeys(ids):
        await mark_duplicate(tx, who, id, survivor, note=note)
    return locked[survivor]
