"""Who did something, as the API writes it."""

from __future__ import annotations

import msgspec

from tocsin.alerts.model import SOURCE_ID
from tocsin.events.log import LoggedEvent
from tocsin.identity.model import USER_ID


class ActorOut(msgspec.Struct):
    """Who did it, as they were called then. `kind` is `user`, `source` or `system`."""

    kind: str
    name: str
    id: str | None


def write_actor(event: LoggedEvent) -> ActorOut:
    """Write who caused an event."""
    kind = {"user": USER_ID, "source": SOURCE_ID}.get(event.actor_kind)
    id = kind.write_or_none(event.actor_id) if kind is not None else None
    return ActorOut(event.actor_kind, event.actor_name, id)
