"""The right that each handler states, as `needs=…` beside its path: refused early, and said by the documentation.

It is the first of two looks. Whether it holds for the thing in question is decided by the use case, once that is
locked, and by what a query may see; here whoever has the right nowhere is told so before anything is read.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from tocsin.identity.access import BY_BEING_ASKED, P, Permission
from tocsin.identity.model import Actor
from tocsin.kit.errors import Denied


class Right(Enum):
    """What a handler needs that is no permission."""

    # Links with a credential of their own, signing in, files.
    NONE = "Nobody has to be signed in."
    # What one is asked, what one was shown, what belongs to oneself: the use case knows.
    SIGNED_IN = "Whoever is signed in."
    OWN = "One’s own account, which a token needs `self.edit` for; that of others needs `user.manage`."


Needs = Permission | Right


def rights_of(app: Litestar) -> dict[tuple[str, str], Needs]:
    """Return what each path and method (`get`) needs, of those that state it."""
    return {
        (route.path_format, method.lower()): handler.opt["needs"]
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "needs" in handler.opt
        for method in handler.http_methods
    }


def must_have_right(request: ASGIConnection[Any, Actor | None, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard: raise `Denied` for whoever can have what this handler needs nowhere.

    Who came by the link of a page gets to those handlers only that say `by_link=True`, and to what is for nobody in
    particular.
    """
    if request.user is None:
        return
    needs: Needs = handler.opt["needs"]
    if request.user.by_link_until is not None and needs is not Right.NONE and not handler.opt.get("by_link"):
        raise Denied("A page link opens only what the page was about.", code="auth.page_link", hint="Sign in for more.")
    refuse(request.user, needs)


def refuse(who: Actor, needs: Needs) -> None:
    """Raise `Denied` for somebody who can have this right nowhere."""
    if needs is Right.NONE or needs is Right.SIGNED_IN:
        return
    if needs is Right.OWN:
        if not who.may(P.USER_MANAGE):
            who.must(P.SELF_EDIT)
    elif needs in BY_BEING_ASKED:
        who.must_look(needs)
    else:
        who.must_somewhere(needs)


def may_have(who: Actor, needs: Needs) -> bool:
    """Say whether somebody can have this right anywhere; for who came by a page link there is nothing to go to."""
    if who.by_link_until is not None:
        return False
    try:
        refuse(who, needs)
    except Denied:
        return False
    return True


def said(needs: Needs) -> str:
    """Say what a handler needs, for the documentation."""
    return needs.value if isinstance(needs, Right) else f"Needs `{needs}`."
