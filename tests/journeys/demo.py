"""The demo organisation with an alert that pages somebody, and the address of every page that there is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import button, somebody
from tests.journeys.outside import Api, request, shell_line
from tests.processes import address, printed_until, served, tocsin
from tocsin.cli.demo import ADMIN

JONAS = ADMIN.replace("maren.okafor", "jonas.lindqvist")


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo organisation, its administrator's session, and the address of every page.

    `api` is the administrator's, `as_jonas` that of a responder of the demo.
    """

    base: str
    api: Api
    as_jonas: Api
    incident: str
    signed_in: dict[str, Any]
    pages: dict[str, str]
    bare: dict[str, str]


async def fire(demo: Demo, *alerts: dict[str, Any]) -> None:
    """Send what a monitoring tool would send, as one request."""
    source = (await demo.api.get("/alert_sources"))["data"]
    url = next(each["url"] for each in source if each["kind"] == "generic")
    body = [{"status": "firing", "severity": "critical", "key": each["title"], **each} for each in alerts]
    answer = await request("POST", url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert answer.status == 202, answer.text


def path_of(page: Page) -> str:
    return urlsplit(page.url).path


@contextlib.asynccontextmanager
async def demonstrated(chromium: Browser, **settings: str) -> AsyncIterator[Demo]:
    async with served("--demo", **settings) as (process, greeting):
        base = address(greeting)
        lines = [line.strip() for line in greeting.splitlines()]
        code, token, said = await tocsin("token", "create", f"--email={ADMIN}", "--name=axe", **settings)
        assert code == 0, said
        api = Api(base, token.strip())
        code, token, said = await tocsin("token", "create", f"--email={JONAS}", "--name=journey", **settings)
        assert code == 0, said
        as_jonas = Api(base, token.strip())
        await shell_line(next(line for line in lines if line.startswith("curl ")))
        printed = await printed_until(process, "   ack  ")
        async with somebody(chromium, base) as maren:
            await maren.goto(next(line for line in lines if "/link/" in line))
            await button(maren, "Sign in").click()
            await expect(maren).to_have_url(f"{base}/incidents")
            signed_in: Any = await maren.context.storage_state()

        async def first(path: str) -> dict[str, Any]:
            return (await api.get(path))["data"][0]

        incident = (await first("/incidents?status=investigating"))["number"]
        resolved = (await first("/incidents?status=resolved"))["number"]
        item = (await first("/action_items"))["id"]
        noted = (await first("/incidents?status=mitigated"))["number"]
        note = (await first(f"/incidents/{noted}/notes"))["id"]
        person = f"/users/{(await first('/users'))['id']}"
        hook = {"kind": "webhook", "address": "https://hooks.example.org/x", "format": "template"}
        method = (await api.post(f"{person}/contact_methods", **hook))["id"]
        pages = {
            "incidents": "/incidents",
            "resolved incidents": "/incidents?tab=resolved",
            "incident": f"/incidents/{incident}",
            "alerts of an incident": f"/incidents/{incident}/alerts",
            "facts of an incident": f"/incidents/{incident}/facts",
            "action items of an incident": f"/incidents/{incident}/action-items",
            "action items": "/action-items?tab=all",
            "action item": f"/action-items/{item}/edit",
            "new action item": "/action-items/new",
            "dating several": f"/action-items/bulk/due?id={item}",
            "closing": f"/incidents/{resolved}/close",
            "adding subscribers": f"/incidents/{incident}/subscribers/add",
            "notes": f"/incidents/{incident}/notes",
            "note": f"/incidents/{noted}/notes/{note}",
            "writing a note": f"/incidents/{incident}/notes/new",
            "editing a note": f"/incidents/{noted}/notes/{note}/edit",
            "declare": "/incidents/new",
            "customer impact": f"/incidents/{incident}/impact",
            "adding a link": f"/incidents/{incident}/links/new",
            "relating incidents": f"/incidents/{incident}/relations/new",
            "resolving several": f"/incidents/bulk/resolve?id={incident}",
            "assigning in several": f"/incidents/bulk/role?id={incident}",
            "alerts": "/alerts",
            "alert": f"/alerts/{(await first('/alerts'))['id']}",
            "policies": "/policies",
            "policy": f"/policies/{(await first('/escalation_policies'))['id']}",
            "new policy": "/policies/new",
            "routes": "/routes",
            "route": f"/routes/{(await first('/alert_routes'))['id']}",
            "new route": "/routes/new",
            "sources": "/sources",
            "source": f"/sources/{(await first('/alert_sources'))['id']}",
            "people": "/people",
            "person": person.replace("/users", "/people"),
            "contact method": f"{person.replace('/users', '/people')}/contact-methods/{method}",
            "inbox": "/inbox",
            "search": "/search?q=checkout",
            "settings": "/settings",
            "appearance": "/settings/appearance",
            "notifications": "/settings/notifications",
            "keys": "/settings/keys",
            "tokens": "/tokens",
            "sessions": "/sessions",
            "organisation": "/organisation",
            "incident types": "/organisation/types",
            "incident type": f"/organisation/types/{(await first('/incident_types'))['id']}",
            "text templates": "/settings/text-templates",
            "text template": f"/settings/text-templates/{(await first('/text_templates'))['id']}",
            "custom fields": "/organisation/fields",
            "custom field": f"/organisation/fields/{(await first('/custom_fields'))['id']}",
            "teams": "/teams",
            "team": f"/teams/{(await first('/teams'))['id']}",
            "roles": "/roles",
            "role": f"/roles/{(await first('/roles'))['key']}",
            "access": f"/access/{(await first('/teams'))['id']}",
            # For a quarter of an hour after a sign-in by a link.
            "new password": "/new-password",
            "nothing": "/nothing/here",
        }
        bare = {
            "sign in": "/sign-in",
            "link": "/link/some-token",
            "page to acknowledge": urlsplit(printed.split()[-1]).path,
            "no such page": "/p/nothing",
        }
        yield Demo(base, api, as_jonas, incident, signed_in, pages, bare)
