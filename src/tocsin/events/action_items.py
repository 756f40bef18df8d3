"""What can happen to an action item of an incident, and how it reads. It stands on the timeline of the incident."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Change, Event, Subject
from tocsin.events.facts import Why
from tocsin.events.lines import TITLE, By, Line, Words, changed, fields, given, plain
from tocsin.events.reasons import said
from tocsin.kit.text import truncate


def _about(id: UUID) -> tuple[Subject, ...]:
    return (Subject("action_item", id),)


class ActionItemCreated(Event, frozen=True, kw_only=True):
    """Something is to be done because of the incident; `changes` say what else was said of it, each from nothing."""

    name: ClassVar[str] = "action_item.created"
    action_item_id: UUID
    description: str
    changes: list[Change]

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.action_item_id)


class ActionItemUpdated(Event, frozen=True, kw_only=True):
    """Its fields changed; `why`, if nobody decided it: who was to do it has no account any more."""

    name: ClassVar[str] = "action_item.updated"
    action_item_id: UUID
    description: str
    changes: list[Change]
    why: Why | None = None

    def says(self) -> Mapping[str, str | None]:
        return {each.field: each.new for each in self.changes}

    def said(self) -> Mapping[str, str | None]:
        return {each.field: each.old for each in self.changes}

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.action_item_id)


class ActionItemCompleted(Event, frozen=True, kw_only=True):
    """It is done."""

    name: ClassVar[str] = "action_item.completed"
    action_item_id: UUID
    description: str
    old: str

    def says(self) -> Mapping[str, str | None]:
        return {"status": "done"}

    def said(self) -> Mapping[str, str | None]:
        return {"status": self.old}

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.action_item_id)


class ActionItemReopened(Event, frozen=True, kw_only=True):
    """It was done or dropped, and is to be done after all."""

    name: ClassVar[str] = "action_item.reopened"
    action_item_id: UUID
    description: str
    old: str
    new: str

    def says(self) -> Mapping[str, str | None]:
        return {"status": self.new}

    def said(self) -> Mapping[str, str | None]:
        return {"status": self.old}

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.action_item_id)


class ActionItemDeleted(Event, frozen=True, kw_only=True):
    """It is gone; the record keeps what it was called."""

    name: ClassVar[str] = "action_item.deleted"
    action_item_id: UUID
    description: str

    def subjects(self) -> tuple[Subject, ...]:
        return _about(self.action_item_id)


def _called(
    event: ActionItemCreated | ActionItemUpdated | ActionItemCompleted | ActionItemReopened | ActionItemDeleted,
) -> str:
    return f"the action item “{truncate(event.description, TITLE)}”"


def _told(changes: list[Change]) -> list[Change]:
    return [Change(each.field, _word(each.old), _word(each.new)) if each.field in _WORDS else each for each in changes]


# Fields that hold a word of ours.
_WORDS = frozenset({"status", "kind"})


def _word(value: str | None) -> str | None:
    return plain(value) if value is not None else None


def _created(event: ActionItemCreated, by: By) -> Line:
    return Line("list-checks", f"{by.name} added {_called(event)}", "blue", "change", given(_told(event.changes)))


def _updated(event: ActionItemUpdated, by: By) -> Line:
    told = changed(_told(event.changes))
    if why := said(event.why):
        return Line("user-x", f"Nobody has {_called(event)} any more", "orange", "change", f"{why}\n{told}")
    match event.changes:
        case [Change(field="status", new="dropped")]:
            return Line("x", f"{by.name} dropped {_called(event)}", "slate", "change")
        case [Change(field="status", new="in_progress")]:
            return Line("pencil", f"{by.name} began with {_called(event)}", "blue", "change")
        case _:
            text = f"{by.name} changed {fields(event.changes)} of {_called(event)}"
            return Line("pencil", text, "slate", "change", told)


def _completed(event: ActionItemCompleted, by: By) -> Line:
    return Line("circle-check", f"{by.name} completed {_called(event)}", "green", "change")


def _reopened(event: ActionItemReopened, by: By) -> Line:
    detail = f"It was {plain(event.old)}."
    return Line("rotate-ccw", f"{by.name} reopened {_called(event)}", "orange", "change", detail)


def _deleted(event: ActionItemDeleted, by: By) -> Line:
    return Line("trash-2", f"{by.name} deleted {_called(event)}", "slate", "change")


WORDS: Words = {
    ActionItemCreated: _created,
    ActionItemUpdated: _updated,
    ActionItemCompleted: _completed,
    ActionItemReopened: _reopened,
    ActionItemDeleted: _deleted,
}
