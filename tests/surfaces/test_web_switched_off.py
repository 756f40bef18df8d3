"""What pages and API offer for somebody whose account is off, and to those who may only look."""

from __future__ import annotations

import httpx

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import browser
from tests.world import World
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import USER_ID, User
from tocsin.incidents import service as incidents
from tocsin.notifications import queries as contact
from tocsin.notifications.model import Tell
from tocsin.notifications.telling import wish_of
from tocsin.oncall.model import POLICY_ID


async def switch_off(world: World, person: User) -> None:
    async with world.db.begin() as tx:
        await incidents.update_person(tx, world.root, person.id, UserChanges(is_active=False), confirmed=True)


async def test_nothing_is_set_up_for_somebody_who_is_switched_off(world: World) -> None:
    """F135: no rules, news or tests are offered; the way back is, and what is there can be removed."""
    root, bob = await world.person("root", role="admin"), await world.person("bob")
    path = f"/people/{USER_ID.write(bob.id)}"
    async with browser(world, root) as web:
        before = await web.get(path)
        assert {"news", "rule-high", "rule-low", "test-page"} <= set(before.read.forms)
        added, asked = f"{path}/contact-methods/new", f"{path}/deactivate"
        assert {added, asked} <= set(before.read.dialogs)
        await switch_off(world, bob)
        page = await web.get(path)
        assert set(page.read.forms) & {"news", "rule-high", "rule-low", "test-page", "make-link"} == set()
        assert {added, asked}.isdisjoint(page.read.dialogs)
        assert [place for place in page.read.dialogs if place.endswith("/delete")]
        assert "The account is switched off: they cannot sign in, and nothing is sent to them." in page.html
        assert "Not used while the account is off." in page.html
        assert "These still name them" not in page.html and 'class="row tight xs mhealth"' not in page.html
        stale = await web.submit(before, "news", {"tell": "none"})
        assert stale.status == 409 and "Activate it first." in stale.html
        again = await web.do(page, "activate")
        assert "Account activated." in again.html and "news" in again.read.forms


async def test_news_are_not_chosen_for_somebody_who_is_switched_off(api: Api, admin: httpx.AsyncClient) -> None:
    """F135, F137: the API refuses what the page does not offer, and changes nothing."""
    bob = await api.world.person("bob")
    path = f"/users/{USER_ID.write(bob.id)}/news_preference"
    await switch_off(api.world, bob)
    refused = await admin.put(path, json={"tell": "none", "low_urgency": True, "contact_method_id": None})
    assert (refused.status_code, refused.json()["code"]) == (409, "user.inactive")
    async with api.world.db.begin() as tx:
        assert wish_of(await contact.news_preference(tx, bob.id)).tell is not Tell.NONE


async def test_who_may_not_change_a_policy_sees_no_button_that_would(world: World) -> None:
    """F117: what is not allowed is not offered, and the page says who does it."""
    ada, cleo = await world.person("ada"), await world.person("cleo", role="stakeholder")
    policy = await world.policy([ada])
    async with browser(world, cleo) as web:
        page = await web.get(f"/policies/{POLICY_ID.write(policy.id)}")
    assert "Administrators change it." in page.html and "<fieldset" in page.html
    assert [label for label in page.read.buttons if "step" in label] == []
    for word in ("add-target-", "add-step", "remove-step", "Choose a person"):
        assert word not in page.html, word
