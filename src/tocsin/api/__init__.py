"""The JSON API and machine intake."""

from __future__ import annotations

from litestar import Router

from tocsin.api import (
    access_grants,
    alert_routes,
    alert_sources,
    alerts,
    contact_methods,
    escalation_policies,
    events,
    fallback,
    health,
    incident_actions,
    incident_people,
    incident_timeline,
    incidents,
    me,
    news,
    organisation,
    pages,
    people,
    roles,
    stream,
    teams,
    tokens,
)
from tocsin.api.base import docs, openapi
from tocsin.api.base.body import ApiRequest, StrictJson
from tocsin.api.base.http import must_know_parameters
from tocsin.api.base.idempotency import Idempotency
from tocsin.edge.auth import must_be_known
from tocsin.edge.rights import must_have_right

_MODULES = (
    me,
    organisation,
    incidents,
    incident_actions,
    incident_people,
    incident_timeline,
    alerts,
    alert_sources,
    alert_routes,
    escalation_policies,
    fallback,
    pages,
    people,
    contact_methods,
    news,
    teams,
    roles,
    access_grants,
    tokens,
    events,
    stream,
)
API = Router(
    "/api/v1",
    route_handlers=[module.ROUTER for module in _MODULES],
    request_class=ApiRequest,
    dto=StrictJson,
    return_dto=None,
    guards=[must_be_known, must_have_right, must_know_parameters],
    middleware=[Idempotency],
)
HANDLERS = [*health.HANDLERS, *docs.HANDLERS, API]
OPENAPI = openapi.CONFIG
