"""Who may change whose account."""

from __future__ import annotations

from uuid import UUID

from tocsin.identity.model import Actor
from tocsin.kit.errors import Denied


def must_manage(who: Actor, user_id: UUID) -> None:
    """Raise `Denied` unless it is the actor's own account or the actor manages people."""
    if who.may("user.manage"):
        return
    who.must("self.edit")
    if who.user_id != user_id:
        raise Denied("You may change your own account only.", hint="Ask an administrator.")
