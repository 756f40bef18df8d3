"""Below a path of a host, whether a proxy has taken it off or not: what comes in, and what answers tell."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.surfaces.test_web_sign_in import PASSWORD, with_password
from tests.surfaces.web_client import FORM
from tests.world import World
from tocsin.edge.below import Below
from tocsin.identity import service as identity

HOST = "https://t.example"
ROOT = "/tocsin"
WAYS = pytest.mark.parametrize("before", [ROOT, ""], ids=["left", "taken off"])


def application(world: World, root: str, host: str = HOST) -> Any:
    """The installation at this path of the host."""
    context = world.app.context
    assert context is not None
    world.app.context = replace(context, settings=replace(context.settings, base_url=host + root))
    return world.app.asgi()


class Proxy:
    """Passes requests on to installations by the paths that they stand below, which it takes off or leaves."""

    def __init__(self, installations: dict[str, Any], *, takes_path_off: bool = False) -> None:
        self.installations = installations
        self.takes_path_off = takes_path_off

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # The longest path first, as every proxy does it.
        root = max((each for each in self.installations if f"{scope['path']}/".startswith(f"{each}/")), key=len)
        if self.takes_path_off:
            scope = scope | {"path": scope["path"].removeprefix(root) or "/"}
        await self.installations[root](scope, receive, send)


@asynccontextmanager
async def visitor(app: Any, host: str = HOST) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=host, headers=FORM) as http:
        yield http


def proxied(world: World, before: str) -> Proxy:
    return Proxy({ROOT: application(world, ROOT)}, takes_path_off=not before)


async def enter(http: httpx.AsyncClient, email: str, root: str = ROOT, **fields: str) -> httpx.Response:
    return await http.post(f"{root}/sign-in", data={"email": email, "password": PASSWORD, **fields})


def told(answer: httpx.Response) -> dict[str, str]:
    """The path of each cookie that the answer sets."""
    lines = answer.headers.get_list("set-cookie")
    return {line.partition("=")[0]: (re.findall(r"(?i)path=([^;]*)", line) or [""])[0] for line in lines}


async def test_at_a_host_of_its_own_nothing_stands_around_the_site(world: World) -> None:
    """F140: so nothing is slower, and nothing is told otherwise."""
    assert not isinstance(world.app.asgi(), Below)
    assert isinstance(application(world, ROOT), Below)


@WAYS
async def test_signing_in_leads_back_below_the_path_to_where_one_wanted_to_go(world: World, before: str) -> None:
    """F140, F110."""
    ada = await with_password(world)
    async with visitor(proxied(world, before)) as http:
        start = await http.get(f"{ROOT}/alerts?tab=all&q=a")
        assert start.status_code == 303
        assert start.headers["location"] == f"{ROOT}/sign-in?next=%2Falerts%3Ftab%3Dall%26q%3Da"
        form = await http.get(start.headers["location"])
        (action,) = re.findall(r'<form method="post" action="([^"]+)"', form.text)
        assert action == f"{ROOT}/sign-in"
        entered = await enter(http, ada.email, next=parse_qs(urlsplit(start.headers["location"]).query)["next"][0])
        assert (entered.status_code, entered.headers["location"]) == (303, f"{ROOT}/alerts?tab=all&q=a")
        # Other sites are no place of ours.
        for elsewhere in ("//evil.example", "https://evil.example/x"):
            http.cookies.clear()
            assert (await enter(http, ada.email, next=elsewhere)).headers["location"] == f"{ROOT}/incidents"
        assert (await http.get(ROOT)).headers["location"] == f"{ROOT}/incidents"


@WAYS
async def test_every_cookie_stays_below_the_path_and_ends_there(world: World, before: str) -> None:
    """F118, F140: the neighbours at this host are not sent the session with each request."""
    ada = await with_password(world)
    async with visitor(proxied(world, before)) as http:
        entered = await enter(http, ada.email)
        cookies = told(entered)
        session = "__Secure-tocsin_session.tocsin"
        assert cookies.pop(session) == ROOT
        assert set(cookies.values()) == {f"{ROOT}/sign-in"} and not [name for name in cookies if "Host" in name]
        (line,) = [each.lower() for each in entered.headers.get_list("set-cookie") if each.startswith(session)]
        assert "secure" in line and "httponly" in line and "samesite=lax" in line and "domain" not in line
        page = await http.get(f"{ROOT}/incidents")
        token = page.text.partition('name="_csrf_token" value="')[2].partition('"')[0]
        over = await http.post(f"{ROOT}/sign-out", data={"_csrf_token": token})
        assert told(over) == {session: ROOT, "flash": ROOT}
        shown = await http.get(f"{ROOT}/sign-in")
        assert told(shown) in ({"flash": ROOT}, {})
        assert (await http.get(f"{ROOT}/incidents")).status_code == 303


@pytest.mark.parametrize("host", ["https://t.example", "http://t.example"])
async def test_installations_at_one_host_do_not_disturb_each_other(world: World, host: str) -> None:
    """F118, F140: one at the host itself, one below a path, one below that: each keeps its own session and words."""
    ada = await with_password(world)
    roots = ("", "/tocsin", "/tocsin/trial")
    async with visitor(Proxy({root: application(world, root, host) for root in roots}), host) as http:
        tokens = {}
        for root in roots:
            assert (await enter(http, ada.email, root)).status_code == 303
        for root in roots:
            page = await http.get(f"{root}/incidents")
            assert page.status_code == 200, root
            tokens[root] = page.text.partition('name="_csrf_token" value="')[2].partition('"')[0]
        assert len(set(tokens.values())) == 3
        over = await http.post("/tocsin/sign-out", data={"_csrf_token": tokens["/tocsin"]})
        assert over.status_code == 303
        states = [(await http.get(f"{root}/incidents")).status_code for root in roots]
        assert states == [200, 303, 200]
        # In whatever order the browser sends them.
        for order in (1, -1):
            lines = [f"{cookie.name}={cookie.value}" for cookie in http.cookies.jar if "session" in cookie.name][
                ::order
            ]
            trial = await http.get("/tocsin/trial/incidents", headers={"cookie": "; ".join(lines)})
            assert trial.status_code == 200


async def test_what_one_installation_says_once_is_not_said_by_the_one_below_it(world: World) -> None:
    """F140: the cookie of the longest path comes first, and is the one that counts."""
    async with visitor(Proxy({"": application(world, ""), ROOT: application(world, ROOT)})) as http:
        shown = await http.get(f"{ROOT}/nothing", headers={"cookie": "theme=dark; theme=light"})
        assert 'data-theme="dark"' in shown.text


@WAYS
async def test_signals_are_taken_in_below_the_path(world: World, before: str) -> None:
    """F140, F070: with a slash too many as well, as addresses are put together by hand."""
    source = await world.source()
    async with visitor(proxied(world, before)) as http:
        for path in (f"{ROOT}/in/generic/{source.token}", f"{ROOT}//in//generic/{source.token}/"):
            answer = await http.post(path, json={"title": "Disk full"}, headers={"content-type": "application/json"})
            assert answer.status_code == 202, path
        unknown = await http.post(f"{ROOT}/in/generic/unknown", json={}, headers={"content-type": "application/json"})
        assert unknown.status_code == 404 and "There is no such alert source" in unknown.text


async def test_slashes_before_the_path_change_nothing_where_nobody_takes_them_off(world: World) -> None:
    """F140, F070."""
    source = await world.source()
    async with visitor(application(world, ROOT)) as http:
        answer = await http.post(
            f"{HOST}/{ROOT}//in/generic/{source.token}",
            json={"title": "x"},
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 202


async def test_figures_are_told_at_the_bare_port_only(world: World) -> None:
    """F140: else `/tocsin/tocsin/metrics` would lead past a proxy that takes the path off and refuses the figures."""
    async with visitor(application(world, ROOT)) as http:
        assert (await http.get("/metrics")).status_code == 200
        for path in ("/metrics", "//metrics", "/metrics/", "/tocsin/metrics"):
            assert (await http.get(f"{HOST}{ROOT}{path}")).status_code == 404, path
        for path in ("/healthz", f"{ROOT}/healthz"):
            assert (await http.get(path)).json() == {"status": "ok"}


@WAYS
async def test_the_api_tells_addresses_below_the_path(world: World, before: str) -> None:
    """F140, F122: in its document, in `Link`, in what it returns and in what it says."""
    root = await world.person("root", role="admin")
    for name in ("ada", "bob"):
        await world.person(name)
    async with world.db.begin() as tx:
        _, secret = await identity.create_token(tx, world.root, user_id=root.id, name="t", scopes=())
    async with visitor(proxied(world, before)) as http:
        document = (await http.get(f"{ROOT}/api/v1/openapi.json")).json()
        assert document["servers"] == [{"url": ROOT}]
        assert document["components"]["securitySchemes"]["session"]["name"] == "__Secure-tocsin_session.tocsin"
        raw = await http.get(f"{ROOT}/api/v1/openapi/raw.json")
        assert raw.url.join(raw.json()["servers"][0]["url"]).path.rstrip("/") == ROOT
        shown = await http.get(f"{ROOT}/api/v1/docs")
        assert len(re.findall(rf'(?:href|src)="{ROOT}/static/', shown.text)) == 4
        http.headers["authorization"] = f"Bearer {secret}"
        page = await http.get(f"{ROOT}/api/v1/users?limit=1")
        assert page.links["next"]["url"].startswith(f"{ROOT}/api/v1/users?limit=1&cursor=")
        assert (await http.get(page.links["next"]["url"])).status_code == 200
        incident = await http.post(
            f"{ROOT}/api/v1/incidents", json={"title": "x"}, headers={"content-type": "application/json"}
        )
        assert incident.json()["url"] == f"{HOST}{ROOT}/incidents/INC-1"
        refused = await http.get(f"{ROOT}/incidents")
        assert refused.status_code == 403 and f"The API is at {ROOT}/api/v1; {ROOT}/api/v1/docs says" in refused.text
        problem = await http.get(f"{ROOT}/api/v1/nothing")
        assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")


@WAYS
async def test_who_is_signed_out_while_writing_comes_back_to_the_page_of_the_form(world: World, before: str) -> None:
    """F140: it is read from the address of that page, which says the path."""
    async with visitor(proxied(world, before)) as http:
        for page, back in ((f"{ROOT}/incidents/INC-1", "?next=%2Fincidents%2FINC-1"), ("/neighbour", ""), ("/", "")):
            sent = await http.post(f"{ROOT}/incidents/INC-1/join", headers={"referer": HOST + page})
            assert sent.headers["location"] == f"{ROOT}/sign-in{back}", page


@WAYS
async def test_a_secret_address_keeps_its_secret_below_the_path(world: World, before: str) -> None:
    """F061, F140: neither handed on by the browser nor kept from caches by chance."""
    async with visitor(proxied(world, before)) as http:
        for path in ("/p/nothing", "/link/nothing", "/set-up"):
            answer = await http.get(f"{ROOT}{path}")
            assert answer.headers["referrer-policy"] == "strict-origin", path
        assert (await http.get(f"{ROOT}/sign-in")).headers["referrer-policy"] == "same-origin"


async def test_pages_of_installations_in_one_process_do_not_mix(world: World) -> None:
    """F140: signs are rendered once and remembered, for each path by itself."""
    apps = {root: application(world, root) for root in ("", "/one", "/two")}
    for _ in range(2):
        for root, app in apps.items():
            async with visitor(app) as http:
                page = (await http.get(f"{root}/nothing")).text
                found = set(re.findall(r'(?:href|src)="(?!#)([^"]*?)/(?:static|incidents)', page))
                assert found == {root}, page


async def test_a_neighbour_that_only_begins_like_the_path_is_not_ours(world: World) -> None:
    """F140."""
    async with visitor(application(world, ROOT)) as http:
        for path in ("/tocsinx/healthz", "/tocsin.healthz", "/Tocsin/healthz", "/x/tocsin/healthz"):
            assert (await http.get(path)).status_code == 404, path
