"""Every query about incidents and the people on them. Lists page by key; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    tuple_,
)

from tocsin.alerts.model import Alert, AlertStatus
from tocsin.alerts.visibility import visible as visible_alerts
from tocsin.db.engine import Tx
from tocsin.db.locks import for_change
from tocsin.db.records import lock_records
from tocsin.identity.access import EVERYTHING, Access
from tocsin.identity.model import User
from tocsin.incidents.list_queries import Filters as Filters
from tocsin.incidents.list_queries import Place as Place
from tocsin.incidents.list_queries import Sort as Sort
from tocsin.incidents.list_queries import count as count
from tocsin.incidents.list_queries import is_searched_in_part as is_searched_in_part
from tocsin.incidents.list_queries import listed as listed
from tocsin.incidents.list_queries import named_in as named_in
from tocsin.incidents.list_queries import troubles as troubles
from tocsin.incidents.model import (
    COUNTED,
    INCIDENT_ID,
    OPEN,
    Incident,
    Responder,
    ResponderSource,
    ResponderState,
    Standing,
)
from tocsin.incidents.visibility import visible
from tocsin.kit.errors import NotFound
from tocsin.kit.text import storable
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState

# A UUID, the public id (`inc_…`), or the number as people say it (`INC-7`).
Ref = UUID | str

# Later than everything: who has not joined comes after who has.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Turnout:
    """How many of the people who are asked, or came by themselves, have joined; nobody else is counted."""

    joined: int
    asked: int


@dataclass(frozen=True, slots=True)
class NamedResponder:
    """A responder, what they are called, and how they stand to the incident now."""

    responder: Responder
    name: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class ResponderPlace:
    """Where a page of the responders ended."""

    is_absent: bool
    joined_at: datetime | None
    name: str
    user_id: UUID

    @classmethod
    def of(cls, named: NamedResponder) -> ResponderPlace:
        is_absent = named.responder.state != ResponderState.JOINED
        return cls(is_absent, named.responder.joined_at, named.name, named.responder.user_id)


def _by_ref(ref: Ref) -> Select[Incident]:
    query = select(Incident)
    if isinstance(ref, UUID):
        return query.where(Incident.id == ref)
    if ref.startswith("inc_"):
        return query.where(Incident.id == INCIDENT_ID.read(ref))
    said = storable(ref)
    return query.where(Incident.reference.in_({said, said.upper()}))


async def get(tx: Tx, access: Access, ref: Ref) -> Incident:
    """Return an incident; raises `NotFound`, also for one that may not be seen."""
    return await _only(tx, _by_ref(ref).where(visible(access)), ref)


async def lock(tx: Tx, access: Access, ref: Ref) -> Incident:
    """Return an incident as it is now, and keep others from changing it until the commit.

    Raises `NotFound`, also for one that may not be seen.
    """
    return await _only(tx, for_change(_by_ref(ref).where(visible(access)), Incident), ref)


async def _only(tx: Tx, query: Select[Incident], ref: Ref) -> Incident:
    found = (await tx.session.scalars(query)).one_or_none()
    if found is None:
        raise NotFound("There is no such incident." if isinstance(ref, UUID) else f"There is no incident “{ref[:60]}”.")
    return found


async def ids_called(tx: Tx, access: Access, refs: Collection[str]) -> dict[str, UUID]:
    """Return the ids of those of these incidents that may be seen, by what they were called (`INC-7`, `inc_…`)."""
    ids: dict[str, UUID] = {}
    for ref in refs:
        with suppress(NotFound):
            ids |= {ref: INCIDENT_ID.read(ref)} if ref.startswith("inc_") else {}
    words = {ref: storable(ref) for ref in refs if ref not in ids}
    wanted = {form for word in words.values() for form in (word, word.upper())}
    query = select(Incident.reference, Incident.id).where(visible(access))
    rows = await tx.session.execute(query.where(or_(Incident.reference.in_(wanted), Incident.id.in_(ids.values()))))
    found = {reference: id for reference, id in rows.all()}
    called = {ref: found.get(word) or found.get(word.upper()) for ref, word in words.items()}
    called |= {ref: id for ref, id in ids.items() if id in found.values()}
    return {ref: id for ref, id in called.items() if id is not None}


async def open_alert_ids(tx: Tx, incident_ids: Collection[UUID], access: Access = EVERYTHING) -> list[UUID]:
    """Return the alerts of these incidents that are not resolved, as far as they may be seen."""
    query = select(Alert.id).where(Alert.incident_id.in_(incident_ids), Alert.status != AlertStatus.RESOLVED)
    return list((await tx.session.scalars(query.where(visible_alerts(access)).order_by(Alert.id))).all())


async def lock_many(tx: Tx, incident_ids: Iterable[UUID]) -> dict[UUID, Incident]:
    """Lock several incidents in the order of their ids; raises `NotFound` when one is missing."""
    return {row.id: row for row in await lock_records(tx, Incident, incident_ids, "incident")}


async def by_id(tx: Tx, access: Access, incident_ids: Iterable[UUID]) -> dict[UUID, Incident]:
    """Return these incidents by their ids; those that are unknown or may not be seen are left out."""
    wanted = sorted(set(incident_ids))
    if not wanted:
        return {}
    return {
        row.id: row
        for row in await tx.session.scalars(select(Incident).where(Incident.id.in_(wanted), visible(access)))
    }


async def seen_references(tx: Tx, access: Access, references: Collection[str]) -> set[str]:
    """Return which of these references (`INC-7`) are of incidents that may be seen."""
    if not references:
        return set()
    query = select(Incident.reference).where(Incident.reference.in_(references), visible(access))
    return set(await tx.session.scalars(query))


async def duplicates(tx: Tx, access: Access, incident_ids: Sequence[UUID]) -> list[Incident]:
    """Return the incidents that were cancelled as duplicates of these, the oldest first."""
    if not incident_ids:
        return []
    query = select(Incident).where(Incident.duplicate_of_id.in_(incident_ids), visible(access))
    return list((await tx.session.scalars(query.order_by(Incident.number))).all())


async def responder(tx: Tx, incident_id: UUID, user_id: UUID) -> Responder | None:
    """Return one person's place on one incident, or None; lock the incident before you change it."""
    query = select(Responder).where(Responder.incident_id == incident_id, Responder.user_id == user_id)
    return (await tx.session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def open_with(tx: Tx, user_id: UUID) -> list[Incident]:
    """Return the open incidents in which this person has a role, is being asked or has joined, the oldest first."""
    here = (ResponderState.PAGED, ResponderState.JOINED)
    is_on_it = select(Responder.incident_id).where(Responder.user_id == user_id, Responder.state.in_(here))
    has_role = or_(*(role == user_id for role in (Incident.commander_id, Incident.lead_id, Incident.communicator_id)))
    query = select(Incident).where(Incident.status.in_(OPEN), or_(has_role, Incident.id.in_(is_on_it)))
    return list((await tx.session.scalars(query.order_by(Incident.id))).all())


async def joined_people(tx: Tx, incident_id: UUID) -> list[User]:
    """Return whoever has joined and whose account is on, in the order in which they joined."""
    query = (
        select(User)
        .join(Responder, Responder.user_id == User.id)
        .where(Responder.incident_id == incident_id, Responder.state == ResponderState.JOINED, User.is_active)
        .order_by(Responder.joined_at, User.id)
    )
    return list((await tx.session.scalars(query)).all())


async def responders_by_user(tx: Tx, incident_id: UUID, user_ids: Sequence[UUID]) -> dict[UUID, Responder]:
    """Return the places of these people on one incident; lock the incident before you change them."""
    query = select(Responder).where(Responder.incident_id == incident_id, Responder.user_id.in_(user_ids))
    found = await tx.session.scalars(query.execution_options(populate_existing=True))
    return {row.user_id: row for row in found.all()}


async def responders(
    tx: Tx, *incident_ids: UUID, after: ResponderPlace | None = None, limit: int | None = None
) -> list[NamedResponder]:
    """Return the people on these incidents: who joined in the order they did, then everybody else by name.

    With `limit` it is one page of the list, after the responder at `after`.
    """
    if not incident_ids:
        return []
    is_absent = Responder.state != ResponderState.JOINED
    place = (is_absent, func.coalesce(Responder.joined_at, _NEVER), User.name, User.id)
    query = (
        select(Responder, User.name, _standing())
        .join(User, User.id == Responder.user_id)
        .where(Responder.incident_id.in_(incident_ids))
        .order_by(*place)
        .limit(limit)
    )
    if after is not None:
        there = (after.is_absent, after.joined_at or _NEVER, after.name, after.user_id)
        query = query.where(tuple_(*place) > tuple_(*there))
    rows: Sequence[Any] = (await tx.session.execute(query)).all()
    return [NamedResponder(row, name, Standing(standing)) for row, name, standing in rows]


@cache
def _standing() -> ColumnElement[str]:
    """Return how a responder stands to the incident: by their state, and where they were asked by their newest page."""
    over = select(Incident.id).where(Incident.id == Responder.incident_id, Incident.status.not_in(OPEN)).exists()
    here, linked = _newest_page(Page.incident_id == Responder.incident_id), _newest_page(_of_linked_alert())
    by_page = case(
        (or_(here == Standing.ASKED.value, linked == Standing.ASKED.value), Standing.ASKED.value),
        else_=func.coalesce(here, linked),
    )
    # Who came by an alert that is in the incident no more is asked for it no more.
    unsent = case(
        (Responder.source == ResponderSource.PAGED, Standing.UNREACHABLE.value), else_=Standing.RELEASED.value
    )
    asked = func.coalesce(by_page, unsent)
    return case(
        (Responder.state != ResponderState.PAGED, Responder.state),
        (and_(over, asked == Standing.ASKED.value), Standing.RELEASED.value),
        else_=asked,
    )


def _of_linked_alert() -> ColumnElement[bool]:
    return Page.alert_id.in_(select(Alert.id).where(Alert.incident_id == Responder.incident_id))


def _newest_page(is_about: ColumnElement[bool]) -> ColumnElement[str | None]:
    goes_on = EscalationRun.state.in_((RunState.RUNNING, RunState.EXHAUSTED))
    said = case(
        (Page.state == PageState.PAGING, Standing.ASKED.value),
        (Page.state == PageState.UNREACHABLE, Standing.UNREACHABLE.value),
        (Page.state == PageState.DECLINED, Standing.DECLINED.value),
        # They may answer still, until somebody else has.
        (and_(Page.state == PageState.NO_ANSWER, goes_on), Standing.ASKED.value),
        else_=Standing.RELEASED.value,
    )
    query = select(said).join(EscalationRun, EscalationRun.id == Page.run_id)
    newest = (Page.state == PageState.PAGING).desc(), Page.id.desc()
    query = query.where(is_about, Page.user_id == Responder.user_id).order_by(*newest).limit(1)
    return query.correlate(Responder).scalar_subquery()


async def joined_counts(tx: Tx, incident_ids: Sequence[UUID]) -> dict[UUID, Turnout]:
    """Return how many people joined and how many there are, for each of these incidents."""
    joined = func.count().filter(Responder.state == ResponderState.JOINED)
    query = (
        select(Responder.incident_id, joined, func.count())
        .where(Responder.incident_id.in_(incident_ids), _standing().in_([each.value for each in COUNTED]))
        .group_by(Responder.incident_id)
    )
    found = {id: Turnout(here, asked) for id, here, asked in (await tx.session.execute(query)).all()}
    return {id: found.get(id, Turnout(0, 0)) for id in incident_ids}


async def linked_alert_ids(tx: Tx, incident_id: UUID, *, open_only: bool = False) -> list[UUID]:
    """Return all alerts of an incident, however many: what ends or moves with it must not depend on a limit."""
    query = select(Alert.id).where(Alert.incident_id == incident_id).order_by(Alert.id)
    if open_only:
        query = query.where(Alert.status != AlertStatus.RESOLVED)
    return list((await tx.session.scalars(query)).all())
