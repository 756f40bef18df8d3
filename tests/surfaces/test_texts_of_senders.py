"""What senders write and do, as it is shown: on pages, behind the link, in the API (F063, F068, G05)."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import browser
from tests.world import World, minutes
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID, SOURCE_ID, Alert
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User

TURNED = "abc \u202edwod stnemyap\u202c end"
SHOWN = "abc dwod stnemyap end"


async def an_alert(world: World, title: str = TURNED, **fields: object) -> tuple[User, Alert]:
    ada = await world.person("ada", role="admin")
    await world.route(await world.policy([ada]))
    await world.signal({"title": title, "key": "k", "severity": "critical", **fields})
    await world.settle()
    async with world.db.begin() as tx:
        return ada, (await queries.listed(tx, EVERYTHING, queries.Filter(), limit=1))[0][0]


async def test_what_turns_its_direction_is_shown_in_reading_order(world: World) -> None:
    """In the list, on its page with what explains it, behind the link, in a declared incident, at its source."""
    ada, alert = await an_alert(world, description=TURNED, labels={"a\u200b": "b\u2066"})
    (mail,) = world.mail.to(ada)
    async with browser(world, ada) as web:
        for path in ("/alerts", f"/alerts/{ALERT_ID.write(alert.id)}", urlsplit(mail.acknowledge_url or "").path):
            shown = await web.get(path)
            assert SHOWN in shown.html, path
            assert not {"\u202e", "\u202c", "\u200b", "\u2066"} & set(shown.html), path
        # Whoever looks for it finds it in the body that came.
        assert "&lt;U+202E&gt;" in (await web.get(f"/alerts/{ALERT_ID.write(alert.id)}")).html
        form = await web.get(f"/incidents/new?alert={ALERT_ID.write(alert.id)}")
        declared = await web.do(form, "declare-form")
        assert f"data-title>{SHOWN}" in declared.html
        assert "\u202e" not in declared.html


async def test_the_api_keeps_the_original_beside_what_is_shown(world: World, admin: httpx.AsyncClient) -> None:
    _, alert = await an_alert(world)
    path = f"/alerts/{ALERT_ID.write(alert.id)}"
    shown = (await admin.get(path)).json()
    assert (shown["title"], shown["native_title"]) == (SHOWN, TURNED)
    assert (await admin.get("/alerts")).json()["data"][0]["title"] == SHOWN
    steps = (await admin.get(f"{path}/explain")).json()["steps"]
    assert steps[0]["text"] == f"Generic triggered “{SHOWN}”"
    incident = (await admin.post(f"{path}/actions/declare_incident")).json()
    assert incident["title"] == SHOWN


async def test_a_very_long_title_is_cut_where_it_is_shown(world: World) -> None:
    """It is two lines in a list, five on a screen of its own, and short where nobody sees where it ends."""
    ada, alert = await an_alert(world, "x" * 1000)
    (mail,) = world.mail.to(ada)
    async with browser(world, ada) as web:
        listed = await web.get("/alerts")
        assert f'<a class="ttl" href="/alerts/ALR-{alert.number}">{"x" * 1000}</a>' in listed.html
        assert f'Ack<span class="vh"> ALR-{alert.number}</span>' in listed.html
        page = await web.get(f"/alerts/{ALERT_ID.write(alert.id)}")
        assert 'data-title title="xxx' in page.html
        assert f"<title>(1) ALR-{alert.number} {'x' * 119}… · Tocsin</title>" in page.html
        assert f"triggered “{'x' * 199}…”" in page.html
        assert '<h1 class="clamp5">xxx' in (await web.get(urlsplit(mail.acknowledge_url or "").path)).html


WARNING = (
    "Generic has not said that this is over. "
    "If it still sees the problem, it opens a new alert, and people are paged again."
)


async def test_ending_by_hand_what_still_fires_warns_on_the_page(world: World) -> None:
    ada, alert = await an_alert(world, "Disk")
    path = f"/alerts/{ALERT_ID.write(alert.id)}"
    async with browser(world, ada) as web:
        before = await web.open(await web.get(path), "resolve-dialog-form")
        assert WARNING in before.html
        after = await web.do(before, "resolve-dialog-form")
        assert f"Alert resolved. {WARNING}" in after.html
        assert WARNING not in (await web.get(path)).html
    assert (await world.again(alert)).status == "resolved"


async def test_ending_by_hand_what_still_fires_warns_in_the_answer(world: World, admin: httpx.AsyncClient) -> None:
    _, alert = await an_alert(world, "Disk")
    path = f"/alerts/{ALERT_ID.write(alert.id)}"
    assert (await admin.get(path)).json()["warnings"] == []
    said = [{"code": "alert.comes_back", "detail": WARNING}]
    assert (await admin.post(f"{path}/actions/resolve")).json()["warnings"] == said
    bulk = await admin.post("/alerts/actions/bulk", json={"action": "resolve", "ids": [ALERT_ID.write(alert.id)]})
    assert bulk.json()["data"][0]["warnings"] == said
    # It does come back, as a new alert.
    await world.signal({"title": "Disk", "key": "k"})
    assert (await admin.get("/alerts", params={"status": "triggered"})).json()["data"][0]["number"] == alert.number + 1


async def test_what_its_source_ended_and_what_a_person_opened_do_not_come_back(
    world: World, admin: httpx.AsyncClient
) -> None:
    _, alert = await an_alert(world, "Disk")
    await world.signal({"key": "k", "status": "resolved"})
    over = await admin.post(f"/alerts/{ALERT_ID.write(alert.id)}/actions/resolve")
    assert (over.status_code, over.json()["warnings"]) == (200, [])
    mine = (await admin.post("/alerts", json={"source_id": over.json()["source_id"], "title": "By hand"})).json()
    assert (await admin.post(f"/alerts/{mine['id']}/actions/resolve")).json()["warnings"] == []


async def test_a_source_that_is_off_brings_nothing_back_until_it_is_on(world: World, admin: httpx.AsyncClient) -> None:
    _, alert = await an_alert(world, "Disk")
    async with world.db.begin() as tx:
        await alerts.update_source(tx, world.root, alert.source_id, alerts.SourceChanges(is_enabled=False))
    answer = (await admin.post(f"/alerts/{ALERT_ID.write(alert.id)}/actions/resolve")).json()
    assert answer["warnings"][0]["detail"].endswith("it opens a new alert once the source is switched on again.")


async def test_a_hold_down_is_set_on_the_page_and_by_the_api(world: World, api: Api, admin: httpx.AsyncClient) -> None:
    """F068: off by default, the same bounds on both, and only for those who manage sources."""
    root, cleo = await world.person("anna", role="admin"), await world.person("cleo")
    source = await world.source()
    page, address = f"/sources/{SOURCE_ID.write(source.id)}", f"/alert_sources/{SOURCE_ID.write(source.id)}"
    assert (await admin.get(address)).json()["hold_down_minutes"] is None
    async with browser(world, root) as web:
        saved = await web.do(await web.get(page), "hold-down", {"hold_down_minutes": "5"})
        assert saved.read.forms["hold-down"]["hold_down_minutes"] == ["5"]
        refused = await web.submit(saved, "hold-down", {"hold_down_minutes": "1441"})
        assert refused.status == 422
        assert (await admin.get(address)).json()["hold_down_minutes"] == 5
        await web.do(await web.get(page), "hold-down", {"hold_down_minutes": ""})
    assert (await admin.get(address)).json()["hold_down_minutes"] is None
    assert (await admin.patch(address, json={"hold_down_minutes": 7})).json()["hold_down_minutes"] == 7
    assert (await admin.patch(address, json={"name": "Other"})).json()["hold_down_minutes"] == 7
    for wrong in (0, 1441, "5", 1.5):
        assert (await admin.patch(address, json={"hold_down_minutes": wrong})).status_code == 422
    assert (await (await api.as_(cleo)).patch(address, json={"hold_down_minutes": 7})).status_code == 403
    assert (await admin.patch(address, json={"hold_down_minutes": None})).json()["hold_down_minutes"] is None


async def test_an_alert_that_is_held_back_says_so(world: World, admin: httpx.AsyncClient) -> None:
    ada, alert = await an_alert(world, "Link")
    async with world.db.begin() as tx:
        await alerts.update_source(tx, world.root, alert.source_id, alerts.SourceChanges(hold_down_minutes=5))
    await world.signal({"key": "k", "status": "resolved"})
    await world.signal({"title": "Link", "key": "k", "severity": "critical"})
    await world.settle()
    held = (await admin.get("/alerts", params={"status": "triggered"})).json()["data"][0]
    assert held["held_until"] is not None
    assert (held["paging"], held["being_paged"], held["routed_at"]) == (None, [], None)
    async with browser(world, ada) as web:
        for path in ("/alerts", f"/alerts/{held['id']}"):
            assert "Held back <span" in (await web.get(path)).html
        await world.pass_time(minutes(6))
        for path in ("/alerts", f"/alerts/{held['id']}"):
            assert "Held back <span" not in (await web.get(path)).html
    assert (await admin.get(f"/alerts/{held['id']}")).json()["held_until"] is None


@pytest.mark.parametrize("title", ["\u200b", "\u202e\u202c", " \n "])
async def test_what_shows_nothing_is_no_title_of_people_either(
    world: World, admin: httpx.AsyncClient, title: str
) -> None:
    source = await world.source()
    opened = await admin.post("/alerts", json={"source_id": SOURCE_ID.write(source.id), "title": title})
    assert opened.status_code == 422
    assert (await admin.post("/incidents", json={"title": title, "severity": 2})).status_code == 422
