"""What can happen to an incident."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Change, Event


class IncidentDeclared(Event, frozen=True, kw_only=True):
    """A person, or a rule, declared it."""

    name: ClassVar[str] = "incident.declared"
    reference: str
    title: str
    severity: int
    from_alert: str = ""


class IncidentUpdated(Event, frozen=True, kw_only=True):
    """Title, summary or another plain field changed."""

    name: ClassVar[str] = "incident.updated"
    changes: list[Change]


class IncidentSeverityChanged(Event, frozen=True, kw_only=True):
    """Somebody judged it to be worse or better."""

    name: ClassVar[str] = "incident.severity_changed"
    old: int
    new: int


class IncidentStatusChanged(Event, frozen=True, kw_only=True):
    """It moved between open states."""

    name: ClassVar[str] = "incident.status_changed"
    old: str
    new: str


class IncidentAcknowledged(Event, frozen=True, kw_only=True):
    """The first person took it on: `user_id`, whom somebody else may have brought in with an alert that they have."""

    name: ClassVar[str] = "incident.acknowledged"
    user_id: UUID | None = None
    user_name: str = ""


class IncidentResolved(Event, frozen=True, kw_only=True):
    """It is over; the note says what was done. `was_acknowledged`: somebody had taken it on before."""

    name: ClassVar[str] = "incident.resolved"
    old: str
    note: str
    alerts_resolved: int
    was_acknowledged: bool = True


class IncidentClosed(Event, frozen=True, kw_only=True):
    """No further action is expected."""

    name: ClassVar[str] = "incident.closed"
    old: str


class IncidentCancelled(Event, frozen=True, kw_only=True):
    """It was none: a false alarm, a duplicate or something else."""

    name: ClassVar[str] = "incident.cancelled"
    old: str
    reason: str
    note: str = ""
    duplicate_of: str = ""


class IncidentDuplicated(Event, frozen=True, kw_only=True):
    """Another incident was cancelled as a duplicate of this one, or (`again`) is none after all and was reopened."""

    name: ClassVar[str] = "incident.duplicated"
    reference: str
    title: str
    again: bool = False


class IncidentReopened(Event, frozen=True, kw_only=True):
    """It was not over after all. The stamps of the round that ended are kept here."""

    name: ClassVar[str] = "incident.reopened"
    old: str
    reason: str
    round: int
    resolved_at: str = ""
    resolution_note: str = ""
    acknowledged_at: str = ""
    mitigated_at: str = ""
    closed_at: str = ""
    cancelled_at: str = ""


class CommentAdded(Event, frozen=True, kw_only=True):
    """Somebody wrote into the timeline. What they wrote is the comment's, which can be edited and erased."""

    name: ClassVar[str] = "incident.comment_added"
    comment_id: UUID
    revision: int = 1


class CommentEdited(Event, frozen=True, kw_only=True):
    """Its author wrote it anew; `revision` is the number of the new text."""

    name: ClassVar[str] = "incident.comment_edited"
    comment_id: UUID
    revision: int


class CommentErased(Event, frozen=True, kw_only=True):
    """All texts of a comment were taken out for good."""

    name: ClassVar[str] = "incident.comment_erased"
    comment_id: UUID
    author_name: str


class RoleChanged(Event, frozen=True, kw_only=True):
    """A role was given, passed on or given up."""

    name: ClassVar[str] = "incident.role_changed"
    role: str
    old: str | None
    new: str | None
    # Why, when nobody decided it: the one before can have it no longer.
    reason: str = ""


class ResponderPaged(Event, frozen=True, kw_only=True):
    """Somebody, or a policy, was asked to help."""

    name: ClassVar[str] = "incident.responder_paged"
    target: str
    message: str = ""


class ResponderJoined(Event, frozen=True, kw_only=True):
    """Somebody is on it now."""

    name: ClassVar[str] = "incident.responder_joined"
    user_id: UUID
    user_name: str
    source: str


class ResponderDeclined(Event, frozen=True, kw_only=True):
    """Somebody who was asked cannot help."""

    name: ClassVar[str] = "incident.responder_declined"
    user_id: UUID
    user_name: str


class ResponderLeft(Event, frozen=True, kw_only=True):
    """Somebody is no longer on it."""

    name: ClassVar[str] = "incident.responder_left"
    user_id: UUID
    user_name: str
    reason: str = ""


class AlertLinked(Event, frozen=True, kw_only=True):
    """An alert now belongs to this incident."""

    name: ClassVar[str] = "incident.alert_linked"
    alert_title: str


class AlertUnlinked(Event, frozen=True, kw_only=True):
    """An alert no longer belongs to this incident."""

    name: ClassVar[str] = "incident.alert_unlinked"
    alert_title: str
