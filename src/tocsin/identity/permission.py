"""Who may change whose account."""

from __future__ import annotations

from uuid import UUID

from tocsin.identity.model import PERMISSIONS, Actor, Role
from tocsin.kit.errors import Denied


def must_not_exceed(who: Actor, role: Role) -> None:
    """Raise `Denied` for a token that would get hold of an account that may do more than it may itself."""
    if not who.permissions >= PERMISSIONS[role]:
        raise Denied("A token cannot give or take over an account that may do more than it may itself.")


def may_edit(role: str | None) -> bool:
    """Say whether people of this role may act on incidents, and so have roles in them."""
    return role is not None and "incident.edit" in PERMISSIONS[Role(role)]


def must_manage(who: Actor, user_id: UUID) -> None:
    """Raise `Denied` unless it is the actor's own account or the actor manages people."""
    if who.may("user.manage"):
        return
    who.must("self.edit")
    if who.user_id != user_id:
        raise Denied("You may change your own account only.", hint="Ask an administrator.")
