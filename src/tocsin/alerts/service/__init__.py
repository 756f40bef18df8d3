"""Use cases of alerts: what people do with them, routing, and looking after sources and routes."""

from tocsin.alerts.service.by_hand import (
    acknowledge,
    escalate,
    give_back,
    link,
    open_by_hand,
    resolve,
    resolve_many,
    take_on,
    unacknowledge,
)
from tocsin.alerts.service.explaining import explained
from tocsin.alerts.service.forgotten import look_after
from tocsin.alerts.service.holding import held_until
from tocsin.alerts.service.lateness import (
    REMEMBERED_FOR,
    came_late,
    close_as_over,
    forget_early_resolves,
    note_missed,
)
from tocsin.alerts.service.news import note_news, read_news
from tocsin.alerts.service.policies import delete_policy, uses_of_policy
from tocsin.alerts.service.returning import CODE as COMES_BACK
from tocsin.alerts.service.returning import coming_back
from tocsin.alerts.service.routes import RouteChanges, RouteDraft, create_route, delete_route, move_route, update_route
from tocsin.alerts.service.routing import (
    PAGE_ANEW,
    ROUTE,
    Routed,
    enqueue_routing,
    page_anew,
    paging_anew_jobs,
    route,
    route_anew,
    route_at_once,
    routing_jobs,
)
from tocsin.alerts.service.sources import (
    MOST_ENDED,
    MOST_HELD_MINUTES,
    MOST_HOURS,
    SOURCES_TOPIC,
    Ended,
    HoldDown,
    Staleness,
    at_most,
    create_source,
    delete_source,
    resolve_source_alerts,
    rotate_token,
    sweep_signals,
    update_source,
)
from tocsin.alerts.service.together import Act, do_to_all
from tocsin.alerts.service.wording import page_words, reword_pages, updated

__all__ = [
    "COMES_BACK",
    "MOST_ENDED",
    "MOST_HELD_MINUTES",
    "MOST_HOURS",
    "PAGE_ANEW",
    "REMEMBERED_FOR",
    "ROUTE",
    "SOURCES_TOPIC",
    "Act",
    "Ended",
    "HoldDown",
    "RouteChanges",
    "RouteDraft",
    "Routed",
    "Staleness",
    "acknowledge",
    "at_most",
    "came_late",
    "close_as_over",
    "coming_back",
    "create_route",
    "create_source",
    "delete_policy",
    "delete_route",
    "delete_source",
    "do_to_all",
    "enqueue_routing",
    "escalate",
    "explained",
    "forget_early_resolves",
    "give_back",
    "held_until",
    "link",
    "look_after",
    "move_route",
    "note_missed",
    "note_news",
    "open_by_hand",
    "page_anew",
    "page_words",
    "paging_anew_jobs",
    "read_news",
    "resolve",
    "resolve_many",
    "resolve_source_alerts",
    "reword_pages",
    "rotate_token",
    "route",
    "route_anew",
    "route_at_once",
    "routing_jobs",
    "sweep_signals",
    "take_on",
    "unacknowledge",
    "update_route",
    "update_source",
    "updated",
    "uses_of_policy",
]
