"""Server-rendered pages: one folder per area. Every page works without JavaScript; htmx makes them faster."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from litestar import HttpMethod, Router, get, route

from tocsin.edge.auth import must_not_be_a_program
from tocsin.edge.rights import Right, must_have_right
from tocsin.kit.errors import NotFound
from tocsin.web.base import assets, navigation, pages, stream
from tocsin.web.base.errors import answer_error
from tocsin.web.parts import incident_tabs

__all__ = ["HANDLERS", "answer_error"]


@get("/", sync_to_thread=False, needs=Right.SIGNED_IN)
def start() -> pages.Page:
    """Lead to the list of incidents."""
    return pages.go("/incidents")


@route(
    "/{path:path}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST],
    sync_to_thread=False,
    needs=Right.NONE,
)
def nowhere() -> None:
    """Answer every other address: as a handler's error, it gets the headers and the reference of all others."""
    raise NotFound("")


# What stands beside `base` and `parts` is an area: it has `HANDLERS`, `NAV` if it stands in the navigation, and
# `INCIDENT_TABS` for what incidents have of it.
_AREAS = [
    import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__) if each.name not in ("base", "parts")
]
for _area in _AREAS:
    navigation.register(getattr(_area, "NAV", ()))
    incident_tabs.register(getattr(_area, "INCIDENT_TABS", ()))
# Files and what is not there are the same for everybody; the rest is for people.
HANDLERS = [
    Router("/", route_handlers=[nowhere, *assets.HANDLERS], include_in_schema=False),
    Router(
        "/",
        route_handlers=[start, *(handler for area in (stream, *_AREAS) for handler in area.HANDLERS)],
        guards=[must_not_be_a_program, must_have_right],
        include_in_schema=False,
    ),
]
