"""The real Alertmanager fires: one alert, a page, an acknowledgement, an incident, the end — by both of its formats."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.journeys.outside import (
    Alertmanager,
    Api,
    PostOffice,
    Sink,
    alertmanager,
    post_office,
    request,
    until,
    webhook,
)
from tests.processes import address, data_directory, served, tocsin

pytestmark = [pytest.mark.journey, pytest.mark.needs("alertmanager")]

RECEIVERS = ("webhook", "pagerduty")


# A receiver for each of our intakes that it can speak to.
_CONFIG = """
route:
  receiver: nobody
  group_by: ["..."]
  group_wait: 50ms
  group_interval: 500ms
  repeat_interval: 500ms
  routes:
    - matchers: [via="webhook"]
      receiver: webhook
    - matchers: [via="pagerduty"]
      receiver: pagerduty
receivers:
  - name: nobody
  - name: webhook
    webhook_configs:
      - url: "{webhook}"
  - name: pagerduty
    pagerduty_configs:
      - routing_key: "{routing_key}"
        url: "{pagerduty}"
"""


@dataclass(frozen=True, slots=True)
class Site:
    """An installation that Alertmanager sends to, with one person who is paged by webhook and by mail."""

    base: str
    api: Api
    ada: str
    tool: Alertmanager
    sink: Sink
    post: PostOffice

    async def alerts(self, words: str) -> list[dict[str, Any]]:
        return (await self.api.get("/alerts?" + urlencode({"q": words})))["data"]

    async def alert(self, words: str) -> dict[str, Any]:
        found = await self.alerts(words)
        assert len(found) == 1
        return found[0]

    async def told(self, alert: dict[str, Any]) -> None:
        """Wait until it is known what became of every message: both have come before their outcome is written."""

        async def states() -> list[str]:
            return [one["state"] for one in (await self.api.get(f"/alerts/{alert['id']}/notifications"))["data"]]

        await until(states, lambda states: sorted(states) == ["delivered", "sent"])

    async def steps(self, alert: dict[str, Any]) -> tuple[str, list[str]]:
        told = await self.api.get(f"/alerts/{alert['id']}/explain")
        return told["summary"], [step["name"] for step in told["steps"]]


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    """Everything is set up as a newcomer does it: two commands for the credential, the API for the rest."""
    async with contextlib.AsyncExitStack() as stack:
        sink = await stack.enter_async_context(webhook())
        post = await stack.enter_async_context(post_office())
        root = stack.enter_context(data_directory())
        settings = {
            "data_dir": str(root),
            "outbound_allow": "127.0.0.0/8",
            "smtp_host": "127.0.0.1",
            "smtp_port": str(post.port),
            "smtp_tls": "none",
        }
        _, greeting = await stack.enter_async_context(served(**settings))
        base = address(greeting)
        made = await tocsin("user", "create", "--email=ada@example.org", "--name=Ada", "--role=admin", **settings)
        assert made[0] == 0, made[2]
        code, token, said = await tocsin("token", "create", "--email=ada@example.org", "--name=setup", **settings)
        assert code == 0, said
        api = Api(base, token.strip())
        ada = next(user["id"] for user in (await api.get("/users"))["data"])
        await api.post(f"/users/{ada}/contact_methods", kind="webhook", address=sink.url)
        await api.post(f"/users/{ada}/contact_methods", kind="email", address="ada@example.org")
        policy = await api.post(
            "/escalation_policies",
            name="Payments primary",
            steps=[{"targets": [{"type": "user", "id": ada}], "wait_minutes": 5}],
        )
        await api.post(
            "/alert_routes",
            name="Payments",
            condition='title.contains("Payments")',
            escalation_policy_id=policy["id"],
        )
        prometheus = await api.post("/alert_sources", name="Prometheus", kind="alertmanager")
        events = await api.post("/alert_sources", name="Events", kind="pagerduty")
        addresses = {
            "webhook": prometheus["url"],
            "pagerduty": events["url"],
            "routing_key": events["token"],
        }
        tool = await stack.enter_async_context(alertmanager(_CONFIG.format(**addresses)))
        yield Site(base, api, ada, tool, sink, post)


@pytest.mark.parametrize("receiver", RECEIVERS)
async def test_an_alert_is_paged_acknowledged_and_resolved_with_its_incident(site: Site, receiver: str) -> None:
    name = f"PaymentsDown{receiver.capitalize()}"
    labels = {"alertname": name, "via": receiver, "severity": "critical", "instance": "pay-1"}
    await site.tool.fire(labels, summary=f"Payments are failing ({name})", description="3 of 4 probes fail.")

    # The page.
    headers, page = await site.sink.first(name)
    alert = await site.alert(name)
    assert page["alert_id"] == alert["id"]
    assert page["title"] == alert["title"]
    assert page["severity"] == alert["severity_label"] == ("SEV1" if receiver == "webhook" else "SEV2")
    assert page["url"] == f"{site.base}/alerts/{alert['id']}" == alert["url"]
    assert page["delivery_id"] and headers["idempotency-key"] == page["delivery_id"]
    link = page["acknowledge_url"]
    assert link.startswith(f"{site.base}/p/")
    assert alert["status"] == "triggered"

    # The letter.
    letter = await site.post.first(name)
    assert letter["Subject"] == f"[{page['severity']}] {alert['title']}"
    assert "ada@example.org" in str(letter["To"])
    text, html = letter.get_body(("plain",)), letter.get_body(("html",))
    assert text is not None and html is not None
    assert f"Acknowledge: {site.base}/p/" in text.get_content()
    assert f'href="{site.base}/p/' in html.get_content()

    await site.told(alert)

    # Looking is not answering.
    for method in ("GET", "HEAD", "GET"):
        assert (await request(method, link)).status == 200
    assert (await site.alert(name))["status"] == "triggered"

    # Answering.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answered = await request("POST", link, b"do=ack", form)
    assert (answered.status, answered.headers["location"]) == (303, link.removeprefix(site.base))
    alert = await site.alert(name)
    assert (alert["status"], alert["acknowledged_by"]) == ("acknowledged", "Ada")
    assert "You acknowledged" in (await request("GET", link)).text

    # Alertmanager says it again and again, which only counts.
    before = alert["count"]
    alert = await until(lambda: site.alert(name), lambda alert: alert["count"] >= before + 2)
    assert alert["status"] == "acknowledged"
    assert len(site.sink.about(name)) == 1
    await site.tool.silence({"alertname": name})

    # The incident.
    incident = await site.api.post(f"/alerts/{alert['id']}/actions/declare_incident")
    number = incident["number"]
    assert incident["title"] == alert["title"]
    assert incident["linked_alert_count"] == 1
    assert (await site.alert(name))["incident_number"] == number
    responders = (await site.api.get(f"/incidents/{number}/responders"))["data"]
    assert [(one["user"]["name"], one["state"]) for one in responders] == [("Ada", "joined")]
    linked = (await site.api.get(f"/incidents/{number}/alerts"))["data"]
    assert [one["id"] for one in linked] == [alert["id"]]

    resolved = await site.api.post(f"/incidents/{number}/actions/resolve", resolution_note="Rolled back release 4.2.")
    assert resolved["status"] == "resolved"
    assert (await site.alert(name))["status"] == "resolved"
    summary, steps = await site.steps(alert)
    assert summary.startswith("Ada was paged and answered after ")
    chain = [
        "alert.triggered",
        "alert.routed",
        "escalation.started",
        "page.started",
        "page.acknowledged",
        "escalation.ended",
        "alert.acknowledged",
        "incident.declared",
        "incident.alert_linked",
        "alert.resolved",
    ]
    # Two channels answer in either order.
    assert {"page.sent", "page.delivered"} < set(steps)
    assert [step for step in steps if step not in ("page.sent", "page.delivered")] == chain


@pytest.mark.parametrize("receiver", RECEIVERS)
async def test_what_alertmanager_resolves_ends_and_comes_back_as_a_new_alert(site: Site, receiver: str) -> None:
    name = f"PaymentsSlow{receiver.capitalize()}"
    labels = {"alertname": name, "via": receiver, "severity": "warning"}

    async def pages() -> list[Any]:
        return list(site.sink.about(name))

    await site.tool.fire(labels, summary=f"Payments are slow ({name})")
    await site.sink.first(name)
    await site.told(await site.alert(name))

    await site.tool.end(labels)
    first = await until(lambda: site.alert(name), lambda alert: alert["status"] == "resolved")
    summary, steps = await site.steps(first)
    assert steps[-2:] == ["escalation.ended", "alert.resolved"]
    assert "nobody had answered when" in summary
    answered = await request("GET", site.sink.about(name)[0][1]["acknowledge_url"])
    assert "Resolved" in answered.text and "You need not do anything." in answered.text

    await site.tool.fire(labels, summary=f"Payments are slow ({name})")
    both = await until(lambda: site.alerts(name), lambda found: len(found) == 2)
    assert [alert["status"] for alert in both] == ["triggered", "resolved"]
    assert both[0]["dedup_key"] == both[1]["dedup_key"] and both[1]["id"] == first["id"]
    await until(pages, lambda pages: len(pages) == 2)
    await site.tool.end(labels)
    await until(lambda: site.alerts(name), lambda found: found[0]["status"] == "resolved")


async def test_an_alert_that_no_route_takes_says_why_nobody_was_paged(site: Site) -> None:
    labels = {"alertname": "DiskFull", "via": "webhook", "severity": "critical"}
    await site.tool.fire(labels, summary="A disk is full")

    async def told() -> dict[str, Any]:
        found = await site.alerts("disk is full")
        return await site.api.get(f"/alerts/{found[0]['id']}/explain") if found else {"steps": []}

    explanation = await until(told, lambda told: len(told["steps"]) >= 2)
    assert explanation["summary"] == "Nobody was paged because no route matched. “Payments”: The condition is false."
    assert [(step["text"], step["detail"]) for step in explanation["steps"]] == [
        ("Prometheus triggered “A disk is full”", "SEV1 (“critical” at the source), high urgency"),
        ("Nobody was paged", "No route matched. “Payments”: The condition is false."),
    ]
    assert site.sink.about("disk is full") == []
