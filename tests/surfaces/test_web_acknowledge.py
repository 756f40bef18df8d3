"""The link of a page: looking changes nothing, a press counts once, and only for the person who was paged."""

from __future__ import annotations

from datetime import timedelta

from tests.surfaces.web_client import Page, browser
from tests.world import World, minutes
from tocsin.alerts.model import Alert
from tocsin.events import log, words
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.incidents import service as incidents
from tocsin.oncall.escalation import PageTarget


async def paged(world: World, *steps: User) -> tuple[Alert, str]:
    """Fire an alert that pages these people one after the other; returns the first one's link."""
    await world.route(await world.policy(list(steps)))
    alert = await world.alert("Checkout <b>is</b> down", description="Orders fail.")
    return alert, link_of(world, steps[0])


def link_of(world: World, person: User) -> str:
    url = world.mail.to(person)[-1].acknowledge_url
    assert url is not None
    return url.removeprefix("http://127.0.0.1:8700")


def is_secret(page: Page) -> bool:
    return page.headers["referrer-policy"] == "strict-origin" and page.headers["cache-control"] == "no-store"


async def test_looking_at_the_link_changes_nothing(world: World) -> None:
    ada = await world.person("ada")
    alert, link = await paged(world, ada)
    before = await world.history(alert)
    async with browser(world) as web:
        page = await web.get(link)
        assert page.status == 200 and is_secret(page)
        assert "Checkout &lt;b&gt;is&lt;/b&gt; down" in page.html and "Orders fail." in page.html
        assert (await web.head(link)).status == 200
        assert page.read.refused == []
    assert await world.history(alert) == before
    assert (await world.again(alert)).status == "triggered"


