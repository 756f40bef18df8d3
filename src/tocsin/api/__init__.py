"""The JSON API and machine intake."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from litestar import Router

from tocsin.api import health
from tocsin.api.base import docs, openapi
from tocsin.api.base.body import ApiRequest, StrictJson
from tocsin.api.base.http import must_know_parameters
from tocsin.api.base.idempotency import Idempotency
from tocsin.edge.auth import must_be_known
from tocsin.edge.rights import must_have_right

# A module beside `base` and `shapes` is an area; it has a `ROUTER` if it is a resource.
_AREAS = [
    import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__) if each.name not in ("base", "shapes")
]
API = Router(
    "/api/v1",
    route_handlers=[area.ROUTER for area in _AREAS if hasattr(area, "ROUTER")],
    request_class=ApiRequest,
    dto=StrictJson,
    return_dto=None,
    guards=[must_be_known, must_have_right, must_know_parameters],
    middleware=[Idempotency],
)
HANDLERS = [*health.HANDLERS, *docs.HANDLERS, API]
OPENAPI = openapi.CONFIG
