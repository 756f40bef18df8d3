"""Server-rendered pages: one module per area. Every page works without JavaScript; htmx makes them faster."""

from __future__ import annotations

from litestar import Router, get

from tocsin.web import (
    acknowledge,
    alerts,
    assets,
    incident,
    incident_actions,
    incidents,
    pages,
    people,
    policies,
    routes,
    sessions,
    sign_in,
    sources,
    stream,
    tokens,
)
from tocsin.web.errors import answer_error

__all__ = ["HANDLERS", "answer_error"]


@get("/", sync_to_thread=False)
def start() -> pages.Page:
    """Lead to the list of incidents."""
    return pages.go("/incidents")


_AREAS = (
    *(assets, sign_in, acknowledge, stream),
    *(incidents, incident, incident_actions, alerts),
    *(policies, routes, sources, people, tokens, sessions),
)
HANDLERS = [
    Router("/", route_handlers=[start, *(h for area in _AREAS for h in area.HANDLERS)], include_in_schema=False)
]
