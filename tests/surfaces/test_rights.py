"""Every route says what it needs, and refuses whoever has it nowhere: made from the router, and so complete."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from litestar import Litestar

from tests.surfaces.conftest import Api
from tocsin.alerts.model import ALERT_ID, ROUTE_ID, SOURCE_ID
from tocsin.api.base.body import Body
from tocsin.api.base.openapi import kinds_of
from tocsin.app import make_site
from tocsin.edge import rights
from tocsin.edge.rights import Needs, Right, rights_of
from tocsin.identity import service as identity
from tocsin.identity.access import BUILT_IN, BY_BEING_ASKED, P, Permission, Role
from tocsin.identity.model import USER_ID
from tocsin.oncall.model import POLICY_ID

# What needs no right at all, as it shows nothing of the organisation.
_OPEN = ("/healthz", "/readyz", "/metrics", "/api/v1/docs", "/api/v1/openapi")


def _has(role: Role, needs: Needs) -> bool:
    held = BUILT_IN[role]
    if isinstance(needs, Permission):
        return needs in held or needs in BY_BEING_ASKED
    return needs is not Right.OWN or P.SELF_EDIT in held


# What an administrator cannot do with this body or for somebody else, and what is proved elsewhere.
_OTHERS = {
    "/api/v1/pages",
    "/api/v1/pages/{id}/actions/acknowledge",
    "/api/v1/pages/{id}/actions/decline",
}

# What changes nothing that the record is about, or finds it so already when it is its turn here.
_UNRECORDED = {
    "delete /api/v1/incidents/{id}/alerts/{alert_id}": "the alert is in no incident",
    "patch /api/v1/organisation": "it says what is so",
    "post /api/v1/access_grants": "the fixture has granted it",
    "post /api/v1/alert_routes/{id}/actions/move": "the only one stays where it is",
    "post /api/v1/alert_routes/actions/test": "shows what a condition would have taken",
    "post /api/v1/text_templates/actions/preview": "shows what a template would make",
    "post /api/v1/alerts/actions/bulk": "the alert has ended",
    "post /api/v1/alerts/{id}/actions/resolve": "it was resolved by another path",
    "post /api/v1/incidents/{id}/actions/change_severity": "it says what is so",
    "post /api/v1/inbox/actions/read": "what somebody has read is no matter of the record",
    "post /api/v1/incidents/{id}/subscribers": "the fixture has added them",
    "post /api/v1/users/{id}/actions/preview_webhook_body": "shows what would be sent",
    "post /api/v1/users/{id}/actions/send_test_page": "what is sent in a test is a delivery",
}


@pytest.fixture
def site() -> Litestar:
    return make_site()


def test_every_route_states_what_it_needs(site: Litestar) -> None:
    """F118: a new handler without a right is not let in."""
    stated = rights_of(site)
    missing = [
        (route.path_format, method)
        for route in site.routes
        for method in getattr(route, "methods", ())
        if method not in ("HEAD", "OPTIONS")
        and not route.path_format.startswith(_OPEN)
        and (route.path_format, method.lower()) not in stated
    ]
    assert missing == [], "State `needs=P.…` or `needs=Right.…` beside the path."
    assert {path for path, _ in stated if path.startswith("/api/")}, "the API is among them"


class Stage:
    """One of everything that paths and bodies name, and a client for each role."""

    def __init__(self, clients: dict[Role, httpx.AsyncClient], names: dict[str, str]) -> None:
        self.clients = clients
        self.names = names

    def path(self, template: str) -> str:
        kind = template.split("/")[3]
        if "{id" in template and kind not in self.names:
            raise AssertionError(f"Have the fixture `stage` make one of /{kind}, and name it there.")
        values = {"id": self.names.get(kind, ""), "method_id": self.names["method"], "alert_id": self.names["alerts"]}
        values |= {"key": self.names["role"], "comment_id": self.names["comment"]}
        values |= {"subscriber_id": self.names["subscriber"], "key_event_id": self.names["key_event"]}
        values |= {"entry_id": self.names["entry"], "severity": "1"}
        values |= {"note_id": self.names["note"]}
        values |= {"link_id": self.names["link"], "incident": self.names["other_incident"]}
        return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: values[found[1]], template).removeprefix("/api/v1")

    def body(self, path: str, example: dict[str, Any]) -> dict[str, Any]:
        """The example of the body, with ids of what there is."""
        merged = {**example, **_BODIES.get(path.removeprefix("/api/v1"), {})}
        return {name: self._real(value) for name, value in merged.items() if value is not None}

    def _real(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.names.get(value.removeprefix("$"), value) if value.startswith("$") else self._by_prefix(value)
        if isinstance(value, list):
            return [self._real(each) for each in value]
        if isinstance(value, dict):
            return {name: self._real(each) for name, each in value.items()}
        return value

    def _by_prefix(self, text: str) -> str:
        kinds = {"usr": "users", "alt": "alerts", "inc": "incident", "pol": "escalation_policies", "cm": "method"}
        kinds |= {"src": "alert_sources", "tem": "teams", "rte": "alert_routes", "act": "action_items"}
        kinds |= {"cfd": "custom_fields", "ity": "incident_types", "ttp": "text_templates"}
        prefix, _, rest = text.partition("_")
        return self.names[kinds[prefix]] if prefix in kinds and len(rest) == 26 else text


# Where the example alone would not get as far as the right.
_BODIES: dict[str, dict[str, Any]] = {
    "/incidents/{id}/actions/cancel": {"reason": "false_alarm", "duplicate_of": None},
    "/incidents/{id}/actions/close": {"resolution_note": "Done."},
    "/users/{id}/contact_methods/{method_id}": {"name": "Work", "format": None, "template": None, "content_type": None},
    "/incidents/{id}/actions/mark_duplicate": {"duplicate_of": "$other_incident"},
    "/incidents/{id}/actions/merge": {"incidents": ["$other_incident"]},
    "/incidents/{id}/relations": {"incident": "$other_incident"},
    "/access_grants": {"resource_id": "$incident", "user_id": "$users", "role": "stakeholder"},
    "/alerts/actions/bulk": {"action": "acknowledge", "ids": ["$alerts"]},
    "/incidents/actions/bulk": {"ids": ["$incident"]},
}


@pytest.fixture
async def stage(api: Api) -> Stage:
    world = api.world
    people = {role: await world.person(role.value, role=role.value) for role in Role}
    clients = {role: await api.as_(person) for role, person in people.items()}
    other = await world.person("other")
    policy = await world.policy([other])
    route = await world.route(policy)
    alert = await world.alert()
    root = clients[Role.ADMIN]

    async def made(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await root.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    incident = await made("/incidents", {"title": "Checkout is down"})
    grant = await made(
        "/access_grants",
        {"resource_id": incident["id"], "user_id": USER_ID.write(other.id), "role": "stakeholder"},
    )
    token = await made("/api_tokens", {"user_id": USER_ID.write(other.id), "name": "t", "scopes": ["incident.view"]})
    async with world.db.begin() as tx:
        await identity.open_session(tx, people[Role.ADMIN], ip="", user_agent="", how="password", days=14)
    added = await root.post(f"/incidents/{incident['id']}/subscribers", json={"user_ids": [USER_ID.write(other.id)]})
    assert added.status_code == 200, added.text
    subscribers = (await root.get(f"/incidents/{incident['id']}/subscribers")).json()["data"]
    entries = (await root.get(f"/incidents/{incident['id']}/timeline")).json()["data"]
    names = {
        "entry": entries[0]["id"],
        "key_event": (await made(f"/incidents/{incident['number']}/key_events", {"text": "It began."}))["id"],
        "subscriber": subscribers[0]["id"],
        "sessions": (await root.get("/sessions")).json()["data"][0]["id"],
        "incidents": incident["number"],
        "incident": incident["id"],
        "alerts": ALERT_ID.write(alert.id),
        "alert_sources": SOURCE_ID.write(alert.source_id),
        "alert_routes": ROUTE_ID.write(route),
        "escalation_policies": POLICY_ID.write(policy.id),
        "users": USER_ID.write(other.id),
        "custom_fields": (await made("/custom_fields", {"name": "Site", "key": "site", "kind": "text"}))["id"],
        "incident_types": (await made("/incident_types", {"name": "Network", "short_id": "network"}))["id"],
        "text_templates": (await made("/text_templates", {"name": "Slow", "short_id": "slow"}))["id"],
        "teams": (await made("/teams", {"name": "Search"}))["id"],
        "role": (await made("/roles", {"name": "Day desk", "permissions": ["incident.view"]}))["key"],
        "comment": (await made(f"/incidents/{incident['number']}/comments", {"body": "Seen."}))["id"],
        "action_items": (
            await made(f"/incidents/{incident['number']}/action_items", {"description": "Write the runbook"})
        )["id"],
        "other_incident": (await made("/incidents", {"title": "Cards are refused"}))["number"],
        "link": (
            await made(
                f"/incidents/{incident['number']}/links", {"type": "chat", "url": "https://chat.example.org/inc-1"}
            )
        )["id"],
        "note": (await made(f"/incidents/{incident['number']}/notes", {"title": "Plan", "body": "Fail over."}))["id"],
        "access_grants": grant["id"],
        "api_tokens": token["id"],
        "method": (await root.get(f"/users/{USER_ID.write(other.id)}/contact_methods")).json()["data"][0]["id"],
        "pages": (await root.get("/pages", params={"alert_id": ALERT_ID.write(alert.id)})).json()["data"][0]["id"],
    }
    return Stage(clients, names)


def _operations(site: Litestar) -> list[tuple[str, str, Needs]]:
    found = [(path, method, needs) for (path, method), needs in rights_of(site).items() if path.startswith("/api/v1/")]
    # What takes away comes last, so that all others find it.
    return sorted(found, key=lambda each: (each[1] == "delete", each[0], each[1]))


def _examples(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    operation = document["paths"].get(path, {}).get(method, {})
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return next((dict(kind.example) for kind in kinds_of(Body) if kind.__name__ == name), {})


@pytest.mark.parametrize("is_guarded", [True, False], ids=["at the edge", "in the use case"])
async def test_each_operation_refuses_whoever_has_its_right_nowhere(
    site: Litestar, api: Api, stage: Stage, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    """F117, F118, F119: role by role; and what changes something is refused by the use case itself as well."""
    if not is_guarded:
        monkeypatch.setattr(rights, "refuse", lambda who, needs: None)
    document = (await stage.clients[Role.ADMIN].get("/openapi.json")).json()
    wrong: list[str] = []
    unrecorded: set[str] = set()
    for template, method, needs in _operations(site):
        if template.endswith("/stream") or (method == "get" and not is_guarded):
            continue
        path, body = stage.path(template), stage.body(template, _examples(document, template, method))
        before, is_done = await _record(api), False
        for role in reversed(Role):
            answer = await stage.clients[role].request(method.upper(), path, json=body if method != "get" else None)
            code = answer.status_code
            is_done |= answer.is_success
            called = f"{method} {path} as {role}: {code} {answer.text[:200]}"
            if code >= 500:
                wrong.append(called)
            elif not _has(role, needs):
                # Behind the edge, what somebody may not see is not there for them.
                wrong += [called] if code != 403 and (is_guarded or code != 404) else []
            elif role is Role.ADMIN and template not in _OTHERS and code in (401, 403, 404, 422) and not is_done:
                wrong.append(called)
        if is_done and method != "get" and await _record(api) == before:
            unrecorded.add(f"{method} {template}")
    assert wrong == [], "\n".join(
        [
            *wrong,
            "403 is asked for of whoever lacks the right that the handler states: have the use case ask for the same, "
            "`who.must(…)`. An administrator has to get through: have `stage` make what the path and the body name.",
        ]
    )
    if is_guarded:
        assert unrecorded == _UNRECORDED.keys(), "What changes something emits an event, or stands in `_UNRECORDED`."


async def _record(api: Api) -> int:
    return await api.world.db.pool.fetchval("SELECT coalesce(max(position), 0) FROM event")
