"""Which way an incident may go, what each move needs, and what it stamps. No clock, no database, no logging."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from tocsin.incidents.model import OPEN, CancelReason, Incident, IncidentRole, Status
from tocsin.kit.errors import Conflict, Invalid
from tocsin.kit.text import storable

NOTE_LIMIT = 10_000


class Way(StrEnum):
    """How an incident gets from one status to another; each way but the first has a verb of its own."""

    STAY = "stay"
    MOVE = "move"
    RESOLVE = "resolve"
    CLOSE = "close"
    CANCEL = "cancel"
    REOPEN = "reopen"


# An open incident may move freely, also backwards: responders learn as they go.
_OPEN_WAYS: Mapping[Status, Way] = {
    **dict.fromkeys(OPEN, Way.MOVE),
    Status.RESOLVED: Way.RESOLVE,
    Status.CLOSED: Way.CLOSE,
    Status.CANCELLED: Way.CANCEL,
}
_WAYS: Mapping[Status, Mapping[Status, Way]] = {
    **dict.fromkeys(OPEN, _OPEN_WAYS),
    Status.RESOLVED: {Status.CLOSED: Way.CLOSE, Status.INVESTIGATING: Way.REOPEN},
    Status.CLOSED: {Status.INVESTIGATING: Way.REOPEN},
    Status.CANCELLED: {Status.INVESTIGATING: Way.REOPEN},
}


def way(status: Status, to: Status) -> Way | None:
    """Say how an incident gets from one status to another; None when it cannot."""
    return Way.STAY if status is to else _WAYS[status].get(to)


def is_open(incident: Incident) -> bool:
    return Status(incident.status) in OPEN


def effective_lead(incident: Incident) -> UUID | None:
    """Return who answers for the fix: the lead, else the commander; small incidents have one person for both."""
    return incident.lead_id or incident.commander_id


def lasted(incident: Incident, now: datetime) -> timedelta:
    """Return how long the incident lasted, or has lasted so far: from its start to its end."""
    end = incident.resolved_at or incident.cancelled_at or incident.closed_at or now
    return max(end - incident.started_at, timedelta())


def was_acknowledged(incident: Incident) -> bool:
    """Say whether somebody took on this round before it was resolved: its end stands for what nobody took on."""
    return incident.acknowledged_at is not None and incident.acknowledged_at != incident.resolved_at


def was_identified(incident: Incident) -> bool:
    """Say whether the cause was known before the effect was over: who goes on at once to that has left it out."""
    return incident.identified_at is not None and incident.identified_at != incident.mitigated_at


def detected_at(incident: Incident, first_alert_at: datetime | None) -> datetime:
    """Return when the incident was noticed: as somebody said, else when the first of its alerts triggered.

    Whoever declares it has noticed it at the latest.
    """
    if incident.detected_at is not None:
        return incident.detected_at
    return min(first_alert_at or incident.declared_at, incident.declared_at)


def holder(incident: Incident, role: IncidentRole) -> UUID | None:
    """Return who has the role."""
    match role:
        case IncidentRole.COMMANDER:
            return incident.commander_id
        case IncidentRole.LEAD:
            return incident.lead_id
        case IncidentRole.COMMUNICATOR:
            return incident.communicator_id


def give_role(incident: Incident, role: IncidentRole, user_id: UUID | None, *, at: datetime) -> None:
    """Put the person, or nobody, into the role."""
    match role:
        case IncidentRole.COMMANDER:
            incident.commander_id = user_id
        case IncidentRole.LEAD:
            incident.lead_id = user_id
        case IncidentRole.COMMUNICATOR:
            incident.communicator_id = user_id
    touch(incident, at=at)


def must_keep_lead(incident: Incident, role: IncidentRole) -> None:
    """Raise `Conflict` when to empty this role would leave an incident that is worked on without a lead."""
    leads = role is IncidentRole.LEAD or (role is IncidentRole.COMMANDER and incident.lead_id is None)
    if leads and incident.status != Status.DECLARED:
        raise Conflict(
            f"Somebody has to lead {incident.reference} while it is open. Give the lead to somebody else instead.",
            code="incident.lead_required",
        )


def roles_of(incident: Incident, user_id: UUID) -> list[IncidentRole]:
    """Return the roles that the person has."""
    return [role for role in IncidentRole if holder(incident, role) == user_id]


def touch(incident: Incident, *, at: datetime) -> None:
    """Make every older copy of the incident stale."""
    incident.version += 1
    incident.updated_at = at


def must_be_open(incident: Incident) -> None:
    """Raise `Conflict` for an incident that is over."""
    if not is_open(incident):
        raise Conflict(f"{incident.reference} is {incident.status}. Reopen it first.", code="incident.not_open")


def must_be_its_note(incident: Incident, note: str) -> None:
    """Raise `Conflict` when what is over is ended with another note than it has; no note, or the same, says nothing."""
    if storable(note).strip() not in ("", incident.resolution_note):
        raise Conflict(
            f"{incident.reference} is {incident.status} already, with another note. Nothing was saved.",
            code="incident.resolved",
            hint="Correct the resolution note if it is wrong, or write a comment.",
        )


def has_note(incident: Incident) -> bool:
    """Say whether the incident has a note on how it was resolved, which can be corrected."""
    return incident.status in (Status.RESOLVED, Status.CLOSED)


def correct_note(incident: Incident, note: str) -> None:
    """Put another note in the place of the one that a resolved or closed incident has."""
    if not has_note(incident):
        raise Conflict(
            f"{incident.reference} is {incident.status}, so it has no resolution note.", code="incident.not_resolved"
        )
    incident.resolution_note = _checked(note)


def move(incident: Incident, to: Status, *, at: datetime) -> bool:
    """Move between open states; returns whether anything changed.

    The end states have verbs of their own, as each of them asks for something. `identified_at` and `mitigated_at` keep
    the first time of a round at which it had come so far, or further, so that going back and forth does not make the
    record look better or worse. Whoever moves an incident on has taken it on, so this is its acknowledgement when there
    was none.
    """
    status = Status(incident.status)
    match way(status, to):
        case Way.STAY:
            return False
        case Way.MOVE:
            pass
        case Way.RESOLVE | Way.CLOSE | Way.CANCEL as verb:
            raise Invalid("status", f"Use “{verb}” for this: it asks for what the record needs.", code=f"use_{verb}")
        case Way.REOPEN | None:
            raise _not_from(incident, to)
    _must_have_lead(incident)
    incident.status = to
    incident.acknowledged_at = incident.acknowledged_at or at
    if to in (Status.IDENTIFIED, Status.MITIGATED, Status.MONITORING):
        incident.identified_at = incident.identified_at or at
    if to in (Status.MITIGATED, Status.MONITORING):
        incident.mitigated_at = incident.mitigated_at or at
    touch(incident, at=at)
    return True


def acknowledge(incident: Incident, *, at: datetime, may_move: bool = True) -> bool:
    """Stamp the first acknowledgement and begin to investigate; returns whether this was the first one.

    `may_move` is whether it says all that its type requires for that; it is taken on in any case.
    """
    if not is_open(incident) or incident.acknowledged_at is not None:
        return False
    incident.acknowledged_at = at
    if incident.status == Status.DECLARED and may_move:
        _must_have_lead(incident)
        incident.status = Status.INVESTIGATING
    touch(incident, at=at)
    return True


def resolve(incident: Incident, note: str, *, at: datetime) -> bool:
    """End the incident with a note on what was done; returns False when it is resolved already."""
    if not _has_yet_to_be(incident, Status.RESOLVED):
        return False
    _must_have_lead(incident)
    _resolve(incident, note, at=at)
    touch(incident, at=at)
    return True


def close(incident: Incident, note: str, *, at: datetime) -> bool:
    """Declare that nothing more is to be done; returns False when it is closed already.

    An open incident is resolved on the way and needs the same note.
    """
    if not _has_yet_to_be(incident, Status.CLOSED):
        return False
    if is_open(incident):
        _must_have_lead(incident)
        _resolve(incident, note, at=at)
    incident.status = Status.CLOSED
    incident.closed_at = at
    touch(incident, at=at)
    return True


def cancel(incident: Incident, reason: CancelReason, *, duplicate_of_id: UUID | None, at: datetime) -> bool:
    """Declare that it was no incident; returns False when it is cancelled already.

    A duplicate names the incident that goes on, and only a duplicate does.
    """
    if not _has_yet_to_be(incident, Status.CANCELLED):
        return False
    _must_have_lead(incident)
    if reason is CancelReason.DUPLICATE and duplicate_of_id is None:
        raise Invalid("duplicate_of", "Say which incident this one duplicates.", code="required")
    if reason is not CancelReason.DUPLICATE and duplicate_of_id is not None:
        raise Invalid("duplicate_of", "Only a duplicate names another incident.", code="unexpected")
    if duplicate_of_id == incident.id:
        raise Invalid("duplicate_of", "An incident cannot be a duplicate of itself.", code="itself")
    incident.status = Status.CANCELLED
    incident.cancel_reason = reason
    incident.duplicate_of_id = duplicate_of_id
    incident.cancelled_at = at
    touch(incident, at=at)
    return True


def reopen(incident: Incident, *, at: datetime) -> bool:
    """Begin another round of an incident that was not over after all; returns False when it is open already.

    The stamps of the round that ended are cleared; whoever calls keeps them in the record first. Whoever begins it has
    taken it on.
    """
    if is_open(incident):
        return False
    incident.status = Status.INVESTIGATING
    incident.round += 1
    incident.reopened_at = at
    incident.resolution_note = ""
    incident.cancel_reason = incident.cancel_note = None
    incident.duplicate_of_id = None
    incident.identified_at = incident.mitigated_at = None
    incident.resolved_at = incident.closed_at = incident.cancelled_at = None
    incident.acknowledged_at = at
    touch(incident, at=at)
    return True


def _has_yet_to_be(incident: Incident, to: Status) -> bool:
    """Say whether the incident is not there yet; raises `Conflict` when it cannot get there."""
    found = way(Status(incident.status), to)
    if found is None:
        raise _not_from(incident, to)
    return found is not Way.STAY


def _checked(note: str) -> str:
    note = storable(note).strip()
    if not note:
        raise Invalid("resolution_note", "Say what was done before you resolve the incident.", code="required")
    if len(note) > NOTE_LIMIT:
        raise Invalid("resolution_note", f"The note is longer than {NOTE_LIMIT:,} characters.", code="too_long")
    return note


def _resolve(incident: Incident, note: str, *, at: datetime) -> None:
    incident.resolution_note = _checked(note)
    incident.status = Status.RESOLVED
    incident.resolved_at = at
    incident.acknowledged_at = incident.acknowledged_at or at


def _must_have_lead(incident: Incident) -> None:
    """Work on a declared incident begins, and ends, with somebody who answers for it."""
    if incident.status == Status.DECLARED and effective_lead(incident) is None:
        raise Conflict(
            f"{incident.reference} has no lead. Give somebody the lead, or join it yourself, first.",
            code="incident.lead_required",
        )


def _not_from(incident: Incident, to: Status) -> Conflict:
    return Conflict(
        f"{incident.reference} is {incident.status} and cannot become {to}. Reopen it first.", code="incident.not_open"
    )
