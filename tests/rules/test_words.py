"""Every event has words, and they are the ones a person would use."""

from __future__ import annotations

import re
from datetime import datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, get_type_hints
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

import tocsin
from tocsin import events
from tocsin.events import log, words
from tocsin.events.base import Change, Event, Subject
from tocsin.events.facts import Why
from tocsin.events.words import describe

# Wherever they are declared: a module that is not among the areas of the words has none.
EVENTS = [
    kind
    for each in iter_modules(events.__path__)
    for kind in vars(import_module(f"tocsin.events.{each.name}")).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind.__module__ == f"tocsin.events.{each.name}"
    if kind is not Event
]
ICONS = set(re.findall(r'id="([a-z0-9-]+)"', (Path(tocsin.__path__[0]) / "web/static/vendor/icons.svg").read_text()))


def example(kind: type[Event]) -> dict[str, Any]:
    """Make up the data of an event as the log would keep it."""
    made: dict[Any, Any] = {
        str: "word",
        int: 2,
        bool: True,
        UUID: str(uuid4()),
        UUID | None: str(uuid4()),
        str | None: "word",
        list[str]: ["email"],
        tuple[str, ...]: ["word"],
        tuple[Subject, ...]: [{"kind": "user", "id": str(uuid4())}],
        list[Change]: [{"field": "title", "old": "a", "new": "b"}],
        datetime: "2026-11-21T14:32:05Z",
        Why | None: {"is": "no_answer_in_time"},
        int | None: 5,
    }
    hints = get_type_hints(kind)
    return {f: made[hints[f]] for f in kind.__struct_fields__ if f not in {"actor", "alert_id", "incident_id"}}


def test_there_are_events() -> None:
    assert len(EVENTS) > 35
    assert {kind.name for kind in EVENTS} == set(words.CLASSES)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.name)
def test_every_event_has_words_and_an_icon(kind: type[Event]) -> None:
    """F075: nothing in the record shows as a bare name."""
    line = describe(kind.name, "Ada", example(kind))

    assert line != words._unknown(kind.name, "Ada")
    assert line.text and "_" not in line.text and not line.text.endswith(".")
    assert line.icon in ICONS
    assert (line.kind == "comment") == (kind.name in words.COMMENTS)


CHANGES = [{"field": "title", "old": "a", "new": "b"}, {"field": "started_at", "old": None, "new": ""}]
PERSON = {"user_id": str(uuid4()), "user_name": "Luca"}
RUN = {"run_id": str(uuid4())}
PAGE = {"page_id": str(uuid4())} | PERSON
DELIVERY = {"delivery_id": str(uuid4()), "page_id": None, "user_name": "Luca", "channel": "email", "attempt": 1}
ROUTED = {
    "route_id": str(uuid4()),
    "route_name": "Nobody was paged",
    "policy_id": str(uuid4()),
    "policy_name": "Duty",
    "reason": "x",
}
MADE = {"id": str(uuid4()), "title": "Bob"}
COMMENT = {"comment_id": str(uuid4()), "revision": 2}
STARTED = RUN | PAGE | {"step": 1, "round": 0, "reason": "step 1 of Payments", "channels": ["email", "webhook"]}


