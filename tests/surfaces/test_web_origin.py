"""From where forms are taken: over plain http, behind a proxy, with a session and without."""

from __future__ import annotations

import dataclasses

import pytest
from structlog.testing import capture_logs

from tests.surfaces.web_client import Browser, browser
from tests.world import World
from tocsin.alerts.model import Alert
from tocsin.edge.auth import COOKIE
from tocsin.identity import service as identity
from tocsin.identity.model import User

NAMED = {"host": "tocsin.example:8700"}
OWN = NAMED | {"origin": "http://tocsin.example:8700"}
NULL = NAMED | {"origin": "null"}
FOREIGN = NAMED | {"origin": "http://evil.example"}
ELSEWHERE = OWN | {"sec-fetch-site": "cross-site"}
PASSWORD = "correct horse battery"


async def paged(world: World, person: User) -> tuple[Alert, str]:
    await world.route(await world.policy([person]))
    alert = await world.alert()
    return alert, str(world.mail.to(person)[-1].acknowledge_url).removeprefix("http://127.0.0.1:8700")


async def token_of(web: Browser, path: str = "/incidents", form: str = "sign-out") -> str:
    return (await web.get(path)).read.forms[form]["_csrf_token"][0]


@pytest.mark.parametrize("headers", [OWN, NAMED, NULL, FOREIGN, ELSEWHERE])
async def test_a_link_that_answers_is_enough_where_no_session_speaks(world: World, headers: dict[str, str]) -> None:
    """F061: the secret in the address is the credential; whoever knows it needs nobody's browser."""
    ada = await world.person("ada")
    alert, link = await paged(world, ada)
    async with browser(world) as web:
        assert (await web.send(link, {"do": "ack"}, **headers)).status == 303
    assert (await world.again(alert)).acknowledged_by == "Ada"


@pytest.mark.parametrize(
    ("headers", "is_taken"), [(OWN, True), (NAMED, True), (NULL, True), (FOREIGN, False), (ELSEWHERE, False)]
)
async def test_where_a_session_speaks_a_link_that_answers_is_not_taken_from_elsewhere(
    world: World, headers: dict[str, str], is_taken: bool
) -> None:
    """F061: and it needs no form token, as somebody may have signed in since the page was opened."""
    ada, bob = await world.people("ada", "bob")
    alert, link = await paged(world, ada)
    async with browser(world, bob) as web:
        assert (await web.send(link, {"do": "ack"}, **headers)).status == (303 if is_taken else 403)
    assert (await world.again(alert)).acknowledged_by == ("Ada" if is_taken else None)


@pytest.mark.parametrize(
    ("headers", "is_taken"), [(OWN, True), (NAMED, True), (NULL, True), (FOREIGN, False), (ELSEWHERE, False)]
)
async def test_a_link_that_signs_in_is_not_taken_from_elsewhere(
    world: World, headers: dict[str, str], is_taken: bool
) -> None:
    """F110: else somebody could sign a stranger's browser in as themselves. A refused link is not used up."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        link = f"/link/{await identity.make_sign_in_link(tx, world.root, ada.id, identity.INVITATION_VALID_FOR)}"
    async with browser(world) as web:
        answer = await web.send(link, {}, **headers)
        assert (answer.status, COOKIE in answer.headers.get("set-cookie", "")) == (303 if is_taken else 403, is_taken)
        if not is_taken:
            assert (await web.send(link, {}, **OWN)).status == 303


async def test_who_is_signed_in_is_signed_in_as_somebody_else_only_from_our_page(world: World) -> None:
    """F110."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        link = f"/link/{await identity.make_sign_in_link(tx, world.root, ada.id, identity.INVITATION_VALID_FOR)}"
    async with browser(world, bob) as web:
        token = await token_of(web, link, "link")
        for headers in (NULL, FOREIGN):
            assert (await web.send(link, {"_csrf_token": token}, **headers)).status == 403
        assert (await web.send(link, {}, **OWN)).status == 403
        assert (await web.send(link, {"_csrf_token": token}, **OWN)).status == 303


@pytest.mark.parametrize(
    ("headers", "is_taken"), [(OWN, True), (NAMED, True), (NULL, True), (FOREIGN, False), (ELSEWHERE, False)]
)
async def test_the_set_up_is_not_done_from_elsewhere(world: World, headers: dict[str, str], is_taken: bool) -> None:
    """F110."""
    async with world.db.begin() as tx:
        token = await identity.make_set_up_link(tx)
    fields = {"token": token, "organisation": "H", "name": "Ada", "email": "ada@example.org", "password": PASSWORD}
    async with browser(world) as web:
        assert (await web.send("/set-up", fields, **headers)).status == (303 if is_taken else 403)


