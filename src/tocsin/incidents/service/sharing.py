"""Letting one person, or one team, see and do something with one thing, beside all that their roles allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import SOURCE_ID, AlertSource
from tocsin.alerts.service import SourceChanges, update_source
from tocsin.db.engine import Tx
from tocsin.events.base import Change, Subject
from tocsin.events.configuration import (
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
    UserLostRights,
)
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.access import SCOPED, P, Permission, ResourceKind, Thing
from tocsin.identity.access_queries import grants, hold_role, lock_grant, people_of_grant
from tocsin.identity.model import AccessGrant, Actor
from tocsin.identity.service.owners import Owners
from tocsin.incidents import queries, sharing_queries
from tocsin.incidents.model import INCIDENT_ID, Incident
from tocsin.incidents.service.editing import IncidentChanges, update
from tocsin.incidents.sharing_queries import Holder, visible_grants
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound

# All of one holder's are read with each of their requests.
MOST_OF_ONE = 1000


async def grant(tx: Tx, who: Actor, *, kind: ResourceKind, resource_id: UUID, role: str, holder: Holder) -> AccessGrant:
    """Let a person or a team do with an incident, or with a source and its alerts, what a role allows.

    For whoever may edit the incident, manage the source, or manage access in general, and nothing beyond what they may
    do with it themselves. A second grant for the same thing and holder takes the place of the first.
    """
    thing = await _thing(tx, who, kind, resource_id)
    _must_share(who, kind, thing)
    await _must_not_exceed(tx, who, role, thing)
    name = await _holder_name(tx, who, holder)
    old = await sharing_queries.granted_role(tx, holder, (kind, resource_id))
    if old is None and await sharing_queries.count_grants(tx, holder) >= MOST_OF_ONE:
        raise Conflict(
            f"{name} has {MOST_OF_ONE:,} grants. Put them into a team that owns these things.", code="grant.many"
        )
    if old is not None:
        await _must_not_exceed(tx, who, old, thing)
    made = await sharing_queries.store_grant(tx, holder, (kind, resource_id), role)
    title = _title(name, thing)
    about: dict[str, Any] = {"kind": "access_grant", "id": made.id, "of": _sides(made)}
    if old is None:
        await emit(tx, ConfigurationCreated(actor=who.ref, **about, title=f"{title} ({role})"))
    elif old != role:
        change = Change(field="role", old=old, new=role)
        await emit(tx, ConfigurationChanged(actor=who.ref, **about, title=title, changes=[change]))
        await _note_lost(tx, who, made)
    return made


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who has access to one thing: itself, where its page is and what people call it, and its grants."""

    thing: Incident | AlertSource
    path: str
    called: str
    grants: list[AccessGrant]


async def read_sharing(tx: Tx, who: Actor, thing: Thing, *, limit: int) -> Sharing:
    """Return who owns something and was granted it, for whoever could grant it."""
    found = await _thing(tx, who, *thing)
    _must_share(who, thing[0], found)
    rows = await grants(tx, visible_grants(who.access.reach), thing=thing, limit=limit)
    if isinstance(found, Incident):
        return Sharing(found, INCIDENT_ID.page(found.reference), f"{found.reference} {found.title}", rows)
    return Sharing(found, SOURCE_ID.page(found.id), found.name, rows)


async def change_owners(
    tx: Tx, who: Actor, thing: Thing, owners: Owners, *, if_version: Copy = None
) -> Incident | AlertSource:
    """Say which teams own an incident or a source, and whether it is for them only; as editing either does."""
    kind, id = thing
    match kind:
        case ResourceKind.INCIDENT:
            return await update(tx, who, id, IncidentChanges(owners=owners), if_version=if_version)
        case ResourceKind.ALERT_SOURCE:
            return await update_source(tx, who, id, SourceChanges(owners=owners), if_version=if_version)


