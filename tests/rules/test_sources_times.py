"""The sender's own time in each format."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from tocsin.alerts.sources import ADAPTERS
from tocsin.alerts.sources.base import as_time

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T12:30:00Z",
        "2026-03-01T12:30:00.000000000Z",
        "2026-03-01T13:30:00+01:00",
        "2026-03-01 12:30:00+00:00",
        1772368200,
        1772368200.0,
        1772368200000,
    ],
)
def test_a_time_is_read_however_it_is_written(written: object) -> None:
    """F138."""
    assert as_time(written) == AT


_TEXTS = ["", "yesterday", "2026-03-01T12:30:00", "0001-01-01T00:00:00Z"]


@pytest.mark.parametrize("written", [*_TEXTS, None, True, 0, -1, 1e300, 10**30, float("nan"), [], {}])
def test_what_is_no_time_or_has_no_zone_is_left_out(written: object) -> None:
    """F138, F063: an alert must not hang on it."""
    assert as_time(written) is None


def said(kind: str, body: object) -> datetime | None:
    return ADAPTERS[kind].parse(msgspec.json.encode(body), {}).signals[0].said_at


@pytest.mark.parametrize("kind", ["alertmanager", "grafana"])
def test_alertmanager_says_when_it_began_and_when_it_ended(kind: str) -> None:
    """F138: the end of a firing alert is a guess and does not count."""
    alert = {"labels": {"a": "b"}, "startsAt": "2026-03-01T12:30:00Z", "endsAt": "2026-03-01T12:40:00Z"}
    assert said(kind, {"alerts": [{**alert, "status": "firing"}]}) == AT
    assert said(kind, {"alerts": [{**alert, "status": "resolved"}]}) == AT.replace(minute=40)
    # Read with patience, because a label is a number.
    assert said(kind, {"alerts": [{**alert, "status": "firing", "labels": {"a": 1}}]}) == AT
    assert said(kind, {"alerts": [{**alert, "status": "firing", "startsAt": 5}]}) is None


def test_pagerduty_says_it_in_its_payload() -> None:
    """F138."""
    payload = {"summary": "x", "source": "y", "severity": "critical", "timestamp": "2026-03-01T12:30:00.000+0000"}
    event = {"routing_key": "0" * 32, "event_action": "trigger", "payload": payload}
    assert said("pagerduty", event) == AT
    assert said("pagerduty", {**event, "payload": {**payload, "component": 5}}) == AT
    assert said("pagerduty", {"routing_key": "0" * 32, "event_action": "resolve", "dedup_key": "k"}) is None


def test_generic_json_has_two_names_for_it() -> None:
    """F138: the first that is there counts."""
    assert said("generic", {"title": "x", "timestamp": "2026-03-01T12:30:00Z"}) == AT
    assert said("generic", {"title": "x", "occurred_at": 1772368200}) == AT
    assert said("generic", {"title": "x"}) is None
