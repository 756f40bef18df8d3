"""PagerDuty's Events API v2, so that existing senders need a new address only (F063, F068)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import Action, Link, Parsed
from tocsin.kit.errors import Invalid, NotFound, TooLarge, TooMany, Unavailable, Unreadable

PD = ADAPTERS["pagerduty"]
KEY = "0123456789abcdef0123456789abcdef"


def an_event(payload: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "srv01/HTTP",
        "payload": {
            "summary": "HTTP on srv01 is down",
            "source": "srv01",
            "severity": "critical",
            "timestamp": "2026-03-01T10:00:00.000+0000",
            "component": "nginx",
            "group": "web",
            "class": "http",
            "custom_details": {"firing": "long text", "num_firing": "1", "load": 0.75, "nested": {"a": [1]}},
        }
        | (payload or {}),
        "client": "Alertmanager",
        "client_url": "http://alertmanager:9093",
        "links": [{"href": "https://wiki.example/http", "text": "Wiki"}],
        "images": [{"src": "https://graph.example/1.png", "alt": "Graph"}],
    } | changes


def parse(event: Any, headers: dict[str, str] | None = None) -> Parsed:
    return PD.parse(json.dumps(event).encode(), headers or {})


def errors_of(event: Any) -> list[str]:
    with pytest.raises(Invalid) as refused:
        parse(event)
    status, body = PD.refused(refused.value)
    assert status == 400
    answer = json.loads(body)
    assert (answer["status"], answer["message"]) == ("invalid event", "Event object is invalid")
    return answer["errors"]


def test_a_trigger_is_read() -> None:
    parsed = parse(an_event())
    (signal,) = parsed.signals
    assert parsed.routing_key == KEY
    assert (signal.action, signal.dedup_key, signal.title) == (Action.TRIGGER, "srv01/HTTP", "HTTP on srv01 is down")
    assert signal.description == "long text"
    assert signal.labels == {
        "source": "srv01",
        "component": "nginx",
        "group": "web",
        "class": "http",
        "client": "Alertmanager",
        "firing": "long text",
        "num_firing": "1",
        "load": "0.75",
        "nested": '{"a":[1]}',
    }
    assert signal.links == (
        Link("http://alertmanager:9093", "Alertmanager"),
        Link("https://wiki.example/http", "Wiki"),
        Link("https://graph.example/1.png", "Graph"),
    )
    assert json.loads(PD.accepted(parsed)[1]) == {
        "status": "success",
        "message": "Event processed",
        "dedup_key": "srv01/HTTP",
    }
    assert PD.accepted(parsed)[0] == 202


@pytest.mark.parametrize(
    ("word", "severity", "urgency", "record_only"),
    [
        ("critical", 1, "high", False),
        ("error", 2, "high", False),
        ("warning", 3, "low", False),
        ("info", 5, "low", True),
    ],
)
def test_the_severity_is_mapped(word: str, severity: int, urgency: str, record_only: bool) -> None:
    (signal,) = parse(an_event({"severity": word})).signals
    assert (signal.severity, signal.urgency, signal.record_only) == (severity, urgency, record_only)


@pytest.mark.parametrize(
    ("word", "read_as", "notes"),
    [
        ("page", (1, "high", False), ()),
        ("fatal", (1, "high", False), ()),
        ("CRITICAL", (1, "high", False), ()),
        ("Info ", (5, "low", True), ()),
        ("P2", (2, "high", False), ()),
        (3, (3, "low", False), ()),
        ("debug", (5, "low", False), ()),
        ("none", (3, "high", False), ()),
        ("banana", (3, "high", False), ("severity not recognised: banana",)),
        ("a\0b", (3, "high", False), ("severity not recognised: a\ufffdb",)),
        ({"a": 1}, (3, "high", False), ('severity not recognised: {"a":1}',)),
        ("", (3, "high", False), ("severity missing, taken as SEV3 and urgent",)),
        (None, (3, "high", False), ("severity missing, taken as SEV3 and urgent",)),
    ],
)
def test_a_severity_that_pagerduty_does_not_have_loses_no_page(
    word: object, read_as: tuple[int, str, bool], notes: tuple[str, ...]
) -> None:
    """F063, F068: senders do not repeat what is answered with 400."""
    parsed = parse(an_event({"severity": word}))
    (signal,) = parsed.signals
    assert ((signal.severity, signal.urgency, signal.record_only), parsed.notes) == (read_as, notes)
    assert json.loads(PD.accepted(parsed)[1])["message"] == "Event processed"


def test_the_word_for_a_severity_is_kept_within_its_limit() -> None:
    """F063: people see the sender's own word."""
    assert parse(an_event({"severity": "page"})).signals[0].native_severity == "page"
    assert len(parse(an_event({"severity": "x" * 5_000})).signals[0].native_severity) == 100


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
@pytest.mark.parametrize("payload", ["absent", None, {}, {"summary": "x", "severity": "banana"}])
def test_acknowledge_and_resolve_need_a_key_only(action: str, payload: Any) -> None:
    event: dict[str, Any] = {"routing_key": KEY, "event_action": action, "dedup_key": "k", "payload": payload}
    if payload == "absent":
        del event["payload"]
    parsed = parse(event)
    (signal,) = parsed.signals
    assert (signal.action, signal.dedup_key, parsed.notes) == (action, "k", ())


