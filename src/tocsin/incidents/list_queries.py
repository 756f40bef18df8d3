"""The lists of incidents: what narrows them, and how they are read so that years of incidents do not slow them down."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from tocsin.alerts.list_queries import number_in as alert_number_in
from tocsin.alerts.model import Alert
from tocsin.alerts.visibility import visible as visible_alerts
from tocsin.db.arrays import overlaps
from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.incidents.model import OPEN, Category, Incident, Priority, Responder, ResponderState, Status
from tocsin.incidents.visibility import visible
from tocsin.kit.search import MOST_SEARCHED, is_short, words_in
from tocsin.kit.text import storable
from tocsin.oncall.model import EscalationRun, PagingTrouble, RunState
from tocsin.oncall.queries import in_paging_trouble, paging_trouble

Sort = Literal["-declared_at", "declared_at", "severity", "-severity", "priority", "-priority"]
_LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the list ended: the keys of its last incident."""

    # Its priority where the list is sorted by that, else its severity.
    level: int | Priority
    declared_at: datetime
    id: UUID

    @classmethod
    def of(cls, incident: Incident, sort: Sort = "-declared_at") -> Place:
        level = Priority(incident.priority) if sort.endswith("priority") else incident.severity
        return cls(level, incident.declared_at, incident.id)

    def fits(self, sort: Sort) -> bool:
        """Say whether it is a place of a list in this order."""
        return isinstance(self.level, Priority) == sort.endswith("priority")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What narrows a list; different filters must all hold, the values of one are alternatives."""

    statuses: Collection[Status] = ()
    severities: Collection[int] = ()
    declared_from: datetime | None = None
    # Exclusive.
    declared_to: datetime | None = None
    lead_ids: Collection[UUID] = ()
    commander_ids: Collection[UUID] = ()
    reporter_ids: Collection[UUID] = ()
    troubles: Collection[PagingTrouble] = ()
    # In a role, or asked to come, or there.
    person_id: UUID | None = None
    # Resolved or cancelled since then.
    ended_from: datetime | None = None
    team_ids: Collection[UUID] = ()
    tags: Collection[str] = ()
    categories: Collection[Category] = ()
    priorities: Collection[Priority] = ()
    is_drill: bool | None = None
    type_ids: Collection[UUID] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        """Say it in SQL."""
        found: list[ColumnElement[bool]] = []
        if self.statuses:
            found.append(Incident.status.in_([status.value for status in self.statuses]))
        if self.team_ids:
            found.append(overlaps(Incident.team_ids, self.team_ids))
        if self.tags:
            # The second condition lets the index of those that have any serve.
            wanted = [storable(tag).casefold() for tag in self.tags]
            has_one = Incident.tags.op("&&", is_comparison=True)(literal(wanted, ARRAY(Text)))
            found += [has_one, Incident.tags != text("'{}'::text[]")]
        if self.type_ids:
            found.append(Incident.type_id.in_(self.type_ids))
        if self.severities:
            found.append(Incident.severity.in_(self.severities))
        if self.categories:
            found.append(Incident.category.in_([each.value for each in self.categories]))
        if self.priorities:
            found.append(Incident.priority.in_([each.value for each in self.priorities]))
        if self.is_drill is not None:
            found.append(and_(Incident.is_drill) if self.is_drill else not_(Incident.is_drill))
        if self.declared_from is not None:
            found.append(Incident.declared_at >= self.declared_from)
        if self.declared_to is not None:
            found.append(Incident.declared_at < self.declared_to)
        people = (
            (Incident.lead_id, self.lead_ids),
            (Incident.commander_id, self.commander_ids),
            (Incident.reporter_id, self.reporter_ids),
        )
        found += [column.in_(wanted) for column, wanted in people if wanted]
        if self.person_id is not None:
            found.append(_is_on_it(self.person_id))
        if self.ended_from is not None:
            found.append(func.coalesce(Incident.resolved_at, Incident.cancelled_at) >= self.ended_from)
        return found + (_in_trouble(self.troubles) if self.troubles else [])


async def listed(
    tx: Tx,
    access: Access,
    narrowed: Filters = Filters(),
    *,
    q: str = "",
    sort: Sort = "-declared_at",
    after: Place | None = None,
    backwards: bool = False,
    limit: int = 25,
) -> list[Incident]:
    """Return one page of the incidents that may be seen: the first, or those behind a place.

    `backwards` are those in front of it, the nearest first.

    `q` are words (`kit.search`), each of them anywhere in title or summary; or it is the number (`INC-7`, `7`), or that
    of an alert (`ALR-31`), which finds its incident. A short one is looked for only in the first `MOST_SEARCHED` of the
    list, and among all numbers. Sorting by `severity` puts SEV1 first, by `-severity` SEV5, by `priority` P1; within
    each the newest comes first.
    """
    order = _Order(sort, backwards=backwards)
    rows = aliased(Incident, _found(access, narrowed, q, order, limit, after).subquery())
    return list((await tx.session.scalars(select(rows).order_by(*order.of(rows)).limit(limit))).all())


async def count(tx: Tx, access: Access, narrowed: Filters, *, q: str, most: int) -> int:
    """Count what `listed` would find, and stop when it is more than `most`."""
    found = _found(access, narrowed, q, _NEWEST, most + 1, None).subquery()
    return (await tx.session.execute(select(func.count()).select_from(found))).scalar_one()


@dataclass(frozen=True, slots=True)
class _Order:
    """The order of a list, or that order `backwards`, and what stands behind a place in it."""

    sort: Sort
    backwards: bool = False

    @property
    def within(self) -> _Order:
        """Return the order within one severity or priority."""
        return _Order("-declared_at" if self.is_by_level else self.sort, self.backwards)

    @property
    def is_by_level(self) -> bool:
        """Say whether it goes by severity or priority, and only then by time."""
        return self.sort.lstrip("-") != "declared_at"

    def level(self, rows: type[Incident]) -> Any:
        """Return the column that it goes by."""
        return rows.priority if self.sort.endswith("priority") else rows.severity

    @property
    def levels(self) -> Sequence[int | Priority]:
        """Return all that this column may hold."""
        return tuple(Priority) if self.sort.endswith("priority") else range(1, 6)

    @property
    def _is_rising(self) -> bool:
        return (self.sort == "declared_at") != self.backwards

    @property
    def is_from_mild(self) -> bool:
        """Say whether it goes from SEV5 to SEV1, or from P4 to P1."""
        return (self.is_by_level and self.sort.startswith("-")) != self.backwards

    @property
    def is_of_an_index(self) -> bool:
        """Say whether an index has it: it has levels from the worst on, each with its newest first, and back."""
        return not (self.is_by_level and self.sort.startswith("-"))

    def of(self, rows: type[Incident]) -> tuple[ColumnElement[Any], ...]:
        time = [key.asc() if self._is_rising else key.desc() for key in (rows.declared_at, rows.id)]
        if not self.is_by_level:
            return tuple(time)
        level = self.level(rows)
        return (level.desc() if self.is_from_mild else level.asc(), *time)

    def behind(self, rows: type[Incident], place: Place | None) -> list[ColumnElement[bool]]:
        if place is None:
            return []
        here, there = tuple_(rows.declared_at, rows.id), tuple_(place.declared_at, place.id)
        later = here > there if self._is_rising else here < there
        if not self.is_by_level:
            return [later]
        return [or_(self.beyond(rows, place), and_(self.level(rows) == place.level, later))]

    def beyond(self, rows: type[Incident], place: Place) -> ColumnElement[bool]:
        """Say that the level of a row comes behind that of the place."""
        level = self.level(rows)
        return level < place.level if self.is_from_mild else level > place.level


_NEWEST = _Order("-declared_at")


def _found(access: Access, narrowed: Filters, q: str, order: _Order, limit: int, after: Place | None) -> Select[Any]:
    filters = [*narrowed.conditions(), visible(access)]
    wanted = storable(q).strip()
    if wanted and is_short(wanted):
        # The list is short then, and sorted as it is found.
        first = aliased(Incident, _listed(filters, _Order(order.sort), MOST_SEARCHED).subquery())
        found = select(first.id).where(*_has(first, wanted))
        numbered = select(Incident.id).where(is_called(access, wanted), *filters)
        return _first([Incident.id.in_(union(found, numbered)), *order.behind(Incident, after)], order, limit)
    if wanted:
        filters.append(or_(and_(*_has(Incident, wanted)), is_called(access, wanted)))
    return _listed(filters, order, limit, after)


async def is_searched_in_part(tx: Tx, access: Access, narrowed: Filters, q: str) -> bool:
    """Say whether `listed` looks for `q` in the beginning of the list only, as it is short and the list is long."""
    wanted = storable(q).strip()
    if not wanted or not is_short(wanted):
        return False
    rows = _listed([*narrowed.conditions(), visible(access)], _NEWEST, MOST_SEARCHED + 1).subquery()
    return (await tx.session.execute(select(rows.c.id).offset(MOST_SEARCHED).limit(1))).first() is not None


def _listed(
    conditions: Sequence[ColumnElement[bool]], order: _Order, limit: int, after: Place | None = None
) -> Select[Any]:
    """Return the first incidents for which all of this holds, in parts that an index has in their order."""
    if not order.is_by_level or (order.is_of_an_index and after is None):
        return _first([*conditions, *order.behind(Incident, after)], order, limit)
    parts: list[Select[Any]] = []
    if after is not None:
        here = [order.level(Incident) == after.level, *order.within.behind(Incident, after)]
        parts.append(_first([*here, *conditions], order.within, limit))
    if after is not None and order.is_of_an_index:
        parts.append(_first([order.beyond(Incident, after), *conditions], order, limit))
    else:
        # No index has them the other way round, but each level.
        each = [order.level(Incident) == level for level in order.levels]
        beyond = [order.beyond(Incident, after)] if after is not None else []
        parts += [_first([one, *beyond, *conditions], order.within, limit) for one in each]
    together = aliased(Incident, union_all(*(part.subquery().select() for part in parts)).subquery())
    return select(together).order_by(*order.of(together)).limit(limit)


def _first(conditions: Sequence[ColumnElement[bool]], order: _Order, limit: int) -> Select[Any]:
    return select(Incident).where(*conditions).order_by(*order.of(Incident)).limit(limit)


def _in_trouble(kinds: Collection[PagingTrouble]) -> list[ColumnElement[bool]]:
    return [Incident.status.in_([status.value for status in OPEN]), in_paging_trouble(_asks_for_help, kinds, _counts)]


def _asks_for_help(run: type[EscalationRun]) -> ColumnElement[bool]:
    return run.incident_id == Incident.id


def _counts(run: type[EscalationRun]) -> ColumnElement[bool]:
    """Say that nobody has come since this call for help began: no answer, nobody who joined, no new round."""
    other = aliased(EscalationRun)
    answered = select(other.id).where(
        other.incident_id == run.incident_id, other.state == RunState.ANSWERED, other.ended_at >= run.started_at
    )
    joined = select(Responder.user_id).where(
        Responder.incident_id == run.incident_id,
        Responder.state == ResponderState.JOINED,
        Responder.joined_at > run.started_at,
    )
    is_of_this_round = or_(Incident.reopened_at.is_(None), Incident.reopened_at < run.started_at)
    return and_(not_(answered.exists()), not_(joined.exists()), is_of_this_round)


async def troubles(tx: Tx, ids: Collection[UUID]) -> dict[UUID, PagingTrouble]:
    """Return for which of these incidents help was asked for in vain: nobody was reached, or nobody answered."""
    if not ids:
        return {}
    trouble = paging_trouble(_asks_for_help, _counts)
    query = select(Incident.id, trouble).where(Incident.id.in_(ids), *_in_trouble(PagingTrouble))
    return {id: PagingTrouble(word) for id, word in (await tx.session.execute(query)).all() if word is not None}


def _is_on_it(person_id: UUID) -> ColumnElement[bool]:
    here = (ResponderState.PAGED, ResponderState.JOINED)
    asked = select(Responder.user_id).where(
        Responder.incident_id == Incident.id, Responder.user_id == person_id, Responder.state.in_(here)
    )
    roles = (Incident.lead_id, Incident.commander_id, Incident.communicator_id)
    return or_(*(role == person_id for role in roles), asked.exists())


def _has(rows: type[Incident], wanted: str) -> list[ColumnElement[bool]]:
    """Say that each word is in the title or in the summary."""
    return [
        or_(rows.title.icontains(word, autoescape=True), rows.summary.icontains(word, autoescape=True))
        for word in words_in(wanted)
    ]


def is_called(access: Access, wanted: str) -> ColumnElement[bool]:
    """Say in SQL that an incident is what these words call: its number, or that of an alert of it."""
    ways: list[ColumnElement[bool]] = [Incident.reference == wanted.upper()]
    digits = wanted.removeprefix("#")
    if digits.isdecimal() and digits.isascii() and len(digits) < 20 and int(digits) <= _LARGEST_NUMBER:
        ways.append(Incident.number == int(digits))
    if (number := alert_number_in(wanted)) is not None:
        of_alert = select(Alert.incident_id).where(Alert.number == number, visible_alerts(access))
        ways.append(Incident.id == of_alert.scalar_subquery())
    return or_(*ways)


async def named_in(tx: Tx, access: Access, q: str) -> dict[str, UUID]:
    """Return which words of a search are what incidents are called (`INC-7`), of those that may be seen."""
    words = {word: storable(word).upper() for word in words_in(q) if "-" in word}
    query = select(Incident.reference, Incident.id).where(Incident.reference.in_(set(words.values())), visible(access))
    known = {reference: id for reference, id in (await tx.session.execute(query)).all()} if words else {}
    return {word: known[said] for word, said in words.items() if said in known}
