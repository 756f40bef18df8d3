"""Why somebody was paged for an alert, or why nobody was, in one sentence.

The events come from those who write them, so that whoever changes their words sees here how they read together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from tocsin.alerts import batch
from tocsin.alerts.explain import LEFT_OUT, explain
from tocsin.alerts.queries import RoutingTable, Unrouted
from tocsin.alerts.routing import Route
from tocsin.alerts.service.routing import _decide
from tocsin.alerts.sources.base import Action, Signal
from tocsin.events import words
from tocsin.events.alerts import AlertAcknowledged, AlertResolved
from tocsin.events.base import SYSTEM, ActorRef, Event
from tocsin.events.incidents import AlertLinked, IncidentDeclared
from tocsin.events.log import Chain, LoggedEvent
from tocsin.events.oncall import (
    EscalationEnded,
    EscalationExhausted,
    EscalationStarted,
    EscalationUnreached,
    PageAcknowledged,
    PageAttemptFailed,
    PageFailed,
    PageSent,
    PageStarted,
)
from tocsin.notifications.model import Urgency
from tocsin.oncall.escalation import Place, Plan, Step, decide

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ID = UUID(int=1)
PROMETHEUS = ActorRef(kind="source", name="Prometheus")


def person(name: str) -> ActorRef:
    return ActorRef(kind="user", name=name)


def logged(event: Event, at: datetime) -> LoggedEvent:
    """An event as it is read back from the log."""
    return LoggedEvent(
        name=event.name,
        actor_kind=event.actor.kind,
        actor_name=event.actor.name,
        data=msgspec.to_builtins(event.data()),
        at=at,
    )


def story(*events: Event) -> list[LoggedEvent]:
    """Events one after the other, 30 seconds apart."""
    return [logged(event, NOON + timedelta(seconds=30 * at)) for at, event in enumerate(events)]


def act(at: int, *events: Event) -> list[LoggedEvent]:
    """What one press of a button wrote."""
    return [logged(event, NOON + timedelta(minutes=at)) for event in events]


def received(*, record_only: bool = False) -> list[Event]:
    """What intake says of a new alert."""
    signal = Signal(
        action=Action.TRIGGER,
        dedup_key="disk",
        title="Disk is full",
        description="",
        severity=2,
        native_severity="",
        urgency="high",
        labels={},
        links=(),
        record_only=record_only,
    )
    written = batch._Written()
    source = batch.Source(ID, "Prometheus", "alertmanager", is_enabled=True)
    merged = batch._Merged(source, signal, signal, 1, [])
    batch._opened(ID, merged, written)
    batch._routed(ID, merged, written, None)
    return written.events


def a_route(name: str, *, pages: bool = True, condition: str = "true", is_catch_all: bool = False) -> Route:
    return Route(ID, name, 1, condition, ID if pages else None, is_catch_all=is_catch_all)


def routed(*routes: Route, status: str = "triggered") -> Event:
    """What routing says of an alert."""
    alert = Unrouted(ID, ID, "disk", status, "Disk is full", "", 2, "high", {}, None)
    return _decide(alert, RoutingTable(routes, {ID: ("Prometheus", "alertmanager")}, {ID: "Duty"})).event


def started(reason: str, policy: str = "Duty") -> Event:
    return EscalationStarted(actor=SYSTEM, run_id=ID, policy_name=policy, reason=reason)


def ended(reason: str) -> Event:
    return EscalationEnded(actor=SYSTEM, run_id=ID, reason=reason)


def exhausted(*, steps: int, answers: bool = True) -> Event:
    """What an escalation says at its end: nobody answered, or nobody could be asked."""
    plan = Plan("Duty", 0, (Step((ID,), timedelta(minutes=5)),) * steps)
    reachable = (ID,) if answers else ()
    at = steps if answers else 0
    decision = decide(
        plan, Place(at, 0, has_reached=True), urgency=Urgency.HIGH, reachable=reachable, names={ID: "Ada"}
    )
    end = decision.end
    return EscalationExhausted(actor=SYSTEM, run_id=ID, why=end)


def unreached(reason: str) -> Event:
    return EscalationUnreached(actor=SYSTEM, run_id=ID, reason=reason)


SENT = PageSent(actor=SYSTEM, delivery_id=ID, page_id=ID, user_name="Ada", channel="email", detail="250 OK", attempt=9)


def page(name: str, step: int = 1, round: int = 0, policy: str = "Duty", wait: int | None = 5) -> Event:
    return PageStarted(
        actor=SYSTEM,
        run_id=ID,
        page_id=ID,
        user_id=ID,
        user_name=name,
        step=step,
        round=round,
        channels=["email"],
        wait_minutes=wait,
        policy_name=policy,
    )


def answered(name: str, channel: str = "") -> Event:
    return PageAcknowledged(actor=person(name), page_id=ID, user_id=ID, user_name=name, channel=channel)


def acknowledged(name: str, reason: str = "") -> Event:
    return AlertAcknowledged(actor=person(name), reason=reason)


def resolved(name: str, reason: str = "") -> Event:
    return AlertResolved(actor=person(name), reason=reason)


ALL = a_route("All")
CATCH_ALL = a_route("All", is_catch_all=True)
ROUTED = routed(ALL)
RESOLVED: Event = AlertResolved(actor=PROMETHEUS)


@pytest.mark.parametrize(
    ("events", "summary"),
    [
        ((), "Nobody was paged because the alert has not been routed yet."),
        ((ROUTED, page("Ada")), "Ada was paged; nobody has answered yet."),
        ((ROUTED, page("Ada"), answered("Ada")), "Ada was paged and answered after 30 s."),
        (
            (ROUTED, page("Ada"), page("Bob"), page("Ada"), acknowledged("Cleo")),
            "Ada and Bob were paged, and Cleo answered after 90 s.",
        ),
        (
            (ROUTED, page("Ada"), page("Bob"), exhausted(steps=2)),
            "Ada and Bob were paged, and nobody answered: all 2 steps of “Duty” went by without an answer.",
        ),
        (
            (ROUTED, page("Ada"), exhausted(steps=1)),
            "Ada was paged, and nobody answered: its only step of “Duty” went by without an answer.",
        ),
        (
            (ROUTED, page("Ada"), RESOLVED),
            "Ada was paged, and nobody had answered when Prometheus resolved the alert.",
        ),
        ((routed(),), "Nobody was paged because there are no routes yet."),
        (
            (routed(a_route("Payments", condition="severity == 1")),),
            "Nobody was paged because no route matched. “Payments”: The condition is false.",
        ),
        (
            received(record_only=True),
            "Nobody was paged because the source marks this signal as information only.",
        ),
        ((routed(a_route("Noise", pages=False)),), "Nobody was paged because the route “Noise” only records alerts."),
        (
            (ROUTED, exhausted(steps=2, answers=False)),
            "Nobody was paged because nobody on any step can be reached.",
        ),
        (
            (ROUTED, exhausted(steps=0)),
            "Nobody was paged because “Duty” has no steps, so nobody could be paged.",
        ),
        (
            (ROUTED, unreached("Nobody on any step can be reached.")),
            "Nobody has been paged yet because nobody on any step can be reached. "
            "The escalation looks again at its pace.",
        ),
        (
            (ROUTED, page("Ada"), unreached("Every message so far failed.")),
            "Ada was paged; no message has reached anybody yet, and the escalation goes on until one does.",
        ),
        (
            (ROUTED, page("Ada"), unreached("Every message so far failed."), SENT),
            "Ada was paged; nobody has answered yet.",
        ),
        ((RESOLVED,), "Nobody was paged because Prometheus resolved the alert before it was routed."),
        (
            (RESOLVED, routed(ALL, status="resolved")),
            "Nobody was paged because Prometheus had resolved the alert before.",
        ),
    ],
)
def test_the_sentence_says_who_answered_or_why_nobody_did(events: Sequence[Event], summary: str) -> None:
    """G01."""
    told = explain(Chain(story(*events)))
    assert told.summary == summary
    assert [step.name for step in told.steps] == [event.name for event in events]


DECLARED = IncidentDeclared(actor=person("Ada"), reference="INC-1", title="x", severity=2, from_alert="Disk is full")
LINKED = AlertLinked(actor=person("Ada"), alert_title="x")


def paging(*routes: Route) -> list[Event]:
    """What routing and the escalation that it starts say together."""
    taken = routed(*routes)
    return [taken, started(words.reason(taken.name, msgspec.to_builtins(taken.data())))]


BEGIN = [*act(0, *received()), *act(0, *paging(ALL), page("Ada"))]
BEGUN = [
    "Prometheus triggered “Disk is full” (SEV2, high urgency)",
    "The route “All” pages Duty (It is the first route that matched.)",
    "Ada was paged by e-mail (Step 1 of Duty. The step waits 5 min for an answer.)",
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
        # An escalation that no route began is told, with or without a reason.
        (act(0, started("Ada asked for help")), ["“Duty” began to page people (Ada asked for help)"]),
        (act(0, started("")), ["“Duty” began to page people"]),
        (
            [*BEGIN, *act(5, page("Bob", step=2, round=1, wait=None))],
            [*BEGUN, "Bob was paged by e-mail (Step 2 of Duty, repeat 1)"],
        ),
        (act(0, *paging(CATCH_ALL)), ["The route “All” pages Duty (No other route matched.)"]),
        (
            act(0, *paging(a_route("Bad", condition="severity =="), CATCH_ALL)),
            [
                "The route “All” pages Duty (No other route matched. "
                "Passed over because their condition is broken: “Bad”.)"
            ],
        ),
        (
            act(0, routed(a_route("All", pages=False))),
            ["The route “All” only records alerts (It is the first route that matched.)"],
        ),
        (
            act(0, routed(ALL, status="resolved")),
            [
                "The route “All” would have paged Duty (It is the first route that matched. "
                "Nobody was paged, because the alert was resolved before.)"
            ],
        ),
        # Names are names, whatever they say.
        (
            act(0, *paging(a_route("Nobody was paged"))),
            ["The route “Nobody was paged” pages Duty (It is the first route that matched.)"],
        ),
        (
            act(0, started("", "You are step 1"), page("Ada", policy="You are step 1", wait=None)),
            ["“You are step 1” began to page people", "Ada was paged by e-mail (Step 1 of You are step 1)"],
        ),
    ],
)
def test_each_reason_is_said_once_and_one_act_is_one_line(events: list[LoggedEvent], lines: list[str]) -> None:
    """G01."""
    told = explain(Chain(events))
    shown = [f"{step.line.text} ({step.line.detail})" if step.line.detail else step.line.text for step in told.told]
    assert shown == lines
    assert [step.name for step in told.steps] == [event.name for event in events]
    reasons = [step.line.detail for step in told.steps if step.line.detail]
    assert len(reasons) == len(set(reasons))


def attempt(number: int, message: int = 1, error: str = "404 Not Found") -> Event:
    return PageAttemptFailed(
        actor=SYSTEM,
        delivery_id=UUID(int=message),
        page_id=ID,
        user_name="Ada",
        channel="webhook",
        error=error,
        attempt=number,
        retry_after=300,
    )


GIVEN_UP = PageFailed(
    actor=SYSTEM, delivery_id=ID, page_id=ID, user_name="Ada", channel="webhook", error="404", attempt=32
)


def test_the_failed_attempts_of_one_message_are_one_step() -> None:
    """F064, G01: with how many there were, the first, the last, and what the other side said last."""
    tries = [attempt(number) for number in (1, 2, 3, 16)]
    told = explain(Chain([*BEGIN, *story(*tries, attempt(32, error="503 Busy"), GIVEN_UP)]))

    assert [step.line.text for step in told.told[3:]] == [
        "Webhook to Ada failed 32 times",
        "Webhook to Ada was given up after 32 attempts",
    ]
    folded = told.told[3]
    assert (folded.times, folded.at, folded.last_at) == (32, NOON, NOON + timedelta(minutes=2))
    assert folded.line.detail == "Within 2 min. Last: 503 Busy"


def test_the_attempts_of_two_messages_are_two_steps_and_a_single_one_says_when_the_next_follows() -> None:
    """F064, G01."""
    told = explain(Chain(story(attempt(1), attempt(1, message=2), attempt(2, message=2), attempt(1, message=3))))
    assert [(step.line.text, step.times) for step in told.told] == [
        ("Webhook to Ada failed and will be tried again", 1),
        ("Webhook to Ada failed 2 times", 2),
        ("Webhook to Ada failed and will be tried again", 1),
    ]


def test_what_is_left_out_of_a_long_story_is_counted_where_it_is_missing() -> None:
    """F136, G01."""
    events = story(page("Ada"), attempt(1), page("Bob"))
    for position, event in enumerate(events, start=1):
        event.position = position
    told = explain(Chain(events, left_out=1234, after=2))
    assert [step.name for step in told.told] == ["page.started", "page.attempt_failed", LEFT_OUT, "page.started"]
    assert told.told[2].line.text == "1,234 events after this are left out"
    assert told.left_out == 1234