async def revoke_grant(tx: Tx, who: Actor, grant_id: UUID) -> None:
    """Take a grant back. For whoever could give it; raises `NotFound` for one that the actor may not see."""
    held = await lock_grant(tx, grant_id, visible_grants(who.access.reach))
    kind = ResourceKind(held.kind)
    thing = await _thing(tx, who, kind, held.resource_id)
    _must_share(who, kind, thing)
    await _must_not_exceed(tx, who, held.role, thing)
    holder = Holder("user", held.user_id) if held.user_id is not None else Holder("team", held.team_id or held.id)
    title = _title(await _holder_name(tx, who, holder, also_gone=True), thing)
    await _note_lost(tx, who, held)
    await tx.session.delete(held)
    about: dict[str, Any] = {"kind": "access_grant", "id": grant_id, "of": _sides(held)}
    await emit(tx, ConfigurationDeleted(actor=who.ref, **about, title=title))


def _sides(held: AccessGrant) -> tuple[Subject, ...]:
    """Say whose history a grant belongs to beside its own: of whoever holds it, and of what it is for."""
    holder = Subject("team", held.team_id) if held.team_id is not None else Subject("user", held.user_id or held.id)
    return (holder, Subject(held.kind, held.resource_id))


async def list_grants(
    tx: Tx, who: Actor, thing: Thing | None = None, *, after: UUID | None = None, limit: int = 100
) -> list[AccessGrant]:
    """Return the grants for one thing, for whoever could grant it, or all of them for whoever manages access.

    Those for what the actor may not see, or for teams that are hidden from them, are left out.
    """
    if thing is None:
        who.must(P.ACCESS_MANAGE)
    else:
        _must_share(who, thing[0], await _thing(tx, who, *thing))
    return await grants(tx, visible_grants(who.access.reach), thing=thing, after=after, limit=limit)


async def _note_lost(tx: Tx, who: Actor, held: AccessGrant) -> None:
    """Let whoever had a role in incidents by a grant hand it over, if they may not have it any more."""
    lost = await people_of_grant(tx, held)
    await emit(tx, *(UserLostRights(actor=who.ref, user_id=each.id, user_name=each.name) for each in lost))


async def _thing(tx: Tx, who: Actor, kind: ResourceKind, id: UUID) -> Incident | AlertSource:
    match kind:
        case ResourceKind.INCIDENT:
            return await queries.get(tx, who.access.reach, id)
        case ResourceKind.ALERT_SOURCE:
            return await alert_queries.source(tx, who.access.reach, id)


_SHARES: dict[ResourceKind, Permission] = {
    ResourceKind.INCIDENT: P.INCIDENT_EDIT,
    ResourceKind.ALERT_SOURCE: P.SOURCE_MANAGE,
}


async def _must_not_exceed(tx: Tx, who: Actor, role: str, thing: Incident | AlertSource) -> None:
    """Raise `Denied` for a role that may do more with it than the actor: they neither give it nor take it away."""
    allowed = await hold_role(tx, role) & SCOPED
    if beyond := sorted(permission for permission in allowed if not who.may(permission, on=thing)):
        raise Denied(f"You cannot grant “{beyond[0]}” for this, or take it back, as you may not do it yourself.")


def _must_share(who: Actor, kind: ResourceKind, thing: Incident | AlertSource) -> None:
    if not who.may(P.ACCESS_MANAGE):
        who.must(_SHARES[kind], on=thing)


async def _holder_name(tx: Tx, who: Actor, holder: Holder, *, also_gone: bool = False) -> str:
    if holder.kind == "team":
        teams = await identity.teams_by_id(tx, who.access, [holder.id])
        team = teams.get(holder.id)
        if team is None or (team.archived_at is not None and not also_gone):
            raise Invalid("team_id", "Choose a team that is not archived.", code="unknown")
        return team.name
    try:
        person = await identity.user(tx, holder.id)
    except NotFound as problem:
        raise Invalid("user_id", problem.message, code="unknown") from None
    if not (person.is_active or also_gone):
        raise Invalid("user_id", f"The account of {person.name} is switched off.", code="inactive")
    return person.name


def _title(name: str, thing: Incident | AlertSource) -> str:
    return f"{name}: {thing.reference if isinstance(thing, Incident) else thing.name}"
