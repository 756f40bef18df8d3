"""A contact method through API and page: formats, templates, previews, and what a test page said (F059, F060)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from tests.receivers import answering, receiver
from tests.surfaces.conftest import Api
from tests.surfaces.web_client import browser
from tests.world import World
from tocsin.alerts.model import ALERT_ID
from tocsin.api.shapes.deliveries import write_delivery
from tocsin.identity.model import USER_ID, User
from tocsin.kit.errors import Transient
from tocsin.net.http import OutboundHttp
from tocsin.net.smtp import Mailer, SmtpSettings
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.channels import channels
from tocsin.notifications.channels.base import Trace
from tocsin.notifications.channels.webhook import Webhook, bodies
from tocsin.notifications.model import METHOD_ID, Urgency
from tocsin.web.people.contact_methods import FIELDS

HOOK = {"kind": "webhook", "address": "https://hooks.example/s3cret"}
OWN = {"format": "template", "template": "{{ title }} hunter2", "content_type": "text/plain"}


@pytest.fixture
async def ada(world: World) -> User:
    return await world.person("ada", reachable=False)


@pytest.fixture
async def calls_out(world: World) -> AsyncIterator[None]:
    """Webhooks of this world really call out."""
    client = OutboundHttp([ip_network("127.0.0.1")])
    channels: Any = world.app.channels
    channels["webhook"] = Webhook(client)
    yield
    await client.aclose()


def methods_of(person: User) -> str:
    return f"/users/{USER_ID.write(person.id)}/contact_methods"


async def test_a_webhook_is_given_a_format_and_changed(api: Api, ada: User) -> None:
    hers = await api.as_(ada)
    plain = await hers.post(methods_of(ada), json=HOOK)
    assert plain.status_code == 201, plain.text
    shape = {name: plain.json()[name] for name in ("format", "template", "content_type", "version")}
    assert shape == {"format": "tocsin", "template": None, "content_type": None, "version": 1}
    path = f"{methods_of(ada)}/{plain.json()['id']}"
    tag = plain.headers["etag"]
    assert (await hers.get(path)).headers["etag"] == tag
    changed = await hers.patch(path, json=OWN, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    assert {name: changed.json()[name] for name in OWN} == OWN and changed.headers["etag"] == '"2"'
    stale = await hers.patch(path, json={"format": "slack"}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    slack = (await hers.patch(path, json={"format": "slack", "address": "https://hooks.example/other"})).json()
    assert (slack["format"], slack["template"], slack["address"]) == ("slack", None, "https://hooks.example/other")
    assert (await hers.get(methods_of(ada))).json()["data"] == [slack]
    mail = await hers.post(methods_of(ada), json={"kind": "email", "address": "ada@example.org"})
    assert (mail.json()["format"], mail.json()["template"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"format": "template", "template": "{{ titel }}"}, "#/template", "Line 1: There is no field “titel”."),
        ({"format": "template", "template": '{"a": "{{ title }}"}'}, "#/template", "filter json"),
        ({"format": "template", "template": "x" * 8001}, "#/template", "8000"),
        ({"format": "template", "content_type": "nonsense"}, "#/content_type", "such as application/json"),
        ({"format": "slack", "template": "{{ title }}"}, "#/template", "“template” only"),
        ({"format": "pigeon"}, "#/format", ""),
        ({"format": "slack", "kind": "email", "address": "a@example.org"}, "#/format", "Only a webhook"),
    ],
)
async def test_what_is_wrong_is_told_in_its_field(
    api: Api, ada: User, body: dict[str, str], pointer: str, said: str
) -> None:
    hers = await api.as_(ada)
    refused = await hers.post(methods_of(ada), json=HOOK | body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == pointer and said in refused.json()["errors"][0]["detail"]
    assert (await hers.get(methods_of(ada))).json()["data"] == []


async def test_only_the_console_needs_no_address(api: Api, ada: User) -> None:
    """F059: there is nothing to say where it is; what has a far end is asked for it."""
    installed = api.world.app.channels
    assert isinstance(installed, dict)
    mail = SmtpSettings(host="mail.example", port=25, sender="Tocsin <tocsin@mail.example>")
    installed |= channels(http=OutboundHttp(()), mailer=Mailer(mail), console=io.StringIO())
    hers = await api.as_(ada)
    printed = await hers.post(methods_of(ada), json={"kind": "console"})
    assert (printed.status_code, printed.json()["address"]) == (201, "console"), printed.text
    for kind in ("email", "webhook"):
        refused = await hers.post(methods_of(ada), json={"kind": kind})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/address"), refused.text
    assert [each["kind"] for each in (await hers.get(methods_of(ada))).json()["data"]] == ["console"]


async def test_a_preview_saves_nothing(api: Api, ada: User) -> None:
    hers = await api.as_(ada)
    path = f"/users/{USER_ID.write(ada.id)}/actions/preview_webhook_body"
    shown = await hers.post(path, json={"format": "discord"})
    assert (shown.status_code, shown.json()["content_type"]) == (200, "application/json")
    assert json.loads(shown.json()["body"])["allowed_mentions"] == {"parse": []}
    own = await hers.post(path, json=OWN)
    assert own.json() == {"content_type": "text/plain", "body": "Checkout is down hunter2"}
    wrong = await hers.post(path, json={"format": "template", "template": "{{ x }}"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "#/template")
    assert (await hers.get(methods_of(ada))).json()["data"] == []


async def test_nobody_else_sees_template_or_exchange(api: Api, admin: httpx.AsyncClient, ada: User) -> None:
    """F118: a template may hold a secret, and an exchange holds what it made."""
    bob = await api.world.person("bob")
    his, hers = await api.as_(bob), await api.as_(ada)
    made = await hers.post(methods_of(ada), json=HOOK | OWN)
    path = f"{methods_of(ada)}/{made.json()['id']}"
    for answer in (
        await his.get(methods_of(ada)),
        await his.get(path),
        await his.patch(path, json={"name": "Mine"}),
        await his.post(f"/users/{USER_ID.write(ada.id)}/actions/preview_webhook_body", json={"format": "slack"}),
        await his.get(f"/users/{USER_ID.write(ada.id)}/deliveries"),
    ):
        assert answer.status_code == 403 and "hunter2" not in answer.text
    theirs = f"{methods_of(bob)}/{made.json()['id']}"
    assert (await his.get(theirs)).status_code == (await his.patch(theirs, json={"name": "x"})).status_code == 404
    assert (await admin.get(path)).json()["template"] == OWN["template"]
    for page in (
        f"/people/{USER_ID.write(ada.id)}",
        f"/people/{USER_ID.write(ada.id)}/contact-methods/{made.json()['id']}",
    ):
        async with browser(api.world, bob) as web:
            shown = await web.get(page)
        assert shown.status == (403 if "contact-methods" in page else 200)
        assert "hunter2" not in shown.html and "s3cret" not in shown.html


async def test_messages_about_an_alert_show_no_template_to_others(api: Api, ada: User) -> None:
    """F118: the list is for everybody who may see the alert."""
    world = api.world
    bob = await world.person("bob")
    hers, his = await api.as_(ada), await api.as_(bob)
    await hers.post(methods_of(ada), json=HOOK | OWN)
    await world.route(await world.policy([ada]))
    world.hook.failures = [Transient("503 s3cret")]
    alert = await world.alert()
    path = f"/alerts/{ALERT_ID.write(alert.id)}/notifications"
    for client, sees in ((hers, True), (his, False)):
        listed = await client.get(path)
        assert listed.status_code == 200 and "hunter2" not in listed.text
        (delivery,) = listed.json()["data"]
        assert (delivery["address"] == HOOK["address"]) is sees and delivery["exchange"] is None
        assert ("s3cret" in listed.text) is sees


async def test_a_test_page_shows_request_and_answer_in_the_api(
    api: Api, admin: httpx.AsyncClient, ada: User, calls_out: None
) -> None:
    hers = await api.as_(ada)
    async with receiver(answering(400, b"invalid_blocks"), "/services/T0000000/s3cretToken") as (url, seen):
        made = await hers.post(methods_of(ada), json={"kind": "webhook", "address": url, "format": "slack"})
        sent = await hers.post(
            f"/users/{USER_ID.write(ada.id)}/actions/send_test_page", json={"contact_method_id": made.json()["id"]}
        )
        assert sent.json()["data"][0]["exchange"] is None
        await api.world.settle()
    for client in (hers, admin):
        (delivery,) = (await client.get(f"/users/{USER_ID.write(ada.id)}/deliveries")).json()["data"]
        exchange = delivery["exchange"]
        assert exchange["reply"] == {"status": 400, "body": "invalid_blocks", "is_cut": False}
        assert exchange["request"]["method"] == "POST"
        assert exchange["request"]["origin"] == url.removesuffix("/services/T0000000/s3cretToken")
        assert exchange["request"]["body"].encode() == seen[0].partition(b"\r\n\r\n")[2]
        assert "s3cret" not in json.dumps(exchange) and exchange["took_ms"] >= 0
        assert delivery["last_error"].endswith("answered 400: invalid_blocks.")


async def test_an_exchange_is_written_for_those_who_may_see_the_address(world: World, ada: User) -> None:
    """F118: whatever list it should ever stand in."""
    bob, boss = await world.person("bob"), await world.person("boss", role="admin")
    kept = Trace("POST", "https://hooks.example", {}, b"{{ hunter2 }}", 200, b"ok", 0.1).written()
    async with world.db.begin() as tx:
        method = await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address="https://hooks.example/"
        )
        (delivery,) = await notifications.send_test_page(tx, world.root, user_id=ada.id, method_id=method.id)
        delivery.exchange = kept
    sees = [write_delivery(world.actor(who), delivery, "Ada").exchange is not None for who in (ada, boss, bob)]
    assert sees == [True, True, False]


async def test_the_page_of_a_webhook_adds_previews_and_saves(world: World, ada: User) -> None:
    async with browser(world, ada) as web:
        page = await web.get(f"/people/{USER_ID.write(ada.id)}")
        page = await web.do(page, "add-method", {**HOOK, "format": "template"})
        assert "/contact-methods/cm_" in page.path and "Write its template." in page.html
        assert page.read.forms["method-form"]["template"][0].strip() == bodies.EXAMPLE.strip()
        assert not page.read.refused
        tried = await web.submit(page, "method-form", {**OWN, "do": "preview"})
        assert tried.status == 200 and "Checkout is down hunter2" in tried.html and "Not saved yet." in tried.html
        assert tried.read.forms["method-form"]["template"] == [OWN["template"]]
        assert await stored(world, ada) == ("template", bodies.EXAMPLE)
        wrong = {**OWN, "template": "{{ titel }}"}
        for do in ("preview", "save"):
            refused = await web.submit(page, "method-form", {**wrong, "do": do})
            assert refused.status == 422 and 'id="method-form-template-err"' in refused.html
            assert "Line 1: There is no field “titel”." in unescape(refused.html)
            assert refused.read.forms["method-form"]["template"] == ["{{ titel }}"]
        page = await web.do(page, "method-form", {**OWN, "template": "a\r\n{{ title }}", "do": "save"})
        assert await stored(world, ada) == ("template", "a\n{{ title }}")
        stale = await web.submit(page, "method-form", {"template": "b", "version": "1", "do": "save"})
        assert stale.status == 409 and "Ada changed the template" in stale.html
        page = await web.do(page, "method-form", {"format": "teams", "method_name": "Pager", "do": "save"})
        assert await stored(world, ada) == ("teams", None)
        assert "AdaptiveCard" in page.html and ", Pager" in page.html
        assert "Microsoft Teams" in (await web.get(f"/people/{USER_ID.write(ada.id)}")).html


async def stored(world: World, person: User) -> tuple[str | None, str | None]:
    async with world.db.begin() as tx:
        (method,) = await contact.contact_methods(tx, person.id)
    return method.format, method.template


async def test_the_page_of_an_address_without_a_format_has_none(world: World) -> None:
    bob = await world.person("bob")
    async with world.db.begin() as tx:
        (method,) = await contact.contact_methods(tx, bob.id)
    path = f"/people/{USER_ID.write(bob.id)}/contact-methods/{METHOD_ID.write(method.id)}"
    async with browser(world, bob) as web:
        page = await web.get(path)
        assert "format" not in page.read.forms["method-form"] and "Preview" not in page.html
        page = await web.do(page, "method-form", {"address": "bob@home.example", "do": "save"})
        assert "bob@home.example" in page.html
        taken = await web.get(f"/people/{USER_ID.write(bob.id)}")
        assert "bob@home.example" in taken.html


async def test_a_test_page_shows_request_and_answer_on_the_page(world: World, ada: User, calls_out: None) -> None:
    """And while it is under way, the page asks again."""
    async with browser(world, ada) as web:
        path = f"/people/{USER_ID.write(ada.id)}"
        async with receiver(answering(404, b"no_service <b>"), "/services/s3cretToken") as (url, seen):
            page = await web.do(await web.get(path), "add-method", {"kind": "webhook", "address": url})
            (test,) = [form for form in page.read.forms if form.startswith("test-cm_")]
            waiting = await web.do(page, test)
            assert "On its way" in waiting.html and 'hx-trigger="load delay:1s"' in waiting.html
            await world.settle()
        method = test.removeprefix("test-")
        for here in (path, f"{path}/contact-methods/{method}"):
            shown = await web.get(here)
            text = unescape(shown.html)
            assert "answered 404: no_service" in text and "Request and answer" in text
            assert f"POST {url.removesuffix('/services/s3cretToken')}/…" in text
            assert '"kind": "test"' in text and "This is only a test" in text
            assert "no_service &lt;b&gt;" in shown.html and not shown.read.refused
            assert 'id="x-dlv_' in shown.html
        assert len(seen) == 1


async def test_one_contact_method_is_tested_and_no_other(world: World) -> None:
    bob = await world.person("bob")
    path = f"/people/{USER_ID.write(bob.id)}"
    async with browser(world, bob) as web:
        page = await web.do(await web.get(path), "add-method", HOOK)
        (method,) = await methods(world, bob, "webhook")
        for _ in range(2):
            page = await web.do(await web.get(f"{path}/contact-methods/{method}"), "test-page")
        again = await web.submit(page, "test-page")
        await web.submit(page, "test-page")
        assert again.status == 303
        await world.settle()
        assert (len(world.hook.sent), world.mail.to(bob)) == (3, [])
        await web.do(await web.get(path), f"test-{(await methods(world, bob, 'email'))[0]}")
        await world.settle()
        assert (len(world.hook.sent), len(world.mail.to(bob))) == (3, 1)


async def methods(world: World, person: User, kind: str) -> list[str]:
    async with world.db.begin() as tx:
        return [METHOD_ID.write(m.id) for m in await contact.contact_methods(tx, person.id) if m.kind == kind]


async def test_a_contact_method_is_called_by_its_own_name(world: World) -> None:
    """F059, F060: in the result of a test, in rules, news and buttons; without a name, by kind and address."""
    ada, cleo = await world.person("ada"), await world.person("cleo", role="stakeholder")
    async with world.db.begin() as tx:
        hook = await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address=HOOK["address"], name="Ops room"
        )
        rule = notifications.RuleDraft(Urgency.HIGH, 0, hook.id)
        await notifications.set_rules(tx, world.root, user_id=ada.id, rules=[rule])
        await notifications.send_test_page(tx, world.root, user_id=ada.id)
    await world.settle()
    path = f"/people/{USER_ID.write(ada.id)}"
    named, unnamed = f"{world.hook.label}, Ops room", f"{world.mail.label}, {ada.email}"
    async with browser(world, ada) as web:
        page = await web.get(path)
        result = inside(page.html, 'id="test-result"')
        assert f"<span>{named}</span>" in result and f"<span>{unnamed}</span>" in result
        assert HOOK["address"] not in result
        assert page.html.count(f">{named}</option>") == page.html.count(f">{unnamed}</option>") == 3
        assert {f"Change {named}", f"Remove {named}", f"Change {unnamed}"} <= set(labels_of(page.html))
        assert f"<span>{named}</span>" in inside(page.html, 'aria-labelledby="rule-high-h"')
        method = await web.get(f"{path}/contact-methods/{METHOD_ID.write(hook.id)}")
        assert f"<span>{named}</span>" in inside(method.html, 'id="test-result"')
        async with world.db.begin() as tx:
            await notifications.remove_contact_method(tx, world.root, user_id=ada.id, method_id=hook.id)
        # What is gone has no name any more.
        assert f"<span>{world.hook.label} {HOOK['address']}</span>" in (await web.get(path)).html
    async with browser(world, cleo) as web:
        hidden = (await web.get(path)).html
        assert ada.email in hidden and f"{world.mail.label} {ada.email}" not in hidden


def inside(html: str, start: str) -> str:
    """Return the section that begins there."""
    return html.partition(start)[2].partition("</section>")[0]


def labels_of(html: str) -> list[str]:
    return re.findall(r'aria-label="([^"]+)"', html)


async def test_the_page_of_a_contact_method_has_one_button_to_save(world: World, ada: User) -> None:
    """F059: it is in the bar, which stays in sight, and speaks for the form; what is hidden is for the Enter key."""
    async with world.db.begin() as tx:
        method = await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address=HOOK["address"], name="Ops room"
        )
    async with browser(world, ada) as web:
        page = await web.get(f"/people/{USER_ID.write(ada.id)}/contact-methods/{METHOD_ID.write(method.id)}")
    buttons = re.findall(r'<button class="([^"]*)"[^>]*value="save"', page.html)
    assert sorted(buttons) == ["btn primary", "vh"]
    assert '<li aria-current="page">Ops room</li>' in page.html


async def test_an_administrator_changes_what_somebody_elses_webhook_is_sent(world: World, ada: User) -> None:
    boss = await world.person("boss", role="admin")
    async with browser(world, ada) as web:
        await web.do(await web.get(f"/people/{USER_ID.write(ada.id)}"), "add-method", HOOK)
    (method,) = await methods(world, ada, "webhook")
    path = f"/people/{USER_ID.write(ada.id)}/contact-methods/{method}"
    async with browser(world, boss) as web:
        await web.do(await web.get(path), "method-form", {"format": "mattermost", "do": "save"})
    assert await stored(world, ada) == ("mattermost", None)
    bob = await world.person("bob")
    async with browser(world, bob) as other:
        for refused in (await other.get(path), await other.send(path, {"format": "slack", "address": "x"})):
            assert refused.status == 403
        assert (await other.send(f"{path}/test", {})).status == 403
    assert await stored(world, ada) == ("mattermost", None)


def test_the_help_names_every_field_of_a_template() -> None:
    assert set(FIELDS) == set(bodies.values_of(bodies.SAMPLES["a page"]))
