"""The append-only log: writing events with the reactions they cause, and reading them back in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Identity, Index, Select, Uuid, func, inspect, select, text, union, union_all
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from tocsin.db.engine import Tx, encode_json
from tocsin.events.base import Event, Subject
from tocsin.jobs.queue import NewJob, enqueue
from tocsin.kit.ids import new_id
from tocsin.kit.record import JsonObject, Record

log = structlog.stdlib.get_logger(__name__)

TOPIC = "events"
# A reaction may cause events that cause reactions. Beyond this depth something runs in a circle.
DEEPEST = 8
# What is written of nearly every alert; all other names are few enough to have an index.
OF_EVERY_ALERT = frozenset({"alert.triggered", "alert.not_routed", "alert.resolved"})
_IS_RARE = "name NOT IN ('alert.triggered', 'alert.not_routed', 'alert.resolved')"


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class LoggedEvent(Record):
    """One event as it was written. A trigger refuses every change and deletion.

    `team_ids` and `is_private` are its scope: who owned what it is about when it happened, and whether that was for
    them only; None in what 0.1.0 wrote. What people may see is decided by who owns it now (`incidents/sight.py`).
    The table is partitioned by position, see `partition_queries.py`.
    """

    __tablename__ = "event"
    __table_args__ = (
        Index("event_incident_id_idx", "incident_id", "position", postgresql_where=text("incident_id IS NOT NULL")),
        Index("event_alert_id_idx", "alert_id", "position", postgresql_where=text("alert_id IS NOT NULL")),
        # For those who ask for a name: who changed the configuration, and when. Intake writes none of it.
        Index("event_name_idx", "name", "position", postgresql_where=text(_IS_RARE)),
        # The live stream reads in the order of transactions, see `live.py`.
        Index("event_transaction_idx", "transaction", "position"),
        {"postgresql_partition_by": "RANGE (position)"},
    )

    position: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    id: Mapped[UUID]
    transaction: Mapped[int] = mapped_column(Xid8(), server_default=text("pg_current_xact_id()"))
    name: Mapped[str]
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]
    alert_id: Mapped[UUID | None]
    incident_id: Mapped[UUID | None]
    data: Mapped[JsonObject]
    depth: Mapped[int] = mapped_column(server_default="0")
    team_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid()))
    is_private: Mapped[bool | None]


class EventSubject(Record):
    """What an event is about beside its alert and its incident, which its own row names. Never changed either."""

    __tablename__ = "event_subject"

    kind: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


# Which teams own something, as PostgreSQL writes an array, and whether it is for them only; or that it is looked up.
Scope = tuple[str, bool]
NOBODYS: Scope = ("{}", False)
LOOKED_UP: Scope = ("", False)

# Whose it is comes with the event ($11, $12; of nobody's, nothing comes), or is looked up (''): an alert belongs to
# whom its source belongs, and what happens to an incident is its owners' alone, also where it names an alert. By a
# function, whose plans are kept: to plan them here took twice as long as to write the event. Without joins, so that
# positions are handed out in the order of the events.
INSERT_EVENTS = """
INSERT INTO event (id, name, at, actor_kind, actor_id, actor_name, alert_id, incident_id, data, depth, team_ids,
                   is_private)
SELECT new.id, new.name, $10::timestamptz, new.actor_kind, new.actor_id, new.actor_name, new.alert_id, new.incident_id,
       new.data, $9::int,
       CASE WHEN new.team_ids IS NULL THEN '{}' WHEN new.team_ids <> '' THEN new.team_ids::uuid[]
            ELSE (scope_of_event(new.name, new.alert_id, new.incident_id)).team_ids END,
       CASE WHEN new.team_ids IS NULL THEN false WHEN new.team_ids <> '' THEN new.is_private
            ELSE (scope_of_event(new.name, new.alert_id, new.incident_id)).is_private END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::uuid[], $8::jsonb[],
            $11::text[], $12::bool[])
     AS new (id, name, actor_kind, actor_id, actor_name, alert_id, incident_id, data, team_ids, is_private)
