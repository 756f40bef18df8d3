"""Response targets by the API and on the pages."""

from __future__ import annotations

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import browser
from tests.world import World, minutes
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents


async def test_targets_are_set_and_an_incident_says_how_it_stands(api: Api) -> None:
    """F128: `/response_targets`, and `/incidents/{ref}/targets`."""
    root, ada = await api.world.person("root", role="admin"), await api.world.person("ada")
    as_root, as_ada = await api.as_(root), await api.as_(ada)
    listed = (await as_ada.get("/response_targets")).json()["severities"]
    assert [each["severity"] for each in listed] == [1, 2, 3, 4, 5]
    changed = await as_root.patch("/response_targets/1", json={"acknowledge_minutes": 5, "resolve_minutes": 60})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["acknowledge_minutes"], changed.json()["update_minutes"]) == (5, None)
    assert (await as_ada.patch("/response_targets/1", json={"resolve_minutes": 1})).status_code == 403
    assert (await as_root.patch("/response_targets/6", json={"resolve_minutes": 1})).status_code == 404
    assert (await as_root.patch("/response_targets/1", json={"resolve_minutes": 0})).status_code == 422
    gone = await as_root.patch("/response_targets/1", json={"resolve_minutes": None})
    assert gone.json()["resolve_minutes"] is None
    async with api.world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(ada), title="Checkout is down", severity=1)
    (clock,) = (await as_ada.get("/incidents/INC-1/targets")).json()["targets"]
    assert (clock["goal"], clock["minutes"], clock["met_at"], clock["state"]) == ("acknowledge", 5, None, "running")
    await api.world.pass_time(minutes(6))
    (clock,) = (await as_ada.get("/incidents/INC-1/targets")).json()["targets"]
    assert clock["state"] == "overdue"


async def test_on_the_pages_they_are_set_and_the_incident_shows_the_time_that_is_left(world: World) -> None:
    """F128, F131: without a script."""
    root, ada = await world.person("root", role="admin"), await world.person("ada")
    async with browser(world, root) as web:
        page = await web.get("/settings/targets")
        assert page.html.count("No targets.") == 5
        asked = await web.get("/settings/targets/2")
        done = await web.do(asked, "targets-form", {"acknowledge_minutes": "90", "update_minutes": ""})
        assert "Targets saved." in done.html and "1h 30m" in done.html and done.html.count("No targets.") == 4
        refused = await web.submit(asked, "targets-form", {"acknowledge_minutes": "0"})
        assert refused.status == 422
        assert (await web.get("/settings/targets/9")).status == 404
    async with world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(ada), title="Checkout is down", severity=2)
        await incidents.declare(tx, Actor.person(ada), title="Slow", severity=4)
    async with browser(world, ada) as web:
        assert (await web.get("/settings/targets")).status == 403
        page = await web.get("/incidents/INC-1")
        assert 'id="targets-h"' in page.html and "data-countdown-to" in page.html
        await world.pass_time(minutes(91))
        page = await web.get("/incidents/INC-1")
        assert "Overdue" in page.html and "The time to acknowledge it was over" in page.html
        assert 'id="targets-h"' not in (await web.get("/incidents/INC-2")).html
