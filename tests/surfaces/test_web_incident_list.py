"""The list of incidents: what goes on by how it stands, what ended today, and what narrows it."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlencode

import httpx

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import Page, browser
from tests.world import World
from tocsin.identity.model import USER_ID
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Status


def groups(page: Page) -> list[tuple[str, list[str]]]:
    """Each heading with the incidents below it."""
    parts = page.html.split('<tr class="grp">')[1:]
    return [(" ".join(re.sub(r"<[^>]+>", " ", part.partition("</th>")[0]).split()), rows(part)) for part in parts]


def rows(html: str) -> list[str]:
    return re.findall(r'<tr id="row-(INC-\d+)"', html)


async def test_incidents_stand_by_how_they_go_on(world: World) -> None:
    """C, Incidents: active, mitigated, resolved today; the worst first; what ended before is in the record."""
    ada, ben = await world.people("ada", "ben")
    async with world.db.begin() as tx:
        old = await incidents.declare(tx, world.actor(ada), title="Old")
        await incidents.resolve(tx, world.actor(ada), old.id, "Done.")
    await world.pass_time(timedelta(days=2))
    async with world.db.begin() as tx:
        mild = await incidents.declare(tx, world.actor(ben), title="Mild", severity=4)
        grave = await incidents.declare(tx, world.actor(ada), title="Grave", severity=1)
        mended = await incidents.declare(tx, world.actor(ada), title="Mended", severity=2)
        await incidents.update_status(tx, world.actor(ada), mended.id, Status.MITIGATED)
        over = await incidents.declare(tx, world.actor(ada), title="Over")
        await incidents.resolve(tx, world.actor(ada), over.id, "Done.")
    async with browser(world, ada) as web:
        assert groups(await web.get("/incidents")) == [
            ("Active 2", [grave.reference, mild.reference]),
            ("Mitigated, waiting for a fix 1", [mended.reference]),
            ("Resolved today 1", [over.reference]),
        ]
        assert [number for _, those in groups(await web.get("/incidents?tab=mine")) for number in those] == [
            grave.reference,
            mended.reference,
        ]
        assert rows((await web.get("/incidents?tab=grave")).html) == [mended.reference, grave.reference]
        assert rows((await web.get("/incidents?tab=resolved")).html) == [over.reference, old.reference]
        assert rows((await web.get("/incidents?tab=all&lead=BEN")).html) == [mild.reference]
        assert rows((await web.get("/incidents?tab=all&lead=nobody")).html) == []
        assert rows((await web.get("/incidents?severity=4")).html) == [mild.reference]
        empty = await web.get("/incidents?status=declared&severity=5")
        assert "Nothing matches" in empty.html and "Clear filters" in empty.html
        table = await web.http.get("/incidents/export.csv?severity=1")
        assert [line.split(",")[0] for line in table.text.splitlines()[1:]] == [grave.reference]


async def test_the_search_takes_words_in_any_order_and_numbers(api: Api, admin: httpx.AsyncClient) -> None:
    """B5: each word in title or summary; the number; that of an alert. The API finds the same."""
    world = api.world
    ada = await world.person("ada")
    alert = await world.alert("Disk")
    async with world.db.begin() as tx:
        one = await incidents.declare(
            tx, world.actor(ada), title="Filter and live view", summary="Radar", alert_id=alert.id
        )
        await incidents.declare(tx, world.actor(ada), title="Live ticker")
    async with browser(world, ada) as web:
        for q in (
            "live filter",
            "radar view",
            '"and live"',
            one.reference.lower(),
            str(one.number),
            f"ALR-{alert.number}",
        ):
            assert rows((await web.get("/incidents?" + urlencode({"q": q}))).html) == [one.reference], q
            found = (await admin.get("/incidents", params={"q": q})).json()["data"]
            assert [each["number"] for each in found] == [one.reference], q
        assert rows((await web.get("/incidents?q=live+filter+zebra")).html) == []
    mine = (await admin.get("/incidents", params={"person_id": USER_ID.write(ada.id)})).json()["data"]
    assert len(mine) == 2
    on_it = (await admin.get("/alerts", params={"on_it": USER_ID.write(ada.id)})).json()["data"]
    assert [each["number"] for each in on_it] == [alert.number]