@pytest.mark.parametrize(
    ("name", "data", "text", "detail"),
    [
        (
            "alert.triggered",
            {"title": "Disk", "severity": 2, "urgency": "high", "source_name": "Prometheus", "native_severity": "p1"},
            "Prometheus triggered “Disk”",
            "SEV2 (“p1” at the source), high urgency",
        ),
        (
            "alert.updated",
            {"changes": [{"field": "severity", "old": "SEV3", "new": "SEV1"}]},
            "Ada changed the severity",
            "severity: SEV3 → SEV1",
        ),
        (
            "alert.updated",
            {"changes": [{"field": "native_severity", "old": "critical", "new": "warning"}]},
            "Ada changed the source’s word for it",
            "source’s word for it: critical → warning",
        ),
        (
            "alert.reminded",
            PERSON | {"reason": "Nothing has happened."},
            "Luca was reminded of the alert",
            "Nothing has happened.",
        ),
        (
            "alert.not_routed",
            {"reason": "No route matched."},
            "Nobody was paged",
            "No route matched.",
        ),
        (
            "alert.routed",
            {"route_id": str(uuid4()), "route_name": "Quiet", "policy_id": None, "policy_name": "", "reason": "x"},
            "Nobody was paged because the route “Quiet” only records alerts",
            "x",
        ),
        (
            "alert.routed",
            ROUTED | {"match": "first", "passed_over": ["a", "b"]},
            "The route “Nobody was paged” pages Duty",
            "It is the first route that matched. Passed over because their condition is broken: “a”, “b”.",
        ),
        (
            "alert.routed",
            ROUTED | {"match": "catch_all", "alert_status": "acknowledged"},
            "The route “Nobody was paged” would have paged Duty",
            "No other route matched. Nobody was paged, because the alert was acknowledged before.",
        ),
        ("alert.routed", ROUTED, "The route “Nobody was paged” pages Duty", "x"),
        (
            "page.started",
            STARTED | {"wait_minutes": 5},
            "Luca was paged by e-mail and webhook",
            "step 1 of Payments. The step waits 5 min for an answer.",
        ),
        (
            "page.started",
            STARTED | {"wait_minutes": None, "reason": "You are step 1 of Duty", "policy_name": "Duty", "round": 2},
            "Luca was paged by e-mail and webhook",
            "Step 1 of Duty, repeat 2",
        ),
        (
            "page.started",
            STARTED | {"wait_minutes": 5, "reason": "You were paged directly", "is_direct": True},
            "Luca was paged by e-mail and webhook",
            "Paged directly. Without an answer within 5 min nobody else is paged.",
        ),
        (
            "page.started",
            STARTED | {"wait_minutes": None, "channels": []},
            "Luca was paged",
            "step 1 of Payments",
        ),
        (
            "page.escalated",
            {"run_id": str(uuid4()), "step": 1, "reason": "No answer in time."},
            "The escalation went on from step 1",
            "No answer in time.",
        ),
        (
            "page.escalated",
            {"run_id": str(uuid4()), "step": 1, "reason": "x", "asked": True},
            "Ada asked for the next step",
            "The escalation went on from step 1.",
        ),
        ("page.declined", PAGE, "Luca declined the page", ""),
        ("page.acknowledged", PAGE | {"channel": "email"}, "Luca acknowledged the page by e-mail", ""),
        ("page.failed", DELIVERY | {"error": "550"}, "E-mail to Luca was given up after 1 attempt", "550"),
        (
            "page.attempt_failed",
            DELIVERY | {"error": "421 later", "retry_after": 5},
            "E-mail to Luca failed and will be tried again",
            "421 later. Attempt 1; the next one follows in 5 s.",
        ),
        (
            "page.sent",
            DELIVERY | {"detail": "250 OK", "attempt": 2, "possible_duplicate": True},
            "E-mail to Luca was sent",
            "250 OK. Attempt 2. It may have arrived twice.",
        ),
        (
            "escalation.repeated",
            RUN | {"round": 1},
            "Nobody took it; the escalation started again (repeat 1)",
            "",
        ),
        (
            "escalation.repeated",
            RUN | {"round": 1, "has_reached": False},
            "No message reached anybody; the escalation started again (repeat 1)",
            "",
        ),
        (
            "incident.declared",
            {"reference": "INC-7", "title": "Checkout", "severity": 2, "from_alert": "Disk"},
            "Ada declared INC-7 as SEV2",
            "from the alert “Disk”",
        ),
        (
            "incident.updated",
            {"changes": CHANGES},
            "Ada changed the title and the start",
            "title: a → b\nstart: none → empty",
        ),
        ("incident.severity_changed", {"old": 3, "new": 1}, "Ada raised the severity from SEV3 to SEV1", ""),
        ("incident.severity_changed", {"old": 1, "new": 5}, "Ada lowered the severity from SEV1 to SEV5", ""),
        (
            "incident.status_changed",
            {"old": "declared", "new": "identified"},
            "Ada changed the status from declared to identified",
            "",
        ),
        (
            "incident.resolved",
            {"old": "identified", "note": "Rolled back.", "alerts_resolved": 0},
            "Ada resolved the incident",
            "Rolled back.",
        ),
        (
            "incident.resolved",
            {"old": "identified", "note": "n", "alerts_resolved": 1},
            "Ada resolved the incident and one alert with it",
            "n",
        ),
        (
            "incident.resolved",
            {"old": "identified", "note": "n", "alerts_resolved": 3},
            "Ada resolved the incident and 3 alerts with it",
            "n",
        ),
        (
            "incident.cancelled",
            {"old": "declared", "reason": "duplicate", "duplicate_of": "INC-3"},
            "Ada cancelled the incident: a duplicate of INC-3",
            "",
        ),
        (
            "incident.cancelled",
            {"old": "declared", "reason": "false_alarm", "note": "A test."},
            "Ada cancelled the incident: a false alarm",
            "A test.",
        ),
        (
            "incident.reopened",
            {"old": "resolved", "reason": "it is back", "round": 1, "resolution_note": "Rolled back."},
            "Ada reopened the incident: it is back",
            "It was resolved: Rolled back.",
        ),
        ("incident.comment_added", COMMENT, "Ada wrote", ""),
        ("incident.comment_edited", COMMENT, "Ada edited a comment", ""),
        ("incident.comment_erased", COMMENT | {"author_name": "Bob"}, "Ada erased a comment by Bob", ""),
        ("incident.comment_erased", COMMENT | {"author_name": "Ada"}, "Ada erased a comment of their own", ""),
        ("incident.role_changed", {"role": "lead", "old": None, "new": "Ada"}, "Ada took the role of lead", ""),
        (
            "incident.role_changed",
            {"role": "commander", "old": "Ada", "new": "Luca"},
            "Ada made Luca commander",
            "before: Ada",
        ),
        ("incident.role_changed", {"role": "lead", "old": "Ada", "new": None}, "Ada is no longer lead", ""),
        ("incident.role_changed", {"role": "lead", "old": "Luca", "new": None}, "Luca is no longer lead, by Ada", ""),
        ("incident.responder_paged", {"target": "Payments", "message": "Help"}, "Ada paged Payments", "Help"),
        ("incident.responder_joined", PERSON | {"source": "paged"}, "Luca joined", "after a page"),
        ("configuration.created", MADE | {"kind": "contact_method"}, "Ada added the contact method “Bob”", ""),
        ("configuration.created", MADE | {"kind": "sign_in_link"}, "Ada made a sign-in link for Bob", ""),
        ("configuration.created", MADE | {"kind": "acknowledge_key"}, "Ada made a new key for acknowledge links", ""),
    ],
)
def test_an_event_reads_as_a_sentence(name: str, data: dict[str, Any], text: str, detail: str) -> None:
    """F075."""
    line = describe(name, "Ada", data)
    assert (line.text, line.detail) == (text, detail)


