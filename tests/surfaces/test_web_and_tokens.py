"""Pages are for people: a token, whose scopes are those of the API, opens none of them."""

from __future__ import annotations

import re

import httpx
import pytest
from litestar.routes import HTTPRoute

from tests.surfaces.conftest import Api
from tocsin.app import make_site

OTHERS = ("/api/", "/schema", "/healthz", "/readyz", "/metrics", "/static/", "/{path:path}")


def page_routes() -> list[tuple[str, str]]:
    """Every method and address of a page, with something in the place of its parameters."""
    found: list[tuple[str, str]] = []
    for route in make_site().routes:
        if isinstance(route, HTTPRoute) and not route.path.startswith(OTHERS):
            path = re.sub(r"\{[^}]+\}", "INC-1", route.path)
            found += [(method, path) for method in route.methods if method not in ("OPTIONS", "HEAD")]
    return sorted(found)


@pytest.mark.parametrize("token", ["scoped", "wide", "wrong", "basic"])
async def test_no_page_takes_a_token(api: Api, token: str) -> None:
    """F118: neither a narrow one, which the API refuses the same, nor one that may do everything."""
    ada = await api.world.person("ada", role="admin")
    scopes = ("incident.view",) if token == "scoped" else ()
    secret = "tcs_wrong" if token == "wrong" else await api.token(ada, *scopes)
    header = "Basic dGVzdDp0ZXN0" if token == "basic" else f"Bearer {secret}"
    routes = page_routes()
    assert len(routes) > 60 and ("GET", "/sessions") in routes and ("POST", "/tokens/INC-1/revoke") in routes
    transport = httpx.ASGITransport(app=api.world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as client:
        for method, path in routes:
            answer = await client.request(method, path, headers={"authorization": header})
            assert answer.status_code == 403, (method, path)
            assert "A token works with the API." in answer.text and ada.name not in answer.text, path


async def test_the_pages_of_sessions_and_tokens_show_a_token_nothing(api: Api) -> None:
    """F118: what the API refuses a narrow token, no page tells it."""
    ada = await api.world.person("ada")
    narrow = await api.as_(ada, "incident.view")
    assert (await narrow.get("/sessions")).status_code == (await narrow.get("/api_tokens")).status_code == 403
    for path in ("/sessions", "/tokens"):
        page = await narrow.get(f"http://tocsin.example{path}")
        assert page.status_code == 403 and "tcs_" not in page.text


async def test_an_address_of_the_api_that_is_not_there_is_still_said_to_be_none(api: Api) -> None:
    """G22: a token that mistypes the address learns that."""
    client = await api.as_(await api.world.person("ada"))
    assert (await client.get("http://tocsin.example/api/v2/incidents")).status_code == 404
