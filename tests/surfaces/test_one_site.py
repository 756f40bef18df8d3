"""The pages and the API are put together once for a process; whose they are comes with each request."""

from __future__ import annotations

from tests import postgres
from tests.surfaces.conftest import Api
from tests.world import World, make_world


async def test_two_installations_in_one_process_do_not_see_each_other(world: World, postgres_dsn: str) -> None:
    """G22"""
    async with postgres.fresh(postgres_dsn) as dsn, make_world(dsn) as other:
        here, there = Api(world, []), Api(other, [])
        ada, bob = await world.person("ada"), await other.person("bob")
        ada_here, bob_there = await here.as_(ada), await there.as_(bob)
        ada_there = there.client(ada_here.headers["authorization"].removeprefix("Bearer "))

        assert [each["name"] for each in (await ada_here.get("/users")).json()["data"]] == ["Ada"]
        assert [each["name"] for each in (await bob_there.get("/users")).json()["data"]] == ["Bob"]
        assert (await ada_there.get("/users")).status_code == 401
        for client in (*here.clients, *there.clients):
            await client.aclose()
