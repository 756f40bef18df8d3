"""What an event is: a fact that happened, in the past tense, never changed afterwards. No database here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from tocsin.kit.ids import IdKind

EVENT_ID = IdKind("event", "evt")


_COMMON = frozenset({"actor", "alert_id", "incident_id", "version"})


class Subject(msgspec.Struct, frozen=True):
    """Something that an event is about: the name of its kind of ids (`escalation_policy`, `user`), and its id."""

    kind: str
    id: UUID


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact. Subclasses set `name` (`incident.resolved`) and declare what happened as fields.

    `alert_id` and `incident_id` say whose record it belongs to; an event of an alert that is linked to an incident
    carries both, and so stands on the incident's timeline as well. Fields are only ever added, never renamed.
    `version` is the one that what it changed has had since, 0 where it has none; 0.1.0 has not written it.
    """

    name: ClassVar[str]
    # What the story of an incident is made of: it leads in a timeline, and is never folded away.
    is_key: ClassVar[bool] = False

    actor: ActorRef
    alert_id: UUID | None = None
    incident_id: UUID | None = None
    version: int = 0

    def data(self) -> dict[str, Any]:
        """Return the fields that are particular to this kind of event, the version if there is one, and `via`.

        That is by what its actor acted, where it was not their sign-in or their token.
        """
        found = {f: getattr(self, f) for f in self.__struct_fields__ if f not in _COMMON}
        found |= {"version": self.version} if self.version else {}
        return found | {"via": self.actor.via} if self.actor.via else found

    def says(self) -> Mapping[str, str | None]:
        """Return the fields that it changed, and what the record says is in them since."""
        return {}

    def said(self) -> Mapping[str, str | None]:
        """Return what was in those fields before, where the record says that."""
        return {}

    def subjects(self) -> tuple[Subject, ...]:
        """Return what it is about beside its alert and its incident: whose history it belongs to."""
        return ()


class ActorRef(msgspec.Struct, frozen=True):
    """Who caused it, as it is written into the record: kind, id and the name they had at the time."""

    kind: str
    name: str
    id: UUID | None = None
    # By what they acted, where it was not their sign-in or their token: `page_link`. Written only then, so that jobs
    # read as those of 0.1.0 do.
    via: str | msgspec.UnsetType = msgspec.UNSET


BY_PAGE_LINK = "page_link"
# What Tocsin does without being asked.
SYSTEM = ActorRef(kind="system", name="Tocsin")


class Change(msgspec.Struct, frozen=True):
    """One field's old and new value, as the record shows them."""

    field: str
    old: str | None
    new: str | None
    # What people call the field, where it is one of their own.
    called: str | msgspec.UnsetType = msgspec.UNSET


def yes_or_no(value: bool) -> str:
    """Say a field that is on or off as the record shows it."""
    return "yes" if value else "no"
