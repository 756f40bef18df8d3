"""Looking after sources: their names, their tokens, and what they sent that is old enough to go."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select

from tocsin.alerts import queries
from tocsin.alerts.model import AlertSignal, AlertSource, Signal, SourceKind
from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.identity.model import Actor
from tocsin.kit.crypto import new_intake_token
from tocsin.kit.errors import Conflict, Invalid, Stale
from tocsin.kit.ids import new_id

SOURCES_TOPIC = "sources"


async def create_source(tx: Tx, who: Actor, *, name: str, kind: str) -> AlertSource:
    """Let another monitoring tool send signals."""
    who.must("source.manage")
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


async def update_source(
    tx: Tx,
    who: Actor,
    id: UUID,
    *,
    name: str | None = None,
    is_enabled: bool | None = None,
    if_version: int | None = None,
) -> AlertSource:
    """Rename a source, or switch it off and on. A source that is off refuses its signals with 403."""
    who.must("source.manage")
    source = await queries.lock_source(tx, id)
    _must_be_current(source, if_version)
    changes: list[Change] = []
    if name is not None and (title := _source_name(name)) != source.name:
        changes.append(Change(field="name", old=source.name, new=title))
        source.name = title
    if is_enabled is not None and is_enabled != source.is_enabled:
        changes.append(Change(field="is_enabled", old=str(source.is_enabled), new=str(is_enabled)))
        source.is_enabled = is_enabled
    if changes:
        await _source_changed(tx, who, source, changes)
    return source


async def rotate_token(tx: Tx, who: Actor, id: UUID, *, if_version: int | None = None) -> AlertSource:
    """Give a source a new token; the old one stops working at once. Raises `Stale` for another stored version."""
    who.must("source.manage")
    source = await queries.lock_source(tx, id)
    _must_be_current(source, if_version)
    source.token, source.rotated_at = new_intake_token(), tx.now
    await _source_changed(tx, who, source, [Change(field="token", old=None, new="rotated")])
    return source


def _must_be_current(source: AlertSource, if_version: int | None) -> None:
    if if_version is not None and if_version != source.version:
        raise Stale("Somebody changed this source in the meantime. Look at it again before you save.")


async def _source_changed(tx: Tx, who: Actor, source: AlertSource, changes: list[Change]) -> None:
    source.updated_at = tx.now
    source.version += 1
    await emit(
        tx,
        ConfigurationChanged(actor=who.ref, kind="alert_source", id=source.id, title=source.name, changes=changes),
    )
    tx.ring(SOURCES_TOPIC)


async def delete_source(tx: Tx, who: Actor, id: UUID) -> None:
    """Remove a source that never opened an alert; one that did can only be switched off."""
    who.must("source.manage")
    source = await queries.lock_source(tx, id)
    if await queries.source_has_alerts(tx, id):
        raise Conflict(
            "This source has opened alerts, so the record needs it. Switch it off instead.", code="source.in_use"
        )
    await tx.session.execute(delete(Signal).where(Signal.source_id == id))
    await tx.session.delete(source)
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind="alert_source", id=id, title=source.name))
    tx.ring(SOURCES_TOPIC)


async def sweep_signals(tx: Tx, *, older_than_days: int, limit: int = 20_000) -> int:
    """Delete raw signals that are older than the retention; alerts and the record stay."""
    old = (
        select(Signal.id)
        .where(Signal.received_at < tx.now - timedelta(days=older_than_days))
        .order_by(Signal.received_at)
        .limit(limit)
    )
    ids = list((await tx.session.scalars(old)).all())
    if ids:
        await tx.session.execute(delete(AlertSignal).where(AlertSignal.signal_id.in_(ids)))
        await tx.session.execute(delete(Signal).where(Signal.id.in_(ids)))
    return len(ids)
