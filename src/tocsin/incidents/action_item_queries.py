"""Every query about action items. What somebody may see of them is what they see of their incidents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, select, tuple_

from tocsin.db.arrays import among, found_among, overlaps
from tocsin.db.engine import Tx
from tocsin.db.locks import for_change
from tocsin.db.records import get_record, has_words, lock_record
from tocsin.identity.access import Access
from tocsin.identity.model import TeamMember
from tocsin.incidents import queries
from tocsin.incidents.list_queries import is_called
from tocsin.incidents.model import TO_DO, ActionItem, ActionKind, ActionStatus, Incident, Priority
from tocsin.incidents.queries import Ref
from tocsin.incidents.visibility import visible
from tocsin.kit.search import MOST_SEARCHED, is_short, words_in
from tocsin.kit.text import storable

WHAT = "action item"


@dataclass(frozen=True, slots=True)
class Listed:
    """An action item and the incident that it belongs to."""

    item: ActionItem
    incident: Incident


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the list ended: what is due first comes first, what is due at no time last."""

    due: date
    id: UUID

    @classmethod
    def of(cls, listed: Listed) -> Place:
        return cls(listed.item.due_date or date.max, listed.item.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What narrows a list; different filters must all hold, the values of one are alternatives."""

    statuses: Collection[ActionStatus] = ()
    kinds: Collection[ActionKind] = ()
    priorities: Collection[Priority] = ()
    assignee_ids: Collection[UUID] = ()
    # Also, or only, what nobody has.
    is_unassigned: bool = False
    # None: of whatever incident; of none, if there are none of these.
    incident_ids: Collection[UUID] | None = None
    # Of incidents that these teams own, or given to somebody in them; None and none as above.
    team_ids: Collection[UUID] | None = None
    # Still to be done, and due before this day.
    overdue_on: date | None = None
    due_until: date | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Say it in SQL."""
        found: list[ColumnElement[bool]] = []
        if self.statuses:
            found.append(ActionItem.status.in_([status.value for status in self.statuses]))
            if set(self.statuses) <= set(TO_DO):
                # As the partial index says it.
                found.append(ActionItem.ended_at.is_(None))
        if self.kinds:
            found.append(ActionItem.kind.in_([kind.value for kind in self.kinds]))
        if self.priorities:
            found.append(ActionItem.priority.in_([priority.value for priority in self.priorities]))
        if self.assignee_ids or self.is_unassigned:
            ways = [_given_to(self.assignee_ids)] if self.assignee_ids else []
            ways += [ActionItem.assignee_id.is_(None)] if self.is_unassigned else []
            found.append(or_(*ways))
        if self.incident_ids is not None:
            found.append(among(ActionItem.incident_id, self.incident_ids))
        if self.team_ids is not None:
            members = select(TeamMember.user_id).where(among(TeamMember.team_id, self.team_ids))
            found.append(or_(overlaps(Incident.team_ids, self.team_ids), ActionItem.assignee_id.in_(members)))
        if self.overdue_on is not None:
            found += [ActionItem.ended_at.is_(None), _due(ActionItem) < self.overdue_on]
        if self.due_until is not None:
            found.append(_due(ActionItem) <= self.due_until)
        return found


def _given_to(people: Collection[UUID]) -> ColumnElement[bool]:
    # Of one person the index holds the order of the list too, which it does not for one of several.
    return ActionItem.assignee_id == next(iter(people)) if len(people) == 1 else among(ActionItem.assignee_id, people)


async def listed(
    tx: Tx,
    access: Access,
    narrowed: Filters = Filters(),
    *,
    q: str = "",
    after: Place | None = None,
    backwards: bool = False,
    limit: int = 25,
) -> list[Listed]:
    """Return one page of the action items of incidents that may be seen, by their due dates, behind a place.

    `backwards` are those in front of it, the nearest first. `q` are words (`kit.search`), each of them anywhere in the
    description, or the number of an incident (`INC-7`), whose items it finds. A short one is looked for only in the
    first `MOST_SEARCHED` of the list, and among all numbers.
    """
    return await _read(tx, _found(access, narrowed, q, after, limit, backwards=backwards))


async def count(tx: Tx, access: Access, narrowed: Filters, *, q: str = "", most: int) -> int:
    """Count what `listed` would find, and stop when it is more than `most`."""
    found = _found(access, narrowed, q, None, most + 1).with_only_columns(ActionItem.id).subquery()
    return (await tx.session.execute(select(func.count()).select_from(found))).scalar_one()


async def is_searched_in_part(tx: Tx, access: Access, narrowed: Filters, q: str) -> bool:
    """Say whether `listed` looks for `q` in the beginning of the list only, as it is short and the list is long."""
    wanted = storable(q).strip()
    if not wanted or not is_short(wanted):
        return False
    rows = _listed([*narrowed.conditions(), visible(access)], None, MOST_SEARCHED + 1).subquery()
    return (await tx.session.execute(select(rows.c.id).offset(MOST_SEARCHED).limit(1))).first() is not None


async def of_incident(
    tx: Tx, access: Access, ref: Ref, *, after: Place | None = None, limit: int = 100
) -> list[Listed]:
    """Return the action items of an incident by their due dates; raises `NotFound` for the incident."""
    incident = await queries.get(tx, access, ref)
    return await listed(tx, access, Filters(incident_ids=[incident.id]), after=after, limit=limit)


async def get(tx: Tx, access: Access, item_id: UUID) -> Listed:
    """Return one action item; raises `NotFound`, also for one of an incident that may not be seen."""
    found = await get_record(tx, ActionItem, item_id, WHAT, _is_seen(access))
    return Listed(found, await queries.get(tx, access, found.incident_id))


async def by_id(tx: Tx, access: Access, ids: Collection[UUID]) -> list[Listed]:
    """Return these action items by their due dates; those that are unknown or may not be seen are left out."""
    return await _read(tx, _listed([among(ActionItem.id, ids), visible(access)], None, None))


async def lock(tx: Tx, access: Access, item_id: UUID) -> Listed:
    """Return one action item as it is now, and keep others from changing it; raises `NotFound` as `get` does.

    The incident is not locked: what is to be done because of it changes nothing of it.
    """
    found = await get(tx, access, item_id)
    return Listed(await lock_record(tx, ActionItem, item_id, WHAT), found.incident)


async def lock_many(tx: Tx, access: Access, ids: Iterable[UUID]) -> dict[UUID, Listed]:
    """Lock several in the order of their ids; those that are unknown or may not be seen are left out."""
    query = for_change(select(ActionItem).where(ActionItem.id.in_(set(ids)), _is_seen(access)), ActionItem)
    items = list((await tx.session.scalars(query)).all())
    incidents = await queries.by_id(tx, access, {item.incident_id for item in items})
    return {item.id: Listed(item, incidents[item.incident_id]) for item in items if item.incident_id in incidents}


async def lock_open_of(tx: Tx, user_id: UUID, *, limit: int) -> list[ActionItem]:
    """Lock what this person is still to do, in whatever incident: so many of them."""
    theirs = select(ActionItem).where(ActionItem.assignee_id == user_id, ActionItem.ended_at.is_(None)).limit(limit)
    return list((await tx.session.scalars(for_change(theirs, ActionItem))).all())


async def open_in(tx: Tx, access: Access, incident_ids: Collection[UUID]) -> dict[UUID, list[ActionItem]]:
    """Return what is still to be done because of each of these incidents, as far as they may be seen: due first."""
    if not incident_ids:
        return {}
    narrowed = Filters(incident_ids=incident_ids, statuses=TO_DO)
    query = _listed([*narrowed.conditions(), visible(access)], None, None)
    found: dict[UUID, list[ActionItem]] = {}
    for each in await _read(tx, query):
        found.setdefault(each.incident.id, []).append(each.item)
    return found


async def _read(tx: Tx, query: Select[ActionItem, Incident]) -> list[Listed]:
    rows: Sequence[Any] = (await tx.session.execute(query)).all()
    return [Listed(item, incident) for item, incident in rows]


def _is_seen(access: Access) -> ColumnElement[bool]:
    return ActionItem.incident_id.in_(select(Incident.id).where(visible(access)))


def _due(rows: type[ActionItem]) -> ColumnElement[date]:
    """Return the day by which the list is ordered, as the indexes say it."""
    return func.coalesce(rows.due_date, literal_column("'infinity'::date"))


def _found(
    access: Access, narrowed: Filters, q: str, after: Place | None, limit: int | None, *, backwards: bool = False
) -> Select[ActionItem, Incident]:
    conditions = [*narrowed.conditions(), visible(access)]
    wanted = storable(q).strip()
    if not wanted:
        return _listed(conditions, after, limit, backwards=backwards)
    numbered = select(Incident.id).where(is_called(access, wanted), visible(access))
    of_number = found_among(ActionItem.incident_id, numbered)
    if not is_short(wanted):
        conditions.append(or_(and_(*has_words(words_in(wanted), ActionItem.description)), of_number))
        return _listed(conditions, after, limit, backwards=backwards)
    first = _listed(conditions, None, MOST_SEARCHED).with_only_columns(ActionItem.id, ActionItem.description).subquery()
    has = select(first.c.id).where(*has_words(words_in(wanted), first.c.description))
    return _listed([*conditions, or_(found_among(ActionItem.id, has), of_number)], after, limit, backwards=backwards)


def _listed(
    conditions: Sequence[ColumnElement[bool]], after: Place | None, limit: int | None, *, backwards: bool = False
) -> Select[ActionItem, Incident]:
    query = select(ActionItem, Incident).join(Incident, Incident.id == ActionItem.incident_id).where(*conditions)
    place = (_due(ActionItem), ActionItem.id)
    if after is not None:
        here, there = tuple_(*place), tuple_(after.due, after.id)
        query = query.where(here < there if backwards else here > there)
    return query.order_by(*(key.desc() if backwards else key for key in place)).limit(limit)


async def lock_to_remind(tx: Tx, now: datetime) -> ActionItem | None:
    """Lock one of those of which somebody is to be reminded by now; None when there is none that nobody else has."""
    due = for_change(select(ActionItem).where(ActionItem.remind_at <= now).limit(1), ActionItem, skip_locked=True)
    return (await tx.session.scalars(due)).one_or_none()
