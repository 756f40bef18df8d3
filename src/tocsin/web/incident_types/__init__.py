"""What is asked of incidents: types, and custom fields. Part of the settings."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.incident_types import fields, types

HANDLERS = [*types.HANDLERS, *fields.HANDLERS]
NAV = (
    Entry(
        "/organisation/types",
        "layers",
        "Incident types",
        Group.ORGANISATION,
        60,
        P.USER_MANAGE,
        words="What is asked of an incident, and what it needs to move on",
    ),
    Entry(
        "/organisation/fields",
        "list",
        "Custom fields",
        Group.ORGANISATION,
        61,
        P.USER_MANAGE,
        words="Fields of your own, which types ask for",
    ),
)
