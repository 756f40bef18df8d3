"""The lists of alerts: what narrows them, and how they are read so that years of alerts do not slow them down."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select, tuple_, union_all
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from tocsin.alerts.model import Alert, AlertSource, AlertStatus
from tocsin.alerts.visibility import visible
from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.kit.search import MOST_SEARCHED, is_short
from tocsin.kit.text import storable
from tocsin.oncall.model import EscalationRun, PagingTrouble
from tocsin.oncall.queries import in_paging_trouble

# Fewer digits than the column has room for.
_CALLED = re.compile(r"\s*ALR-([0-9]{1,9})\s*", re.IGNORECASE)
# Where a page of the list ended.
Before = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list of alerts shows. Values of one field are alternatives; fields narrow each other."""

    statuses: Sequence[AlertStatus] = ()
    severities: Sequence[int] = ()
    urgencies: Sequence[str] = ()
    source_ids: Sequence[UUID] = ()
    incident_id: UUID | None = None
    # True: in no incident.
    is_free: bool = False
    # True: open and answered by nobody, whatever it is linked to.
    needs_action: bool = False
    labels: Mapping[str, Sequence[str]] | None = None
    # Looked for in the title; `ALR-31` is also that alert. A short one (`kit.search`) is looked for in the first
    # `MOST_SEARCHED` of the list alone.
    q: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    # Triggered, and paging does not get anywhere.
    troubles: Sequence[PagingTrouble] = ()


def number_in(said: str) -> int | None:
    """Return the number in what people call an alert (`ALR-31`), or None for any other text."""
    found = _CALLED.fullmatch(said)
    return int(found[1]) if found is not None else None


async def listed(
    tx: Tx, access: Access, wanted: Filter, *, before: Before | None = None, limit: int = 25
) -> list[tuple[Alert, str, str]]:
    """Return alerts with the name and the kind of their source, the newest first, older than `before`."""
    if wanted.q and is_short(wanted.q):
        rows = aliased(Alert, _rows(access, replace(wanted, q=""), None, MOST_SEARCHED).subquery())
        narrowed = [_has(rows, wanted.q), *_older(rows, before)]
    else:
        rows, narrowed = aliased(Alert, _rows(access, wanted, before, limit).subquery()), []
    query = (
        select(rows, AlertSource.name, AlertSource.kind)
        .join(AlertSource, AlertSource.id == rows.source_id)
        .where(*narrowed)
        .order_by(rows.created_at.desc(), rows.id.desc())
        .limit(limit)
    )
    return [(alert, name, kind) for alert, name, kind in (await tx.session.execute(query)).all()]


async def is_searched_in_part(tx: Tx, access: Access, wanted: Filter) -> bool:
    """Say whether `page` looks for `q` in the beginning of the list only, as it is short and the list is long."""
    if not wanted.q or not is_short(wanted.q):
        return False
    rows = _rows(access, replace(wanted, q=""), None, MOST_SEARCHED + 1).subquery()
    return (await tx.session.execute(select(rows.c.id).offset(MOST_SEARCHED).limit(1))).first() is not None


def _rows(access: Access, wanted: Filter, before: Before | None, limit: int) -> Select[Any]:
    """Return the newest alerts that are wanted, of each status by itself.

    An index holds each status in the order of the list, and the indexes of what people narrow it by hold what is
    resolved alone: the open ones are few, and thousands a second are written that need no entry there.
    """
    statuses = _statuses(wanted)
    conditions = [*_conditions(wanted), *_older(Alert, before), visible(access)]
    if wanted.incident_id is not None or not statuses:
        return _newest([Alert.status.in_(statuses), *conditions], limit)
    of_each = [_newest([Alert.status == status, *conditions], limit) for status in statuses]
    if len(of_each) == 1:
        return of_each[0]
    together = union_all(*(each.subquery().select() for each in of_each)).subquery()
    return select(together).order_by(together.c.created_at.desc(), together.c.id.desc()).limit(limit)


def _newest(conditions: Sequence[ColumnElement[bool]], limit: int) -> Select[Alert]:
    return select(Alert).where(*conditions).order_by(Alert.created_at.desc(), Alert.id.desc()).limit(limit)


def _statuses(wanted: Filter) -> list[AlertStatus]:
    only_triggered = wanted.needs_action or wanted.troubles
    possible = [AlertStatus.TRIGGERED] if only_triggered else list(AlertStatus)
    return [status for status in possible if not wanted.statuses or status in wanted.statuses]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.severities:
        found.append(Alert.severity.in_(wanted.severities))
    if wanted.urgencies:
        found.append(Alert.urgency.in_(wanted.urgencies))
    if wanted.source_ids:
        found.append(Alert.source_id.in_(wanted.source_ids))
    if wanted.incident_id is not None:
        found.append(Alert.incident_id == wanted.incident_id)
    if wanted.is_free:
        found.append(Alert.incident_id.is_(None))
    for name, values in (wanted.labels or {}).items():
        found.append(or_(*(Alert.labels.cast(JSONB).contains({name: value}) for value in values)))
    if wanted.q:
        found.append(_has(Alert, wanted.q))
    if wanted.created_from is not None:
        found.append(Alert.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        found.append(Alert.created_at < wanted.created_to)
    if wanted.troubles:
        found += in_trouble(wanted.troubles)
    return found


def _has(rows: type[Alert], q: str) -> ColumnElement[bool]:
    titled = rows.title.icontains(storable(q), autoescape=True)
    number = number_in(q)
    return titled if number is None else or_(titled, rows.number == number)


def _older(rows: type[Alert], before: Before | None) -> list[ColumnElement[bool]]:
    # Compared as a row, so that the index is entered at this place; an OR of both would be read up to it.
    return [tuple_(rows.created_at, rows.id) < tuple_(*before)] if before is not None else []


def is_paged_for(run: type[EscalationRun]) -> ColumnElement[bool]:
    """Say that the run pages about the alert."""
    return run.alert_id == Alert.id


def in_trouble(kinds: Collection[PagingTrouble]) -> list[ColumnElement[bool]]:
    """Say that paging about an alert gets nowhere in one of these ways."""
    # An alert that waits for its route, given back or worse than before, is about to be paged.
    return [
        Alert.status == AlertStatus.TRIGGERED,
        Alert.routed_at.is_not(None),
        in_paging_trouble(is_paged_for, kinds),
    ]
