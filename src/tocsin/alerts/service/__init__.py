"""Use cases of alerts: what people do with them, routing, and looking after sources and routes."""

from tocsin.alerts.service.by_hand import (
    acknowledge,
    escalate,
    give_back,
    link,
    open_by_hand,
    resolve,
    resolve_many,
    unacknowledge,
)
from tocsin.alerts.service.forgotten import look_after
from tocsin.alerts.service.lateness import close_if_over, forget_early_resolves, note_missed
from tocsin.alerts.service.routes import RouteDraft, create_route, delete_route, move_route, update_route
from tocsin.alerts.service.routing import ROUTE, enqueue_routing, route, route_anew, routing_jobs
from tocsin.alerts.service.sources import (
    MOST_ENDED,
    MOST_HOURS,
    SOURCES_TOPIC,
    Ended,
    Staleness,
    at_most,
    create_source,
    delete_source,
    resolve_source_alerts,
    rotate_token,
    sweep_signals,
    update_source,
)
from tocsin.alerts.service.wording import page_words, reword_pages, updated

__all__ = [
    "MOST_ENDED",
    "MOST_HOURS",
    "ROUTE",
    "SOURCES_TOPIC",
    "Ended",
    "RouteDraft",
    "Staleness",
    "acknowledge",
    "at_most",
    "close_if_over",
    "create_route",
    "create_source",
    "delete_route",
    "delete_source",
    "enqueue_routing",
    "escalate",
    "forget_early_resolves",
    "give_back",
    "link",
    "look_after",
    "move_route",
    "note_missed",
    "open_by_hand",
    "page_words",
    "resolve",
    "resolve_many",
    "resolve_source_alerts",
    "reword_pages",
    "rotate_token",
    "route",
    "route_anew",
    "routing_jobs",
    "sweep_signals",
    "unacknowledge",
    "update_route",
    "update_source",
    "updated",
]
