"""What can happen to an incident, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from tocsin.events import vocabulary
from tocsin.events.base import Change, Event, yes_or_no
from tocsin.events.facts import Why
from tocsin.events.lines import TITLE, By, Line, Words, acknowledged, changed, fields, sentences, time, whose
from tocsin.events.reasons import because
from tocsin.kit.text import truncate


class IncidentDeclared(Event, frozen=True, kw_only=True):
    """A person, or a rule, declared it."""

    name: ClassVar[str] = "incident.declared"
    is_key: ClassVar[bool] = True
    reference: str
    title: str
    severity: int
    from_alert: str = ""
    is_drill: bool = False
    template: str = ""


class IncidentUpdated(Event, frozen=True, kw_only=True):
    """Title, summary or another plain field changed."""

    name: ClassVar[str] = "incident.updated"
    changes: list[Change]

    def says(self) -> Mapping[str, str | None]:
        return {each.field: each.new for each in self.changes}

    def said(self) -> Mapping[str, str | None]:
        return {each.field: each.old for each in self.changes}


class IncidentSeverityChanged(Event, frozen=True, kw_only=True):
    """Somebody judged it to be worse or better."""

    name: ClassVar[str] = "incident.severity_changed"
    is_key: ClassVar[bool] = True
    old: int
    new: int

    def says(self) -> Mapping[str, str | None]:
        return {"severity": vocabulary.severity(self.new)}


class IncidentDrillChanged(Event, frozen=True, kw_only=True):
    """Somebody said that it is an exercise after all, or that it is none."""

    name: ClassVar[str] = "incident.drill_changed"
    is_key: ClassVar[bool] = True
    is_drill: bool

    def says(self) -> Mapping[str, str | None]:
        return {"is_drill": yes_or_no(self.is_drill)}

    def said(self) -> Mapping[str, str | None]:
        return {"is_drill": yes_or_no(not self.is_drill)}


class IncidentStatusChanged(Event, frozen=True, kw_only=True):
    """It moved between open states."""

    name: ClassVar[str] = "incident.status_changed"
    is_key: ClassVar[bool] = True
    old: str
    new: str

    def says(self) -> Mapping[str, str | None]:
        return {"status": self.new}


class IncidentAcknowledged(Event, frozen=True, kw_only=True):
    """The first person took it on: `user_id`, whom somebody else may have brought in with an alert that they have."""

    name: ClassVar[str] = "incident.acknowledged"
    is_key: ClassVar[bool] = True
    user_id: UUID | None = None
    user_name: str = ""


class IncidentResolved(Event, frozen=True, kw_only=True):
    """It is over; the note says what was done. `was_acknowledged`: somebody had taken it on before."""

    name: ClassVar[str] = "incident.resolved"
    is_key: ClassVar[bool] = True
    old: str
    note: str
    alerts_resolved: int
    was_acknowledged: bool = True

    def says(self) -> Mapping[str, str | None]:
        return {"status": "resolved", "resolution_note": self.note}


class IncidentClosed(Event, frozen=True, kw_only=True):
    """No further action is expected."""

    name: ClassVar[str] = "incident.closed"
    is_key: ClassVar[bool] = True
    old: str

    def says(self) -> Mapping[str, str | None]:
        return {"status": "closed"}


class IncidentCancelled(Event, frozen=True, kw_only=True):
    """It was none: a false alarm, a duplicate or something else."""

    name: ClassVar[str] = "incident.cancelled"
    is_key: ClassVar[bool] = True
    old: str
    reason: str
    note: str = ""
    duplicate_of: str = ""

    def says(self) -> Mapping[str, str | None]:
        return {"status": "cancelled"}


class IncidentDuplicated(Event, frozen=True, kw_only=True):
    """Another incident was cancelled as a duplicate of this one, or (`again`) is none after all and was reopened."""

    name: ClassVar[str] = "incident.duplicated"
    reference: str
    title: str
    again: bool = False


class IncidentReopened(Event, frozen=True, kw_only=True):
    """It was not over after all. The stamps of the round that ended are kept here."""

    name: ClassVar[str] = "incident.reopened"
    is_key: ClassVar[bool] = True
    old: str
    reason: str
    round: int
    resolved_at: str = ""
    resolution_note: str = ""
    acknowledged_at: str = ""
    mitigated_at: str = ""
    closed_at: str = ""
    cancelled_at: str = ""
    identified_at: str = ""

    def says(self) -> Mapping[str, str | None]:
        return {"status": "investigating", "resolution_note": ""}


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
    is_key: ClassVar[bool] = True
    role: str
    old: str | None
    new: str | None
    # Why, when nobody decided it: the one before can have it no longer. Only 0.1.0 has written a `reason`.
    reason: str = ""
    why: Why | None = None

    def says(self) -> Mapping[str, str | None]:
        return {self.role: self.new}


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
    """Somebody is no longer on it; `why`, if they did not say so themselves. Only 0.1.0 has written a `reason`."""

    name: ClassVar[str] = "incident.responder_left"
    user_id: UUID
    user_name: str
    reason: str = ""
    why: Why | None = None


class AlertLinked(Event, frozen=True, kw_only=True):
    """An alert now belongs to this incident."""

    name: ClassVar[str] = "incident.alert_linked"
    alert_title: str


class AlertUnlinked(Event, frozen=True, kw_only=True):
    """An alert no longer belongs to this incident."""

    name: ClassVar[str] = "incident.alert_unlinked"
    alert_title: str


_TIMES = frozenset({"started_at", "detected_at", "identified_at", "mitigated_at"})


def _declared(event: IncidentDeclared, by: By) -> Line:
    origins = [
        f"from the alert “{event.from_alert}”" if event.from_alert else "",
        f"with the template “{event.template}”" if event.template else "",
    ]
    origin = ", ".join(each for each in origins if each)
    text = f"{by.name} declared {event.reference} as {vocabulary.severity(event.severity)}"
    text += ", a drill" if event.is_drill else ""
    return Line("siren", text, "red", "change", origin)


def _updated(event: IncidentUpdated, by: By) -> Line:
    told = [
        Change(each.field, time(each.old, by.zone), time(each.new, by.zone)) if each.field in _TIMES else each
        for each in event.changes
    ]
    return Line("pencil", f"{by.name} changed {fields(told)}", "slate", "change", changed(told))


def _severity_changed(event: IncidentSeverityChanged, by: By) -> Line:
    old, new = vocabulary.severity(event.old), vocabulary.severity(event.new)
    if event.new < event.old:
        return Line("arrow-up", f"{by.name} raised the severity from {old} to {new}", "red", "change")
    return Line("arrow-down", f"{by.name} lowered the severity from {old} to {new}", "slate", "change")


def _drill_changed(event: IncidentDrillChanged, by: By) -> Line:
    if event.is_drill:
        return Line(
            "radio-tower", f"{by.name} marked the incident as a drill", "amber", "change", "No figure counts it."
        )
    return Line("siren", f"{by.name} said that this is no drill", "red", "change", "It counts as a real incident.")


def _status_changed(event: IncidentStatusChanged, by: By) -> Line:
    text = f"{by.name} changed the status from {event.old} to {event.new}"
    return Line("circle-dot", text, vocabulary.status(event.new).tone, "change")


def _acknowledged(event: IncidentAcknowledged, by: By) -> Line:
    if event.user_name in ("", by.name):
        return acknowledged(by.name, "the incident", "change")
    detail = f"{event.user_name} has acknowledged the alert that {by.name} brought in."
    return Line("check", f"The incident is in {whose(event.user_name)} hands", "green", "change", detail)


def _resolved(event: IncidentResolved, by: By) -> Line:
    with_it = {0: "", 1: " and one alert with it"}.get(
        event.alerts_resolved, f" and {event.alerts_resolved} alerts with it"
    )
    text = f"{by.name} resolved the incident{with_it}"
    if not event.was_acknowledged:
        text += "; nobody had acknowledged it before"
    return Line("circle-check", text, "green", "change", event.note)


def _closed(_event: IncidentClosed, by: By) -> Line:
    return Line("lock", f"{by.name} closed the incident", "slate", "change")


def _cancelled(event: IncidentCancelled, by: By) -> Line:
    text, icon = f"{by.name} cancelled the incident", "x"
    match event.reason:
        case "false_alarm":
            text += ": a false alarm"
        case "duplicate":
            text, icon = f"{text}: a duplicate of {event.duplicate_of or 'another one'}", "git-merge"
        case _:
            pass
    return Line(icon, text, "slate", "change", event.note)


def _duplicated(event: IncidentDuplicated, by: By) -> Line:
    # Whoever may not see that one is not told which it is.
    which = event.reference or "another incident"
    if event.again:
        text = f"{by.name} reopened {which}, which is no duplicate of this one"
        return Line("rotate-ccw", text, "slate", "change", event.title)
    text = f"{by.name} cancelled {which} as a duplicate of this one"
    return Line("git-merge", text, "slate", "change", event.title)


def _reopened(event: IncidentReopened, by: By) -> Line:
    before = f"It was {event.old}." if not event.resolution_note else f"It was {event.old}:"
    text = f"{by.name} reopened the incident: {event.reason}"
    return Line("rotate-ccw", text, "orange", "change", sentences(before, event.resolution_note))


def _comment_added(_event: CommentAdded, by: By) -> Line:
    return Line("message-square", f"{by.name} wrote", "slate", "comment")


def _comment_edited(_event: CommentEdited, by: By) -> Line:
    return Line("pencil", f"{by.name} edited a comment", "slate", "change")


def _comment_erased(event: CommentErased, by: By) -> Line:
    of_whom = "a comment of their own" if event.author_name == by.name else f"a comment by {event.author_name}"
    return Line("trash-2", f"{by.name} erased {of_whom}", "slate", "change")


def _role_changed(event: RoleChanged, by: By) -> Line:
    if why := because(event):
        now = f"{event.new} is {event.role} now" if event.new else f"Nobody is {event.role} now"
        if event.new:
            return Line("user-check", now, "violet", "change", why)
        return Line("user-x", now, "orange", "change", why)
    if event.new is None:
        text = f"{event.old or 'Nobody'} is no longer {event.role}"
        return Line("user-x", text + (f", by {by.name}" if by.name != event.old else ""), "slate", "change")
    took = f"{by.name} made {event.new} {event.role}"
    if event.new == by.name:
        took = f"{by.name} took the role of {event.role}"
    return Line("user-check", took, "violet", "change", f"before: {event.old}" if event.old else "")


def _paged(event: ResponderPaged, by: By) -> Line:
    return Line("bell-plus", f"{by.name} paged {event.target}", "amber", "page", event.message)


_JOINED: Mapping[str, str] = {
    "paged": "after a page",
    "linked_alert": "after a page for a linked alert",
    "role": "through a role",
}


def _joined(event: ResponderJoined, by: By) -> Line:
    how = _JOINED.get(event.source, "")
    if event.user_name != by.name and event.source == "self":
        how = f"brought in by {by.name}"
    return Line("user-round-plus", f"{event.user_name} joined", "teal", "change", how)


def _declined(event: ResponderDeclined, _: By) -> Line:
    return Line("user-x", f"{event.user_name} cannot help with this", "orange", "change")


def _left(event: ResponderLeft, _: By) -> Line:
    return Line("log-out", f"{event.user_name} left", "slate", "change", because(event))


def _linked(event: AlertLinked, by: By) -> Line:
    text = f"{by.name} linked the alert “{truncate(event.alert_title, TITLE)}”"
    return Line("link", text, "slate", "change")


def _unlinked(event: AlertUnlinked, by: By) -> Line:
    text = f"{by.name} unlinked the alert “{truncate(event.alert_title, TITLE)}”"
    return Line("unlink", text, "slate", "change")


WORDS: Words = {
    IncidentDeclared: _declared,
    IncidentUpdated: _updated,
    IncidentSeverityChanged: _severity_changed,
    IncidentDrillChanged: _drill_changed,
    IncidentStatusChanged: _status_changed,
    IncidentAcknowledged: _acknowledged,
    IncidentResolved: _resolved,
    IncidentClosed: _closed,
    IncidentCancelled: _cancelled,
    IncidentDuplicated: _duplicated,
    IncidentReopened: _reopened,
    CommentAdded: _comment_added,
    CommentEdited: _comment_edited,
    CommentErased: _comment_erased,
    RoleChanged: _role_changed,
    ResponderPaged: _paged,
    ResponderJoined: _joined,
    ResponderDeclined: _declined,
    ResponderLeft: _left,
    AlertLinked: _linked,
    AlertUnlinked: _unlinked,
}
