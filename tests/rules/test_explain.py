"""Why somebody was paged for an alert, or why nobody was, in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tocsin.alerts.explain import explain
from tocsin.events.log import LoggedEvent

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Happened = tuple[str, str, dict[str, Any]]


def story(*events: Happened) -> list[LoggedEvent]:
    """Events one after the other, 30 seconds apart."""
    return [
        LoggedEvent(name=name, actor_name=actor, data=data, at=NOON + timedelta(seconds=30 * at))
        for at, (name, actor, data) in enumerate(events)
    ]


def paged(name: str) -> Happened:
    return ("page.started", "Tocsin", {"user_name": name})


ROUTED: Happened = ("alert.routed", "Tocsin", {"route_name": "All", "policy_name": "Duty"})
EXHAUSTED: Happened = ("escalation.exhausted", "Tocsin", {"reason": "All 2 steps of “Duty” went by without an answer."})
RESOLVED: Happened = ("alert.resolved", "Prometheus", {"reason": ""})


@pytest.mark.parametrize(
    ("events", "summary"),
    [
        ((), "Nobody was paged because the alert has not been routed yet."),
        ((ROUTED, paged("Ada")), "Ada was paged; nobody has answered yet."),
        (
            (ROUTED, paged("Ada"), ("page.acknowledged", "Ada", {"user_name": "Ada"})),
            "Ada was paged, and Ada answered after 30 s.",
        ),
        (
            (ROUTED, paged("Ada"), paged("Bob"), paged("Ada"), ("alert.acknowledged", "Cleo", {"reason": ""})),
            "Ada and Bob were paged, and Cleo answered after 90 s.",
        ),
        (
            (ROUTED, paged("Ada"), paged("Bob"), EXHAUSTED),
            "Ada and Bob were paged, and nobody answered: all 2 steps of “Duty” went by without an answer.",
        ),
        (
            (ROUTED, paged("Ada"), RESOLVED),
            "Ada was paged, and nobody had answered when Prometheus resolved the alert.",
        ),
        (
            (("alert.not_routed", "Tocsin", {"reason": "There are no routes yet."}),),
            "Nobody was paged because there are no routes yet.",
        ),
        (
            (("alert.routed", "Tocsin", {"route_name": "Noise", "policy_name": ""}),),
            "Nobody was paged because the route “Noise” only records alerts.",
        ),
        (
            (ROUTED, ("escalation.exhausted", "Tocsin", {"reason": "Nobody on any step can be reached."})),
            "Nobody was paged because nobody on any step can be reached.",
        ),
        ((RESOLVED,), "Nobody was paged because Prometheus resolved the alert before it was routed."),
        ((RESOLVED, ROUTED), "Nobody was paged because Prometheus had resolved the alert before."),
    ],
)
def test_the_sentence_says_who_answered_or_why_nobody_did(events: tuple[Happened, ...], summary: str) -> None:
    told = explain(story(*events))
    assert told.summary == summary
    assert [step.name for step in told.steps] == [name for name, _, _ in events]
