"""How far an incident has come: the dot is where it is, what was left out is said, and times are set in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.rules.test_lifecycle import incident
from tocsin.incidents import checks, lifecycle
from tocsin.incidents.milestones import milestones
from tocsin.incidents.model import Incident, Status
from tocsin.kit.errors import Invalid

NINE = datetime(2026, 11, 28, 9, tzinfo=UTC)
STAGES = ("began", "detected", "declared", "acknowledged", "identified", "mitigated", "resolved")


def minutes(count: float) -> datetime:
    return NINE + timedelta(minutes=count)


def story(status: Status, **at: float) -> Incident:
    """An incident that began at nine and was declared two minutes later; times are minutes after nine."""
    it = incident(status)
    it.started_at, it.declared_at = NINE, minutes(2)
    it.resolved_at = it.closed_at = it.cancelled_at = None
    for name, count in at.items():
        setattr(it, f"{name}_at", minutes(count))
    return it


@pytest.mark.parametrize(
    ("it", "reached"),
    [
        (story(Status.DECLARED), "done done now todo todo todo todo"),
        (story(Status.INVESTIGATING, acknowledged=3), "done done done now todo todo todo"),
        (story(Status.IDENTIFIED, acknowledged=3, identified=9), "done done done done now todo todo"),
        # Written by a version that keeps no such time.
        (story(Status.IDENTIFIED, acknowledged=3), "done done done done now todo todo"),
        (story(Status.MITIGATED, acknowledged=3, identified=9, mitigated=12), "done done done done done now todo"),
        (story(Status.MONITORING, acknowledged=3, identified=9, mitigated=12), "done done done done done now todo"),
        # Whoever mitigates at once has not identified it.
        (story(Status.MITIGATED, acknowledged=3, identified=12, mitigated=12), "done done done done skipped now todo"),
        # Gone back: what was reached before is not forgotten, and the dot is where it is.
        (story(Status.INVESTIGATING, acknowledged=3, identified=9, mitigated=12), "done done done now back back todo"),
        (story(Status.RESOLVED, acknowledged=3, resolved=20), "done done done done skipped skipped done"),
        # Nobody took it on before it was resolved.
        (story(Status.RESOLVED, acknowledged=20, resolved=20), "done done done skipped skipped skipped done"),
        (
            story(Status.CLOSED, acknowledged=3, identified=9, mitigated=12, resolved=20, closed=30),
            "done done done done done done done",
        ),
    ],
)
def test_the_dot_stands_where_the_incident_is(it: Incident, reached: str) -> None:
    """B8: never on a stage that it has not reached, and the line is filled as far as it has come."""
    assert [str(each.stage) for each in milestones(it, None)] == list(STAGES)
    assert " ".join(each.reached for each in milestones(it, None)) == reached


def test_a_cancelled_incident_ends_with_that() -> None:
    """B8."""
    plain = milestones(story(Status.CANCELLED, cancelled=5), None)
    assert [f"{each.stage} {each.reached}" for each in plain] == [
        *("began done", "detected done", "declared done", "cancelled done")
    ]
    worked_on = milestones(story(Status.CANCELLED, acknowledged=3, cancelled=5), None)
    assert [str(each.stage) for each in worked_on] == ["began", "detected", "declared", "acknowledged", "cancelled"]


def test_each_stage_says_how_long_it_took_from_the_one_before() -> None:
    """B8: counted from a time that stands there, and not from what was left out or undone."""
    it = story(Status.RESOLVED, acknowledged=3, mitigated=12, resolved=20)
    after = {each.stage: each.after for each in milestones(it, minutes(1))}
    assert after["began"] is None and after["detected"] == timedelta(minutes=1)
    assert after["mitigated"] == timedelta(minutes=9) and after["resolved"] == timedelta(minutes=8)
    back = milestones(story(Status.INVESTIGATING, acknowledged=30, mitigated=12), None)
    assert next(each.after for each in back if each.stage == "mitigated") is None


@pytest.mark.parametrize(
    ("said", "first_alert", "detected"),
    [(None, None, 2), (None, 1, 1), (None, 7, 2), (0.5, 1, 0.5)],
    ids=["by whoever declared it", "by its first alert", "an alert that came later", "as somebody said"],
)
def test_an_incident_is_detected_by_its_first_alert(
    said: float | None, first_alert: float | None, detected: float
) -> None:
    """B8: unless somebody says otherwise, and at the latest by its declaration."""
    it = story(Status.DECLARED, **({"detected": said} if said is not None else {}))
    assert lifecycle.detected_at(it, minutes(first_alert) if first_alert is not None else None) == minutes(detected)


def test_the_first_time_of_a_round_is_kept() -> None:
    """B8: also for what the incident went past."""
    it = story(Status.INVESTIGATING, acknowledged=3)
    for at, to in (
        (9, Status.IDENTIFIED),
        (10, Status.INVESTIGATING),
        (11, Status.IDENTIFIED),
        (12, Status.MONITORING),
    ):
        lifecycle.move(it, to, at=minutes(at))
    assert (it.identified_at, it.mitigated_at) == (minutes(9), minutes(12))
    lifecycle.resolve(it, "Done.", at=minutes(20))
    lifecycle.reopen(it, at=minutes(30))
    assert it.identified_at is None and it.mitigated_at is None
    at_once = story(Status.INVESTIGATING, acknowledged=3)
    lifecycle.move(at_once, Status.MITIGATED, at=minutes(5))
    assert at_once.identified_at == at_once.mitigated_at and not lifecycle.was_identified(at_once)


@pytest.mark.parametrize(
    ("it", "written", "why"),
    [
        (story(Status.RESOLVED, resolved=20, started=3), "started_at", "after it was declared"),
        (story(Status.DECLARED, detected=1, started=1.5), "started_at", "after it was detected"),
        (story(Status.DECLARED, detected=3), "detected_at", "after it was declared"),
        (story(Status.DECLARED, detected=-1), "detected_at", "before it started"),
        (story(Status.IDENTIFIED, identified=-1), "identified_at", "before it started"),
        (story(Status.IDENTIFIED, detected=1, identified=0.5), "identified_at", "before it was detected"),
        (story(Status.RESOLVED, identified=21, resolved=20), "identified_at", "after it was resolved"),
        (story(Status.CANCELLED, mitigated=21, cancelled=20), "mitigated_at", "after it was cancelled"),
    ],
)
def test_times_that_do_not_fit_are_refused_at_their_field(it: Incident, written: str, why: str) -> None:
    """B8."""
    with pytest.raises(Invalid, match=why) as refused:
        checks.times_in_order(it, [written])
    assert [error.pointer for error in refused.value.errors] == [f"#/{written}"]
    # What nobody has written is not judged: it may be of a time before there was a rule.
    checks.times_in_order(it, ["title"])


def test_a_cause_may_be_known_before_the_declaration_and_after_the_effect_was_over() -> None:
    """B8: who works on it may know at once what it is, or roll back before they do."""
    it = story(Status.MITIGATED, identified=1, mitigated=0.5)
    checks.times_in_order(it, ["started_at", "identified_at", "mitigated_at"])
