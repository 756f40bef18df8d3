"""Somebody who can no longer sign in, or no longer edit incidents: who has what they were asked, held and led."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.postgres import until_somebody_waits
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.events import log
from tocsin.events.base import SYSTEM
from tocsin.events.configuration import UserDeactivated
from tocsin.events.words import describe
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING, Role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import User
from tocsin.incidents import queries, service
from tocsin.incidents.model import Incident, IncidentRole, Status
from tocsin.kit.errors import Denied, InUse, Transient, Unauthenticated
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import Page

OFF = UserChanges(is_active=False)


async def switch_off(world: World, user: User, *, settle: bool = True, changes: UserChanges = OFF) -> None:
    async with world.db.begin() as tx:
        await service.update_person(tx, world.root, user.id, changes, confirmed=True)
    if settle:
        await world.settle()


async def acknowledge(world: World, user: User, alert: Alert) -> None:
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(user), alert.id)
    await world.settle()


async def incident_of(world: World, user: User, *, joined: tuple[User, ...] = (), moved: bool = True) -> Incident:
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(user), title="Checkout")
    for other in joined:
        async with world.db.begin() as tx:
            await service.join(tx, world.actor(other), incident.id)
    async with world.db.begin() as tx:
        if moved:
            await service.update_status(tx, world.actor(user), incident.id, Status.INVESTIGATING)
    return incident


async def again(world: World, incident: Incident) -> Incident:
    async with world.db.begin() as tx:
        return await queries.get(tx, EVERYTHING, incident.id)


async def told(world: World, incident: Incident) -> list[str]:
    """What the timeline says happened by itself, the oldest first."""
    async with world.db.begin() as tx:
        events = reversed(await log.newest_first(tx, incident_id=incident.id))
    lines = [describe(event.name, event.actor_name, event.data) for event in events if event.actor_kind == "system"]
    return [f"{line.text}: {line.detail}" for line in lines]


WHY = "Ada’s account was switched off."


async def test_a_page_to_somebody_who_is_switched_off_passes_on_at_once(world: World) -> None:
    """F135: as if they were unreachable, and the record says why."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    alert = await world.alert()
    await switch_off(world, ada)
    assert world.mail.subjects(bob) == ["Checkout is down"]
    assert "page.unreachable: Ada" in await world.history(alert)
    assert WHY in await world.reasons(alert)


async def test_the_others_of_the_step_keep_their_time(world: World) -> None:
    """F135: nobody else is woken early."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([[ada, bob], cyd], wait=minutes(5)))
    await world.alert()
    await switch_off(world, ada)
    assert world.mail.to(cyd) == []
    await world.pass_time(minutes(6))
    assert len(world.mail.to(cyd)) == 1


async def test_what_was_still_to_be_sent_is_taken_back(world: World) -> None:
    """F135: messages that are being tried again, and those of tests, do not go out to somebody who has left."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    world.mail.down = Transient("away")
    alert = await world.alert()
    await world.pass_time(minutes(5))
    assert await world.deliveries(alert) == ["Ada: queued", "Bob: queued"]
    await switch_off(world, ada)
    world.mail.down = None
    await world.pass_time(minutes(1))
    assert await world.deliveries(alert) == ["Ada: cancelled", "Bob: sent"]
    assert world.mail.to(ada) == []


async def test_who_is_paged_in_the_moment_of_being_switched_off_gets_nothing(world: World) -> None:
    """F135, a race: the page is stored after others have taken over; its message finds the account off."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    await world.signal({"title": "Checkout is down", "status": "firing", "severity": "critical", "key": "k"})
    async with world.db.begin() as tx:
        ids = list((await tx.session.scalars(select(Alert.id))).all())
        await alerts.route(tx, ids)
        await world.db.pool.execute("UPDATE job SET due = due + interval '1 hour' WHERE kind = $1", alerts.ROUTE.name)
        # The page is stored and not to be seen yet by the reaction, which looks for what waits for her.
        await switch_off(world, ada)
    await world.settle()
    assert world.mail.to(ada) == []
    assert world.mail.subjects(bob) == ["Checkout is down"]
    async with world.db.begin() as tx:
        alert = await tx.session.get_one(Alert, ids[0])
    assert {"page.failed: Ada", "page.unreachable: Ada"} <= set(await world.history(alert))


@pytest.mark.parametrize("delayed", [False, True])
async def test_a_message_that_was_queued_before_is_not_sent_after(world: World, delayed: bool) -> None:
    """F135: sending looks at the account itself, whatever has become of the reaction; the page passes on then."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    world.mail.down = Transient("away")
    alert = await world.alert()
    await world.db.pool.execute("UPDATE user_account SET is_active = false WHERE id = $1", ada.id)
    world.mail.down = None
    await world.pass_time(minutes(2 if delayed else 1))
    assert world.mail.to(ada) == []
    assert world.mail.subjects(bob) == ["Checkout is down"]
    assert (await world.deliveries(alert))[0] == "Ada: failed"


