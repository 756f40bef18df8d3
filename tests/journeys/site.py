"""An installation in which Ada is on call and can be reached."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.journeys.browser import ADA, PASSWORD
from tests.journeys.outside import Api, Sink, request
from tests.processes import tocsin


@dataclass(frozen=True, slots=True)
class Site:
    """An installation in which Ada is on call and can be reached."""

    base: str
    api: Api
    source: str
    sink: Sink

    async def fire(self, title: str) -> dict[str, Any]:
        """Fire an alert; returns the page that Ada gets for it."""
        body = json.dumps({"title": title, "severity": "critical"}).encode()
        answer = await request("POST", self.source, body, {"Content-Type": "application/json"})
        assert answer.status == 202
        return (await self.sink.first(title))[1]

    async def declare(self, title: str) -> str:
        return (await self.api.post("/incidents", title=title, severity=3))["number"]

    async def alert(self, page: dict[str, Any]) -> dict[str, Any]:
        return await self.api.get(f"/alerts/{page['alert_id']}")


async def someone_on_call(base: str, sink: Sink, **settings: str) -> Site:
    """Make Ada by the command line, and what pages her by the API."""
    words = ("user", "create", f"--email={ADA}", "--name=Ada Lovelace", "--role=admin", "--password-stdin")
    code, _, said = await tocsin(*words, stdin=f"{PASSWORD}\n", **settings)
    assert code == 0, said
    code, token, said = await tocsin("token", "create", f"--email={ADA}", "--name=journey", **settings)
    assert code == 0, said
    api = Api(base, token.strip())
    ada = (await api.get("/users"))["data"][0]["id"]
    await api.post(f"/users/{ada}/contact_methods", kind="webhook", address=sink.url)
    steps = [{"targets": [{"type": "user", "id": ada}], "wait_minutes": 5}]
    policy = await api.post("/escalation_policies", name="Payments primary", steps=steps)
    await api.post("/alert_routes", name="Everything", is_catch_all=True, escalation_policy_id=policy["id"])
    source = await api.post("/alert_sources", name="Shell", kind="generic")
    return Site(base, api, source["url"], sink)
