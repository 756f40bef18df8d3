"""Looking after sources: their names, their tokens, and what they sent that is old enough to go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec

from tocsin.alerts import queries, source_queries
from tocsin.alerts.holding_queries import shorten
from tocsin.alerts.model import AlertSource, SourceKind
from tocsin.alerts.service.by_hand import end
from tocsin.alerts.service.holding import lets_go
from tocsin.alerts.service.returning import may_come_back
from tocsin.alerts.service.routing import routing_jobs
from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import Sample
from tocsin.db.engine import Tx
from tocsin.events.base import Change, Subject, yes_or_no
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.facts import EndedForSource
from tocsin.events.log import emit
from tocsin.events.since import left_alone, must_be_unchanged
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.identity.service.owners import AS_THEY_ARE, Owners, must_still_see, new_owners
from tocsin.jobs import queue
from tocsin.kit.changes import UNSET, Copy, UnsetType, set_or
from tocsin.kit.crypto import new_intake_token
from tocsin.kit.errors import Conflict, Invalid
from tocsin.kit.ids import new_id

SOURCES_TOPIC = "sources"
# One request may end so many alerts: more would hold their locks for too long.
MOST_ENDED = 500


async def create_source(tx: Tx, who: Actor, *, name: str, kind: str) -> AlertSource:
    """Let another monitoring tool send signals."""
    who.must(P.SOURCE_MANAGE)
    title = _source_name(name)
    if kind not in [known.value for known in SourceKind]:
        raise Invalid("kind", f"A source speaks one of: {', '.join(SourceKind)}.")
    source = AlertSource(
        id=new_id(),
        name=title,
        kind=kind,
        token=new_intake_token(),
        is_enabled=True,
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
    )
    tx.session.add(source)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="alert_source", id=source.id, title=title))
    tx.ring(SOURCES_TOPIC)
    return source


def _source_name(name: str) -> str:
    title = name.strip()
    if not 1 <= len(title) <= 100:
        raise Invalid("name", "Give the source a name of at most 100 characters.")
    return title


MOST_HOURS = 8760
MOST_HELD_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """What to change about a source.

    `close_after_hours` (1 to 8,760): after so long without a signal an open alert is closed; None never closes any.
    `hold_down_minutes` (1 to 1,440): so long after its end a problem that comes again pages nobody; None holds nothing
    back.
    """

    name: str | UnsetType = UNSET
    is_enabled: bool | UnsetType = UNSET
    close_after_hours: int | UnsetType | None = UNSET
    hold_down_minutes: int | UnsetType | None = UNSET
    owners: Owners = AS_THEY_ARE


async def update_source(
    tx: Tx, who: Actor, id: UUID, changes: SourceChanges, *, if_version: Copy = None
) -> AlertSource:
    """Rename a source, switch it off and on, say when its alerts are stale or held back, or who owns it.

    A source that is off opens no alerts (403). What ends or answers its open ones is taken all the same.
    """
    who.must_somewhere(P.SOURCE_MANAGE)
    source = await queries.lock_source(tx, who.access.reach, id)
    who.must(P.SOURCE_MANAGE, on=source)
    wanted, owners = _wanted(source, changes), await new_owners(tx, who, source, changes.owners)
    told = [Change(field=f, old=_in_words(getattr(source, f)), new=_in_words(new)) for f, new in wanted.items()]
    about = Subject("alert_source", source.id)
    left = await left_alone(tx, about, source.version, if_version, [*told, *owners.told], "this source")
    held = source.hold_down_minutes or 0
    told = [each for each in told if each.field not in left]
    for each in told:
        setattr(source, each.field, wanted[each.field])
    told += owners.give(source, left)
    if told:
        await _let_go_earlier(tx, source.id, held, source.hold_down_minutes or 0)
        await _source_changed(tx, who, source, told)
        must_still_see(who.access.reach.sees(P.SOURCE_VIEW, source.owned, is_private=source.is_private))
    return source


def _wanted(source: AlertSource, changes: SourceChanges) -> dict[str, str | bool | int | None]:
    """Return the fields that are to be other than they are, checked, as they are stored."""
    hours = set_or(changes.close_after_hours, source.close_after_hours)
    if hours is not None and not 1 <= hours <= MOST_HOURS:
        raise Invalid("close_after_hours", f"Give between 1 and {MOST_HOURS:,} hours, or nothing for never.")
    minutes = set_or(changes.hold_down_minutes, source.hold_down_minutes)
    if minutes is not None and not 1 <= minutes <= MOST_HELD_MINUTES:
        said = f"Give between 1 and {MOST_HELD_MINUTES:,} minutes, or nothing to hold nothing back."
        raise Invalid("hold_down_minutes", said)
    wanted: dict[str, str | bool | int | None] = {
        "name": source.name if changes.name is UNSET else _source_name(changes.name),
        "is_enabled": set_or(changes.is_enabled, source.is_enabled),
        "close_after_hours": hours,
        "hold_down_minutes": minutes,
    }
    return {field: value for field, value in wanted.items() if value != getattr(source, field)}


def _in_words(value: str | bool | int | None) -> str:
    return yes_or_no(value) if isinstance(value, bool) else "never" if value is None else str(value)


async def _let_go_earlier(tx: Tx, id: UUID, before: int, minutes: int) -> None:
    """Have what is held back already looked at by the new hold-down, if that is shorter."""
    if minutes < before:
        held = await shorten(tx, id, timedelta(minutes=before), timedelta(minutes=minutes))
        for due, ids in lets_go(held).items():
            await queue.enqueue(tx, *routing_jobs(ids, due=due))


async def rotate_token(tx: Tx, who: Actor, id: UUID, *, if_version: Copy = None) -> AlertSource:
    """Give a source a new token; the old one stops working at once. Raises `Stale` for another stored version."""
    who.must_somewhere(P.SOURCE_MANAGE)
    source = await queries.lock_source(tx, who.access.reach, id)
    who.must(P.SOURCE_MANAGE, on=source)
    await must_be_unchanged(
        tx, Subject("alert_source", source.id), source.version, if_version, ["token"], "this source"
    )
    source.token, source.rotated_at = new_intake_token(), tx.now
    await _source_changed(tx, who, source, [Change(field="token", old=None, new="rotated")])
    return source


async def sample_signal(tx: Tx, who: Actor, id: UUID) -> tuple[AlertSource, bytes]:
    """Return a source and what its tool would send of a mild problem; `Conflict` when nothing of it is taken.

    Whoever calls sends it in the way of all signals, once this transaction is over.
    """
    source = await queries.source(tx, who.access.reach, id)
    who.must(P.SOURCE_MANAGE, on=source)
    if not source.is_enabled:
        raise Conflict("This source is switched off. Switch it on before you test it.", code="source.disabled")
    title, key = f"Test alert from {source.name}", f"tocsin-test-{new_id().hex}"
    problem = Sample(title, "warning", key, source.token, tx.now)
    return source, msgspec.json.encode(ADAPTERS[source.kind].sample(problem))


async def _source_changed(tx: Tx, who: Actor, source: AlertSource, changes: list[Change]) -> None:
    source.updated_at = tx.now
    source.version += 1
    await emit(
        tx,
        ConfigurationChanged(
            actor=who.ref,
            kind="alert_source",
            id=source.id,
            title=source.name,
            version=source.version,
            changes=changes,
        ),
    )
    tx.ring(SOURCES_TOPIC)


async def delete_source(tx: Tx, who: Actor, id: UUID) -> None:
    """Remove a source that nothing needs; raises `Conflict` and names what does: its alerts, or routes."""
    who.must_somewhere(P.SOURCE_MANAGE)
    source = await queries.lock_source(tx, who.access.reach, id)
    who.must(P.SOURCE_MANAGE, on=source)
    if await queries.source_has_alerts(tx, id):
        count = await queries.open_of_source(tx, id)
        still_open = f", and {at_most(count)} of them {'is' if count == 1 else 'are'} open" if count else ""
        raise Conflict(
            f"“{source.name}” has opened alerts{still_open}, so the record needs it. Switch it off instead.",
            code="source.in_use",
            hint="You can resolve its open alerts on its page." if count else "",
        )
    if asking := [route.name for route in await queries.routes(tx) if _asks_for(route.condition, source.name)]:
        raise Conflict(
            f"The condition of {', '.join(f'“{name}”' for name in asking[:10])} asks for “{source.name}”.",
            code="source.in_route",
            hint="Change the condition, or delete the route, first.",
        )
    await source_queries.delete_signals_of(tx, id)
    await tx.session.delete(source)
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind="alert_source", id=id, title=source.name))
    tx.ring(SOURCES_TOPIC)


def at_most(count: int) -> str:
    """Write a count that stops at `MOST_COUNTED`."""
    return f"{count:,}" if count < queries.MOST_COUNTED else f"at least {queries.MOST_COUNTED:,}"


def _asks_for(condition: str, source_name: str) -> bool:
    return any(f"{quote}{source_name}{quote}" in condition for quote in ("'", '"'))


@dataclass(frozen=True, slots=True)
class Ended:
    """How many alerts were resolved, and how many of the source are still open (counted up to `MOST_COUNTED`).

    `warning` says that what was ended may come back; empty when nothing was.
    """

    resolved: int
    still_open: int
    warning: str


async def resolve_source_alerts(tx: Tx, who: Actor, id: UUID, *, reason: str = "") -> Ended:
    """End what a source has left open, at most `MOST_ENDED` alerts at once, the oldest first.

    For a source that will not do it itself: one that is switched off, or whose tool is gone. Incidents stay open.
    """
    who.must_somewhere(P.ALERT_EDIT)
    source = await queries.source(tx, who.access.reach, id)
    who.must(P.ALERT_EDIT, on=source)
    found = await queries.lock_open_of_source(tx, id, limit=MOST_ENDED)
    said = reason.strip()
    resolved = await end(tx, who, found, said, why=None if said else EndedForSource(who.name, source.name))
    await tx.flush()
    warning = may_come_back(source.name, is_enabled=source.is_enabled) if resolved else ""
    return Ended(resolved, await queries.open_of_source(tx, id), warning)


async def sweep_signals(tx: Tx, *, older_than_days: int, limit: int = 20_000) -> int:
    """Delete raw signals that are older than the retention; alerts and the record stay."""
    return await source_queries.delete_old_signals(tx, tx.now - timedelta(days=older_than_days), limit=limit)
