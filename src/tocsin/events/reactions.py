"""Reactions to events: jobs that carry the event which caused them. Who reacts to what stands in each domain's `jobs`.

An event is written into the job as it is written into the log, under its name, so that it is read back as the class.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from tocsin.db.engine import Listener, Listeners
from tocsin.events.base import Event
from tocsin.jobs.kinds import Carried, Handled, JobKind, UnknownJob, backoff

E = TypeVar("E", bound=Event)


class Caused(msgspec.Struct, frozen=True):
    """What the job of a reaction carries: the event, how many reactions led to it with this one, when it happened."""

    event: str
    depth: int
    fields: msgspec.Raw
    at: datetime | None = None


_CAUSED = msgspec.json.Decoder(Caused)


class Reaction(JobKind[E], Generic[E]):
    """The kind of job that reacts to one of these events."""

    def __init__(
        self,
        name: str,
        *events: type[E],
        lane: str = "default",
        retry_after: Callable[[int], timedelta] = backoff,
    ) -> None:
        super().__init__(name, events[0], lane=lane, retry_after=retry_after)
        self._events = {event.name: msgspec.json.Decoder(event) for event in events}

    def read(self, payload: str) -> Carried[E]:
        """Read the event that the job reacts to."""
        caused = _CAUSED.decode(payload)
        if (event := self._events.get(caused.event)) is None:
            raise UnknownJob(f"{self.name} does not react to {caused.event} here")
        return Carried(event.decode(caused.fields), caused.depth, caused.at)

    def reacts_to(self, event: type[Event]) -> bool:
        return event.name in self._events


@dataclass(frozen=True, slots=True)
class On:
    """That something reacts to an event; made by `on`."""

    event: type[Event]
    reaction: Reaction[Any]
    when: Callable[[Any], bool] | None


def on(event: type[E], reaction: Reaction[E], *, when: Callable[[E], bool] | None = None) -> On:
    """Say that a job is put into the queue with each such event, or with those of which `when` holds."""
    if not reaction.reacts_to(event):
        raise TypeError(f"{reaction.name} does not read {event.name}.")
    return On(event, reaction, when)


def listeners(reactions: Iterable[On], handled: Iterable[Handled]) -> Listeners:
    """Return who listens to which event; raises `LookupError` for a reaction that nobody carries out."""
    known = {each.kind.name for each in handled}
    found: defaultdict[str, list[Listener]] = defaultdict(list)
    for each in reactions:
        if each.reaction.name not in known:
            raise LookupError(f"Nothing is done for {each.reaction.name}, which reacts to {each.event.name}.")
        found[each.event.name].append(Listener(each.reaction.lane, each.reaction.name, each.when))
    return dict(found)
