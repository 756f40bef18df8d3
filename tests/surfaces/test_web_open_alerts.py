"""Pages that say what is open and end it: sources that are off, forgotten alerts, incidents that are over."""

from __future__ import annotations

from datetime import timedelta

from tests.surfaces.web_client import browser
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID, SOURCE_ID
from tocsin.incidents import service as incidents


async def test_a_source_that_is_switched_off_says_what_is_open_and_ends_it(world: World) -> None:
    """F064: the dialogs say what follows, one press ends it, and the flash says how many it were."""
    root, ada = await world.person("root", role="admin"), await world.person("ada")
    source = await world.source()
    for key in ("a", "b"):
        await world.signal({"key": key, "title": f"Disk {key}"}, source)
    path = f"/sources/{SOURCE_ID.write(source.id)}"
    async with browser(world, root) as web:
        page = await web.get(path)
        assert "Its 2 open alerts stay open" in (await web.open(page, "disable-dialog-form")).html
        assert "also those that would end its 2 open alerts" in (await web.open(page, "rotate-dialog-form")).html
        page = await web.do(page, "disable-dialog-form")
        assert "What it sends opens no alerts and pages nobody." in page.html
        assert "Disk a" in page.html and 'Open alerts <span class="num">2</span>' in page.html
        assert page.read.refused == []
    async with browser(world, ada) as web:
        page = await web.open(await web.get(path), "end-dialog-form")
        done = await web.do(page, "end-dialog-form")
        assert "2 alerts resolved." in done.html
        assert f"{path}/resolve-alerts" not in done.read.dialogs
        # The same press once more finds nothing.
        assert "0 alerts resolved." in (await web.do(page, "end-dialog-form")).html


async def test_a_rotated_source_says_that_nothing_ends_its_alerts_yet(world: World) -> None:
    """F064: until something comes in at the new address."""
    root = await world.person("root", role="admin")
    source = await world.source()
    await world.signal({"key": "a", "title": "Disk"}, source)
    path = f"/sources/{SOURCE_ID.write(source.id)}"
    warning = "Nothing has come in at the new address yet."
    async with browser(world, root) as web:
        page = await web.get(path)
        assert warning not in page.html
        assert warning in (await web.do(page, "rotate-dialog-form")).html
        await world.signal({"key": "a", "title": "Disk"}, source)
        assert warning not in (await web.get(path)).html


async def test_a_source_in_use_is_not_deleted_and_a_fresh_one_is(world: World) -> None:
    """F143: the refusal names what uses it and offers the way out."""
    root = await world.person("root", role="admin")
    used, fresh = await world.source(), await world.source("grafana")
    await world.signal({"key": "a", "title": "Disk"}, used)
    async with browser(world, root) as web:
        page = await web.get(f"/sources/{SOURCE_ID.write(used.id)}")
        refused = await web.submit(page, "delete-dialog-form")
        assert refused.status == 409
        assert "1 of them is open, so the record needs it. Switch it off instead." in refused.html
        gone = await web.do(await web.get(f"/sources/{SOURCE_ID.write(fresh.id)}"), "delete-dialog-form")
        assert gone.path == "/sources" and "Grafana" not in gone.read.links and "Source deleted." in gone.html


async def test_when_alerts_are_stale_is_set_on_the_page_of_the_source(world: World) -> None:
    """F139: empty is never; nonsense is shown again with what is wrong."""
    root = await world.person("root", role="admin")
    path = f"/sources/{SOURCE_ID.write((await world.source()).id)}"
    async with browser(world, root) as web:
        page = await web.get(path)
        assert page.read.forms["stale"]["close_after_hours"] == [""]
        page = await web.do(page, "stale", {"close_after_hours": "24"})
        assert page.read.forms["stale"]["close_after_hours"] == ["24"]
        wrong = await web.submit(page, "stale", {"close_after_hours": "x"})
        assert wrong.status == 422 and wrong.read.forms["stale"]["close_after_hours"] == ["x"]
        page = await web.do(page, "stale", {"close_after_hours": ""})
        assert page.read.forms["stale"]["close_after_hours"] == [""]


