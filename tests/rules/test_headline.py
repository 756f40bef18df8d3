"""The first sentence of “Explain”, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from tests.rules.test_explain import (
    ID,
    PROMETHEUS,
    RESOLVED,
    ROUTED,
    SENT,
    acknowledged,
    answered,
    exhausted,
    page,
    person,
    story,
    unreached,
)
from tocsin.alerts.headline import summary
from tocsin.events.alerts import AlertAcknowledged, AlertUnacknowledged
from tocsin.events.base import Event
from tocsin.events.facts import MessagesFailed
from tocsin.events.oncall import PageAttemptFailed, PageDeclined, PageStarted, PageUnreachable


def missed(name: str) -> Event:
    return PageUnreachable(actor=person("Tocsin"), page_id=ID, user_id=ID, user_name=name, why=MessagesFailed())


def failed(name: str) -> Event:
    return PageAttemptFailed(
        actor=person("Tocsin"),
        delivery_id=ID,
        page_id=ID,
        user_name=name,
        channel="webhook",
        error="Answered 404.",
        attempt=1,
        retry_after=2,
    )


def declined(name: str) -> Event:
    return PageDeclined(actor=person(name), page_id=ID, user_id=ID, user_name=name)


def given_back(name: str) -> Event:
    return AlertUnacknowledged(actor=person(name))


def last_resort(name: str) -> Event:
    return PageStarted(
        actor=person("Tocsin"),
        run_id=UUID(int=7),
        page_id=UUID(int=8),
        user_id=ID,
        user_name=name,
        step=1,
        round=0,
        reason="",
        channels=["email"],
        wait_minutes=5,
        is_fallback=True,
    )


@pytest.mark.parametrize(
    ("events", "said"),
    [
        # Refused delivery: to be asked in vain is not to be paged.
        ((ROUTED, page("Ada"), missed("Ada")), "Ada could not be reached; nobody has answered yet."),
        (
            (ROUTED, page("Ada"), page("Bob"), missed("Ada"), answered("Bob")),
            "Bob was paged, Ada could not be reached, and Bob answered after 90 s.",
        ),
        (
            (ROUTED, page("Ada"), missed("Ada"), page("Bob"), missed("Bob"), unreached("Every message failed.")),
            "Ada and Bob could not be reached; no message has reached anybody yet, and the escalation goes on until "
            "one does.",
        ),
        (
            (ROUTED, page("Ada"), missed("Ada"), exhausted(steps=1)),
            "Ada could not be reached, and nobody answered: its only step of “Duty” went by without an answer.",
        ),
        # A message that got through counts, whatever became of another one; and so does a new try.
        ((ROUTED, page("Ada"), SENT, missed("Ada")), "Ada was paged; nobody has answered yet."),
        ((ROUTED, page("Ada"), missed("Ada"), page("Ada")), "Ada was paged; nobody has answered yet."),
        # Messages that fail and are tried again: nobody was told yet, and that is said before the step is over.
        ((ROUTED, page("Ada"), failed("Ada")), "Ada was paged; no message has reached anybody yet."),
        (
            (ROUTED, page("Ada", wait=None), failed("Ada")),
            "Ada was paged; no message has reached anybody yet, and nobody else will be asked.",
        ),
        ((ROUTED, page("Ada"), failed("Ada"), SENT), "Ada was paged; nobody has answered yet."),
        ((ROUTED, page("Ada"), SENT, failed("Ada")), "Ada was paged; nobody has answered yet."),
        ((ROUTED, page("Ada"), failed("Ada"), page("Ada")), "Ada was paged; nobody has answered yet."),
        (
            (ROUTED, page("Bob"), page("Ada"), failed("Bob"), SENT),
            "Ada was paged, no message has reached Bob; nobody has answered yet.",
        ),
        (
            (ROUTED, page("Bob"), page("Ada"), failed("Bob"), answered("Ada")),
            "Ada was paged, no message has reached Bob, and Ada answered after 90 s.",
        ),
        (
            (ROUTED, page("Bob"), failed("Bob"), missed("Bob"), page("Ada"), SENT),
            "Ada was paged, Bob could not be reached; nobody has answered yet.",
        ),
        # Declines.
        ((ROUTED, page("Ada"), declined("Ada")), "Ada was paged, Ada declined, and nobody else has answered yet."),
        (
            (ROUTED, page("Ada"), page("Bob"), declined("Ada"), declined("Bob"), exhausted(steps=2)),
            "Ada and Bob were paged, Ada and Bob declined, and nobody else answered: all 2 steps of “Duty” went by "
            "without an answer.",
        ),
        (
            (ROUTED, page("Ada"), declined("Ada"), RESOLVED),
            "Ada was paged, Ada declined, and nobody else had answered when Prometheus resolved the alert.",
        ),
        (
            (ROUTED, page("Ada"), declined("Ada"), page("Bob"), answered("Bob")),
            "Ada and Bob were paged, Ada declined, and Bob answered after 90 s.",
        ),
        # A tool answers nothing, it acknowledges.
        (
            (ROUTED, page("Ada"), AlertAcknowledged(actor=PROMETHEUS)),
            "Ada was paged, and Prometheus acknowledged the alert after 30 s.",
        ),
        # Low urgency.
        (
            (ROUTED, page("Ada", wait=None)),
            "Ada was paged; nobody has answered yet, and nobody else will be asked.",
        ),
        (
            (ROUTED, page("Ada", wait=None), declined("Ada")),
            "Ada was paged, Ada declined, and nobody else has answered yet, and nobody else will be asked.",
        ),
        # Given back: what was before stays.
        (
            (ROUTED, page("Ada"), answered("Ada"), given_back("Ada")),
            "Ada was paged and answered after 30 s. Ada gave the alert back. "
            "Nobody has been paged since then because the alert has not been routed again yet.",
        ),
        (
            (ROUTED, page("Ada"), answered("Ada"), given_back("Bob"), ROUTED, page("Cyd")),
            "Ada was paged and answered after 30 s. Bob gave the alert back. Cyd was paged; nobody has answered yet.",
        ),
        (
            (acknowledged("Ada"), given_back("Ada"), ROUTED, page("Cyd")),
            "Ada acknowledged the alert before anybody was paged. Ada gave the alert back. Cyd was paged; nobody has "
            "answered yet.",
        ),
        (
            (
                *(ROUTED, page("Ada"), answered("Ada"), given_back("Ada")),
                *(ROUTED, page("Bob"), answered("Bob"), given_back("Bob")),
                *(ROUTED, page("Ada"), RESOLVED),
            ),
            "Ada and Bob were paged, and the alert was given back 2 times, the last time by Bob. "
            "Ada was paged, and nobody had answered when Prometheus resolved the alert.",
        ),
        # Nobody.
        ((acknowledged("Ada"),), "Nobody was paged because Ada acknowledged the alert before it was routed."),
        # The last resort.
        (
            (ROUTED, page("Ada"), missed("Ada"), unreached("Every message so far failed."), last_resort("Zoe")),
            "Ada could not be reached; no message has reached anybody yet, and the escalation goes on until one does. "
            "Zoe was asked as the last resort.",
        ),
        # One person whose name has an “and” in it is one person.
        ((ROUTED, page("Ann and Co")), "Ann and Co was paged; nobody has answered yet."),
    ],
)
def test_the_headline_is_true(events: Sequence[Event], said: str) -> None:
    """G01, F136."""
    assert summary(story(*events)) == said