@pytest.mark.parametrize(
    ("name", "who", "data", "text"),
    [
        ("runbook.step_completed", "Ada", {"step": 3}, "Ada: runbook step completed"),
        ("runbook.step_completed", "", {}, "Runbook step completed"),
        ("incident.resolved", "Ada", {"from": "another version"}, "Ada: incident resolved"),
        ("", "", {}, "Something happened"),
    ],
)
def test_an_unknown_event_still_has_a_line(name: str, who: str, data: dict[str, Any], text: str) -> None:
    """F075: a record written by a newer version stays readable."""
    assert describe(name, who, data).text == text


def test_times_are_told_in_the_zone_of_who_reads_them() -> None:
    """F075: never as they are exchanged; what is no time, and what a person wrote, stays as it is."""
    vienna = ZoneInfo("Europe/Vienna")
    changes = [
        {"field": "started_at", "old": "2026-07-21T23:32:00+00:00", "new": "2026-11-21T14:32:05+00:00"},
        {"field": "title", "old": "2026-07-21T23:32:00+00:00", "new": "b"},
    ]
    told = describe("incident.updated", "Ada", {"incident_id": str(uuid4()), "changes": changes}, vienna).detail
    assert told.splitlines() == [
        "start: 22 Jul 2026, 01:32 CEST → 21 Nov 2026, 15:32:05 CET",
        "title: 2026-07-21T23:32:00+00:00 → b",
    ]
    over = {"alert_id": str(uuid4()), "reason": "It was over", "over_at": "2026-11-21T14:32:00+00:00"}
    assert describe("alert.resolved", "Ada", over, vienna).detail == "It was over at 21 Nov 2026, 15:32 CET"
    assert describe("alert.resolved", "Ada", over).detail == "It was over at 21 Nov 2026, 14:32 UTC"
    assert describe("alert.resolved", "Ada", {**over, "over_at": ""}).detail == "It was over"


def test_a_fact_names_no_incident_to_whom_it_is_hidden() -> None:
    """F117: neither as the sentence of 0.1.0 nor as the fact."""
    over = {"reason": "", "why": {"is": "incident_over", "reference": "INC-7", "how": "resolved"}, "over_at": ""}
    assert describe("alert.resolved", "Ada", over).detail == "INC-7 was resolved."
    assert words.reason("alert.resolved", over) == "INC-7 was resolved."
    hidden = log.unlinked(over)
    assert "INC-7" not in str(hidden)
    assert describe("alert.resolved", "Ada", hidden).detail == words.reason("alert.resolved", hidden) == ""


def test_a_reason_of_a_newer_version_is_left_out_and_the_rest_is_told() -> None:
    """F075."""
    newer = {"reason": "", "why": {"is": "moon_is_full"}, "over_at": ""}
    assert describe("alert.resolved", "Ada", newer).text == "Ada resolved the alert"
    assert words.told("alert.resolved", newer) == newer
