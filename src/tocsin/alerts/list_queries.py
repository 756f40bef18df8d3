"""The lists of alerts: what narrows them, and how they are read so that years of alerts do not slow them down."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    not_,
    or_,
    select,
    text,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from tocsin.alerts.model import OPEN, Alert, AlertSource, AlertStatus
from tocsin.alerts.visibility import visible
from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.kit.search import MOST_SEARCHED, is_short, words_in
from tocsin.kit.text import storable
from tocsin.notifications.model import Urgency
from tocsin.oncall.model import EscalationRun, Page, PageState, PagingTrouble
from tocsin.oncall.queries import in_paging_trouble, is_in

# Fewer digits than the column has room for.
_CALLED = re.compile(r"\s*ALR-([0-9]{1,9})\s*", re.IGNORECASE)
_DIGITS = re.compile(r"\s*#?([0-9]{1,9})\s*")
_LABELLED = re.compile(r"([^=\s]+)=(.+)", re.DOTALL)
# Where a page of the list ended.
Before = tuple[datetime, UUID]
# Where a page of the open ones ended that are in the order of their answers: rank, severity, time, id.
AnswerPlace = tuple[int, int, datetime, UUID]


class Answer(StrEnum):
    """How an open alert stands with the people who are asked about it."""

    # Nobody has taken it, and somebody is to.
    WAITING = "waiting"
    ACKNOWLEDGED = "acknowledged"
    # Nobody has taken it, and nobody is woken for it: of low urgency, recorded only, or without a route.
    QUIET = "quiet"


# In the order of the list; what nobody answered comes before what people are being paged about.
_RANKS = (Answer.WAITING, Answer.WAITING, Answer.ACKNOWLEDGED, Answer.QUIET)


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
    # Words, see `kit.search`: each of them anywhere in the title, or a label (`team=payments`), or a number (`ALR-31`,
    # and `31` if it is all there is), or an incident of `incidents`. Of what is open also anywhere in the labels. A
    # short one is looked for in the first `MOST_SEARCHED` of the list alone.
    q: str = ""
    # What words of `q` name, such as `INC-7`.
    incidents: Mapping[str, UUID] = field(default_factory=dict[str, UUID])
    created_from: datetime | None = None
    created_to: datetime | None = None
    # Triggered, and paging does not get anywhere.
    troubles: Sequence[PagingTrouble] = ()
    # Open, and acknowledged by this person, or they are being paged about it.
    on_it: UUID | None = None


def number_in(said: str) -> int | None:
    """Return the number in what people call an alert (`ALR-31`), or None for any other text."""
    found = _CALLED.fullmatch(said)
    return int(found[1]) if found is not None else None


def label_in(said: str) -> tuple[str, str] | None:
    """Return name and value of a label that is written as `team=payments`, or None for any other text."""
    found = _LABELLED.fullmatch(said.strip())
    return (storable(found[1]), storable(found[2].strip())) if found is not None else None


async def listed(
    tx: Tx,
    access: Access,
    wanted: Filter,
    *,
    before: Before | None = None,
    backwards: bool = False,
    limit: int = 25,
) -> list[tuple[Alert, str, str]]:
    """Return alerts with the name and the kind of their source, the newest first, older than `before`.

    `backwards` are those that are newer than it, the nearest first.
    """
    rows = aliased(Alert, _found(access, wanted, before, limit, backwards=backwards).subquery())
    query = (
        select(rows, AlertSource.name, AlertSource.kind)
        .join(AlertSource, AlertSource.id == rows.source_id)
        .order_by(*_by_age(rows, backwards=backwards))
        .limit(limit)
    )
    return [(alert, name, kind) for alert, name, kind in (await tx.session.execute(query)).all()]


async def count(tx: Tx, access: Access, wanted: Filter, *, most: int) -> int:
    """Count what `listed` would find, and stop when it is more than `most`."""
    found = _found(access, wanted, None, most + 1).subquery()
    return (await tx.session.execute(select(func.count()).select_from(found))).scalar_one()


async def open_by_answer(
    tx: Tx,
    access: Access,
    wanted: Filter,
    *,
    after: AnswerPlace | None = None,
    backwards: bool = False,
    limit: int = 25,
) -> list[tuple[Alert, str, str, AnswerPlace]]:
    """Return open alerts as `listed`, and where each stands: what waits for an answer first, the worst first, then age.

    All that are open are sorted for it: whoever calls has counted them. `backwards` are those in front of the place,
    the nearest first.
    """
    ranked = _ranked(access, wanted).subquery()
    rows = aliased(Alert, ranked)
    keys = (ranked.c.rank, rows.severity, rows.created_at, rows.id)
    here: list[ColumnElement[bool]] = []
    if after is not None:
        here.append(tuple_(*keys) < tuple_(*after) if backwards else tuple_(*keys) > tuple_(*after))
    query = (
        select(rows, AlertSource.name, AlertSource.kind, ranked.c.rank)
        .join(AlertSource, AlertSource.id == rows.source_id)
        .where(*here)
        .order_by(*([key.desc() for key in keys] if backwards else keys))
        .limit(limit)
    )
    found: Sequence[Any] = (await tx.session.execute(query)).all()
    return [
        (alert, name, kind, (rank, alert.severity, alert.created_at, alert.id)) for alert, name, kind, rank in found
    ]


async def count_by_answer(tx: Tx, access: Access, wanted: Filter, *, most: int) -> tuple[dict[Answer, int], int]:
    """Count the open alerts by their answers, and those of them that nobody answered; stops when more than `most`."""
    found = _ranked(access, wanted, most + 1).subquery()
    rows = (await tx.session.execute(select(found.c.rank, func.count()).group_by(found.c.rank))).all()
    counted = dict.fromkeys(Answer, 0)
    for rank, number in rows:
        counted[_RANKS[rank]] += number
    return counted, next((number for rank, number in rows if rank == 0), 0)


def answer_of(place: AnswerPlace) -> Answer:
    """Return the group of an alert that stands there."""
    return _RANKS[place[0]]


async def is_searched_in_part(tx: Tx, access: Access, wanted: Filter) -> bool:
    """Say whether `page` looks for `q` in the beginning of the list only, as it is short and the list is long."""
    if not wanted.q or not is_short(wanted.q):
        return False
    rows = _rows(access, replace(wanted, q=""), None, MOST_SEARCHED + 1).subquery()
    return (await tx.session.execute(select(rows.c.id).offset(MOST_SEARCHED).limit(1))).first() is not None


_SIGNALS_LATELY = text("""
SELECT alert.id,
       CAST(floor(extract(epoch FROM signal.received_at - CAST(:since AS timestamptz)) / CAST(:seconds AS int)) AS int),
       count(*)