@pytest.mark.parametrize(
    ("headers", "is_taken"), [(OWN, True), (NAMED, True), (NULL, False), (FOREIGN, False), (ELSEWHERE, False)]
)
async def test_what_rests_on_a_session_or_a_password_is_taken_from_our_pages_only(
    world: World, headers: dict[str, str], is_taken: bool
) -> None:
    """F110, F119."""
    ada = await world.person("ada")
    await identity.set_password(world.db, world.root, ada.id, PASSWORD)
    async with browser(world) as web:
        signed_in = await web.send("/sign-in", {"email": ada.email, "password": PASSWORD}, **headers)
        assert signed_in.status == (303 if is_taken else 403)
    async with browser(world, ada) as web:
        token = await token_of(web)
        declared = await web.send("/incidents", {"_csrf_token": token, "title": "x", "severity": "3"}, **headers)
        assert declared.status == (303 if is_taken else 403)
        called = await web.http.post(
            "/api/v1/incidents", json={"title": "x"}, headers={"x-csrf-token": token, **headers}
        )
        assert called.status_code == (201 if is_taken else 403)
        # Our own page is not enough: the form's token is the second proof.
        assert (await web.send("/incidents", {"title": "x", "severity": "3"}, **headers)).status == 403


async def test_a_refusal_says_what_came_what_was_expected_and_what_to_set(world: World) -> None:
    """F110: on the screen, to programs and in the log; whatever the header holds, nothing of it is markup."""
    ada = await world.person("ada")
    hostile = "http://<b>evil</b>.example"
    async with browser(world, ada) as web:
        fields = {"_csrf_token": await token_of(web), "title": "x", "severity": "3"}
        with capture_logs() as logs:
            page = await web.send("/incidents", fields, host="tocsin.example:8700", origin=hostile)
        assert page.status == 403
        assert "http://&lt;b&gt;evil&lt;/b&gt;.example" in page.html and "<b>evil" not in page.html
        for said in ("http://127.0.0.1:8700 and http://tocsin.example:8700", "TOCSIN_BASE_URL", "nothing was done"):
            assert said in page.html
        (line,) = [line for line in logs if line["event"] == "request.refused_for_its_origin"]
        assert line["log_level"] == "warning"
        assert (line["origin"], line["host"], line["path"]) == (hostile, "tocsin.example:8700", "/incidents")
        assert line["expected"] == ["http://127.0.0.1:8700", "http://tocsin.example:8700"]
        assert line["base_url"] == "http://127.0.0.1:8700"
        called = await web.http.post("/api/v1/incidents", json={"title": "x"}, headers=ELSEWHERE)
        problem = called.json()
        assert problem["code"] == "csrf.origin" and "cross-site" in problem["detail"]
        assert "TOCSIN_BASE_URL" in problem["hint"]


async def test_a_refused_link_keeps_its_secret_out_of_the_log(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    _, link = await paged(world, ada)
    async with browser(world, bob) as web:
        with capture_logs() as logs:
            page = await web.send(link, {"do": "ack"}, **FOREIGN)
    assert page.status == 403 and page.headers["referrer-policy"] == "strict-origin"
    assert [line["path"] for line in logs if "path" in line] == ["/p/…", "/p/…"]
    assert link.removeprefix("/p/") not in repr(logs)


async def test_the_cookie_is_for_https_alone_exactly_where_people_come_by_https(world: World) -> None:
    """F110: over plain http a browser would not keep it, and nobody could sign in."""
    ada = await world.person("ada")
    await identity.set_password(world.db, world.root, ada.id, PASSWORD)
    fields = {"email": ada.email, "password": PASSWORD}
    async with browser(world) as web:
        plain = (await web.send("/sign-in", fields, **OWN)).headers["set-cookie"].lower()
    assert "secure" not in plain and "samesite=lax" in plain and "httponly" in plain
    assert world.app.context is not None
    world.app.context.settings = dataclasses.replace(world.app.context.settings, base_url="https://tocsin.example")
    async with browser(world) as web:
        proxied = {"host": "127.0.0.1:8700", "origin": "https://tocsin.example"}
        assert "secure" in (await web.send("/sign-in", fields, **proxied)).headers["set-cookie"].lower()
        # Past the proxy the cookie would be lost, so that is said instead.
        past = await web.send("/sign-in", fields, **OWN)
        assert past.status == 403 and "Open https://tocsin.example and try again." in past.html
