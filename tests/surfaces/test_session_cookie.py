"""The session's cookie: its name and attributes over https and http, and what becomes of the session before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from tests.surfaces.test_web_sign_in import PASSWORD, sign_in, with_password
from tests.surfaces.web_client import FORM, browser
from tests.world import World
from tocsin.edge.auth import COOKIE, session_cookie
from tocsin.identity import service as identity

HOST = f"__Host-{COOKIE}"


def at(world: World, base_url: str) -> None:
    """Give the installation this address."""
    context = world.app.context
    assert context is not None
    world.app.context = replace(context, settings=replace(context.settings, base_url=base_url))


@asynccontextmanager
async def client(world: World, base_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url=base_url, headers=FORM) as http:
        yield http


def set_cookie(answer: httpx.Response, name: str) -> set[str]:
    """The attributes, in small letters, with which the answer sets this cookie; nothing when it does not."""
    lines = [line for line in answer.headers.get_list("set-cookie") if line.partition("=")[0] == name]
    assert len(lines) < 2
    return {part.strip().lower() for part in lines[0].split(";")[1:]} if lines else set()


async def test_over_https_the_browser_itself_ties_the_cookie_to_this_host(world: World) -> None:
    """F118: `__Host-` holds only for a cookie that is Secure, for the path / and for no domain; so does its end."""
    ada = await with_password(world)
    at(world, "https://t.example")
    async with client(world, "https://t.example") as http:
        answer = await http.post("/sign-in", data={"email": ada.email, "password": PASSWORD})
        given = set_cookie(answer, HOST)
        assert {"secure", "path=/", "httponly", "samesite=lax"} <= given
        assert not any(part.startswith("domain") for part in given) and not set_cookie(answer, COOKIE)
        page = await http.get("/incidents")
        assert page.status_code == 200
        token = page.text.partition('name="_csrf_token" value="')[2].partition('"')[0]
        over = await http.post("/sign-out", data={"_csrf_token": token})
        assert {"secure", "path=/", "max-age=0"} <= set_cookie(over, HOST)
        assert (await http.get("/incidents")).status_code == 303


async def test_over_https_a_cookie_without_the_prefix_signs_nobody_in(world: World) -> None:
    """F118: else a neighbour below the same domain could still put its own in."""
    ada = await with_password(world)
    async with client(world, "http://t.example") as http:
        await http.post("/sign-in", data={"email": ada.email, "password": PASSWORD})
        value = http.cookies[COOKIE]
    at(world, "https://t.example")
    async with client(world, "https://t.example") as http:
        for name, status in ((COOKIE, 303), (HOST, 200)):
            answer = await http.get("/incidents", headers={"cookie": f"{name}={value}"})
            assert answer.status_code == status


async def test_over_http_the_cookie_has_its_plain_name(world: World) -> None:
    """F118, F140: browsers take no `__Host-` cookie there, and an intranet without TLS must be able to sign in."""
    ada = await with_password(world)
    async with client(world, "http://t.example") as http:
        answer = await http.post("/sign-in", data={"email": ada.email, "password": PASSWORD})
        assert "secure" not in set_cookie(answer, COOKIE) and not set_cookie(answer, HOST)
        assert (await http.get("/incidents")).status_code == 200
    assert (session_cookie("http://t.example"), session_cookie("https://t.example")) == (COOKIE, HOST)


@pytest.mark.parametrize("way", ["password", "link"])
async def test_signing_in_again_ends_the_session_that_the_browser_had(world: World, way: str) -> None:
    """F118: on the surface; the cookie of before is worth nothing, also where it was copied."""
    ada = await with_password(world)
    bob = await world.person("bob")
    async with browser(world, bob) as web:
        before = web.http.cookies[COOKIE]
        token = (await web.get("/incidents")).read.forms["sign-out"]["_csrf_token"][0]
        if way == "password":
            fields = {"email": ada.email, "password": PASSWORD, "_csrf_token": token}
            assert (await web.send("/sign-in", fields)).status == 303
        else:
            async with world.db.begin() as tx:
                link = await identity.make_sign_in_link(tx, world.root, ada.id, timedelta(hours=1))
            assert (await web.send(f"/link/{link}", {"_csrf_token": token})).status == 303
    async with browser(world) as web:
        web.http.cookies.set(COOKIE, before)
        assert (await web.fetch("/incidents")).location.startswith("/sign-in")


async def test_the_limit_of_the_settings_holds(world: World) -> None:
    """F118: `TOCSIN_SESSION_MAX_DAYS` is what counts, whatever the session was opened with."""
    ada = await with_password(world)
    async with browser(world) as web:
        assert (await sign_in(web, ada.email, PASSWORD)).status == 303
        for _ in range(9):
            await world.pass_time(timedelta(days=10) - timedelta(minutes=1))
            assert (await web.fetch("/incidents")).status == 200
        await world.pass_time(timedelta(minutes=10))
        assert (await web.fetch("/incidents")).status == 303
