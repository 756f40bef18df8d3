"""Which priority an incident has."""

from __future__ import annotations

import pytest

from tocsin.incidents import priorities
from tocsin.incidents.model import Incident, Priority
from tocsin.notifications.model import Urgency


@pytest.mark.parametrize(
    ("severity", "high", "low"), [(1, "P1", "P2"), (2, "P2", "P3"), (3, "P3", "P3"), (4, "P3", "P4"), (5, "P4", "P4")]
)
def test_a_priority_follows_from_severity_and_urgency(severity: int, high: str, low: str) -> None:
    """F017."""
    for urgency, priority in ((Urgency.HIGH, high), (Urgency.LOW, low)):
        incident = Incident(severity=severity, urgency=urgency, is_priority_set=False)
        priorities.settle(incident, priorities.USUAL)
        assert incident.priority == priority


def test_one_that_somebody_chose_stays() -> None:
    """F017."""
    incident = Incident(severity=1, urgency=Urgency.HIGH, is_priority_set=True, priority=Priority.P4)
    priorities.settle(incident, priorities.USUAL)
    assert incident.priority == Priority.P4