async def test_how_long_alerts_may_lie_is_set_on_the_page_of_the_organisation(world: World) -> None:
    """F139: with a sensible default; empty is never."""
    root = await world.person("root", role="admin")
    async with browser(world, root) as web:
        page = await web.get("/organisation")
        fields = page.read.forms["organisation-form"]
        assert (fields["remind_after_hours"], fields["give_back_after_hours"]) == (["4"], [""])
        page = await web.do(page, "organisation-form", {"remind_after_hours": "", "give_back_after_hours": "8"})
        fields = page.read.forms["organisation-form"]
        assert (fields["remind_after_hours"], fields["give_back_after_hours"]) == ([""], ["8"])
        wrong = await web.submit(page, "organisation-form", {"give_back_after_hours": "721"})
        assert wrong.status == 422 and "between 1 and 720" in wrong.html


async def test_an_incident_that_is_over_offers_no_linking(world: World) -> None:
    """F074: and a form of an older page is refused with the way out."""
    ada = await world.person("ada")
    alert = await world.alert()
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Checkout")
    async with browser(world, ada) as web:
        place = f"/incidents/{incident.reference}/alerts/link"
        page = await web.get(f"/incidents/{incident.reference}")
        assert place in page.read.dialogs
        old = await web.open(page, "link-alert")
        async with world.db.begin() as tx:
            await incidents.resolve(tx, world.actor(ada), incident.id, "Done.")
        assert place not in (await web.get(f"/incidents/{incident.reference}")).read.dialogs
        assert "link-alert" not in (await web.get(place)).read.forms
        refused = await web.submit(old, "link-alert", {"alert_id": ALERT_ID.write(alert.id)})
        assert refused.status == 409
        assert "Reopen it first, or declare a new incident from the alert." in refused.html


async def test_a_linked_alert_that_nobody_has_answered_stands_under_needs_action(world: World) -> None:
    """F074, F067: in the list of those that are not acknowledged, and among those that wait."""
    ada = await world.person("ada")
    alert = await world.alert()
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Checkout")
        await incidents.link_alerts(tx, world.actor(ada), incident.id, [alert.id])
    async with browser(world, ada) as web:
        page = await web.get("/alerts?tab=action")
        assert f"/alerts/ALR-{alert.number}" in page.read.links
        assert "State <b" in page.html and "Not acknowledged</b>" in page.html


async def test_the_screen_behind_the_link_says_what_the_alert_says_now(world: World) -> None:
    """F138."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert("Disk is 90 % full", key="disk", description="10 GB left.")
    await world.signal(
        {"key": "disk", "title": "Disk is 99 % full", "severity": "critical", "description": "1 GB left."}
    )
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.root, alert.id)
    await world.signal({"key": "disk", "title": "Disk is full", "severity": "warning", "description": "Nothing left."})
    async with browser(world, ada) as web:
        page = await web.get(_link(world.mail.to(ada)[0].acknowledge_url))
        assert "Disk is full" in page.html and "Nothing left." in page.html and "90 %" not in page.html
        page = await web.get(f"/alerts/{ALERT_ID.write(alert.id)}")
        assert "<dt>Source says</dt><dd>warning</dd>" in page.html and "SEV1" in page.html
        assert "Generic changed the title" in page.html


async def test_a_reminder_asks_whether_one_is_still_on_it(world: World) -> None:
    """F139: two answers, both by one press; afterwards it says what one said."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    await world.pass_time(timedelta(hours=4, minutes=5))
    async with browser(world, ada) as web:
        page = await web.get(_link(world.mail.to(ada)[-1].acknowledge_url))
        assert "Are you still on it?" in page.html and "nothing has happened for 4 hours" in page.html
        done = await web.do(page, "ack", {"do": "ack"})
        assert "You acknowledged" in done.html
        assert (await world.again(alert)).status == "acknowledged"
        shown = await web.get(f"/alerts/{ALERT_ID.write(alert.id)}")
        assert "Ada was reminded of the alert" in shown.html
        await world.pass_time(timedelta(hours=4, minutes=5))
        page = await web.get(_link(world.mail.to(ada)[-1].acknowledge_url))
        await web.do(page, "ack", {"do": "decline"})
    assert (await world.again(alert)).status == "triggered"
    await world.pass_time(minutes(1))
    assert len(world.mail.to(ada)) == 4


def _link(url: str | None) -> str:
    assert url is not None
    return url.removeprefix("http://127.0.0.1:8700")