"""
_INSERT_WITH_SUBJECTS = f"""
WITH written AS ({INSERT_EVENTS} RETURNING id, position)
INSERT INTO event_subject (kind, id, position)
SELECT about.kind, about.id, written.position
FROM unnest($13::uuid[], $14::text[], $15::uuid[]) AS about (event_id, kind, id)
JOIN written ON written.id = about.event_id
"""  # noqa: S608


async def emit(tx: Tx, *events: Event) -> list[UUID]:
    """Write events and, in the same transaction, one job for every reaction that listens to them; returns their ids."""
    if not events:
        return []
    await tx.flush()
    values, reactions = to_write(tx, events)
    ids: list[UUID] = values[0]
    connection = await tx.raw()
    about = [(id, each) for id, event in zip(ids, events, strict=True) for each in dict.fromkeys(event.subjects())]
    if about:
        subjects = ([id for id, _ in about], [each.kind for _, each in about], [each.id for _, each in about])
        await connection.execute(_INSERT_WITH_SUBJECTS, *values, *subjects)
    else:
        await connection.execute(INSERT_EVENTS, *values)
    await enqueue(tx, *reactions)
    return ids


def to_write(
    tx: Tx, events: Sequence[Event], scopes: Mapping[UUID | None, Scope] | None = None
) -> tuple[tuple[Any, ...], list[NewJob]]:
    """Return the arguments of `INSERT_EVENTS` for these events, and the jobs for their reactions.

    For whoever writes events of alerts with other things, in this transaction: `INSERT_EVENTS` writes no subjects.
    `scopes` says whose their alerts are, if they are not nobody's; without it that is looked up.
    """
    whose = _whose(events, scopes)
    ids = [new_id() for _ in events]
    if events:
        tx.ring(TOPIC)
    values = (
        ids,
        [event.name for event in events],
        [event.actor.kind for event in events],
        [event.actor.id for event in events],
        [event.actor.name for event in events],
        [event.alert_id for event in events],
        [event.incident_id for event in events],
        [encode_json(event.data()) for event in events],
        tx.depth,
        tx.now,
        [each[0] for each in whose],
        [each[1] for each in whose],
    )
    return values, _reactions(tx, zip(ids, events, strict=True))


def _whose(events: Sequence[Event], scopes: Mapping[UUID | None, Scope] | None) -> Sequence[Scope]:
    """Return the scope of each event; nothing when all are nobody's, which is what most of intake's are."""
    if not scopes and not any(event.incident_id or (scopes is None and event.alert_id) for event in events):
        return ()
    known = scopes or {}
    others = LOOKED_UP if scopes is None else NOBODYS
    return [
        LOOKED_UP if event.incident_id else known.get(event.alert_id, others) if event.alert_id else NOBODYS
        for event in events
    ]


def _reactions(tx: Tx, events: Iterable[tuple[UUID, Event]]) -> list[NewJob]:
    """Return the jobs for the reactions to these events."""
    jobs: list[NewJob] = []
    for id, event in events:
        listeners = tx.listeners.get(event.name, ())
        if listeners and tx.depth >= DEEPEST:
            log.error("events.chain_too_long", event_name=event.name, depth=tx.depth)
            continue
        for listener in listeners:
            if listener.when is not None and not listener.when(event):
                continue
            # As `Reaction` reads it back.
            payload = {"event": event.name, "depth": tx.depth + 1, "fields": event, "at": tx.now}
            jobs.append(NewJob(kind=listener.kind, lane=listener.lane, payload=payload, dedup=f"{listener.kind}:{id}"))
    return jobs


def _of_subject(alert_id: UUID | None, incident_id: UUID | None) -> Select[LoggedEvent]:
    query = select(LoggedEvent)
    if alert_id is not None:
        query = query.where(LoggedEvent.alert_id == alert_id)
    if incident_id is not None:
        query = query.where(LoggedEvent.incident_id == incident_id)
    return query


async def newest_first(
    tx: Tx,
    *,
    alert_id: UUID | None = None,
    incident_id: UUID | None = None,
    subject: Subject | None = None,
    before: int | None = None,
    names: tuple[str, ...] = (),
    limit: int = 50,
) -> list[LoggedEvent]:
    """Return events of one alert or incident, or of whatever `subject` is, newest first, older than `before`."""
    query = _of_subject(alert_id, incident_id)
    if subject is not None:
        query = query.where(LoggedEvent.position.in_(_about(subject, before, names, limit)))
    if before is not None:
        query = query.where(LoggedEvent.position < before)
    if names:
        query = query.where(LoggedEvent.name.in_(names))
    if names and not OF_EVERY_ALERT.intersection(names):
        query = query.where(text(_IS_RARE))
    return list((await tx.session.scalars(query.order_by(LoggedEvent.position.desc()).limit(limit))).all())


def _about(subject: Subject, before: int | None, names: tuple[str, ...], limit: int) -> Select[tuple[int]]:
    """Return the newest positions at which the record is about something: it has an index for that, and they are few.

    What an alert or an incident is not named for by its own events, such as a grant, is named beside them.
    """
    beside = select(EventSubject.position).where(EventSubject.kind == subject.kind, EventSubject.id == subject.id)
    if names:
        is_it = LoggedEvent.position == EventSubject.position
        beside = beside.join(LoggedEvent, is_it).where(LoggedEvent.name.in_(names))
    branches = [(beside, EventSubject.position)]
    column = {"alert": LoggedEvent.alert_id, "incident": LoggedEvent.incident_id}.get(subject.kind)
    if column is not None:
        own = select(LoggedEvent.position).where(column == subject.id)
        branches.append((own.where(LoggedEvent.name.in_(names)) if names else own, LoggedEvent.position))
    newest = [
        (query if before is None else query.where(position < before)).order_by(position.desc()).limit(limit)
        for query, position in branches
    ]
    return select(union_all(*(query.subquery().select() for query in newest)).subquery().c.position)


@dataclass(frozen=True, slots=True)
class Chain:
    """What happened to one alert, the oldest first; so many events are `left_out` behind the position `after`."""

    events: Sequence[LoggedEvent]
    left_out: int = 0
    after: int = 0


async def chain_of(
    tx: Tx, *, alert_id: UUID, first: int = 100, last: int = 200, keep: Collection[str] = (), kept: int = 100
) -> Chain:
    """Return the chain of one alert in the order it happened: its beginning, its end, and between them what to keep.

    A page that reaches nobody is tried without end. `keep` are names; of those events, the newest `kept` are kept.
    """
    # Nearly all are shorter, and are read in one go.
    whole = _of_subject(alert_id, None).order_by(LoggedEvent.position).limit(first + last + 1)
    events = list((await tx.session.scalars(whole)).all())
    if len(events) <= first + last:
        return Chain(events)
    mine = select(LoggedEvent.position).where(LoggedEvent.alert_id == alert_id)
    up, down = LoggedEvent.position, LoggedEvent.position.desc()
    wanted = union(
        mine.order_by(up).limit(first).subquery().select(),
        mine.order_by(down).limit(last).subquery().select(),
        mine.where(LoggedEvent.name.in_(keep)).order_by(down).limit(kept).subquery().select(),
    )
    query = select(LoggedEvent).where(LoggedEvent.position.in_(wanted)).order_by(LoggedEvent.position)
    events = list((await tx.session.scalars(query)).all())
    total = (await tx.session.execute(select(func.count()).where(LoggedEvent.alert_id == alert_id))).scalar_one()
    return Chain(events, max(0, total - len(events)), events[first - 1].position)


def without(chain: Chain, incident_ids: Collection[UUID]) -> Chain:
    """Return the chain as it is told to somebody for whom there are no such incidents: what names them is left out."""
    told = [event for event in chain.events if event.incident_id not in incident_ids or not is_of_incident(event.name)]
    events = [_unlinked(event) if event.incident_id in incident_ids else event for event in told]
    return Chain(events, chain.left_out, chain.after)


def is_of_incident(name: str) -> bool:
    """Say whether this happened to an incident, and to an alert of it only by that."""
    return name.startswith("incident.")


def unlinked(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event of an alert says without its reason, which may name the incident that it is in."""
    return dict(data) | {name: nothing for name, nothing in (("reason", ""), ("why", None)) if name in data}


def _unlinked(event: LoggedEvent) -> LoggedEvent:
    # A copy: the record itself stays as it is.
    said = {column.key: getattr(event, column.key) for column in inspect(LoggedEvent).column_attrs}
    return LoggedEvent(**said | {"incident_id": None, "data": unlinked(event.data)})


async def count(tx: Tx, *, incident_id: UUID) -> int:
    """Count the events of one incident."""
    query = select(func.count()).where(LoggedEvent.incident_id == incident_id)
    return (await tx.session.execute(query)).scalar_one()
