"""Plain JSON becomes signals (F063, F064, F068)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import Action, Link, Parsed
from tocsin.kit.errors import Invalid


def parse(value: Any) -> Parsed:
    return ADAPTERS["generic"].parse(json.dumps(value).encode(), {})


def test_the_documented_example_is_read() -> None:
    (signal,) = parse(
        {
            "title": "Disk is full",
            "status": "firing",
            "key": "disk-db1",
            "severity": "critical",
            "labels": {"host": "db1"},
            "url": "https://grafana.example/d/disks",
            "timestamp": "2026-03-01T10:00:00+01:00",
            "description": "97 %",
        }
    ).signals
    assert (signal.action, signal.dedup_key, signal.title) == (Action.TRIGGER, "disk-db1", "Disk is full")
    assert (signal.severity, signal.urgency, signal.labels) == (1, "high", {"host": "db1"})
    assert signal.links == (Link("https://grafana.example/d/disks", "Source"),)
    assert signal.description == "97 %"


@pytest.mark.parametrize("name", ["title", "summary", "message", "name"])
def test_the_title_has_several_names(name: str) -> None:
    assert parse({name: "It burns"}).signals[0].title == "It burns"


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("firing", Action.TRIGGER),
        ("Triggered", Action.TRIGGER),
        ("acknowledged", Action.ACKNOWLEDGE),
        ("resolved", Action.RESOLVE),
        ("OK", Action.RESOLVE),
        (None, Action.TRIGGER),
    ],
)
def test_the_status_is_understood(word: str | None, action: Action) -> None:
    assert parse({"title": "x", "status": word}).signals[0].action is action


def test_an_unknown_status_triggers_and_is_noted() -> None:
    parsed = parse({"title": "x", "status": "banana"})
    assert parsed.signals[0].action is Action.TRIGGER
    assert parsed.notes == ("status not recognised, taken as triggered: banana",)


@pytest.mark.parametrize("name", ["dedup_key", "deduplication_key", "key", "alias", "alert_key", "fingerprint", "id"])
def test_the_key_has_several_names(name: str) -> None:
    assert parse({"title": "x", name: 42}).signals[0].dedup_key == "42"


def test_without_a_key_title_and_labels_find_the_alert_again() -> None:
    fired = parse({"title": "x", "labels": {"a": "1", "b": 2}, "severity": 1}).signals[0]
    resolved = parse({"status": "ok", "labels": {"b": 2, "a": "1"}, "title": "x"}).signals[0]
    other = parse({"title": "x", "labels": {"a": "2", "b": 2}}).signals[0]
    assert fired.dedup_key == resolved.dedup_key != other.dedup_key


def test_keys_that_are_too_long_stay_apart() -> None:
    one, two = (parse({"title": "x", "key": "k" * 300 + end}).signals[0].dedup_key for end in "ab")
    assert one != two
    assert len(one) == 64


@pytest.mark.parametrize(
    ("native", "severity", "urgency"),
    [(1, 1, "high"), (2.0, 2, "high"), ("3", 3, "low"), ("SEV4", 4, "low"), ("P5", 5, "low"), (9, 3, "high")],
)
def test_the_severity_may_be_a_number(native: object, severity: int, urgency: str) -> None:
    signal = parse({"title": "x", "severity": native}).signals[0]
    assert (signal.severity, signal.urgency) == (severity, urgency)


def test_the_urgency_given_wins() -> None:
    assert parse({"title": "x", "severity": 1, "urgency": "LOW"}).signals[0].urgency == "low"
    assert parse({"title": "x", "severity": 5, "urgency": "high"}).signals[0].urgency == "high"
    assert parse({"title": "x", "severity": 5, "urgency": 3}).signals[0].urgency == "low"


def test_an_unknown_severity_is_noted() -> None:
    assert parse({"title": "x", "severity": "banana"}).notes == ("severity not recognised: banana",)
    assert parse([{"title": "x", "severity": "banana"}] * 2).notes == ("severity not recognised: banana",)


def test_tags_become_labels() -> None:
    tags = ["env:prod", "team=pay:ments", "url:http://x=y", "bare", ":odd", 7]
    labels = parse({"title": "x", "tags": tags}).signals[0].labels
    assert labels == {
        "env": "prod",
        "team": "pay:ments",
        "url": "http://x=y",
        "bare": "true",
        ":odd": "true",
        "7": "true",
    }


def test_links_are_web_addresses_only() -> None:
    links = ["https://a.example", {"url": "http://b.example", "title": "B"}, {"href": "javascript:x"}, 3, None]
    assert parse({"title": "x", "links": links, "url": "ftp://x"}).signals[0].links == (
        Link("https://a.example", "https://a.example"),
        Link("http://b.example", "B"),
    )


def test_a_bad_item_does_not_harm_its_neighbours() -> None:
    parsed = parse([{"title": "a"}, {}, 3, {"title": "b", "labels": 5}, {"status": "ok", "key": "k"}])
    assert [s.title for s in parsed.signals] == ["a", ""]
    assert [r.index for r in parsed.rejected] == [1, 2, 3]


@pytest.mark.parametrize("value", [{}, {"title": " "}, {"status": "ok"}, [3], 3, "x", None, {"title": "x", "tags": 7}])
def test_a_body_without_a_signal_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        parse(value)


def test_an_empty_array_holds_nothing() -> None:
    assert parse([]).signals == ()


def test_an_answer_ends_its_line() -> None:
    """F063: so that the prompt of a shell does not stick to it."""
    adapter = ADAPTERS["generic"]
    partly = Parsed((), notes=("a note",))
    answers = [adapter.accepted(Parsed(())), adapter.accepted(partly), adapter.refused(Invalid("title", "Give one."))]
    assert [body.count(b"\n") for _, body in answers] == [1, 1, 1]
    assert all(body.endswith(b"}\n") for _, body in answers)
