"""Which route a signal takes: the first whose condition holds. No clock, no database, no logging.

A condition is CEL (see `kit.conditions`) over the fields of `facts`:

    severity <= 2 && labels.team == "payments"
    title.matches("^Disk .* full") || source_kind == "pagerduty"
    has(labels.env) && labels.env != "staging"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from tocsin.events.facts import Tried
from tocsin.kit.conditions import Condition, Facts, Vocabulary
from tocsin.kit.errors import Invalid

# Patterns take time in proportion to the text, so a condition sees the head of a long description only.
MAX_DESCRIPTION = 4_000

VOCABULARY = Vocabulary(
    {
        "title": "Disk is full",
        "severity": 3,
        "urgency": "high",
        "labels": {},
        "source": "Prometheus",
        "source_kind": "alertmanager",
        "description": "",
        "dedup_key": "disk-db1",
    }
)


@dataclass(frozen=True, slots=True)
class Route:
    """One rule of the routing table. `policy_id` None means: record the alert and page nobody.

    The catch-all takes whatever no other route took; its position and its condition do not count.
    """

    id: UUID
    name: str
    position: int
    condition: str
    policy_id: UUID | None
    enabled: bool = True
    is_catch_all: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a signal goes; `route` is None when nothing took it.

    `tried` are the routes before it, which did not take it. Those passed over have a broken condition.
    """

    route: Route | None
    tried: tuple[Tried, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def match(self) -> Literal["first", "catch_all", ""]:
        """Say by which right the route took it."""
        if self.route is None:
            return ""
        return "catch_all" if self.route.is_catch_all else "first"


class Routable(Protocol):
    """What is routed: an alert as its table has it, or the signal that opens it."""

    @property
    def title(self) -> str: ...
    @property
    def severity(self) -> int: ...
    @property
    def urgency(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def description(self) -> str: ...
    @property
    def dedup_key(self) -> str: ...


def facts(it: Routable, *, source: str, source_kind: str) -> dict[str, object]:
    """Lay out what a condition may ask about it."""
    return {
        "title": it.title,
        "severity": it.severity,
        "urgency": it.urgency,
        "labels": it.labels,
        "source": source,
        "source_kind": source_kind,
        "description": it.description[:MAX_DESCRIPTION],
        "dedup_key": it.dedup_key,
    }


def read_condition(text: str) -> Condition:
    """Compile the condition of a route; raises `Invalid("condition", …)`."""
    return Condition.compile(text, VOCABULARY)


def route(routes: Iterable[Route], signal_context: Mapping[str, object]) -> Decision:
    """Find the first enabled route, by position, whose condition holds, and else the catch-all.

    A route whose condition is broken is passed over and named in the decision: one bad rule must not keep a
    signal from the others.
    """
    known: Facts | None = None
    tried: list[Tried] = []
    broken: list[str] = []
    for candidate in sorted(routes, key=_order):
        if not candidate.enabled:
            tried.append(Tried(candidate.name, "off"))
            continue
        if candidate.is_catch_all:
            return Decision(candidate, tuple(tried), tuple(broken))
        known = known or Facts(signal_context)
        try:
            outcome = read_condition(candidate.condition).explain(known)
        except Invalid as problem:
            tried.append(Tried(candidate.name, "broken", problem.message))
            broken.append(candidate.name)
            continue
        if outcome.matched:
            return Decision(candidate, tuple(tried), tuple(broken))
        tried.append(Tried(candidate.name, "other", outcome.reason))
    return Decision(None, tuple(tried), tuple(broken))


def takes(candidate: Route, known: Facts) -> bool:
    """Say whether this route, which is no catch-all, takes it if it comes to it, as `route` decides."""
    try:
        return candidate.enabled and read_condition(candidate.condition).explain(known).matched
    except Invalid:
        return False


def _order(candidate: Route) -> tuple[bool, int]:
    return candidate.is_catch_all, candidate.position