async def test_one_press_acknowledges_and_a_second_one_is_harmless(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    alert, link = await paged(world, ada, bob)
    async with browser(world) as web:
        page = await web.get(link)
        done = await web.do(page, "ack", {"do": "ack"})
        assert "You acknowledged" in done.html
        history = await world.history(alert)
        again = await web.do(page, "ack", {"do": "ack"})
        assert "You acknowledged" in again.html
    assert await world.history(alert) == history
    found = await world.again(alert)
    assert (found.status, found.acknowledged_by) == ("acknowledged", "Ada")
    await world.pass_time(minutes(10))
    assert world.mail.to(bob) == []


async def test_it_works_for_whoever_is_signed_in_as_somebody_else_too(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    alert, link = await paged(world, ada)
    async with browser(world, bob) as web:
        await web.do(await web.get(link), "ack", {"do": "ack"})
    assert (await world.again(alert)).acknowledged_by == "Ada"


async def test_the_screen_says_what_others_have_said_and_not_what_its_reader_sees_anyway(world: World) -> None:
    """F061, F118: that somebody wrote; what they wrote is for those who are signed in."""
    ada, bob = await world.people("ada", "bob")
    alert, link = await paged(world, ada, bob)
    async with browser(world) as web:
        page = await web.get(link)
        assert "Step 1 of " in page.html and "You are step" not in page.html
        assert "escalation" not in page.html and "was paged" not in page.html

        async with world.db.begin() as tx:
            incident = await incidents.declare(tx, Actor.person(bob), alert_id=alert.id, page_others=True)
            await incidents.comment(tx, Actor.person(bob), incident.id, "The **gateway**\nis <full>.")
        page = await web.get(link)
        assert "Bob wrote" in page.html and "gateway" not in page.html
        assert "Bob declared INC-1" in page.html
    async with browser(world, bob) as web:
        page = await web.get(link)
        assert "Bob: The **gateway** is &lt;full&gt;." in page.html


async def test_a_link_shows_no_comment_to_somebody_whose_session_is_over(world: World) -> None:
    """F118: whoever finds the link in a mailbox learns what the page is about, and not what people wrote since."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada]))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, Actor.person(bob), title="Harbour gate")
        await incidents.page(tx, Actor.person(bob), incident.id, [PageTarget("user", ada.id)])
    await world.settle()
    async with world.db.begin() as tx:
        await incidents.comment(tx, Actor.person(bob), incident.id, "The password is hunter2.")
    link = link_of(world, ada)
    async with browser(world, ada) as web:
        assert "hunter2" in (await web.get(link)).html
        await world.pass_time(timedelta(hours=47))
        await world.db.pool.execute("UPDATE session SET expires_at = tocsin_now()")
        page = await web.get(link)
    assert page.status == 200 and "Harbour gate" in page.html and "hunter2" not in page.html


async def test_the_screen_shows_the_description_as_it_is_meant(world: World) -> None:
    """F061: Markdown is rendered as elsewhere; links tell nobody the address, images are not asked for."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await world.alert(description="**Orders** fail, see https://wiki.example/a ![](/static/favicon.svg)")
    async with browser(world) as web:
        page = await web.get(link_of(world, ada))
    assert "<strong>Orders</strong> fail" in page.html
    assert 'href="https://wiki.example/a" rel="nofollow noreferrer noopener"' in page.html
    assert "<img" not in page.html


async def test_the_screen_says_why_it_is_this_person(world: World) -> None:
    """F061: the step and the repeat, or that somebody asked for them; names are names, whatever they say."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada], name="You were asked", repeat=1))
    alert = await world.alert()
    await world.pass_time(minutes(6))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), alert_id=alert.id)
        await incidents.page(tx, world.actor(ada), incident.id, [PageTarget("user", bob.id)])
    await world.settle()
    async with browser(world) as web:
        assert "<dd>Step 1 of You were asked, repeat 1</dd>" in (await web.get(link_of(world, ada))).html
        assert "<dd>Paged directly</dd>" in (await web.get(link_of(world, bob))).html


async def test_declining_goes_on_to_the_next_person(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    alert, link = await paged(world, ada, bob)
    async with browser(world) as web:
        page = await web.get(link)
        for _ in range(2):
            assert "You declined" in (await web.do(page, "ack", {"do": "decline"})).html
    await world.settle()
    assert len(world.mail.to(bob)) == 1
    assert (await world.history(alert)).count("page.declined: Ada") == 1


async def test_escalating_twice_from_the_same_screen_goes_one_step(world: World) -> None:
    ada, bob, cleo = await world.people("ada", "bob", "cleo")
    _, link = await paged(world, ada, bob, cleo)
    async with browser(world) as web:
        page = await web.get(link)
        for _ in range(2):
            await web.do(page, "ack", {"do": "escalate"})
    await world.settle()
    assert (len(world.mail.to(bob)), len(world.mail.to(cleo))) == (1, 0)


async def test_who_asked_for_the_next_step_is_told_and_named(world: World) -> None:
    """F050, F061: as is who is paged now; it can still be taken on, and somebody else may be faster."""
    ada, bob = await world.people("ada", "bob")
    alert, link = await paged(world, ada, bob)
    async with browser(world) as web:
        done = await web.do(await web.get(link), "ack", {"do": "escalate"})
        assert "<strong>You asked for the next step</strong>" in done.html and "Bob is paged now." in done.html
        assert "Escalate now" not in done.html
        async with world.db.begin() as tx:
            told = [
                words.describe(event.name, event.actor_name, event.data).text
                for event in (await log.chain_of(tx, alert_id=alert.id)).events
            ]
        assert "Ada asked for the next step" in told
        assert "You acknowledged" in (await web.do(done, "ack", {"do": "ack"})).html


async def test_the_last_step_says_that_nobody_else_is_paged(world: World) -> None:
    """F050, F061: neither the last step of a policy nor a direct page can be escalated, and a press does no harm."""
    ada, bob = await world.people("ada", "bob")
    _, first = await paged(world, ada, bob)
    async with browser(world) as web:
        before = await web.get(first)
        assert "Goes on to the next step at" in before.html and "Escalate now" in before.html
        await world.pass_time(minutes(5))
        async with world.db.begin() as tx:
            incident = await incidents.declare(tx, world.actor(ada), title="Checkout is slow")
            await incidents.page(tx, world.actor(ada), incident.id, [PageTarget("user", bob.id)])
        await world.settle()
        for mail in world.mail.to(bob):
            page = await web.get(str(mail.acknowledge_url).removeprefix("http://127.0.0.1:8700"))
            assert "After that nobody else is paged." in page.html and "Escalate now" not in page.html
            pressed = await web.submit(page, "ack", {"do": "escalate"})
            assert pressed.status == 409 and "There is no next step" in pressed.html
            assert "You acknowledged" in (await web.do(page, "ack", {"do": "ack"})).html


async def test_whoever_comes_second_is_told_who_has_it(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    _, link = await paged(world, ada, bob)
    await world.pass_time(minutes(5))
    async with browser(world) as web:
        await web.do(await web.get(link_of(world, bob)), "ack", {"do": "ack"})
        page = await web.get(link)
        assert "Bob has it" in page.html
        assert "ack" not in page.read.forms


async def test_a_resolved_alert_needs_nobody(world: World) -> None:
    ada = await world.person("ada")
    alert, link = await paged(world, ada)
    await world.signal({"title": alert.title, "status": "resolved", "key": alert.title})
    await world.settle()
    async with browser(world) as web:
        assert "You need not do anything." in (await web.get(link)).html


async def test_an_old_link_explains_itself_and_does_nothing(world: World) -> None:
    ada = await world.person("ada")
    alert, link = await paged(world, ada)
    async with browser(world) as web:
        page = await web.get(link)
        await world.pass_time(timedelta(hours=49))
        old = await web.get(link)
        assert old.status == 410 and "This link has expired" in old.html and "ack" not in old.read.forms
        assert "Checkout is down" not in old.html
        await web.submit(page, "ack", {"do": "ack"})
    assert (await world.again(alert)).status == "triggered"


async def test_a_link_of_an_earlier_round_says_that_nobody_has_it(world: World) -> None:
    """F036, F061: the incident ended before anybody answered, and is open again; that somebody has it is not true."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(bob), title="Down", severity=1)
        await incidents.page(tx, world.actor(bob), incident.reference, [PageTarget("user", ada.id)])
    await world.settle()
    link = link_of(world, ada)
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(bob), incident.reference, "Rolled back.")
    async with browser(world) as web:
        assert "You need not do anything" in (await web.get(link)).html
        async with world.db.begin() as tx:
            await incidents.reopen(tx, world.actor(bob), incident.reference, "The errors came back.")
        page = await web.get(link)
        assert page.status == 200
        assert "It was over, and is open again" in page.html
        assert "has it" not in page.html and "You need not do anything" not in page.html
        assert f"Open {incident.reference}" in page.html


async def test_a_forged_link_leads_nowhere(world: World) -> None:
    ada = await world.person("ada")
    alert, link = await paged(world, ada)
    forged = link[:-1] + ("A" if link[-1] != "A" else "B")
    async with browser(world) as web:
        for bad in (forged, "/p/x", "/p/" + "A" * 48, "/p/%C3%A4"):
            page = await web.get(bad)
            assert page.status == 404 and "This link leads nowhere" in page.html
            await web.send(bad, {"do": "ack"})
    assert (await world.again(alert)).status == "triggered"


async def test_a_deactivated_persons_link_is_worthless(world: World) -> None:
    ada = await world.person("ada")
    await world.person("root", role="admin")
    alert, link = await paged(world, ada)
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, ada.id, UserChanges(is_active=False))
    async with browser(world) as web:
        assert (await web.get(link)).status == 404
        await web.send(link, {"do": "ack"})
    assert (await world.again(alert)).status == "triggered"


async def test_a_stakeholder_who_is_paged_can_answer(world: World) -> None:
    cleo = await world.person("cleo", role="stakeholder")
    alert, link = await paged(world, cleo)
    async with browser(world) as web:
        assert "You acknowledged" in (await web.do(await web.get(link), "ack", {"do": "ack"})).html
    assert (await world.again(alert)).acknowledged_by == "Cleo"


async def test_a_link_that_no_header_can_hold_leads_nowhere(world: World) -> None:
    """It is answered as any other wrong link, and nothing of it becomes a header."""
    async with browser(world) as web:
        for token in ("%00", "%E2%82%AC", "a%0D%0ASet-Cookie:%20a=b"):
            answer = await web.send(f"/p/{token}", {"do": "ack"})
            assert (answer.status, answer.location) == (303, f"/p/{token}")
            assert "set-cookie" not in answer.headers
            assert (await web.get(answer.location)).status == 404
