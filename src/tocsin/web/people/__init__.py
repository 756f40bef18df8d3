"""People, how they are reached, and a person's own account."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.people import account, contact_methods, pages, person, reach, sessions, tokens

HANDLERS = [
    *pages.HANDLERS,
    *person.HANDLERS,
    *account.HANDLERS,
    *reach.HANDLERS,
    *contact_methods.HANDLERS,
    *tokens.HANDLERS,
    *sessions.HANDLERS,
]
NAV = (
    Entry("/people", "users", "People", Group.PREPARE, 40, P.USER_VIEW, "g e", on_bar=True),
    Entry("/tokens", "key-round", "Tokens", Group.SETTINGS, 10),
    Entry("/sessions", "monitor", "Sessions", Group.SETTINGS, 20),
)
