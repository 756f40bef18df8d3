"""Who may change whose account, and what a credential may hand on."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from tocsin.identity.access import Access, P, Permissions
from tocsin.identity.model import Actor
from tocsin.kit.errors import Denied


def must_not_exceed(who: Actor, permissions: Permissions) -> None:
    """Raise `Denied` for somebody who would hand out more than they may themselves, in the whole organisation."""
    must_not_take_over(who, Access(permissions))


def must_not_take_over(who: Actor, theirs: Access) -> None:
    """Raise `Denied` for somebody who would get hold of more than they may themselves, be it by a team or a grant."""
    if theirs.exceeds(who.access):
        raise Denied(
            "This would give or take over an account that may do more than you may.",
            hint="Ask an administrator, or use a credential that may do as much.",
        )


def to_look(who: Actor) -> list[str]:
    """Return the scopes of a token that sees what its maker sees in the whole organisation, and changes nothing."""
    return sorted(scope for scope in who.access.organisation if only_looks([scope]))


def only_looks(scopes: Iterable[str]) -> bool:
    """Say whether a token of these scopes changes nothing."""
    return all(scope.endswith(".view") for scope in scopes)


def must_manage(who: Actor, user_id: UUID) -> None:
    """Raise `Denied` unless it is the actor's own account or the actor manages people."""
    if who.may(P.USER_MANAGE):
        return
    who.must(P.SELF_EDIT)
    if who.user_id != user_id:
        raise Denied("You may change your own account only.", hint="Ask an administrator.")
