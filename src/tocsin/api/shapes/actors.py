"""Who did something, as the API writes it."""

from __future__ import annotations

from uuid import UUID

import msgspec

from tocsin.alerts.model import SOURCE_ID
from tocsin.events.log import LoggedEvent
from tocsin.identity.model import USER_ID


class ActorOut(msgspec.Struct):
    """Who did it, as they were called then. `kind` is `user`, `source` or `system`.

    `via` is `page_link` for a person who came by the link of a page and had not signed in, else null.
    """

    kind: str
    name: str
    id: str | None
    via: str | None = None


def write_actor(event: LoggedEvent) -> ActorOut:
    """Write who caused an event."""
    who = write_who(event.actor_kind, event.actor_id, event.actor_name)
    return msgspec.structs.replace(who, via=event.data.get("via"))


def write_who(kind: str, id: UUID | None, name: str) -> ActorOut:
    """Write who did something, as it is kept."""
    of = {"user": USER_ID, "source": SOURCE_ID}.get(kind)
    return ActorOut(kind, name, of.write_or_none(id) if of is not None else None)
