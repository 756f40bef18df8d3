"""Use cases of alerts: what people do with them, routing, and looking after sources and routes."""

from tocsin.alerts.service.by_hand import (
    acknowledge,
    escalate,
    link,
    open_by_hand,
    resolve,
    resolve_many,
    take_on,
    unacknowledge,
)
from tocsin.alerts.service.routes import RouteChanges, RouteDraft, create_route, delete_route, move_route, update_route
from tocsin.alerts.service.routing import ROUTE, enqueue_routing, route, route_anew, routing_jobs
from tocsin.alerts.service.sources import (
    SOURCES_TOPIC,
    create_source,
    delete_source,
    rotate_token,
    sweep_signals,
    update_source,
)
from tocsin.alerts.service.together import Act, do_to_all

__all__ = [
    "ROUTE",
    "SOURCES_TOPIC",
    "Act",
    "RouteChanges",
    "RouteDraft",
    "acknowledge",
    "create_route",
    "create_source",
    "delete_route",
    "delete_source",
    "do_to_all",
    "enqueue_routing",
    "escalate",
    "link",
    "move_route",
    "open_by_hand",
    "resolve",
    "resolve_many",
    "rotate_token",
    "route",
    "route_anew",
    "routing_jobs",
    "sweep_signals",
    "take_on",
    "unacknowledge",
    "update_route",
    "update_source",
]
