"""People, how they are reached, and a person's own account."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.people import account, contact_methods, dialogs, pages, person, reach, sessions, tokens

HANDLERS = [
    *pages.HANDLERS,
    *dialogs.HANDLERS,
    *person.HANDLERS,
    *account.HANDLERS,
    *reach.HANDLERS,
    *contact_methods.HANDLERS,
    *tokens.HANDLERS,
    *sessions.HANDLERS,
]
NAV = (
    Entry(
        "/settings/profile",
        "user",
        "Profile and paging",
        Group.YOU,
        10,
        keys="g m",
        words="Name, zone, how I am paged, password",
    ),
    Entry("/sessions", "monitor", "Sessions", Group.YOU, 30, words="Where I am signed in"),
    Entry("/tokens", "key-round", "Tokens", Group.YOU, 40, words="For scripts and tools that use the API as me"),
    Entry("/people", "users", "People", Group.ORGANISATION, 20, P.USER_VIEW, "g e", words="Who has an account"),
)
