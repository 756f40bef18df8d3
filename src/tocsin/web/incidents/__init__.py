"""Incidents: the list, declaring, one incident and what is done on it."""

from __future__ import annotations

from tocsin.web.incidents import actions, incident, pages

HANDLERS = [*pages.HANDLERS, *incident.HANDLERS, *actions.HANDLERS]
