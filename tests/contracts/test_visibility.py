"""What pages and the API read for people is narrowed to what they may see, or it is said why it need not be."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import tocsin

ROOT = Path(tocsin.__file__).parent
_READERS = (
    "queries",
    "list_queries",
    "comment_queries",
    "note_queries",
    "subscriber_queries",
    "inbox_queries",
    "fallback_queries",
    "waking_queries",
    "access_queries",
    "source_queries",
    "type_queries",
    "text_template_queries",
    "people_queries",
    "log",
)

# Read by ids that the caller has from a query that was narrowed, or of one thing that was got by one.
_OF_WHAT_IS_SEEN = {
    "tocsin.alerts.queries": {"effects_of", "open_of_source", "signals_of_alert", "signals_of_source", "source_names",
                              "troubles"},
    "tocsin.alerts.list_queries": {"signals_lately"},
    "tocsin.alerts.source_queries": {"source_figures", "touched_by"},
    "tocsin.events.log": {"newest_first"},
    "tocsin.incidents.comment_queries": {"written_in"},
    "tocsin.incidents.note_queries": {"count"},
    "tocsin.incidents.queries": {"joined_counts", "responders", "troubles"},
    "tocsin.notifications.queries": {"deliveries"},
    "tocsin.oncall.list_queries": {"asked_in_vain", "may_be_paged", "running_runs"},
    "tocsin.oncall.queries": {"being_paged", "pages_of", "pages_of_runs", "run", "runs_of"},
}  # fmt: skip
# What the reader is asked, which shows it to them; what they have taken on is narrowed by what they still see of it.
_OF_THE_READER = {
    "tocsin.alerts.queries": {"held_by"},
    "tocsin.incidents.queries": {"open_with"},
    "tocsin.web.base.queries": {"waiting_for"},
}
# The organisation's own: people, how they are reached, policies, routes. `needs` of the route is all that it takes.
_OF_THE_ORGANISATION = {
    "tocsin.alerts.queries": {"route", "routes"},
    "tocsin.identity.access_queries": {"role", "roles", "uses_of_role"},
    "tocsin.identity.queries": {
        "count_tokens", "link", "members", "new_password_until", "organisation", "sessions_of", "token",
        "tokens_of", "user", "users", "users_by_id", "users_called", "zone_of",
    },
    "tocsin.incidents.type_queries": {
        "count_incidents", "custom_field", "custom_fields", "fields_called", "ids_of_types", "incident_type", "types",
        "types_with", "versions", "versions_of",
    },
    "tocsin.incidents.inbox_queries": {"ways_of"},
    "tocsin.incidents.text_template_queries": {"templates_by_id", "text_template", "text_templates", "used_templates"},
    "tocsin.notifications.queries": {
        "conditions", "contact_method", "contact_methods", "count_failing", "deliveries", "latest_test",
        "kinds_of_methods", "news_preference", "reaches", "rules",
    },
    "tocsin.oncall.list_queries": {"count_policies"},
    "tocsin.oncall.queries": {
        "fallback_target", "known_directory", "people", "plans", "policies", "policy", "weaknesses_of",
    },
}  # fmt: skip


def _read() -> Iterator[tuple[str, str, str]]:
    """Every function of a `queries` module that a page or the API calls or hands on: where, which module, its name."""
    for path in sorted([*(ROOT / "web").rglob("*.py"), *(ROOT / "api").rglob("*.py")]):
        tree = ast.parse(path.read_text())
        modules: dict[str, str] = {}
        functions: dict[str, tuple[str, str]] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("tocsin."):
                continue
            for name in node.names:
                if name.name in _READERS:
                    modules[name.asname or name.name] = f"{node.module}.{name.name}"
                elif str(node.module).rpartition(".")[2] in _READERS:
                    functions[name.asname or name.name] = (str(node.module), name.name)
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=alias), attr=name) if alias in modules:
                    yield path.name, modules[alias], name
                case ast.Name(id=name) if name in functions:
                    yield path.name, *functions[name]
                case _:
                    pass


def test_what_people_are_shown_was_narrowed_for_them() -> None:
    """C8: a query that a page or the API calls takes the reader's access, or stands above with what makes it safe."""
    unproven: set[str] = set()
    for place, module, name in _read():
        function = getattr(importlib.import_module(module), name)
        if not inspect.iscoroutinefunction(function):
            continue
        lists = (_OF_WHAT_IS_SEEN, _OF_THE_ORGANISATION, _OF_THE_READER)
        known: set[str] = set().union(*(each.get(module, set()) for each in lists))
        if "access" not in inspect.signature(function).parameters and name not in known:
            unproven.add(f"{place}: {module}.{name}")
    assert not unproven, "Narrow it by `access`, or say above in which list it belongs and why that is safe."


def test_no_exception_is_left_that_nobody_needs() -> None:
    """The lists above can only shrink."""
    used = {(module, name) for _, module, name in _read()}
    listed = {
        (module, name)
        for of in (_OF_WHAT_IS_SEEN, _OF_THE_ORGANISATION)
        for module, names in of.items()
        for name in names
    }
    assert listed - used == set()