FROM unnest(CAST(:ids AS uuid[])) AS alert (id),
     -- Of what came again and again the newest are enough to see that it did.
     LATERAL (SELECT signal_id FROM alert_signal WHERE alert_id = alert.id ORDER BY signal_id DESC LIMIT :most) AS of_it
JOIN signal ON signal.id = of_it.signal_id
WHERE signal.received_at >= :since
GROUP BY 1, 2
""")
_MOST_SIGNALS = 180


async def signals_lately(
    tx: Tx, alert_ids: Collection[UUID], *, since: datetime, seconds: int
) -> dict[UUID, dict[int, int]]:
    """Count the signals of each of these alerts since then, by parts of so many seconds, counted from 0."""
    given = {"ids": list(alert_ids), "since": since, "seconds": seconds, "most": _MOST_SIGNALS}
    rows: Sequence[Any] = (await tx.session.execute(_SIGNALS_LATELY, given)).all() if alert_ids else ()
    found: dict[UUID, dict[int, int]] = {}
    for id, part, number in rows:
        found.setdefault(id, {})[part] = number
    return found


def _found(
    access: Access, wanted: Filter, before: Before | None, limit: int, *, backwards: bool = False
) -> Select[Any]:
    """Return the newest alerts that are wanted, older than `before`; or `backwards`, the oldest that are newer."""
    if not wanted.q or not is_short(wanted.q):
        return _rows(access, wanted, before, limit, backwards=backwards)
    first = aliased(Alert, _rows(access, replace(wanted, q=""), None, MOST_SEARCHED).subquery())
    found = select(first.id).where(*_said(first, wanted, with_labels=True))
    if (number := _number_alone(wanted.q)) is not None:
        narrowed = [*_conditions(wanted), Alert.status.in_(_statuses(wanted)), visible(access)]
        ids: Any = union(found, select(Alert.id).where(Alert.number == number, *narrowed))
    else:
        ids = found
    conditions = [Alert.id.in_(ids), *_beyond(Alert, before, backwards=backwards)]
    return _first(conditions, limit, backwards=backwards)


def _rows(access: Access, wanted: Filter, before: Before | None, limit: int, *, backwards: bool = False) -> Select[Any]:
    """Return the newest alerts that are wanted, of each status by itself; or `backwards`, the oldest that are newer.

    An index holds each status in the order of the list, and the indexes of what people narrow it by hold what is
    resolved alone: the open ones are few, and thousands a second are written that need no entry there.
    """
    statuses = _statuses(wanted)
    conditions = [*_conditions(wanted), *_beyond(Alert, before, backwards=backwards), visible(access)]
    if wanted.incident_id is not None or not statuses:
        said = _said(Alert, wanted, with_labels=True)
        return _first([Alert.status.in_(statuses), *conditions, *said], limit, backwards=backwards)
    of_each: list[Select[Any]] = []
    for status in statuses:
        said = _said(Alert, wanted, with_labels=status in OPEN)
        of_each.append(_first([Alert.status == status, *conditions, *said], limit, backwards=backwards))
    if len(of_each) == 1:
        return of_each[0]
    together = aliased(Alert, union_all(*(each.subquery().select() for each in of_each)).subquery())
    return select(together).order_by(*_by_age(together, backwards=backwards)).limit(limit)


def _ranked(access: Access, wanted: Filter, limit: int | None = None) -> Select[Any]:
    """Return the open alerts that are wanted, each with its rank by answer."""
    is_open = Alert.status.in_([status for status in _statuses(wanted) if status in OPEN])
    said = _said(Alert, wanted, with_labels=True)
    query: Any = select(Alert, _rank().label("rank"))
    return query.where(is_open, *_conditions(wanted), *said, visible(access)).limit(limit)


def _rank() -> ColumnElement[int]:
    """Return the place of an open alert in `_RANKS`."""
    exhausted, running = _any_run(lambda run: is_in("exhausted", run)), _any_run(lambda run: is_in("running", run))
    unreached = _any_run(lambda run: and_(is_in("running", run), run.unreached_since.is_not(None)))
    waits = or_(Alert.routed_at.is_(None), exhausted, unreached, and_(running, Alert.urgency == Urgency.HIGH))
    return case(
        (Alert.status == AlertStatus.ACKNOWLEDGED, 2),
        (and_(exhausted, not_(running), Alert.routed_at.is_not(None)), 0),
        (waits, 1),
        else_=3,
    )


def _any_run(holds: Callable[[type[EscalationRun]], ColumnElement[bool]]) -> ColumnElement[bool]:
    run = aliased(EscalationRun)
    return select(run.id).where(is_paged_for(run), holds(run)).exists()


def _first(conditions: Sequence[ColumnElement[bool]], limit: int, *, backwards: bool) -> Select[Alert]:
    return select(Alert).where(*conditions).order_by(*_by_age(Alert, backwards=backwards)).limit(limit)


def _by_age(rows: type[Alert], *, backwards: bool) -> list[ColumnElement[Any]]:
    return [key.asc() if backwards else key.desc() for key in (rows.created_at, rows.id)]


def _statuses(wanted: Filter) -> list[AlertStatus]:
    only_triggered = wanted.needs_action or wanted.troubles
    possible = [AlertStatus.TRIGGERED] if only_triggered else list(OPEN) if wanted.on_it else list(AlertStatus)
    return [status for status in possible if not wanted.statuses or status in wanted.statuses]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    """Say what narrows the list, without the words that are looked for."""
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
        found.append(or_(*(_labelled(Alert, name, value) for value in values)))
    if wanted.created_from is not None:
        found.append(Alert.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        found.append(Alert.created_at < wanted.created_to)
    if wanted.troubles:
        found += in_trouble(wanted.troubles)
    if wanted.on_it is not None:
        asked = Page.alert_id == Alert.id, Page.user_id == wanted.on_it, Page.state == PageState.PAGING
        took = and_(Alert.status == AlertStatus.ACKNOWLEDGED, Alert.acknowledged_by_id == wanted.on_it)
        found.append(or_(took, select(Page.id).where(*asked).exists()))
    return found


def _said(rows: type[Alert], wanted: Filter, *, with_labels: bool) -> list[ColumnElement[bool]]:
    """Say that each word is found, `with_labels` also anywhere in the labels."""
    alone = _number_alone(wanted.q)
    return [_has(rows, word, wanted.incidents.get(word), alone, with_labels=with_labels) for word in words_in(wanted.q)]


def _has(
    rows: type[Alert], word: str, incident_id: UUID | None, number: int | None, *, with_labels: bool
) -> ColumnElement[bool]:
    ways: list[ColumnElement[bool]] = [rows.title.icontains(storable(word), autoescape=True)]
    number = number if number is not None else number_in(word)
    if number is not None:
        ways.append(rows.number == number)
    if incident_id is not None:
        ways.append(rows.incident_id == incident_id)
    if (label := label_in(word)) is not None:
        ways.append(_labelled(rows, *label))
    if with_labels:
        ways.append(cast(rows.labels, Text).icontains(storable(word), autoescape=True))
    return or_(*ways)


def _labelled(rows: type[Alert], name: str, value: str) -> ColumnElement[bool]:
    return rows.labels.cast(JSONB).contains({name: value})


def _number_alone(q: str) -> int | None:
    """Return the number if nothing else is looked for: `31`, `#31` or `ALR-31`."""
    found = _DIGITS.fullmatch(q) or _CALLED.fullmatch(q)
    return int(found[1]) if found is not None else None


def _beyond(rows: type[Alert], place: Before | None, *, backwards: bool) -> list[ColumnElement[bool]]:
    if place is None:
        return []
    # Compared as a row, so that the index is entered at this place; an OR of both would be read up to it.
    here, there = tuple_(rows.created_at, rows.id), tuple_(*place)
    return [here > there if backwards else here < there]


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
