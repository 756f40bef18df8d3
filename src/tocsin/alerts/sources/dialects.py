"""Tools that send JSON in words of their own: each is recognised by its fields and said again in those of `generic`.

- Zabbix, real-time export (https://www.zabbix.com/documentation/current/en/manual/appendix/protocols/real_time_export):
  `value` 1 is a problem and 0 its end, which has an `eventid` of its own and names the problem in `p_eventid`.
  `severity` is 0 (not classified) to 5 (disaster).
- GitLab, pipeline and job events (https://docs.gitlab.com/user/project/integrations/webhook_events/): a run that
  succeeds has another id than the one that failed, so project, ref and job are the key. What neither failed nor
  succeeded says nothing.
- Datadog (https://docs.datadoghq.com/integrations/webhooks/): `alert_transition` is the state, by default it stands
  before the title only. `id` is the event's own and another one when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from tocsin.alerts.sources.base import Object, as_list, as_object, as_text, present
from tocsin.alerts.sources.states import marked

_ZABBIX_SEVERITIES: Mapping[str, str] = {
    "0": "unknown",
    "1": "info",
    "2": "warning",
    "3": "average",
    "4": "high",
    "5": "disaster",
}
_GITLAB_STATES: Mapping[str, str] = {"failed": "failed", "success": "resolved"}
_SAYS_NOTHING = "neither failed nor succeeded, so it opens and ends nothing"


def in_generic_words(item: Object, notes: list[str]) -> Object | None:
    """Say an item of a known tool in the words of `generic`; anything else is returned as it is.

    None for an item that is fine and says nothing about a problem; `notes` then says what it was.
    """
    for is_spoken, say in _DIALECTS:
        if is_spoken(item):
            return say(item, notes)
    return item


def _is_zabbix(item: Object) -> bool:
    return "eventid" in item and ("p_eventid" in item or ("value" in item and "clock" in item))


def _zabbix(item: Object, notes: list[str]) -> Object:
    is_over = "p_eventid" in item or as_text(item.get("value")).strip() == "0"
    labels = {"host": ", ".join(_names(item.get("hosts"))), "group": ", ".join(_names(item.get("groups")))}
    for tag in as_list(item.get("tags")) or []:
        if (found := as_object(tag)) is not None:
            labels[as_text(found.get("tag"))] = as_text(found.get("value"))
    severity = as_text(item.get("severity")).strip()
    return {
        "title": item.get("name"),
        "status": "resolved" if is_over else "problem",
        "key": present(as_text(item.get("p_eventid")), as_text(item.get("eventid"))),
        "severity": _ZABBIX_SEVERITIES.get(severity, severity),
        "labels": {name: value for name, value in labels.items() if value},
        "timestamp": item.get("clock"),
    }


def _names(things: object) -> list[str]:
    """Return the names in a list of texts or of hosts, which have two."""
    found: list[str] = []
    for thing in as_list(things) or []:
        named = as_object(thing)
        found.append(
            as_text(thing) if named is None else present(as_text(named.get("host")), as_text(named.get("name")))
        )
    return [name for name in found if name]


def _is_gitlab(item: Object) -> bool:
    return item.get("object_kind") in ("pipeline", "build")


def _gitlab(item: Object, notes: list[str]) -> Object | None:
    about = as_object(item.get("object_attributes")) or item
    project = as_object(item.get("project")) or {}
    where = present(as_text(project.get("path_with_namespace")), as_text(item.get("project_name")), "project")
    ref = as_text(about.get("ref"))
    job = as_text(item.get("build_name"))
    what = f"Job {job}" if job else "Pipeline"
    state = as_text(about.get("build_status" if job else "status")).strip().lower()
    if state not in _GITLAB_STATES:
        if len(notes) < 10:
            notes.append(f"{what} of {where} {_SAYS_NOTHING}")
        return None
    site = as_text(project.get("web_url")).rstrip("/")
    number = as_text(item.get("build_id") if job else about.get("id"))
    path = "jobs" if job else "pipelines"
    return {
        "title": f"{what} failed: {where} ({ref})",
        "status": _GITLAB_STATES[state],
        "key": "/".join(("gitlab", path, where, ref, job)).rstrip("/"),
        "description": present(as_text(item.get("build_failure_reason")), as_text(about.get("detailed_status"))),
        "labels": {"project": where, "ref": ref, **({"job": job} if job else {})},
        "url": present(as_text(about.get("url")), f"{site}/-/{path}/{number}" if site and number else ""),
    }


def _is_datadog(item: Object) -> bool:
    return "alert_transition" in item or ("event_type" in item and "last_updated" in item and "org" in item)


def _datadog(item: Object, notes: list[str]) -> Object:
    said = {name: value for name, value in item.items() if name != "id"}
    transition = said.pop("alert_transition", None)
    if isinstance(transition, str) and present(transition) and not transition.startswith("$"):
        said["status"] = transition
    action, title = marked(as_text(item.get("title")))
    if action is not None:
        said.setdefault("status", str(action))
        # Where nothing else names the problem, its title does, without the state that stands before it.
        said["fallback_key"] = title
    return cast("Object", said)


_Say = Callable[[Object, list[str]], Object | None]
_DIALECTS: tuple[tuple[Callable[[Object], bool], _Say], ...] = (
    (_is_zabbix, _zabbix),
    (_is_gitlab, _gitlab),
    (_is_datadog, _datadog),
)
