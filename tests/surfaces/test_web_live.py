"""Live streams and files: what browsers hold open, and what they keep."""

from __future__ import annotations

import asyncio
import gzip

import httpx
import pytest

from tests.processes import PATIENCE
from tests.surfaces.open_streams import at, cursor_of, data_of, newest, stream
from tests.surfaces.web_client import browser
from tests.world import World
from tocsin.edge.middleware import loggable
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.incidents.model import INCIDENT_ID
from tocsin.web.base import assets


async def test_a_change_of_an_incident_reaches_the_open_page(world: World) -> None:
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, Actor.person(ada), title="Checkout is down")
    async with stream(world, ada, "/live", **{"last-event-id": await newest(world)}) as opened:
        assert opened.headers["content-type"].startswith("text/event-stream")
        # The first may still be caught up with; the second is told live.
        for text in ("Here we go.", "Here we are."):
            place = await newest(world)
            async with world.db.begin() as tx:
                await incidents.comment(tx, Actor.person(ada), "INC-1", text)
            message = await opened.after(place)
            assert message.startswith("id: ") and message.endswith("\n\n")
            assert data_of(message)["topics"] == [INCIDENT_ID.write(incident.id), "incidents"]


async def test_a_stream_says_what_stands_around_every_page(world: World) -> None:
    """F061: how many alerts wait and which pages are one's own, at once and as soon as it changes."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    async with stream(world, ada, "/live") as opened:
        assert data_of(opened.first) == {
            "topics": [],
            "open_incidents": 0,
            "waiting_alerts": 0,
            "action_items": 0,
            "inbox": 0,
            "paged": [],
        }
        await world.alert("Disk is full")
        while not (told := data_of(await opened.told()))["paged"]:
            pass
        assert told["waiting_alerts"] == told["inbox"] == len(told["paged"]) == 1
        assert {"alerts", "mine"} & set(told["topics"])


async def test_an_alert_reaches_the_inbox_and_who_comes_back_missed_nothing(world: World) -> None:
    ada = await world.person("ada")
    async with stream(world, ada, "/live", **{"last-event-id": await newest(world)}) as opened:
        await world.alert("Disk is full")
        seen = cursor_of(await opened.told())
    place = await newest(world)
    await world.alert("Disk is slow")
    async with stream(world, ada, "/live", **{"last-event-id": seen}) as opened:
        assert "alerts" in data_of(await opened.after(place))["topics"]


async def test_a_place_that_no_log_has_begins_now(world: World) -> None:
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(ada), title="Checkout is down")
    place = await newest(world)
    async with stream(world, ada, "/live", **{"last-event-id": "99999999999999999999-1"}) as opened:
        heard = asyncio.Event()

        async def keep_talking() -> None:
            # Nothing says when a stream has found where now is.
            while not heard.is_set():
                async with world.db.begin() as tx:
                    await incidents.comment(tx, Actor.person(ada), "INC-1", "Is anybody there?")

        talking = asyncio.create_task(keep_talking())
        try:
            message = await opened.told()
        finally:
            heard.set()
            await talking
    assert at(cursor_of(message)) > at(place)


async def test_a_flood_is_told_twice_a_second_at_most(world: World) -> None:
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(ada), title="Checkout is down")
    clock = asyncio.get_running_loop()
    async with stream(world, ada, "/live", **{"last-event-id": await newest(world)}) as opened:
        began = clock.time()
        for number in range(30):
            async with world.db.begin() as tx:
                await incidents.comment(tx, Actor.person(ada), "INC-1", f"Line {number}")
        last, told = await newest(world), 1
        while cursor_of(await opened.told()) != last:
            told += 1
        # The slower the machine, the more may have been told.
        assert told <= 1 + (clock.time() - began) / 0.5


async def test_a_stream_ends_when_the_process_stops(world: World) -> None:
    ada = await world.person("ada")
    async with stream(world, ada, "/live") as opened:
        world.app.say_goodbye()
        async with asyncio.timeout(PATIENCE):
            await opened.over.wait()


@pytest.mark.parametrize(
    "path",
    [
        "/p/secret",
        "/in/generic/secret",
        "/IN/generic/secret/",
        "//in//generic//secret",
        "/./link/secret",
        "/api/v1/../../set-up/secret",
    ],
)
def test_no_secret_of_an_address_gets_into_the_log(path: str) -> None:
    """F118: nor that of a mistyped one."""
    assert "secret" not in loggable(path)
    assert loggable("/incidents/INC-1") == "/incidents/INC-1"


async def test_nobody_signed_in_gets_no_stream(world: World) -> None:
    async with browser(world) as web:
        assert (await web.fetch("/live")).status == 401


async def test_files_are_kept_for_ever_under_the_address_of_their_content(world: World) -> None:
    async with browser(world) as web:
        url = assets.url("tocsin.css")
        answer = await web.http.get(url, headers={"accept-encoding": "identity"})
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert "immutable" in answer.headers["cache-control"]
        packed = await web.http.get(url, headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip" and packed.content == answer.content
        assert len(gzip.compress(answer.content)) < len(answer.content)
        plain = await web.http.get("/static/vendor/hotkey.js")
        assert "immutable" not in plain.headers["cache-control"]
        same = await web.http.get(url, headers={"if-none-match": answer.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        for bad in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static//etc/passwd"):
            assert (await web.http.get(httpx.URL(f"http://127.0.0.1:8700{bad}"))).status_code == 404
