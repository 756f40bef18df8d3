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
RECORD_ONLY = "The source marks this signal as information only, so it is recorded and nobody is paged."
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
            (("alert.not_routed", "Tocsin", {"reason": RECORD_ONLY}),),
            "Nobody was paged because the source marks this signal as information only.",
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


def act(at: int, *events: Happened) -> list[LoggedEvent]:
    """What one press of a button wrote."""
    return [
        LoggedEvent(name=name, actor_name=actor, data=data, at=NOON + timedelta(minutes=at))
        for name, actor, data in events
    ]


ALERT = "01900000-0000-7000-8000-000000000000"
FIRST = "“All” is the first route that matched."
TRIGGERED: Happened = (
    "alert.triggered",
    "Prometheus",
    {
        "alert_id": ALERT,
        "title": "Disk is full",
        "severity": 2,
        "urgency": "high",
        "source_name": "Prometheus",
    },
)


def routed(policy: str, reason: str) -> Happened:
    data = {"alert_id": ALERT, "route_id": ALERT, "route_name": "All", "policy_id": ALERT, "policy_name": policy}
    return ("alert.routed", "Tocsin", {**data, "reason": reason})


def started(reason: str) -> Happened:
    return ("escalation.started", "Tocsin", {"run_id": ALERT, "policy_name": "Duty", "reason": reason})


def ended(reason: str) -> Happened:
    return ("escalation.ended", "Tocsin", {"run_id": ALERT, "reason": reason})


def page(name: str, step: int) -> Happened:
    run = {"run_id": ALERT, "page_id": ALERT, "user_id": ALERT, "user_name": name, "channels": ["email"]}
    more = {"step": step, "round": 0, "wait_minutes": 5, "reason": f"You are step {step} of Duty"}
    return ("page.started", "Tocsin", {**run, **more})


def answered(name: str, channel: str = "") -> Happened:
    run = {"run_id": ALERT, "page_id": ALERT, "user_id": ALERT, "user_name": name, "channel": channel}
    return ("page.acknowledged", name, run)


def acknowledged(name: str, reason: str = "") -> Happened:
    return ("alert.acknowledged", name, {"alert_id": ALERT, "reason": reason})


def resolved(name: str, reason: str = "") -> Happened:
    return ("alert.resolved", name, {"alert_id": ALERT, "reason": reason})


DECLARED: Happened = (
    "incident.declared",
    "Ada",
    {"incident_id": ALERT, "reference": "INC-1", "title": "x", "severity": 2, "from_alert": "Disk is full"},
)
LINKED: Happened = ("incident.alert_linked", "Ada", {"incident_id": ALERT, "alert_id": ALERT, "alert_title": "x"})
BEGIN = [
    *act(0, TRIGGERED),
    *act(0, routed("Duty", FIRST), started(FIRST), page("Ada", 1)),
]
BEGUN = [
    "Prometheus triggered “Disk is full” (SEV2, high urgency)",
    "The route “All” pages Duty (It is the first route that matched.)",
    "Ada was paged by e-mail (Step 1 of Duty. Without an answer within 5 min it goes on.)",
]


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        (BEGIN, BEGUN),
        (
            [*BEGIN, *act(1, answered("Ada"), ended("Ada acknowledged the alert."), acknowledged("Ada"))],
            [*BEGUN, "Ada acknowledged the alert"],
        ),
        (
            [*BEGIN, *act(1, answered("Ada", "email"), ended("Ada acknowledged."), acknowledged("Ada"))],
            [*BEGUN, "Ada acknowledged the page by e-mail"],
        ),
        (
            [*BEGIN, *act(1, acknowledged("Bob"), ended("Bob acknowledged the alert."))],
            [*BEGUN, "Bob acknowledged the alert"],
        ),
        (
            [
                *BEGIN,
                *act(
                    1, DECLARED, LINKED, acknowledged("Ada", "INC-1 was declared from it"), answered("Ada"), ended("")
                ),
            ],
            [*BEGUN, "Ada declared INC-1 as SEV2", "Ada acknowledged the alert"],
        ),
        (
            [*BEGIN, *act(1, resolved("Ada"), ended("The alert is resolved."))],
            [*BEGUN, "Ada resolved the alert"],
        ),
        (
            [*BEGIN, *act(1, ended("The alert is resolved."), resolved("Prometheus"))],
            [*BEGUN, "Prometheus resolved the alert"],
        ),
        (
            [*BEGIN, *act(1, resolved("Ada", "INC-1 was resolved"))],
            [*BEGUN, "Ada resolved the alert (INC-1 was resolved)"],
        ),
        (
            [*BEGIN, *act(1, ended("The alert got worse."))],
            [*BEGUN, "The escalation ended (The alert got worse.)"],
        ),
        (act(0, started("Ada asked for help")), ["The escalation “Duty” started (Ada asked for help)"]),
        (
            act(
                0,
                routed("Duty", "No other route matched, so “All” took it."),
                started("No other route matched, so “All” took it."),
            ),
            ["The route “All” pages Duty (No other route matched.)"],
        ),
        (
            act(0, routed("", f"{FIRST} It pages nobody; the alert is only recorded.")),
            ["The route “All” only records alerts (It is the first route that matched.)"],
        ),
        (
            act(0, routed("Duty", f"{FIRST} Nobody was paged, because the alert was resolved before.")),
            [
                "The route “All” would have paged Duty (It is the first route that matched. "
                "Nobody was paged, because the alert was resolved before.)"
            ],
        ),
    ],
)
def test_each_reason_is_said_once_and_one_act_is_one_line(events: list[LoggedEvent], lines: list[str]) -> None:
    told = explain(events)
    shown = [f"{step.line.text} ({step.line.detail})" if step.line.detail else step.line.text for step in told.told]
    assert shown == lines
    assert [step.name for step in told.steps] == [event.name for event in events]
    reasons = [step.line.detail for step in told.steps if step.line.detail]
    assert len(reasons) == len(set(reasons))
