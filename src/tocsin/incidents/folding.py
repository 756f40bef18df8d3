"""Which lines of a timeline are one act: they fold under the sentence that leads. Pure.

Acknowledging an alert writes five events in the same moment. They are one line to whoever reads, with the rest behind
it. What was written by people is never folded away, and neither is a key event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tocsin.events import words
from tocsin.events.incidents import IncidentAcknowledged, IncidentStatusChanged
from tocsin.events.lines import Kind, Line, listed
from tocsin.incidents.model import Status

# What the same actor, or what an act has set going, does so shortly after its first event still belongs to it.
MOMENT = timedelta(seconds=5)
# What leads where nothing is a key event.
_WEIGHT: Mapping[Kind, int] = {"change": 0, "page": 1, "system": 2, "comment": 0}


@dataclass(frozen=True, slots=True)
class Noted:
    """One event as its reader is told of it."""

    id: UUID
    at: datetime
    transaction: int
    name: str
    actor: str
    data: Mapping[str, Any]
    line: Line
    is_key: bool

    @property
    def is_comment(self) -> bool:
        return self.name in words.COMMENTS


@dataclass(frozen=True, slots=True)
class Shown:
    """An event that stands for itself, with what is said for it: `text` may stand for others of the act, too."""

    noted: Noted
    text: str


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did at once: what is shown of it, the leading line first, and what opens behind that."""

    shown: tuple[Shown, ...]
    folded: tuple[Noted, ...] = ()


def fold(timeline: Sequence[Noted]) -> list[Act]:
    """Put the events of a timeline, the newest first, into acts, the newest first."""
    acts: list[list[Noted]] = []
    for noted in reversed(timeline):
        if acts and _belongs(noted, acts[-1]):
            acts[-1].append(noted)
        else:
            acts.append([noted])
    return [_act(each) for each in reversed(acts)]


def _belongs(noted: Noted, act: Sequence[Noted]) -> bool:
    first = act[0]
    if noted.is_comment or first.is_comment:
        return False
    if (noted.transaction, noted.at) == (first.transaction, first.at):
        return True
    # Two things that somebody did one after the other stay two, however quick they are.
    is_another = noted.is_key and any(each.is_key for each in act)
    return noted.actor == act[-1].actor and noted.at - first.at <= MOMENT and not is_another


def _act(events: Sequence[Noted]) -> Act:
    if len(events) == 1:
        return Act((Shown(events[0], events[0].line.text),))
    named = {each.name for each in events}
    leading = [each for each in events if each.is_key and not _follows(each, named)]
    if not leading:
        leading = [min(events, key=lambda each: _WEIGHT[each.line.kind])]
    told: list[Shown] = []
    said: set[UUID] = set()
    for each in leading:
        if each.id in said:
            continue
        alike = _alike(each, events)
        told.append(Shown(each, _together(alike)))
        said |= {other.id for other in alike}
    standing = {shown.noted.id for shown in told}
    return Act(tuple(told), tuple(each for each in reversed(events) if each.id not in standing))


def _follows(noted: Noted, named: set[str]) -> bool:
    """Say whether an event is but the other side of a key event in the same act: who takes it on begins to look."""
    is_begun = noted.name == IncidentStatusChanged.name and noted.data.get("new") == Status.INVESTIGATING
    return is_begun and IncidentAcknowledged.name in named


def _alike(noted: Noted, events: Sequence[Noted]) -> list[Noted]:
    """Return the events that say the same of other things, in the order of time."""
    of = _without_object(noted)
    if not noted.line.object:
        return [noted]
    return [each for each in events if each.line.object and _without_object(each) == of]


def _without_object(noted: Noted) -> str:
    return noted.line.text.removesuffix(noted.line.object)


def _together(alike: Sequence[Noted]) -> str:
    """Say one sentence for all of them: Rey acknowledged the page, the alert and the incident."""
    if len(alike) == 1:
        return alike[0].line.text
    objects = [each.line.object for each in alike]
    counted = [_several(each, objects.count(each)) for each in dict.fromkeys(objects)]
    return f"{_without_object(alike[0])}{listed(counted)}"


def _several(thing: str, count: int) -> str:
    return thing if count == 1 else f"{count} {thing.removeprefix('the ')}s"
