"""Every query about the inbox of news. What somebody may see no more is not there for them, nor counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.db.locks import for_change
from tocsin.identity.access import Access
from tocsin.incidents.following import ChangeKind, Way
from tocsin.incidents.inbox_model import ChangePreference, InboxEntry
from tocsin.incidents.model import Incident
from tocsin.incidents.visibility import visible
from tocsin.kit.errors import NotFound

_SWEPT_AT_ONCE = 1000


def _of(access: Access, user_id: UUID) -> list[ColumnElement[bool]]:
    return [InboxEntry.user_id == user_id, visible(access)]


def unread_of(access: Access, user_id: UUID, *, most: int) -> Select[int]:
    """Return the unread news of a person, at most so many, for who counts them in a statement of their own."""
    query = select(InboxEntry.id).join(Incident, Incident.id == InboxEntry.incident_id)
    query = query.where(*_of(access, user_id), InboxEntry.read_at.is_(None)).limit(most)
    return select(func.count()).select_from(query.subquery())


async def count_unread(tx: Tx, access: Access, user_id: UUID, *, most: int) -> int:
    """Count the unread news of a person, and stop at `most`."""
    return await tx.session.scalar(unread_of(access, user_id, most=most)) or 0


async def entries(
    tx: Tx,
    access: Access,
    user_id: UUID,
    *,
    before: UUID | None = None,
    is_unread: bool | None = None,
    limit: int = 50,
) -> list[tuple[InboxEntry, Incident]]:
    """Return the news of a person, the newest first, those before the id `before`, each with its incident."""
    query = (
        select(InboxEntry, Incident)
        .join(Incident, Incident.id == InboxEntry.incident_id)
        .where(*_of(access, user_id))
        .order_by(InboxEntry.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(InboxEntry.id < before)
    if is_unread is not None:
        query = query.where(InboxEntry.read_at.is_(None) if is_unread else InboxEntry.read_at.is_not(None))
    return [(entry, incident) for entry, incident in await tx.session.execute(query)]


async def entry(tx: Tx, access: Access, user_id: UUID, id: UUID) -> tuple[InboxEntry, Incident]:
    """Return one piece of news of a person; raises `NotFound`, also for what they may see no more."""
    query = select(InboxEntry, Incident).join(Incident, Incident.id == InboxEntry.incident_id)
    row = (await tx.session.execute(query.where(*_of(access, user_id), InboxEntry.id == id))).one_or_none()
    if row is None:
        raise NotFound("There is no such news in your inbox.")
    return row[0], row[1]


async def mark(tx: Tx, user_id: UUID, ids: Collection[UUID] | None, *, is_read: bool) -> None:
    """Mark news of a person as read or unread; None: all of them. What is so already keeps its time."""
    change = update(InboxEntry).where(InboxEntry.user_id == user_id)
    change = change.where(InboxEntry.read_at.is_(None) if is_read else InboxEntry.read_at.is_not(None))
    if ids is not None:
        change = change.where(InboxEntry.id.in_(ids))
    await tx.session.execute(
        change.values(read_at=tx.now if is_read else None).execution_options(synchronize_session=False)
    )


async def open_rows(tx: Tx, incident_id: UUID, user_ids: Collection[UUID], since: datetime) -> dict[UUID, InboxEntry]:
    """Return for each of these people the unread row of an incident that began since then; lock the incident before."""
    query = select(InboxEntry).where(
        InboxEntry.incident_id == incident_id,
        InboxEntry.user_id.in_(user_ids),
        InboxEntry.read_at.is_(None),
        InboxEntry.began_at > since,
    )
    return {row.user_id: row for row in await tx.session.scalars(for_change(query, InboxEntry))}


async def preferences(tx: Tx, user_ids: Collection[UUID]) -> dict[UUID, dict[ChangeKind, Way]]:
    """Return what these people have said of how they want to be told."""
    query = select(ChangePreference).where(ChangePreference.user_id.in_(user_ids))
    found: dict[UUID, dict[ChangeKind, Way]] = {}
    for row in await tx.session.scalars(query):
        found.setdefault(row.user_id, {})[ChangeKind(row.change)] = Way(row.way)
    return found


async def ways_of(tx: Tx, user_id: UUID) -> dict[ChangeKind, Way | None]:
    """Return what a person has said of each kind of change; None: nothing."""
    said = (await preferences(tx, [user_id])).get(user_id, {})
    return {change: said.get(change) for change in ChangeKind}


async def store_preferences(tx: Tx, user_id: UUID, ways: Mapping[ChangeKind, Way | None]) -> None:
    """Store how a person wants to be told; None: as it is for who has said nothing."""
    gone = [change for change, way in ways.items() if way is None]
    await tx.session.execute(
        delete(ChangePreference).where(ChangePreference.user_id == user_id, ChangePreference.change.in_(gone))
    )
    rows = [{"user_id": user_id, "change": change, "way": way} for change, way in ways.items() if way is not None]
    if rows:
        new = insert(ChangePreference).values(rows)
        keys = [ChangePreference.user_id, ChangePreference.change]
        await tx.session.execute(new.on_conflict_do_update(index_elements=keys, set_={"way": new.excluded.way}))


async def lock_to_send(tx: Tx, user_id: UUID, ways: Collection[Way]) -> list[InboxEntry]:
    """Return what is to leave the inbox of a person in these ways, the oldest first, and keep others from it."""
    query = select(InboxEntry).where(
        InboxEntry.user_id == user_id, InboxEntry.send_at.is_not(None), InboxEntry.way.in_(ways)
    )
    return list((await tx.session.scalars(for_change(query, InboxEntry))).all())


async def incidents_in(tx: Tx, delivery_id: UUID) -> set[UUID]:
    """Return the incidents that a message of news tells of."""
    query = select(InboxEntry.incident_id).where(InboxEntry.delivery_id == delivery_id)
    return set((await tx.session.scalars(query)).all())


async def send_anew(tx: Tx, delivery_id: UUID) -> set[tuple[UUID, Way]]:
    """Let what a message that was taken back would have told be sent again; returns to whom, and in which ways."""
    change = (
        update(InboxEntry)
        .where(InboxEntry.delivery_id == delivery_id)
        .values(delivery_id=None, send_at=tx.now)
        .returning(InboxEntry.user_id, InboxEntry.way)
        .execution_options(synchronize_session=False)
    )
    return {(user_id, Way(way)) for user_id, way in await tx.session.execute(change) if way is not None}


async def sweep(tx: Tx, before: datetime) -> int:
    """Delete news from before this time, a portion at a time; returns how many."""
    old = select(InboxEntry.id).where(InboxEntry.at < before).limit(_SWEPT_AT_ONCE)
    gone = delete(InboxEntry).where(InboxEntry.id.in_(old)).returning(InboxEntry.id)
    return len((await tx.session.scalars(gone.execution_options(synchronize_session=False))).all())
