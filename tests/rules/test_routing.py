"""The first route whose condition holds takes the signal (F069)."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from tocsin.alerts import routing
from tocsin.alerts.routing import Route, route
from tocsin.alerts.sources.base import Action, Signal
from tocsin.kit.errors import Invalid

SIGNAL = Signal(
    action=Action.TRIGGER,
    dedup_key="disk-db1",
    title="Disk is full",
    description="d" * 10_000,
    severity=2,
    native_severity="error",
    urgency="high",
    labels={"team": "payments"},
    links=(),
)
CONTEXT = routing.facts(SIGNAL, source="Prometheus", source_kind="alertmanager")


def _route(name: str, condition: str, position: int = 0, *, enabled: bool = True, is_catch_all: bool = False) -> Route:
    return Route(uuid4(), name, position, condition, UUID(int=1), enabled, is_catch_all)


def test_the_first_match_by_position_wins() -> None:
    routes = [_route("late", "true", 3), _route("early", "severity <= 2", 2), _route("other", "severity == 5", 1)]
    decision = route(routes, CONTEXT)
    assert decision.route is routes[1]
    assert decision.match == "first"
    assert [(t.route, t.how) for t in decision.tried] == [("other", "other")]


def test_the_catch_all_is_asked_last_wherever_it_stands() -> None:
    everything = _route("everything", "false", 0, is_catch_all=True)
    payments = _route("payments", "labels.team == 'payments'", 1)
    assert route([everything, payments], CONTEXT).route is payments
    assert route([everything, _route("x", "severity == 5", 1)], CONTEXT).route is everything


def test_nothing_matches() -> None:
    decision = route([_route("x", "labels.region == 'eu'")], CONTEXT)
    assert decision.route is None
    assert decision.match == ""
    assert decision.tried[0].said == "There is no “region” in it."
    assert route([], CONTEXT).tried == ()


def test_a_broken_condition_is_passed_over_and_named() -> None:
    good = _route("good", "true", 2)
    decision = route([_route("bad", "severity ==", 1), good], CONTEXT)
    assert decision.route is good
    assert decision.passed_over == ("bad",)
    assert decision.tried[0].how == "broken" and "ends too early" in decision.tried[0].said


def test_a_route_that_is_off_is_not_taken() -> None:
    decision = route(
        [_route("off", "true", enabled=False), _route("all", "", enabled=False, is_catch_all=True)], CONTEXT
    )
    assert decision.route is None
    assert [tried.how for tried in decision.tried] == ["off", "off"]


@pytest.mark.parametrize(
    "condition",
    [
        "title == 'Disk is full'",
        "severity == 2",
        "urgency == 'high'",
        "labels.team == 'payments'",
        "source == 'Prometheus'",
        "source_kind == 'alertmanager'",
        "size(description) == 4000",
        "dedup_key.startsWith('disk')",
    ],
)
def test_every_field_can_be_asked(condition: str) -> None:
    assert route([_route("r", condition)], CONTEXT).route is not None


def test_a_condition_is_checked_before_it_is_saved() -> None:
    with pytest.raises(Invalid, match="no field “team”"):
        routing.read_condition("team == 'x'")
