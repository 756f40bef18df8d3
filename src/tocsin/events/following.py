"""Who began and who ceased to follow an incident, and how that reads."""

from __future__ import annotations

from typing import ClassVar

from tocsin.events.base import Event
from tocsin.events.facts import Why
from tocsin.events.lines import By, Line, Words
from tocsin.events.reasons import said


class SubscriberAdded(Event, frozen=True, kw_only=True):
    """Somebody follows it from now on: a `user`, or a `team`, whose name is left out if it is private.

    `how` is `self`, `added` or `mentioned`.
    """

    name: ClassVar[str] = "incident.subscriber_added"
    kind: str
    subscriber: str
    how: str


class SubscriberRemoved(Event, frozen=True, kw_only=True):
    """Somebody follows it no more; `why`, if nobody decided that."""

    name: ClassVar[str] = "incident.subscriber_removed"
    kind: str
    subscriber: str
    why: Why | None = None


def _called(event: SubscriberAdded | SubscriberRemoved) -> str:
    return event.subscriber or "a private team"


def _added(event: SubscriberAdded, by: By) -> Line:
    if event.subscriber == by.name:
        return Line("bell", f"{by.name} follows the incident", "slate", "change")
    who = _called(event)
    if event.how == "mentioned":
        # The comment stands above: what follows from it is one line, however many it names.
        return Line("bell", f"Mentioned by {by.name}, and following now: {who}", "slate", "change", object=who)
    return Line("bell", f"{by.name} added to the subscribers: {who}", "slate", "change", object=who)


def _removed(event: SubscriberRemoved, by: By) -> Line:
    if event.why is not None:
        return Line("bell-off", f"{_called(event)} follows the incident no more", "slate", "change", said(event.why))
    if event.subscriber == by.name:
        return Line("bell-off", f"{by.name} follows the incident no more", "slate", "change")
    who = _called(event)
    return Line("bell-off", f"{by.name} took off the subscribers: {who}", "slate", "change", object=who)


WORDS: Words = {SubscriberAdded: _added, SubscriberRemoved: _removed}
