"""Trying the condition of a route on the alerts that came last, before it decides about any."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from tocsin.alerts import building, list_queries, queries, routing
from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.clock import monotonic
from tocsin.kit.conditions import Facts

T = TypeVar("T")

# On so many of the newest alerts it is tried, of which so many are named.
RECENT = 200
NAMED = 10
# Seconds that all of it may take: what is left then is not looked at, and it is said so. One condition on one alert
# takes a tenth of a second at most (`kit.conditions`), so the answer may be so much later.
WITHIN = 0.2
# So many names of labels are offered, the most frequent ones.
_MOST_LABELS = 50


@dataclass(frozen=True, slots=True)
class Hit:
    """An alert that the condition holds for. `taken_by` is the route before it that takes it first, if there is one."""

    alert: Alert
    source_name: str
    taken_by: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of it: of so many looked at, for so many it holds, and so many it would have taken itself.

    For `undecided` of them it is neither true nor false; `why_undecided` says why, of the newest. `unknown_labels` are
    labels that the condition names and none of those alerts has. `is_cut`: there was no time for all of them.
    """

    looked_at: int
    matched: int
    would_take: int
    hits: Sequence[Hit]
    undecided: int
    why_undecided: str
    unknown_labels: Sequence[str]
    is_cut: bool


async def try_condition(tx: Tx, who: Actor, condition: str, *, route_id: UUID | None = None) -> Trial:
    """Say for which of the newest alerts that the actor sees a condition holds, and which of them it would take.

    `route_id` is the route whose condition it is to be, so that those before it come first; a new one comes behind all
    but the catch-all. Changes nothing. Raises `Invalid` for a condition that cannot be read, and `NotFound`.
    """
    who.must(P.ONCALL_MANAGE)
    program = routing.read_condition(condition)
    before = await _routes_before(tx, route_id)
    recent = await list_queries.listed(tx, who.access, list_queries.Filter(), limit=RECENT)
    until = monotonic() + WITHIN
    hits: list[Hit] = []
    matched = would_take = looked_at = undecided = 0
    why = ""
    with contextlib.suppress(_TimeIsUp):
        for alert, source, kind in _in_time(recent, until):
            # Whoever else is served here waits for one alert at most.
            await asyncio.sleep(0)
            known = Facts(routing.facts(_as_it_is(alert), source=source, source_kind=kind))
            outcome = program.explain(known)
            taken_by = ""
            if outcome.matched:
                taken_by = next((each.name for each in _in_time(before, until) if routing.takes(each, known)), "")
                matched += 1
                would_take += not taken_by
                if len(hits) < NAMED:
                    hits.append(Hit(alert, source, taken_by))
            elif not outcome.is_decided:
                undecided, why = undecided + 1, why or outcome.reason
            looked_at += 1
    seen = {name for alert, _, _ in recent for name in alert.labels}
    unknown = [name for name in building.labels_in(condition) if name not in seen] if recent else []
    return Trial(looked_at, matched, would_take, hits, undecided, why, unknown, looked_at < len(recent))


class _TimeIsUp(Exception):
    """What is left is not looked at."""


def _in_time(each: Iterable[T], until: float) -> Iterator[T]:
    for one in each:
        if monotonic() > until:
            raise _TimeIsUp
        yield one


@dataclass(frozen=True, slots=True)
class _Tried:
    """An alert as routing knows it."""

    title: str
    severity: int
    urgency: str
    labels: Mapping[str, str]
    description: str
    dedup_key: str


def _as_it_is(alert: Alert) -> _Tried:
    return _Tried(alert.title, alert.severity, alert.urgency, alert.labels, alert.description, alert.dedup_key)


async def _routes_before(tx: Tx, route_id: UUID | None) -> Sequence[routing.Route]:
    table = await queries.routing_table(tx)
    tried = sorted((each for each in table.routes if not each.is_catch_all), key=lambda each: each.position)
    if route_id is None:
        return tried
    row = await queries.route(tx, route_id)
    return [each for each in tried if each.position < row.position]


async def known_labels(tx: Tx, who: Actor) -> Mapping[str, Sequence[str]]:
    """Return the labels of the newest alerts that the actor sees, the most frequent first, each with a few values."""
    values: dict[str, dict[str, None]] = {}
    count: dict[str, int] = {}
    for alert, _, _ in await list_queries.listed(tx, who.access, list_queries.Filter(), limit=RECENT):
        for name, value in alert.labels.items():
            count[name] = count.get(name, 0) + 1
            values.setdefault(name, {})[str(value)[:100]] = None
    names = sorted(count, key=lambda name: (-count[name], name))[:_MOST_LABELS]
    return {name: list(values[name])[:10] for name in names}
