"""Every query about who follows an incident, and which of some people may see it."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.identity.access import Access, P, ResourceKind
from tocsin.identity.access_queries import accesses, visible_teams
from tocsin.identity.model import Team, TeamMember, User
from tocsin.incidents import queries
from tocsin.incidents.model import Incident, Responder
from tocsin.incidents.queries import Ref
from tocsin.incidents.subscribers import Subscriber, SubscriberSource
from tocsin.kit.errors import NotFound


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody who follows, and what they are called."""

    row: Subscriber
    name: str


async def subscribers(
    tx: Tx, access: Access, ref: Ref, *, after: UUID | None = None, limit: int | None = None
) -> list[Named]:
    """Return who follows an incident in the order in which they began; raises `NotFound` for the incident.

    Whose account is off is left out, and so are teams that are archived or that the reader does not see.
    """
    incident = await queries.get(tx, access, ref)
    is_there = or_(User.is_active, and_(Team.archived_at.is_(None), visible_teams(access)))
    query = (
        select(Subscriber, func.coalesce(User.name, Team.name))
        .outerjoin(User, User.id == Subscriber.user_id)
        .outerjoin(Team, Team.id == Subscriber.team_id)
        .where(Subscriber.incident_id == incident.id, is_there)
    )
    if after is not None:
        query = query.where(Subscriber.id > after)
    rows = await tx.session.execute(query.order_by(Subscriber.id).limit(limit))
    return [Named(row, name) for row, name in rows]


async def all_of(tx: Tx, incident_id: UUID) -> list[Subscriber]:
    """Return all who follow an incident; lock the incident before you change them."""
    query = select(Subscriber).where(Subscriber.incident_id == incident_id).order_by(Subscriber.id)
    return list((await tx.session.scalars(query.execution_options(populate_existing=True))).all())


async def subscriber(tx: Tx, incident_id: UUID, id: UUID) -> Subscriber:
    """Return one who follows an incident; raises `NotFound`."""
    query = select(Subscriber).where(Subscriber.incident_id == incident_id, Subscriber.id == id)
    found = (await tx.session.scalars(query)).one_or_none()
    if found is None:
        raise NotFound("There is no such subscriber of this incident.")
    return found


async def subscription(tx: Tx, incident_id: UUID, user_id: UUID) -> Subscriber | None:
    """Return by what a person follows an incident themselves, and not by a team; None if they do not."""
    query = select(Subscriber).where(Subscriber.incident_id == incident_id, Subscriber.user_id == user_id)
    return (await tx.session.scalars(query)).one_or_none()


async def followed_by(tx: Tx, incident_id: UUID) -> dict[UUID, SubscriberSource]:
    """Return the people who follow an incident by themselves or in a team, each with how: by themselves counts."""
    query = select(Subscriber.user_id, Subscriber.source).where(
        Subscriber.incident_id == incident_id, Subscriber.user_id.is_not(None)
    )
    by_team = (
        select(TeamMember.user_id)
        .join(Subscriber, Subscriber.team_id == TeamMember.team_id)
        .join(Team, Team.id == TeamMember.team_id)
        .where(Subscriber.incident_id == incident_id, Team.archived_at.is_(None))
    )
    found = dict.fromkeys(await tx.session.scalars(by_team), SubscriberSource.ADDED)
    return found | {id: SubscriberSource(how) for id, how in await tx.session.execute(query) if id is not None}


async def who_sees(tx: Tx, incident: Incident, user_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of these people whose accounts are on and who may see the incident, as `visible` has it."""
    wanted = sorted(set(user_ids))
    if not wanted:
        return set()
    active = select(User.id).where(User.id.in_(wanted), User.is_active)
    theirs = await accesses(tx, (await tx.session.scalars(active)).all())
    on_it = select(Responder.user_id).where(Responder.incident_id == incident.id, Responder.user_id.in_(wanted))
    asked = set((await tx.session.scalars(on_it)).all())
    sources = set((await tx.session.scalars(select(Alert.source_id).where(Alert.incident_id == incident.id))).all())
    return {id for id, access in theirs.items() if id in asked or _sees(access, incident, sources)}


def _sees(access: Access, incident: Incident, source_ids: Set[UUID]) -> bool:
    by_source = access.granted(ResourceKind.ALERT_SOURCE, P.INCIDENT_VIEW)
    return access.sees(P.INCIDENT_VIEW, incident.owned, is_private=incident.is_private) or not source_ids.isdisjoint(
        by_source
    )
