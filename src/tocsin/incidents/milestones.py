"""How far an incident has come: its stages in order, each with its time, and which of them were left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tocsin.incidents import lifecycle
from tocsin.incidents.model import Incident, Status


class Stage(StrEnum):
    """What may happen to an incident, in this order; a cancelled one ends with that instead."""

    BEGAN = "began"
    DETECTED = "detected"
    DECLARED = "declared"
    ACKNOWLEDGED = "acknowledged"
    IDENTIFIED = "identified"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


class Reached(StrEnum):
    """How a stage stands. `back`: it was reached in this round, and the incident has gone back before it since."""

    DONE = "done"
    NOW = "now"
    TODO = "todo"
    SKIPPED = "skipped"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Milestone:
    """One stage, when it was reached, and how long after the one before it; None where that says nothing."""

    stage: Stage
    at: datetime | None
    after: timedelta | None
    reached: Reached


_AT: Mapping[Status, Stage] = {
    Status.DECLARED: Stage.DECLARED,
    Status.INVESTIGATING: Stage.ACKNOWLEDGED,
    Status.IDENTIFIED: Stage.IDENTIFIED,
    Status.MITIGATED: Stage.MITIGATED,
    Status.MONITORING: Stage.MITIGATED,
    Status.RESOLVED: Stage.RESOLVED,
    Status.CLOSED: Stage.RESOLVED,
    Status.CANCELLED: Stage.CANCELLED,
}
# What one comes by on the way to being cancelled; what was left out on it says nothing.
_BEFORE_CANCELLED = (Stage.BEGAN, Stage.DETECTED, Stage.DECLARED)


def milestones(incident: Incident, first_alert_at: datetime | None) -> list[Milestone]:
    """Return the stages in order. `first_alert_at` is when the first of its alerts triggered."""
    times = _times(incident, first_alert_at)
    here = _AT[Status(incident.status)]
    stages = [stage for stage in Stage if stage is not Stage.CANCELLED]
    if here is Stage.CANCELLED:
        passed = [stage for stage in stages if stage in _BEFORE_CANCELLED or times[stage] is not None]
        stages = [*(stage for stage in passed if stage is not Stage.RESOLVED), Stage.CANCELLED]
    found: list[Milestone] = []
    before: datetime | None = None
    for stage in stages:
        at = times[stage]
        reached = _reached(stages.index(stage) - stages.index(here), at, is_open=lifecycle.is_open(incident))
        after = at - before if at is not None and before is not None and at > before else None
        found.append(Milestone(stage, at, after, reached))
        if reached in (Reached.DONE, Reached.NOW):
            before = at or before
    return found


def _reached(distance: int, at: datetime | None, *, is_open: bool) -> Reached:
    """Say how a stage stands that is so many stages behind the present one."""
    if distance == 0:
        return Reached.NOW if is_open else Reached.DONE
    if distance < 0:
        return Reached.SKIPPED if at is None else Reached.DONE
    return Reached.TODO if at is None else Reached.BACK


def _times(incident: Incident, first_alert_at: datetime | None) -> dict[Stage, datetime | None]:
    return {
        Stage.BEGAN: incident.started_at,
        Stage.DETECTED: lifecycle.detected_at(incident, first_alert_at),
        Stage.DECLARED: incident.declared_at,
        Stage.ACKNOWLEDGED: incident.acknowledged_at if lifecycle.was_acknowledged(incident) else None,
        Stage.IDENTIFIED: incident.identified_at if lifecycle.was_identified(incident) else None,
        Stage.MITIGATED: incident.mitigated_at,
        Stage.RESOLVED: incident.resolved_at,
        Stage.CANCELLED: incident.cancelled_at,
    }
