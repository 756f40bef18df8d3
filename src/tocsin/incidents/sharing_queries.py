"""Every query about what is shared one by one: grants on incidents and sources, and what somebody sees by these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from tocsin.alerts.model import AlertSource
from tocsin.alerts.visibility import visible_sources
from tocsin.db.arrays import overlaps
from tocsin.db.engine import Tx
from tocsin.identity.access import Access, P, ResourceKind, Thing
from tocsin.identity.access_queries import visible_teams
from tocsin.identity.model import AccessGrant, Team
from tocsin.incidents.model import CAN_BE_HIDDEN, Incident
from tocsin.incidents.visibility import seen_by_itself, visible
from tocsin.kit.ids import new_id


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is granted something: a person, or whoever is in a team."""

    kind: Literal["user", "team"]
    id: UUID


async def granted_role(tx: Tx, holder: Holder, thing: Thing) -> str | None:
    """Return the role that somebody has been granted for a thing."""
    query = select(AccessGrant.role).where(
        AccessGrant.kind == thing[0], AccessGrant.resource_id == thing[1], _held_by(holder)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def count_grants(tx: Tx, holder: Holder) -> int:
    """Count what somebody has been granted."""
    query = select(func.count()).select_from(AccessGrant).where(_held_by(holder))
    return await tx.session.scalar(query) or 0


async def store_grant(tx: Tx, holder: Holder, thing: Thing, role: str) -> AccessGrant:
    """Store a grant, in the place of the one for the same thing and holder."""
    by_user, by_team = (holder.id, None) if holder.kind == "user" else (None, holder.id)
    row = {"id": new_id(), "user_id": by_user, "team_id": by_team, "role": role, "kind": thing[0].value}
    new = insert(AccessGrant).values(row | {"resource_id": thing[1], "created_at": tx.now})
    new = new.on_conflict_do_update(constraint="access_grant_key", set_={"role": role})
    stored = await tx.session.scalars(new.returning(AccessGrant).execution_options(populate_existing=True))
    return stored.one()


def _held_by(holder: Holder) -> ColumnElement[bool]:
    return (AccessGrant.user_id if holder.kind == "user" else AccessGrant.team_id) == holder.id


def visible_grants(access: Access) -> ColumnElement[bool]:
    """Say in SQL that the thing of a grant may be seen, and the team that has it."""
    things = {
        ResourceKind.INCIDENT: select(Incident.id).where(visible(access)),
        ResourceKind.ALERT_SOURCE: select(AlertSource.id).where(visible_sources(access)),
    }
    of_kind = [
        and_(AccessGrant.kind == kind, AccessGrant.resource_id.in_(select(seen.subquery().c.id)))
        for kind, seen in things.items()
    ]
    teams = select(Team.id).where(visible_teams(access))
    return and_(or_(*of_kind), or_(AccessGrant.team_id.is_(None), AccessGrant.team_id.in_(teams)))


async def seen_by_itself_only(tx: Tx, access: Access, *, limit: int) -> set[UUID]:
    """Return the newest incidents that somebody sees though what they are themselves, and whose, does not show them."""
    query = select(Incident.id).where(seen_by_itself(access)).order_by(Incident.id.desc()).limit(limit)
    if P.INCIDENT_VIEW in access.organisation:
        # Somebody may have been on thousands that are open: those are not looked at, as they are in no such index.
        query = query.where(text(f"({CAN_BE_HIDDEN})"))
        query = query.where(or_(Incident.is_private, overlaps(Incident.team_ids, access.closed)))
    return set((await tx.session.scalars(query)).all())
