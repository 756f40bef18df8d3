"""The inbox of news by the API, on its page and live (F082)."""

from __future__ import annotations

from tests.surfaces.conftest import Api
from tests.surfaces.open_streams import cookie_of, data_of, opened_with, stream
from tests.surfaces.web_client import browser
from tests.use_cases.test_inbox import follow, make_private, move, say
from tests.use_cases.test_subscribers import actor, declared
from tests.world import World, minutes
from tocsin.identity.model import USER_ID
from tocsin.incidents.model import Status
from tocsin.incidents.service import inbox


async def test_news_are_listed_in_pages_and_marked_by_the_api(api: Api) -> None:
    """F082: `GET /inbox` and `POST /inbox/actions/read`; nobody sees another one's."""
    world = api.world
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    for text in ("First", "Second", "Third"):
        await say(world, ada, incident, text)
        await world.pass_time(minutes(2))
    client, others = await api.as_(bob), await api.as_(ada)
    first = (await client.get("/inbox?limit=2")).json()
    assert [each["detail"] for each in first["data"]] == ["Third", "Second"]
    assert first["data"][0]["text"] == "Ada commented" and first["data"][0]["incident"]["number"] == "INC-1"
    assert first["data"][0]["change"] == "comments" and first["data"][0]["read_at"] is None
    rest = (await client.get(f"/inbox?limit=2&cursor={first['next_cursor']}")).json()
    assert [each["detail"] for each in rest["data"]] == ["First"] and rest["next_cursor"] is None
    assert "Second" not in (await others.get("/inbox")).text
    ids = [each["id"] for each in first["data"]]
    assert (await others.post("/inbox/actions/read", json={"ids": ids})).json()["unread"] <= 1
    assert (await client.post("/inbox/actions/read", json={"ids": ids})).json() == {"unread": 1}
    assert [each["detail"] for each in (await client.get("/inbox?is_unread=true")).json()["data"]] == ["First"]
    assert (await client.post("/inbox/actions/read", json={"all": True})).json() == {"unread": 0}
    assert (await client.post("/inbox/actions/read", json={"ids": ids[:1], "is_read": False})).json() == {"unread": 1}


async def test_the_page_shows_news_counts_them_and_marks_them(world: World) -> None:
    """F082: without a script; opening a piece of news marks it and leads to its incident."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    await move(world, ada, incident, Status.IDENTIFIED)
    await world.pass_time(minutes(2))
    await say(world, ada, incident, "<b>Disk</b> is \u202efull")
    async with browser(world, bob) as web:
        page = await web.get("/inbox")
        assert "2 unread" in page.html and "&lt;b&gt;Disk" in page.html and "<b>Disk" not in page.html
        assert '"inbox":2' in page.html.replace("&#34;", '"').replace(" ", "")
        (news,) = [link for link in page.read.links if link.startswith("/inbox/news/")][:1]
        opened = await web.get(news)
        assert opened.path == "/incidents/INC-1"
        assert "1 unread" in (await web.get("/inbox")).html
        only = await web.get("/inbox?show=unread")
        assert "to identified" in only.html and "commented" not in only.html
        await web.send("/inbox/read", only.read.forms["read-all"])
        assert "Everything is read." in (await web.get("/inbox?show=unread")).html


async def test_what_is_private_by_now_is_not_on_the_page(world: World) -> None:
    """F082, C8: neither the row nor its count nor its address."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    await say(world, ada, incident, "The disk is full")
    async with browser(world, bob) as web:
        page = await web.get("/inbox")
        (news,) = [link for link in page.read.links if link.startswith("/inbox/news/")]
        await make_private(world, incident, ada)
        page = await web.get("/inbox")
        assert "disk" not in page.html and "INC-1" not in page.html
        assert (await web.get(news)).status == 404


async def test_a_stream_tells_of_news_once_they_are_there(world: World) -> None:
    """F082: the count is live, also in another tab when they are marked."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    async with stream(world, bob, "/live") as opened:
        await say(world, ada, incident, "The disk is full")
        while (told := data_of(await opened.next())).get("inbox") != 1 or "inbox" not in told["topics"]:
            pass
        async with world.db.begin() as tx:
            await inbox.mark_news(tx, await actor(world, bob), None)
        while data_of(await opened.next())["inbox"] != 0:
            pass


async def test_a_stream_that_begins_loses_no_news(world: World) -> None:
    """F082: what comes in between the first count and the first message is told too."""
    ada, bob = await world.people("ada", "bob")
    incident = await declared(world, ada)
    await follow(world, incident, bob)
    async with opened_with(world, "/live", **await cookie_of(world, bob)) as opened:
        assert (await opened.parts.get()).startswith(": open")
        opened.reads.clear()
        await say(world, ada, incident, "The disk is full")
        async with browser(world, bob) as web:
            assert "1 unread" in (await web.get("/inbox")).html
        opened.reads.set()
        while "inbox" not in data_of(await opened.next())["topics"]:
            pass


async def test_how_one_is_told_is_chosen_on_a_page_and_by_the_api(api: Api) -> None:
    """F082: for oneself; what is left out is as it was before anything was said."""
    sam = await api.world.person("sam", role="stakeholder")
    kim = await api.world.person("kim", role="stakeholder")
    client, others = await api.as_(sam), await api.as_(kim)
    path = f"/users/{USER_ID.write(sam.id)}/change_preferences"
    async with browser(api.world, sam) as web:
        page = await web.get("/settings/notifications")
        assert "Without a choice: by e-mail." in page.html
        await web.do(page, "notifications", {"status": "hourly", "comments": "none"})
        refused = await web.submit(page, "notifications", {"status": "pigeon"})
        assert "Choose one of the list." in refused.html
    said = (await client.get(path)).json()
    assert said["status"] == "hourly" and said["comments"] == "none" and said["mentions"] is None
    assert (await client.put(path, json={"mentions": "webhook"})).json()["status"] is None
    assert (await client.put(path, json={"mentions": "pigeon"})).status_code == 422
    assert (await others.get(path)).status_code == 403
    assert (await others.put(path, json={})).status_code == 403
