"""Writing a batch of requests in one transaction: merging equal signals, opening and changing alerts, keeping the raw.

Within a batch equal signals are merged and rows are written in the order of their keys, so that several writers cannot
deadlock. Signals of one key keep their order: a trigger, a resolve and another trigger in one batch are three waves
of the same transaction. What pages nobody is routed on the way; the rest is left to a job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tocsin.alerts import masking, statements
from tocsin.alerts.lifecycle import RUNS_END, Act
from tocsin.alerts.model import AlertStatus, SignalEffect, SignalOutcome
from tocsin.alerts.queries import Unrouted
from tocsin.alerts.service import (
    REMEMBERED_FOR,
    Routed,
    came_late,
    close_as_over,
    note_missed,
    paging_anew_jobs,
    reword_pages,
    route_at_once,
    routing_jobs,
    updated,
)
from tocsin.alerts.sources.base import Action, Parsed, Signal
from tocsin.db.engine import Connection, Tx, decode_json, encode_json
from tocsin.events.alerts import AlertAcknowledged, AlertNotRouted, AlertResolved, AlertTriggered
from tocsin.events.base import SYSTEM, ActorRef, Event
from tocsin.events.facts import AlertOver, AlertTaken, ForInformation
from tocsin.events.log import LOOKED_UP, NOBODYS, Scope, to_write
from tocsin.jobs.queue import NewJob, to_enqueue
from tocsin.kit.ids import new_id
from tocsin.oncall import service as oncall


@dataclass(frozen=True, slots=True)
class Source:
    """What intake needs to know about a source."""

    id: UUID
    name: str
    kind: str
    is_enabled: bool
    # Whose it is.
    scope: Scope = LOOKED_UP


@dataclass(slots=True)
class Item:
    """One request that waits for its commit, or a portion of it; the body is stored with the first."""

    source: Source
    body: bytes
    content_type: str
    signals: tuple[Signal, ...]
    outcome: str
    detail: str
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    id: UUID = field(default_factory=new_id)
    is_first: bool = True


@dataclass(slots=True)
class _Merged:
    """All signals of one key and one action in one wave: `signal` is the worst of them, `newest` says what counts."""

    source: Source
    signal: Signal
    newest: Signal
    count: int
    items: list[Item]

    def add(self, signal: Signal, item: Item) -> None:
        self.count += 1
        self.items.append(item)
        if signal.severity < self.signal.severity:
            self.signal = signal
        if not signal.is_older_than(self.newest):
            self.newest = signal


Key = tuple[UUID, str]


def accepted(source: Source, body: bytes, content_type: str, parsed: Parsed, refused: int = 0) -> Item:
    """Lay out what is taken of a request; `refused` is how many of its triggers a source that is off has lost."""
    problems = "; ".join(f"item {item.index}: {item.reason}" for item in parsed.rejected)
    outcome = SignalOutcome.PARTLY_ACCEPTED if parsed.rejected or refused else SignalOutcome.ACCEPTED
    if refused and not parsed.signals:
        outcome = SignalOutcome.REJECTED
    off = "The source is switched off, so nothing was opened." if refused else ""
    detail = "; ".join(part for part in (off, problems, *parsed.notes) if part)
    body = masking.without(parsed.routing_key, body)
    return Item(source, body, content_type[:200], parsed.signals, outcome, detail[:2000])


def only_triggers(batch: Sequence[Item]) -> bool:
    return all(signal.action is Action.TRIGGER for item in batch for signal in item.signals)


def _waves(batch: Sequence[Item]) -> list[dict[Key, _Merged]]:
    """Merge equal signals and keep the order of different ones: a key stands at most once in a wave."""
    waves: list[dict[Key, _Merged]] = []
    latest: dict[Key, int] = {}
    for item in batch:
        for signal in item.signals:
            key = (item.source.id, signal.dedup_key)
            at = latest.get(key)
            if at is not None and waves[at][key].signal.action is signal.action:
                waves[at][key].add(signal, item)
                continue
            at = 0 if at is None else at + 1
            if at == len(waves):
                waves.append({})
            waves[at][key] = _Merged(item.source, signal, signal, 1, [item])
            latest[key] = at
    return waves


@dataclass(frozen=True, slots=True)
class _Late:
    """A new alert whose source had spoken of an end before it came: when that was, and where the alert would go."""

    over_at: datetime
    merged: _Merged
    routed: Routed | None


@dataclass(slots=True)
class _Written:
    """What a batch did, gathered for the events and jobs at its end."""

    events: list[Event] = field(default_factory=list[Event])
    opened: set[UUID] = field(default_factory=set[UUID])
    to_route: list[UUID] = field(default_factory=list[UUID])
    got_worse: list[UUID] = field(default_factory=list[UUID])
    # Came again while their escalation had reached nobody.
    unreached: list[UUID] = field(default_factory=list[UUID])
    reworded: list[UUID] = field(default_factory=list[UUID])
    # Opened although their source had spoken of their end before.
    late: dict[UUID, _Late] = field(default_factory=dict[UUID, "_Late"])
    # Whose the alerts are that were touched and are not nobody's.
    scopes: dict[UUID | None, Scope] = field(default_factory=dict[UUID | None, Scope])
    effects: set[tuple[UUID, UUID, str]] = field(default_factory=set[tuple[UUID, UUID, str]])

    def note(self, alert_id: UUID, merged: _Merged, effect: str) -> None:
        if merged.source.scope != NOBODYS:
            self.scopes[alert_id] = merged.source.scope
        self.effects.update((alert_id, item.id, effect) for item in merged.items)

    def sorted_effects(self) -> tuple[list[UUID], list[UUID], list[str]]:
        """Return alerts, signals and effects, each in a column, in the order of the table's key."""
        rows = sorted(self.effects)
        return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]

    def jobs(self) -> list[NewJob]:
        """Return the jobs that go on with what was opened or came again."""
        return [
            *paging_anew_jobs(list(dict.fromkeys(self.unreached))),
            *routing_jobs(self.to_route),
            *routing_jobs(self.got_worse, anew=True),
        ]


