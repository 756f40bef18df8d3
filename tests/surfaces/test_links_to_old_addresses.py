"""A link acts for its person only while the address that it was sent to is theirs: the reader may be somebody else."""

from __future__ import annotations

import pytest

from tests.surfaces.test_web_acknowledge import link_of, paged
from tests.surfaces.web_client import browser
from tests.use_cases.far_ends import add_hook
from tests.world import World, minutes
from tocsin.identity.model import User
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.oncall import service as oncall


async def correct(world: World, person: User, address: str, *, kind: str = "email") -> None:
    async with world.db.begin() as tx:
        method = next(m for m in await contact.contact_methods(tx, person.id) if m.kind == kind)
        changes = notifications.MethodChanges(address=address)
        await notifications.update_contact_method(
            tx, world.actor(person), world.app.channels, user_id=person.id, method_id=method.id, changes=changes
        )


async def rename(world: World, person: User, name: str) -> None:
    async with world.db.begin() as tx:
        (method,) = await contact.contact_methods(tx, person.id)
        changes = notifications.MethodChanges(name=name)
        await notifications.update_contact_method(
            tx, world.actor(person), world.app.channels, user_id=person.id, method_id=method.id, changes=changes
        )


async def remove(world: World, person: User, *, kind: str = "email") -> None:
    async with world.db.begin() as tx:
        method = next(m for m in await contact.contact_methods(tx, person.id) if m.kind == kind)
        await oncall.remove_contact_method(
            tx, world.actor(person), user_id=person.id, method_id=method.id, confirmed=True
        )


@pytest.mark.parametrize("how", ["removed", "corrected"])
@pytest.mark.parametrize("do", ["ack", "decline", "escalate"])
async def test_a_link_to_an_address_that_is_no_longer_theirs_acts_no_more(world: World, how: str, do: str) -> None:
    """F061, F118: it neither answers nor says what it was about, and it says why in plain words."""
    ada, bob = await world.people("ada", "bob")
    alert, link = await paged(world, ada, bob)
    async with browser(world) as web:
        page = await web.get(link)
        await (remove(world, ada) if how == "removed" else correct(world, ada, "ada@new.example"))
        before = await world.history(alert)
        shown = await web.submit(page, "ack", {"do": do})
        gone = await web.get(link)
    for each in (shown, gone):
        assert each.status in (303, 410)
    assert gone.status == 410 and "This link no longer counts" in gone.html
    assert "removed or changed" in gone.html and "Sign in" in gone.html
    assert "Checkout" not in gone.html and "Ada" not in gone.html and "ack" not in gone.read.forms
    assert await world.history(alert) == before
    assert (await world.again(alert)).status == "triggered"


async def test_other_links_of_the_same_page_stay_good(world: World) -> None:
    """F061: what was sent to an address that is still theirs is, and so is what only got another name."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    alert, mailed = await paged(world, ada)
    hooked = str(world.hook.to(ada)[-1].acknowledge_url).removeprefix("http://127.0.0.1:8700")
    await remove(world, ada)
    await rename(world, ada, "Another name")
    async with browser(world) as web:
        assert (await web.get(mailed)).status == 410
        await web.do(await web.get(hooked), "ack", {"do": "ack"})
    assert (await world.again(alert)).acknowledged_by == "Ada"


async def test_an_address_that_is_theirs_again_has_good_links(world: World) -> None:
    """F061: whoever corrects a correction, or takes an address away by mistake, can answer what went there."""
    ada = await world.person("ada")
    alert, link = await paged(world, ada)
    await correct(world, ada, "typo@example.org")
    async with browser(world) as web:
        assert (await web.get(link)).status == 410
        await correct(world, ada, "ada@example.org")
        assert (await web.get(link)).status == 200
        await remove(world, ada)
        assert (await web.get(link)).status == 410
        async with world.db.begin() as tx:
            await notifications.add_contact_method(
                tx, world.root, world.app.channels, user_id=ada.id, kind="email", address="ada@example.org"
            )
        await web.do(await web.get(link), "ack", {"do": "ack"})
    assert (await world.again(alert)).acknowledged_by == "Ada"


async def test_an_address_that_has_become_somebody_elses_gives_no_right(world: World) -> None:
    """F118: that Bob has the address now makes a link that acts as Ada no better."""
    ada, bob = await world.people("ada", "bob")
    alert, link = await paged(world, ada)
    await correct(world, ada, "ada@new.example")
    await correct(world, bob, "ada@example.org")
    async with browser(world, bob) as web:
        assert (await web.get(link)).status == 410
        await web.send(link, {"do": "ack"})
    assert (await world.again(alert)).status == "triggered"


async def test_the_page_goes_to_the_corrected_address_with_a_good_link(world: World) -> None:
    """F111, F118: who can no longer answer by the old link gets one that counts."""
    ada, bob = await world.people("ada", "bob")
    alert, _ = await paged(world, ada, bob)
    await world.pass_time(minutes(1))
    await correct(world, ada, "ada@new.example")
    await world.settle()
    address, message = world.mail.sent[-1]
    assert address == "ada@new.example"
    async with browser(world) as web:
        link = str(message.acknowledge_url).removeprefix("http://127.0.0.1:8700")
        await web.do(await web.get(link), "ack", {"do": "ack"})
    assert (await world.again(alert)).acknowledged_by == "Ada"
    assert link_of(world, ada) != link
