"""Clients of the API: one per role, talking to the whole application over ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from tests.surfaces.served_door import Site, serving
from tests.world import World
from tocsin.edge import wrong_tokens
from tocsin.identity import service as identity
from tocsin.identity.model import User
from tocsin.kit.clock import utc_now


@dataclass
class Api:
    """The application, and a client for whoever needs one."""

    world: World
    clients: list[httpx.AsyncClient]

    def client(self, token: str = "") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app=self.world.app.asgi())  # pyright: ignore
        client = httpx.AsyncClient(transport=transport, base_url="http://tocsin.example/api/v1", headers=headers)
        self.clients.append(client)
        return client

    async def token(self, user: User, *scopes: str) -> str:
        async with self.world.db.begin() as tx:
            _, secret = await identity.create_token(tx, self.world.root, user_id=user.id, name="t", scopes=scopes)
        return secret

    async def as_(self, user: User, *scopes: str) -> httpx.AsyncClient:
        return self.client(await self.token(user, *scopes))


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    made = Api(world, [])
    yield made
    for client in made.clients:
        await client.aclose()


@pytest.fixture
async def admin(api: Api) -> httpx.AsyncClient:
    """An administrator's client; her name is Root."""
    return await api.as_(await api.world.person("root", role="admin"))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """An application behind a door with room for everybody."""
    async with serving() as site:
        yield site


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes for those who count wrong tokens, however long the machine takes to send them."""
    now = utc_now()
    monkeypatch.setattr(wrong_tokens, "utc_now", lambda: now)