async def store_batch(tx: Tx, batch: Sequence[Item]) -> None:
    connection = await tx.raw()
    written = _Written()
    for wave in _waves(batch):
        await _trigger(tx, connection, wave, written)
        await _change(tx, connection, wave, Act.ACKNOWLEDGE, written)
        await _change(tx, connection, wave, Act.RESOLVE, written)
    await _close_late(tx, written)
    await reword_pages(tx, written.reworded)
    await tx.flush()
    requests = [item for item in batch if item.is_first]
    events, reactions = to_write(tx, written.events, written.scopes)
    await connection.execute(
        statements.LEAVE,
        [item.id for item in requests],
        [item.source.id for item in requests],
        [item.content_type for item in requests],
        [item.body for item in requests],
        [item.outcome for item in requests],
        [item.detail for item in requests],
        tx.now,
        *written.sorted_effects(),
        *events,
        *to_enqueue(tx, [*reactions, *written.jobs()]),
    )


async def _trigger(tx: Tx, connection: Connection, wave: dict[Key, _Merged], written: _Written) -> None:
    wanted = sorted(((k, m) for k, m in wave.items() if m.signal.action is Action.TRIGGER), key=_by_key)
    if not wanted:
        return
    ids = {key: new_id() for key, _ in wanted}
    at_once = await route_at_once(tx, [_unrouted(ids[key], m) for key, m in wanted if not m.signal.record_only])
    signals, newest = [m.signal for _, m in wanted], [m.newest for _, m in wanted]
    rows = await connection.fetch(
        statements.UPSERT,
        list(ids.values()),
        [key[0] for key, _ in wanted],
        [key[1] for key, _ in wanted],
        [s.title for s in newest],
        [s.description for s in newest],
        [s.severity for s in signals],
        [s.native_severity for s in newest],
        [s.urgency for s in signals],
        [encode_json(s.labels) for s in newest],
        [encode_json([{"href": link.href, "text": link.text} for link in s.links]) for s in newest],
        [m.count for _, m in wanted],
        [m.signal.record_only or ids[key] in at_once for key, m in wanted],
        tx.now,
        [s.said_at for s in newest],
        [at_once[ids[key]].route_id if ids[key] in at_once else None for key, _ in wanted],
        tx.now - REMEMBERED_FOR,
    )
    for row in rows:
        key = (row["source_id"], row["dedup_key"])
        merged = wave[key]
        if row["id"] != ids[key]:
            written.note(row["id"], merged, SignalEffect.REPEATED)
            if row["is_unreached"]:
                written.unreached.append(row["id"])
            if row["got_worse"] and not merged.signal.record_only:
                written.got_worse.append(row["id"])
            if row["was"] is not None:
                written.reworded.append(row["id"])
                written.events += updated(
                    row["id"], row["incident_id"], merged.source, decode_json(row["was"]), dict(row)
                )
            continue
        written.note(row["id"], merged, SignalEffect.OPENED)
        _opened(row["id"], merged, written)
        if row["over_at"] is not None:
            written.late[row["id"]] = _Late(row["over_at"], merged, at_once.get(row["id"]))
        else:
            _routed(row["id"], merged, written, at_once.get(row["id"]))


