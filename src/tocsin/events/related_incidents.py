"""What can happen to the links of an incident and to what it has to do with others, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from tocsin.events.base import Event
from tocsin.events.lines import TITLE, By, Line, Words
from tocsin.kit.text import truncate


class LinkAdded(Event, frozen=True, kw_only=True):
    """Somebody said where else the incident goes on."""

    name: ClassVar[str] = "incident.link_added"
    link_id: UUID
    kind: str
    title: str
    url: str


class LinkRemoved(Event, frozen=True, kw_only=True):
    """A link is no longer there."""

    name: ClassVar[str] = "incident.link_removed"
    link_id: UUID
    kind: str
    title: str
    url: str


class IncidentRelated(Event, frozen=True, kw_only=True):
    """Another incident has to do with this one: it is its `parent`, its `child`, or `related`."""

    name: ClassVar[str] = "incident.related"
    reference: str
    title: str
    relation: str


class IncidentUnrelated(Event, frozen=True, kw_only=True):
    """Another incident has nothing to do with this one any more."""

    name: ClassVar[str] = "incident.unrelated"
    reference: str
    title: str
    relation: str


def _link_added(event: LinkAdded, by: By) -> Line:
    return Line("link", f"{by.name} added the link “{truncate(event.title, TITLE)}”", "slate", "change", event.url)


def _link_removed(event: LinkRemoved, by: By) -> Line:
    return Line("unlink", f"{by.name} removed the link “{truncate(event.title, TITLE)}”", "slate", "change", event.url)


_RELATIONS: Mapping[str, str] = {"parent": "the parent", "child": "a child"}


def _related(event: IncidentRelated, by: By) -> Line:
    # Whoever may not see that one is not told which it is.
    which = event.reference or "another incident"
    if event.relation in _RELATIONS:
        text = f"{by.name} made {which} {_RELATIONS[event.relation]} of this incident"
    else:
        text = f"{by.name} related {which} to this incident"
    return Line("link", text, "slate", "change", event.title)


def _unrelated(event: IncidentUnrelated, by: By) -> Line:
    which = event.reference or "another incident"
    if event.relation in _RELATIONS:
        text = f"{by.name} said that {which} is no longer {_RELATIONS[event.relation]} of this incident"
    else:
        text = f"{by.name} said that {which} is not related to this incident"
    return Line("unlink", text, "slate", "change", event.title)


WORDS: Words = {
    LinkAdded: _link_added,
    LinkRemoved: _link_removed,
    IncidentRelated: _related,
    IncidentUnrelated: _unrelated,
}