async def test_an_alert_whose_only_holder_is_gone_is_paged_again(world: World) -> None:
    """F135: it goes back with an entry, and its route pages who can be reached."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    alert = await world.alert()
    await acknowledge(world, ada, alert)
    await switch_off(world, ada)
    found = await world.again(alert)
    assert (found.status, found.acknowledged_by) == ("triggered", None)
    assert WHY in await world.reasons(alert)
    assert len(world.mail.to(bob)) == 2


async def test_what_others_hold_stays_with_them(world: World) -> None:
    """F135: alerts of others, and the alerts of an incident that somebody else has joined, page nobody."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    mine, linked = await world.alert("Mine"), await world.alert("Linked")
    await acknowledge(world, bob, mine)
    await acknowledge(world, ada, linked)
    incident = await incident_of(world, ada, joined=(bob,))
    async with world.db.begin() as tx:
        await service.link_alerts(tx, world.actor(ada), incident.id, [linked.id])
    before = len(world.mail.sent)
    await switch_off(world, ada)
    assert [(await world.again(alert)).status for alert in (mine, linked)] == ["acknowledged", "acknowledged"]
    assert len(world.mail.sent) == before


async def test_the_lead_falls_to_the_commander(world: World) -> None:
    """F033, F135: an incident that is being worked on has a lead, and the record says why it is another."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await incident_of(world, ada, joined=(cyd, bob))
    async with world.db.begin() as tx:
        await service.assign_roles(tx, world.actor(ada), incident.id, {IncidentRole.COMMANDER: bob.id})
        await service.assign_roles(tx, world.actor(ada), incident.id, {IncidentRole.COMMUNICATOR: ada.id})
    await switch_off(world, ada)
    found = await again(world, incident)
    assert (found.lead_id, found.commander_id, found.communicator_id) == (bob.id, bob.id, None)
    assert await told(world, incident) == [
        f"Ada left: {WHY}",
        f"Nobody is communicator now: {WHY}",
        f"Bob is lead now: {WHY}",
    ]


async def test_without_a_commander_it_falls_to_who_joined_first(world: World) -> None:
    """F033, F135: of those who may edit; a stakeholder who answered a page is passed over."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    sam = await world.person("sam")
    incident = await incident_of(world, ada, joined=(sam, cyd, bob))
    await switch_off(world, sam, changes=UserChanges(role=Role.STAKEHOLDER))
    await switch_off(world, ada)
    assert (await again(world, incident)).lead_id == cyd.id


async def test_a_commander_who_led_alone_is_followed_by_a_lead(world: World) -> None:
    """F033: who commands answers for the fix where nobody else leads."""
    ada, bob = await world.people("ada", "bob")
    incident = await incident_of(world, ada, joined=(bob,))
    async with world.db.begin() as tx:
        await service.assign_roles(tx, world.actor(ada), incident.id, {IncidentRole.COMMANDER: ada.id})
        await tx.session.execute(Incident.__table__.update().values(lead_id=None))
    await switch_off(world, ada)
    found = await again(world, incident)
    assert (found.lead_id, found.commander_id) == (bob.id, None)


@pytest.mark.parametrize("moved", [True, False])
async def test_with_nobody_left_the_lead_is_vacant_and_the_record_says_so(world: World, moved: bool) -> None:
    """F033, F135."""
    ada = await world.person("ada")
    incident = await incident_of(world, ada, moved=moved)
    await switch_off(world, ada)
    assert (await again(world, incident)).lead_id is None
    assert f"Nobody is lead now: {WHY}" in await told(world, incident)


async def test_what_is_over_stays_as_it_was(world: World) -> None:
    """F135: the record of a resolved incident keeps who led it."""
    ada = await world.person("ada")
    incident = await incident_of(world, ada)
    async with world.db.begin() as tx:
        await service.resolve(tx, world.actor(ada), incident.id, "Restarted.")
    await switch_off(world, ada)
    assert (await again(world, incident)).lead_id == ada.id
    assert await told(world, incident) == []


