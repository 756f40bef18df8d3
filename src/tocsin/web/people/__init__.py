"""People, how they are reached, and a person's own account."""

from __future__ import annotations

from tocsin.web.people import contact_methods, pages, sessions, tokens

HANDLERS = [*pages.HANDLERS, *contact_methods.HANDLERS, *tokens.HANDLERS, *sessions.HANDLERS]
