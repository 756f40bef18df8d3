"""Who did something, as the API writes it."""

from __future__ import annotations

from uuid import UUID

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
    return write_who(event.actor_kind, event.actor_id, event.actor_name)


def write_who(kind: str, id: UUID | None, name: str) -> ActorOut:
    """Write who did something, as it is kept."""
    of = {"user": USER_ID, "source": SOURCE_ID}.get(kind)
    return ActorOut(kind, name, of.write_or_none(id) if of is not None else None)
