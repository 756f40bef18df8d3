"""What is news to whom, and in which words. No clock, no database, no logging.

News follow the present state of an alert or incident and not its single steps: what is no longer true is never told,
and several changes in a row are one message that says how it stands. Whoever follows a subject may be told; today
these are the people whom a page about it has reached.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from tocsin.kit.text import one_line, spoken, truncate
from tocsin.notifications.model import Method, SubjectKind, Tell
from tocsin.notifications.patience import NEWS_TRIED_FOR

# Changes within this time of the first one are told together.
WINDOW = timedelta(seconds=30)
# What is older is no news any more; a message is tried for as long.
TOLD_WITHIN = NEWS_TRIED_FOR
# How many subjects one message names.
MOST_LINES = 20
_MOST_THREADS = 10
_TITLE = 120
# The quietest first: whoever is told is not to be woken. What is not named comes last.
_BY_NOISE: Sequence[str] = ("email", "webhook", "console")


class Standing(StrEnum):
    """How a subject stands in the eyes of those who were paged for it."""

    OPEN = "open"
    TAKEN = "taken"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Subject:
    """An alert or an incident as it stands now, and what brought it there: what was done, by whom and when.

    `how` is past tense (“took”, “joined”, “gave it back”, “resolved”). Only pages since `since` count: those of an
    earlier round are forgotten. The pages about it are those of `alert_ids` and, for an incident, its own.
    """

    kind: SubjectKind
    id: UUID
    round: int
    title: str
    severity: int
    status: str
    standing: Standing
    how: str
    by: str
    by_id: UUID | None
    by_source: bool
    at: datetime
    began_at: datetime
    since: datetime
    alert_ids: Sequence[UUID]
    reference: str = ""
    # The incident that an alert belongs to.
    incident_id: UUID | None = None
    source: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict[str, Any])
    note: str = ""

    @property
    def mark(self) -> str:
        """Return what a person knows once they have been told of this standing."""
        if self.standing is Standing.TAKEN and self.kind is SubjectKind.ALERT:
            return f"taken by {self.by_id or self.by}"
        return self.standing.value


@dataclass(frozen=True, slots=True)
class Reached:
    """A page about a subject that has reached the person: when, whether it was urgent, on which contact method."""

    at: datetime
    is_urgent: bool
    method_id: UUID | None
    alert_id: UUID | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants to be told, and where."""

    tell: Tell = Tell.ALL
    low_urgency: bool = False
    method_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a person is told how a subject stands, and what they know afterwards."""

    is_told: bool
    known: str | None


def judge(
    subject: Subject, reached: Sequence[Reached], known: str | None, wish: Wish, *, user_id: UUID, now: datetime
) -> Verdict:
    """Say whether this is news to somebody who knows so much (None: no more than the page)."""
    if not reached or now - subject.at > TOLD_WITHIN:
        return Verdict(False, known)
    if subject.by_id == user_id:
        # Nobody is told what they did themselves, and they know it.
        return Verdict(False, subject.mark)
    if subject.standing is Standing.OPEN and max(page.at for page in reached) >= subject.at:
        # They have been paged anew, which says it louder.
        return Verdict(False, subject.mark)
    if subject.mark == (known or Standing.OPEN):
        return Verdict(False, known)
    is_wanted = wish.tell is Tell.ALL or (wish.tell is Tell.OVER and subject.standing is Standing.OVER)
    is_urgent = wish.low_urgency or any(page.is_urgent for page in reached)
    return Verdict(True, subject.mark) if is_wanted and is_urgent else Verdict(False, known)


def bundle(subjects: Sequence[Subject]) -> list[Subject]:
    """Leave out alerts of which all is said by the news of their incident; the first to change comes first."""
    said = {(subject.id, subject.standing) for subject in subjects if subject.kind is SubjectKind.INCIDENT}
    kept = [subject for subject in subjects if (subject.incident_id, subject.standing) not in said]
    return sorted(kept, key=lambda subject: (subject.at, subject.id))


def choose(
    methods: Sequence[Method], used: Collection[UUID | None], wish: Wish, failing: Collection[UUID] = ()
) -> Method | None:
    """Choose where to tell: the wished one, else the quietest by which the person was paged, one that works first."""
    wished = [method for method in methods if method.id == wish.method_id]
    theirs = wished or [method for method in methods if method.id in used] or list(methods)
    return min(theirs, key=lambda method: (method.id in failing, _noise(method), method.id), default=None)


def _noise(method: Method) -> int:
    return _BY_NOISE.index(method.kind) if method.kind in _BY_NOISE else len(_BY_NOISE)


def sentence(subject: Subject) -> str:
    """Say how a subject stands, who did it and how long that took."""
    title = f"“{one_line(subject.title, _TITLE)}”"
    it = f"{subject.reference} {title}" if subject.reference else title
    by = one_line(subject.by, 80)
    after = f"after {spoken(subject.at - subject.began_at)}"
    match subject.standing:
        case Standing.OVER:
            return f"{it} is over: {subject.how} by {by} {after}."
        case Standing.OPEN:
            return f"{it} is open again: {by} {subject.how}. You may be paged again."
        case Standing.TAKEN if subject.by_source:
            return f"{it} was acknowledged in {by} {after}."
        case Standing.TAKEN:
            return f"{by} {subject.how} {it} {after}."


def content_of(told: Sequence[Subject], pages: Sequence[Reached]) -> dict[str, Any]:
    """Write what a message of these news says, in the fields that a page has; `told` is not empty."""
    first = told[0]
    is_one = len(told) == 1
    lines = [f"- {sentence(subject)}" for subject in told[:MOST_LINES]]
    if len(told) > MOST_LINES:
        lines.append(f"- And {len(told) - MOST_LINES} more.")
    statuses = {subject.status for subject in told}
    return {
        "title": sentence(first) if is_one else _heading(told),
        "body": truncate(first.note, 2000) if is_one else "\n".join(lines),
        "severity": min(subject.severity for subject in told),
        "urgency": "low",
        "source": first.source if is_one else "Tocsin",
        "labels": dict(first.labels) if is_one else {},
        "reason": "You were paged for it" if is_one else "You were paged for them",
        "status": statuses.pop() if len(statuses) == 1 else "",
        "about": first.title if is_one else "",
        "incident_number": first.reference if is_one else "",
        "threads": _threads(told, pages),
    }


def _heading(told: Sequence[Subject]) -> str:
    kinds = {subject.kind for subject in told}
    what = f"{kinds.pop()}s" if len(kinds) == 1 else "alerts and incidents"
    standings = {subject.standing for subject in told}
    ends = {Standing.OVER: "are over", Standing.TAKEN: "were taken", Standing.OPEN: "are open again"}
    end = ends[standings.pop()] if len(standings) == 1 else "have changed"
    return f"{len(told)} {what} that you were paged for {end}."


def _threads(told: Sequence[Subject], pages: Sequence[Reached]) -> list[dict[str, str]]:
    """Name what the pages were about, whose mails form threads: the subjects, and the alerts of an incident."""
    named = [(subject.kind.value, subject.id) for subject in told]
    mine = {page.alert_id for page in pages}
    for subject in told:
        named += [(SubjectKind.ALERT.value, id) for id in subject.alert_ids if id in mine]
    return [{"kind": kind, "id": str(id)} for kind, id in list(dict.fromkeys(named))[:_MOST_THREADS]]