def _by_key(pair: tuple[Key, _Merged]) -> Key:
    return pair[0]


def _unrouted(id: UUID, merged: _Merged) -> Unrouted:
    """Lay a new alert out as its row will have it."""
    said, newest = merged.signal, merged.newest
    return Unrouted(
        id=id,
        source_id=merged.source.id,
        dedup_key=newest.dedup_key,
        status=AlertStatus.TRIGGERED,
        title=newest.title,
        description=newest.description,
        severity=said.severity,
        urgency=said.urgency,
        labels=newest.labels,
        incident_id=None,
    )


def _opened(alert_id: UUID, merged: _Merged, written: _Written) -> None:
    signal, source = merged.signal, merged.source
    written.opened.add(alert_id)
    written.events.append(
        AlertTriggered(
            actor=_ref(source),
            alert_id=alert_id,
            title=merged.newest.title,
            severity=signal.severity,
            urgency=signal.urgency,
            source_name=source.name,
            native_severity=signal.native_severity,
        )
    )


def _routed(alert_id: UUID, merged: _Merged, written: _Written, routed: Routed | None) -> None:
    if merged.signal.record_only:
        written.events.append(AlertNotRouted(actor=SYSTEM, alert_id=alert_id, why=ForInformation()))
    elif routed is not None:
        written.events.append(routed.event)
    else:
        written.to_route.append(alert_id)


def _ref(source: Source) -> ActorRef:
    return ActorRef(kind="source", name=source.name, id=source.id)


async def _close_late(tx: Tx, written: _Written) -> None:
    """Close what came late. What began after that end, or is said by now to go on, is routed as any other."""
    if not written.late:
        return
    closed = await close_as_over(tx, {id: (late.over_at, late.merged.source.name) for id, late in written.late.items()})
    for id, late in written.late.items():
        if id in closed:
            written.events.append(came_late(id, _ref(late.merged.source), late.over_at))
        else:
            _routed(id, late.merged, written, late.routed)


_ACTION = {Act.ACKNOWLEDGE: Action.ACKNOWLEDGE, Act.RESOLVE: Action.RESOLVE}
_EFFECT = {Act.ACKNOWLEDGE: SignalEffect.ACKNOWLEDGED, Act.RESOLVE: SignalEffect.RESOLVED}


async def _change(tx: Tx, connection: Connection, wave: dict[Key, _Merged], act: Act, written: _Written) -> None:
    wanted = sorted(((k, m) for k, m in wave.items() if m.signal.action is _ACTION[act]), key=_by_key)
    if not wanted:
        return
    rows = await connection.fetch(
        statements.CHANGE[act],
        [key[0] for key, _ in wanted],
        [key[1] for key, _ in wanted],
        tx.now,
        [m.source.name for _, m in wanted],
        [m.newest.said_at for _, m in wanted],
    )
    resolved = act is Act.RESOLVE
    if resolved and len(rows) < len(wanted):
        missed = dict(wanted).keys() - {(row["source_id"], row["dedup_key"]) for row in rows}
        for key, alert_id in (await note_missed(tx, {key: wave[key].newest.said_at for key in missed})).items():
            written.note(alert_id, wave[key], SignalEffect.OUTDATED)
    for row in rows:
        merged = wave[(row["source_id"], row["dedup_key"])]
        written.note(row["id"], merged, _EFFECT[act])
        common: dict[str, Any] = {
            "actor": _ref(merged.source),
            "alert_id": row["id"],
            "incident_id": row["incident_id"],
        }
        written.events.append(AlertResolved(**common) if resolved else AlertAcknowledged(**common))
    # Nobody is paged yet for what this very batch has opened, as nobody else has seen it.
    if paged := [row["id"] for row in rows if row["id"] not in written.opened]:
        await oncall.end_runs(
            tx,
            alert_ids=paged,
            state=RUNS_END[act],
            why=AlertOver() if resolved else AlertTaken(),
        )
