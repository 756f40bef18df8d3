"""Somebody answers after the escalation has come to its end: it is taken as an answer, and nobody else is woken."""

from __future__ import annotations

from uuid import UUID

from tests.world import World, minutes
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.kit.errors import Transient
from tocsin.notifications import service as notifications
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import Page, PageState

AWAY = Transient("The connection to the gateway failed.")


async def asked_for_help(world: World) -> tuple[User, User, Incident]:
    """Cyd asked for help; Ada was paged and said nothing, Bob's gateway is away, and the policy is at its end."""
    ada, bob, cyd = await world.person("ada"), await world.person("bob", reachable=False), await world.person("cyd")
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=bob.id, kind="webhook", address=bob.email
        )
    policy = await world.policy([ada, bob], wait=minutes(5))
    world.hook.down = AWAY
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(cyd), title="Checkout is down", severity=1)
        await incidents.page(tx, world.actor(cyd), incident.id, [PageTarget("escalation_policy", policy.id)])
    await world.let_pass(minutes(20))
    return ada, bob, incident


async def page_of(world: World, person: User, incident_id: UUID) -> Page:
    async with world.db.begin() as tx:
        return next(p for p, name in await oncall_queries.pages_of(tx, incident_id=incident_id) if name == person.name)


async def test_an_answer_after_the_last_step_takes_back_what_is_still_tried(world: World) -> None:
    """F029, F060: what nobody needs any more is not delivered when a gateway comes back hours later."""
    ada, bob, incident = await asked_for_help(world)
    page = await page_of(world, ada, incident.id)
    assert page.state == PageState.NO_ANSWER
    async with world.db.begin() as tx:
        await incidents.answer_page(tx, world.actor(ada), page.id, "email")
    assert (await page_of(world, ada, incident.id)).state == PageState.ACKNOWLEDGED
    world.hook.down = None
    await world.let_pass(minutes(10))
    assert world.hook.to(bob) == []


async def test_joining_after_the_last_step_answers_as_well(world: World) -> None:
    """F029, G22: the same by joining the incident."""
    ada, bob, incident = await asked_for_help(world)
    async with world.db.begin() as tx:
        await incidents.join(tx, world.actor(ada), incident.id)
    assert (await page_of(world, ada, incident.id)).state == PageState.ACKNOWLEDGED
    world.hook.down = None
    await world.let_pass(minutes(10))
    assert world.hook.to(bob) == []


async def test_without_an_answer_the_message_is_still_tried(world: World) -> None:
    """F060: the end of a policy is no answer; the one who could not be reached is paged when the gateway is back."""
    _, bob, _ = await asked_for_help(world)
    world.hook.down = None
    await world.let_pass(minutes(10))
    assert world.hook.subjects(bob) == ["Checkout is down"]


async def test_when_the_incident_is_over_nothing_is_tried_any_more(world: World) -> None:
    """F029, F036, F060: nor what an escalation that nobody answered still had to send."""
    _, bob, incident = await asked_for_help(world)
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.root, incident.id, "It was the disk.")
    world.hook.down = None
    await world.let_pass(minutes(10))
    assert world.hook.to(bob) == []


async def test_an_answer_after_the_incident_is_over_says_nothing(world: World) -> None:
    """F029: who presses the link of a page when all is over is not written down as the one who answered."""
    ada, _, incident = await asked_for_help(world)
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.root, incident.id, "It was the disk.")
    page = await page_of(world, ada, incident.id)
    async with world.db.begin() as tx:
        await incidents.answer_page(tx, world.actor(ada), page.id, "email")
    assert (await page_of(world, ada, incident.id)).state == PageState.NO_ANSWER


async def last_resort(world: World) -> User:
    """Somebody whom the organisation falls back on, for hours."""
    last = await world.person("last")
    policy = await world.policy([last], repeat=9, name="Last")
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("escalation_policy", policy.id))
    return last


async def test_the_fallback_is_not_asked_any_more_once_somebody_has_answered(world: World) -> None:
    """F054, F136: the last resort is for what nobody has answered."""
    last = await last_resort(world)
    ada, _, incident = await asked_for_help(world)
    page = await page_of(world, ada, incident.id)
    async with world.db.begin() as tx:
        await incidents.answer_page(tx, world.actor(ada), page.id, "email")
    so_far = len(world.mail.to(last))
    assert so_far
    await world.let_pass(minutes(20))
    assert len(world.mail.to(last)) == so_far


async def test_the_fallback_is_asked_on_while_something_else_is_unanswered(world: World) -> None:
    """F054, F136: of two who were asked one has answered; the other's part still waits for somebody."""
    last = await last_resort(world)
    ada, bob, incident = await asked_for_help(world)
    async with world.db.begin() as tx:
        await incidents.page(tx, world.root, incident.id, [PageTarget("user", bob.id)])
    await world.let_pass(minutes(6))
    page = await page_of(world, ada, incident.id)
    async with world.db.begin() as tx:
        await incidents.answer_page(tx, world.actor(ada), page.id, "email")
    so_far = len(world.mail.to(last))
    await world.let_pass(minutes(20))
    assert so_far < len(world.mail.to(last))


async def test_the_fallback_answers_for_all_that_nobody_answered(world: World) -> None:
    """F054, F136: what still tries to reach somebody for an incident that the last resort has taken is taken back."""
    last = await last_resort(world)
    _, bob, incident = await asked_for_help(world)
    page = await page_of(world, last, incident.id)
    async with world.db.begin() as tx:
        await incidents.answer_page(tx, world.actor(last), page.id, "email")
    world.hook.down = None
    so_far = len(world.mail.sent)
    await world.let_pass(minutes(30))
    assert world.hook.to(bob) == []
    assert len(world.mail.sent) == so_far