def test_a_resolve_may_bring_the_whole_payload() -> None:
    (signal,) = parse(an_event({"severity": "error"}, event_action="resolve")).signals
    assert (signal.action, signal.title) == (Action.RESOLVE, "HTTP on srv01 is down")


def test_a_trigger_without_a_key_gets_one_that_equal_events_of_a_minute_share() -> None:
    """F064: what a sender repeats, or two of a pair send, is one alert; nothing ends it, so tomorrow's is another."""
    keys = {parse(an_event(dedup_key=absent)).signals[0].dedup_key for absent in (None, "", " \n ")}
    assert len(keys) == 1
    assert all(keys)
    later = an_event({"timestamp": "2026-03-02T10:00:00Z"}, dedup_key=None)
    other = an_event({"summary": "Something else"}, dedup_key=None)
    assert keys.isdisjoint(parse(each).signals[0].dedup_key for each in (later, other))


def test_a_long_key_is_hashed_and_the_answer_finds_it_again() -> None:
    parsed = parse(an_event(dedup_key="k" * 256))
    answered = json.loads(PD.accepted(parsed)[1])["dedup_key"]
    assert answered == parsed.signals[0].dedup_key != "k" * 255
    assert parse(an_event(dedup_key=answered)).signals[0].dedup_key == answered
    assert parse(an_event(dedup_key="k" * 255)).signals[0].dedup_key == "k" * 255


def test_details_may_be_a_text() -> None:
    assert parse(an_event({"custom_details": "plain"})).signals[0].description == "plain"
    assert parse(an_event({"custom_details": ["a"]})).signals[0].description == '["a"]'
    assert parse(an_event({"custom_details": None})).signals[0].description == ""


def test_the_source_is_not_overwritten_by_details() -> None:
    assert parse(an_event({"custom_details": {"source": "fake"}})).signals[0].labels["source"] == "srv01"


def test_a_long_summary_is_shortened_and_kept() -> None:
    (signal,) = parse(an_event({"summary": "é" * 2_000})).signals
    assert len(signal.title) == 1_024
    assert signal.description.startswith("é" * 2_000)


def test_the_key_may_come_in_a_header() -> None:
    assert parse(an_event(routing_key=None), {"x-routing-key": KEY}).routing_key == KEY


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        (an_event(routing_key="short"), ["Length of 'routing_key' is incorrect (should be 32 characters)"]),
        (an_event(routing_key=None), ["Length of 'routing_key' is incorrect (should be 32 characters)"]),
        (an_event(event_action="x"), ["event_action is invalid (must be one of: trigger acknowledge resolve)"]),
        (an_event(event_action=None), ["'event_action' is missing or blank"]),
        (an_event(event_action="resolve", dedup_key=None), ["'dedup_key' is missing or blank"]),
        (an_event(payload=None) | {"payload": None}, ["'payload' is missing or blank"]),
        (
            an_event({"summary": " ", "source": "", "severity": "", "custom_details": None}),
            [
                "'payload.summary' is missing or blank",
            ],
        ),
        (
            an_event({"summary": ["x"], "custom_details": None}),
            ["'payload.summary' is invalid (must be a string)", "'payload.summary' is missing or blank"],
        ),
        ({}, ["Length of 'routing_key' is incorrect (should be 32 characters)", "'event_action' is missing or blank"]),
    ],
)
def test_every_fault_is_named(event: dict[str, Any], errors: list[str]) -> None:
    assert errors_of(event) == errors


def test_a_number_passes_for_a_text() -> None:
    (signal,) = parse(an_event({"source": 10, "component": False}, dedup_key=7, links="x", images=[3])).signals
    assert (signal.dedup_key, signal.labels["source"], signal.labels["component"]) == ("7", "10", "false")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000])
def test_what_is_no_event_is_answered_as_pagerduty_does(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        PD.parse(body, {})
    status, answer = PD.refused(refused.value)
    assert status == 400
    assert json.loads(answer) == {
        "status": "Unrecognized object",
        "message": "Event object format is unrecognized",
        "errors": ["JSON parse error"],
    }


def test_other_refusals_have_their_status() -> None:
    assert PD.refused(TooMany("Wait.", retry_after=3))[0] == 429
    assert b"Request Limit Exceeded" in PD.refused(TooMany("Wait.", retry_after=3))[1]
    assert PD.refused(Unavailable("Later."))[0] == 503
    assert PD.refused(TooLarge("512 KB."))[0] == 413
    status, body = PD.refused(NotFound("routing_key not found"))
    assert (status, json.loads(body)["errors"]) == (400, ["routing_key not found"])
