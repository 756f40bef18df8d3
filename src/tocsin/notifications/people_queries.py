"""The list of people: what narrows it, and in which order it is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal, select, tuple_

from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.identity.access_queries import has_role, visible_teams
from tocsin.identity.model import Team, TeamMember, User
from tocsin.identity.queries import is_said_of
from tocsin.kit.search import words_in
from tocsin.notifications.health import Reach
from tocsin.notifications.queries import reach

Sort = Literal["name", "created_at", "-created_at"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the list ended: name and id of its last person."""

    name: str
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What narrows the list; different filters must all hold, the values of one are alternatives."""

    # Words in any order, see `kit.search`: each of them anywhere in the name or the e-mail.
    q: str = ""
    roles: Collection[str] = ()
    # Only those that may be seen count.
    team_ids: Collection[UUID] = ()
    is_active: bool | None = None
    # Of people whose account is on, by the channels that this installation has.
    reach: Collection[Reach] = ()

    def conditions(self, access: Access, channels: Collection[str]) -> list[ColumnElement[bool]]:
        """Say it in SQL."""
        found = is_said_of(words_in(self.q))
        if self.roles:
            found.append(has_role(self.roles))
        if self.team_ids:
            members = select(TeamMember.user_id).join(Team, Team.id == TeamMember.team_id)
            found.append(User.id.in_(members.where(Team.id.in_(self.team_ids), visible_teams(access))))
        if self.is_active is not None:
            found.append(User.is_active.is_(self.is_active))
        if self.reach:
            found.append(and_(User.is_active, reach(channels).in_([word.value for word in self.reach])))
        return found


async def listed(
    tx: Tx,
    access: Access,
    channels: Collection[str],
    narrowed: Filters = Filters(),
    *,
    sort: Sort = "created_at",
    after: Place | None = None,
    backwards: bool = False,
    limit: int = 100,
) -> list[tuple[User, Reach]]:
    """Return people, each with how they can be reached on these channels: the first, or those behind a place.

    `created_at` puts those first who were added first. `backwards` are those in front of the place, the nearest first.
    """
    keys: list[Any] = [User.id]
    there: list[Any] = [after.id] if after is not None else []
    if sort == "name":
        keys = [func.lower(User.name), *keys]
        there = [func.lower(literal(after.name)), *there] if after is not None else []
    falls = (sort == "-created_at") != backwards
    query = select(User, reach(channels)).where(*narrowed.conditions(access, channels))
    if after is not None:
        query = query.where(tuple_(*keys) < tuple_(*there) if falls else tuple_(*keys) > tuple_(*there))
    query = query.order_by(*([key.desc() for key in keys] if falls else keys)).limit(limit)
    return [(person, Reach(word)) for person, word in (await tx.session.execute(query)).all()]


async def count(tx: Tx, access: Access, channels: Collection[str], narrowed: Filters, *, most: int) -> int:
    """Count whom `listed` would find, and stop when they are more than `most`."""
    found = select(User.id).where(*narrowed.conditions(access, channels)).limit(most + 1).subquery()
    return await tx.session.scalar(select(func.count()).select_from(found)) or 0
