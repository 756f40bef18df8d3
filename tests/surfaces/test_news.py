"""What people want to be told of their pages, by API and page, and what a receiver is sent (F137)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import browser
from tests.world import World, minutes
from tocsin.identity.model import USER_ID, User
from tocsin.notifications.channels.console import block
from tocsin.notifications.channels.email import text_of
from tocsin.notifications.channels.webhook import bodies
from tocsin.notifications.model import BodyFormat, Shape

SILENT = {"tell": "all", "low_urgency": False, "contact_method_id": None}


def path_of(person: User) -> str:
    return f"/users/{USER_ID.write(person.id)}/news_preference"


async def test_a_preference_is_read_and_replaced(api: Api) -> None:
    ada = await api.world.person("ada")
    hers = await api.as_(ada)
    assert (await hers.get(path_of(ada))).json() == SILENT
    method = (await hers.get(f"/users/{USER_ID.write(ada.id)}/contact_methods")).json()["data"][0]["id"]
    wanted = {"tell": "over", "low_urgency": True, "contact_method_id": method}
    assert (await hers.put(path_of(ada), json=wanted)).json() == wanted
    assert (await hers.get(path_of(ada))).json() == wanted
    assert (await hers.put(path_of(ada), json={})).json() == SILENT


async def test_wrong_wishes_are_told_in_their_field(api: Api, admin: httpx.AsyncClient) -> None:
    """F118: nobody sees or changes what somebody else wants, but who manages people."""
    ada, bob = await api.world.people("ada", "bob")
    hers, his = await api.as_(ada), await api.as_(bob)
    theirs = (await his.get(f"/users/{USER_ID.write(bob.id)}/contact_methods")).json()["data"][0]["id"]
    for body, pointer in (
        ({"contact_method_id": theirs}, "#/contact_method_id"),
        ({"contact_method_id": "nonsense"}, "#/contact_method_id"),
        ({"tell": "loudly"}, "#/tell"),
    ):
        refused = await hers.put(path_of(ada), json=body)
        assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == pointer, refused.text
    assert (await hers.get(path_of(bob))).status_code == (await hers.put(path_of(bob), json={})).status_code == 403
    assert (await admin.put(path_of(bob), json={"tell": "none"})).json()["tell"] == "none"
    assert (await admin.get("/users/usr_06b6fyrfa9xsgs9xe3vxkm3j3m/news_preference")).status_code == 404


async def test_the_page_saves_what_the_api_shows(api: Api) -> None:
    """G22: what the one allows, the other does, and both tell the same."""
    ada, bob = await api.world.people("ada", "bob")
    url = f"/people/{USER_ID.write(ada.id)}"
    async with browser(api.world, ada) as web:
        page = await web.do(await web.get(url), "news", {"tell": "over", "low_urgency": "1"})
        assert "Saved." in page.html and '<option value="over" selected>' in page.html
        assert (await (await api.as_(ada)).get(path_of(ada))).json()["tell"] == "over"
        page = await web.do(page, "news", {"tell": "none", "low_urgency": ""})
        assert (await (await api.as_(ada)).get(path_of(ada))).json() == SILENT | {"tell": "none"}
        assert (await web.submit(page, "news", {"tell": "loudly"})).status == 422
    async with browser(api.world, bob) as web:
        shown = await web.get(url)
        assert "news" not in shown.read.forms and "After a page" not in shown.html
        csrf = shown.read.forms["sign-out"]["_csrf_token"][0]
        assert (await web.send(f"{url}/news", {"_csrf_token": csrf, "tell": "all"})).status == 403


@pytest.mark.parametrize("format", [format for format in BodyFormat if format is not BodyFormat.TEMPLATE])
async def test_news_ask_nobody_to_do_anything(world: World, format: BodyFormat) -> None:
    """F137: no link that acknowledges, no high urgency, and every format says what happened."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    await world.alert("Disk full", labels={"team": "infra"})
    await world.signal({"title": "Disk full", "status": "resolved", "key": "Disk full"})
    await world.settle()
    await world.pass_time(timedelta(seconds=30))
    told = next(message for _, message in world.mail.told)
    page = world.mail.to(ada)[0]
    values = bodies.values_of(told)
    assert values["kind"] == "news" and values["urgency"] == "low" and values["status"] == "resolved"
    assert values["acknowledge_url"] is None and values["alert_id"] == page.alert_id and values["url"] == page.url
    assert values["labels"] == {"team": "infra"} and values["source"] == "Generic"
    said = "“Disk full” is over: resolved by Generic after 0 s."
    assert values["title"] == said
    body = bodies.write(replace(told, shape=Shape(format))).content.decode()
    assert "is over: resolved by Generic after 0 s." in (json.dumps(json.loads(body)) if body[0] == "{" else body)
    assert "/p/" not in body and "Acknowledge" not in body
    assert text_of(told).startswith(f"{said}\n\nYou were paged for it.\n\nDetails: ")
    assert block("ada", told).startswith(f"━━ NEWS [SEV1] {said}")
