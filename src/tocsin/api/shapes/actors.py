"""Who did something, as the API writes it."""

from __future__ import annotations

import msgspec

from tocsin.events.log import LoggedEvent
from tocsin.kit.ids import public


class ActorOut(msgspec.Struct):
    """Who did it, as they were called then. `kind` is `user`, `source` or `system`."""

    kind: str
    name: str
    id: str | None


def write_actor(event: LoggedEvent) -> ActorOut:
    """Write who caused an event."""
    prefix = {"user": "usr", "source": "src"}.get(event.actor_kind)
    id = public(prefix, event.actor_id) if prefix and event.actor_id is not None else None
    return ActorOut(event.actor_kind, event.actor_name, id)