async def test_who_may_no_longer_edit_leads_nothing_but_answers_on(world: World) -> None:
    """F135: stakeholders who are paged answer their own pages; only people who may edit hold a role."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([ada, cyd], wait=minutes(30)))
    incident = await incident_of(world, ada, joined=(bob,))
    alert = await world.alert()
    await switch_off(world, ada, changes=UserChanges(role=Role.STAKEHOLDER))
    assert (await again(world, incident)).lead_id == bob.id
    assert await told(world, incident) == ["Bob is lead now: Ada may no longer edit incidents."]
    assert world.mail.to(cyd) == []
    async with world.db.begin() as tx:
        page = (await tx.session.scalars(select(Page).where(Page.alert_id == alert.id))).one()
        ada = await tx.session.get_one(User, ada.id)
        await service.answer_page(tx, world.actor(ada), page.id)
    assert (await world.again(alert)).status == "acknowledged"


async def test_what_names_somebody_is_told_before_they_are_switched_off(world: World) -> None:
    """F135: with everything in the refusal; nothing has changed until it is confirmed."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([bob, ada], wait=minutes(30)))
    incident = await incident_of(world, ada)
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("user", ada.id))
    with pytest.raises(InUse) as caught:
        async with world.db.begin() as tx:
            await service.update_person(tx, world.root, ada.id, OFF)
    seen = caught.value.uses
    assert [(use.kind, use.name, use.as_what) for use in seen] == [
        ("escalation_policy", "Duty", "step 2"),
        ("fallback", "The fallback", "asked when nobody else answers"),
        ("incident", incident.reference, "lead"),
    ]
    async with world.db.begin() as tx:
        assert (await tx.session.get_one(User, ada.id)).is_active
        # What has come since it was looked at is asked about again.
        with pytest.raises(InUse):
            await service.update_person(tx, world.root, ada.id, OFF, confirmed=service.mark_of(seen[:2]))
    async with world.db.begin() as tx:
        assert not (await service.update_person(tx, world.root, ada.id, OFF, confirmed=service.mark_of(seen))).is_active


async def test_somebody_whom_nothing_names_goes_without_a_question(world: World) -> None:
    """F135."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        assert not (await service.update_person(tx, world.root, ada.id, OFF)).is_active


@pytest.mark.parametrize("credential", ["session", "token", "link"])
async def test_a_credential_that_outlives_its_account_is_worth_nothing(world: World, credential: str) -> None:
    """F135: the account itself is looked at, and not only what was deleted with it."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        cookie = await identity.open_session(tx, ada, ip="", user_agent="", how="password")
        _, secret = await identity.create_token(tx, world.root, user_id=ada.id, name="t", scopes=())
        link = await identity.make_sign_in_link(tx, world.root, ada.id, timedelta(days=1))
    await world.db.pool.execute("UPDATE user_account SET is_active = false")
    async with world.db.begin() as tx:
        match credential:
            case "session":
                assert await identity.authenticate_session(tx, cookie, days=14) is None
            case "token":
                assert await identity.authenticate_token(tx, secret) is None
            case _:
                with pytest.raises(Unauthenticated):
                    await identity.sign_in_with_link(tx, link, "", "", days=14)


async def test_nothing_comes_back_by_itself(world: World) -> None:
    """F135: who is switched on again leads nothing and is asked nothing that others have by now."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    incident = await incident_of(world, ada, joined=(bob,))
    await world.alert()
    await switch_off(world, ada)
    before = len(world.mail.to(ada))
    await switch_off(world, ada, changes=UserChanges(is_active=True))
    await world.pass_time(minutes(10))
    assert (await again(world, incident)).lead_id == bob.id
    assert len(world.mail.to(ada)) == before


async def test_who_is_back_before_others_took_over_keeps_what_they_have(world: World) -> None:
    """F135: the reaction goes by what is true when it runs."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    incident = await incident_of(world, ada, joined=(bob,))
    await world.alert()
    await switch_off(world, ada, settle=False)
    await switch_off(world, ada, changes=UserChanges(is_active=True))
    assert (await again(world, incident)).lead_id == ada.id
    assert world.mail.to(bob) == []


async def test_an_answer_under_way_is_waited_for_and_taken_back(world: World) -> None:
    """F135, a race: who answers first is switched off after that, and the alert does not stay with them."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
        leaving = asyncio.create_task(switch_off(world, ada, settle=False))
        await until_somebody_waits(world.db)
    await leaving
    await world.settle()
    assert (await world.again(alert)).status == "triggered"
    assert len(world.mail.to(bob)) == 2


async def test_an_answer_that_comes_too_late_is_refused(world: World) -> None:
    """F135, a race: whose account goes off meanwhile takes nothing on."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await service.update_person(tx, world.root, ada.id, OFF, confirmed=True)
        answering = asyncio.create_task(acknowledge(world, ada, alert))
        await until_somebody_waits(world.db)
    with pytest.raises(Denied):
        await answering
    await world.settle()
    assert (await world.again(alert)).status == "triggered"
    assert world.mail.subjects(bob) == ["Checkout is down"]


async def test_it_may_run_twice(world: World) -> None:
    """F135: a worker that dies in the middle has another one begin again; nothing is said or done twice."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([ada, bob, cyd], wait=minutes(30)))
    incident = await incident_of(world, ada, joined=(bob,))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, ada.id, OFF)
        await log.emit(tx, UserDeactivated(actor=SYSTEM, user_id=ada.id, user_name=ada.name))
    await world.settle()
    assert (await world.history(alert)).count("page.unreachable: Ada") == 1
    assert world.mail.to(cyd) == []
    assert len(await told(world, incident)) == 2
