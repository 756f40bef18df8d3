"""Every operation against requests nobody would write by hand: no 5xx, and answers as the document says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests import postgres
from tests.world import World, make_world
from tocsin.identity import service as identity

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# A stream does not end, and one's own credential must outlive the test.
SKIPPED = {"streamEvents", "revokeApiToken", "editUser", "setUserPassword"}


class Served:
    """The application on an event loop of its own, so that a synchronous test can call it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.ids: dict[str, str] = {}
        self.token = ""

    def start(self) -> None:
        self._thread.start()
        self._do(self._start())

    def stop(self) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, request: httpx.Request) -> httpx.Response:
        return self._do(self._client.send(request))

    def build(self, method: str, url: str, **more: Any) -> httpx.Request:
        return self._client.build_request(method, url, **more)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        self._fresh = postgres.fresh(self._dsn)
        self._made = make_world(await self._fresh.__aenter__())
        world = await self._made.__aenter__()
        transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
        self._client = httpx.AsyncClient(transport=transport, base_url="http://tocsin.example")
        await self._furnish(world)

    async def _furnish(self, world: World) -> None:
        root = await world.person("root", role="admin")
        async with world.db.begin() as tx:
            _, self.token = await identity.create_token(tx, world.root, user_id=root.id, name="t", scopes=[])
        await world.route(await world.policy([root]))
        await world.alert()
        self._client.headers["Authorization"] = f"Bearer {self.token}"
        for name in ("alerts", "users", "alert_sources", "alert_routes", "escalation_policies"):
            found = (await self._client.get(f"/api/v1/{name}")).json()["data"]
            self.ids[name] = found[0]["id"]
        await self._client.post("/api/v1/incidents", json={"title": "Checkout is down"})
        self.ids["incidents"] = "INC-1"
        pages = await self._client.get("/api/v1/pages", params={"alert_id": self.ids["alerts"]})
        self.ids["pages"] = pages.json()["data"][0]["id"]

    async def _stop(self) -> None:
        await self._client.aclose()
        await self._made.__aexit__(None, None, None)
        await self._fresh.__aexit__(None, None, None)


@pytest.fixture(scope="module")
def served(postgres_dsn: str) -> Iterator[Served]:
    made = Served(postgres_dsn)
    made.start()
    yield made
    made.stop()


def test_no_request_breaks_an_operation_or_the_document(served: Served) -> None:
    """F120."""
    document = served.call(served.build("GET", "/api/v1/openapi.json")).json()
    schema: Any = schemathesis.openapi.from_dict(document)
    broken: list[str] = []
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.definition.raw["operationId"] not in SKIPPED:
            tried += 1
            try:
                _try(served, operation)
            except Exception as error:  # noqa: BLE001  Every operation is tried before the test says what broke.
                broken.append(f"{operation.label}: {error}")
    assert tried > 70
    assert not broken, "\n\n".join(broken)


def _try(served: Served, operation: Any) -> None:
    @seed(20)
    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def attempt(case: Any) -> None:
        for exists in (True, False):
            if exists and case.path_parameters:
                kind = operation.path.split("/")[3]
                case.path_parameters["id"] = served.ids.get(kind, case.path_parameters.get("id"))
            if exists:
                # Keys collide, and a request that is only replayed tries nothing.
                (case.headers or {}).pop("Idempotency-Key", None)
            _call(served, case)

    attempt()


def _call(served: Served, case: Any) -> None:
    sent = case.as_transport_kwargs(base_url="http://tocsin.example")
    url, headers = sent.pop("url"), dict(sent.pop("headers", None) or {})
    headers["Authorization"] = f"Bearer {served.token}"
    body = {name: sent[name] for name in ("json", "data", "content") if sent.get(name) is not None}
    if isinstance(body.get("data"), bytes):
        body["content"] = body.pop("data")
    try:
        request = served.build(sent["method"], url, params=sent.get("params") or None, headers=headers, **body)
    except (UnicodeEncodeError, httpx.InvalidURL, ValueError):
        return
    answer = served.call(request)
    case.validate_response(schemathesis.Response.from_any(answer), checks=CHECKS)
