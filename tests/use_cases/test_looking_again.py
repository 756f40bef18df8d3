"""What waits for its next step does not wait for what has come meanwhile: a way to reach somebody, another policy."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.races import behind
from tests.use_cases.far_ends import AWAY, IMPOSSIBLE, add_hook
from tests.use_cases.test_fallback import set_fallback
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Transient
from tocsin.notifications import service as notifications
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall import waking_queries
from tocsin.oncall.escalation import PageTarget

A_DAY = minutes(1440)


async def add_mail(world: World, person: User) -> None:
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.actor(person), world.app.channels, user_id=person.id, kind="email", address=person.email
        )
    await world.settle()


async def write(world: World, policy_id: object, *steps: tuple[User, int]) -> None:
    drafts = [oncall.StepDraft([person.id], wait) for person, wait in steps]
    async with world.db.begin() as tx:
        await oncall.update_policy(tx, world.root, policy_id, oncall.PolicyChanges(steps=drafts))  # pyright: ignore[reportArgumentType]
    await world.settle()


# Whom nobody could reach


async def test_whoever_gets_a_contact_method_is_asked_at_once(world: World) -> None:
    """F136, G04: the policy waits for a day, and its next look would be tomorrow."""
    ada = await world.person("ada", reachable=False)
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert()
    await world.let_pass(minutes(2))
    await add_mail(world, ada)
    assert len(world.mail.to(ada)) == 1
    await world.let_pass(minutes(60))
    assert len(world.mail.to(ada)) == 1


async def test_a_contact_method_that_comes_at_once_is_used_within_a_minute(world: World) -> None:
    """F136: a run is looked at once a minute at most, and what comes between is not forgotten."""
    ada = await world.person("ada", reachable=False)
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert()
    await add_mail(world, ada)
    await world.let_pass(minutes(1.5))
    assert len(world.mail.to(ada)) == 1


async def test_whoever_is_switched_on_again_is_asked_at_once(world: World) -> None:
    """F135, F136: the only one on the policy is back."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=A_DAY))
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, ada.id, UserChanges(is_active=False))
    await world.alert()
    await world.let_pass(minutes(2))
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, ada.id, UserChanges(is_active=True))
    await world.settle()
    assert len(world.mail.to(ada)) == 1


async def test_a_policy_that_names_somebody_else_asks_them_at_once(world: World) -> None:
    """F136: whoever mends the policy sees somebody paged."""
    ada, bob = await world.person("ada", reachable=False), await world.person("bob")
    policy = await world.policy([ada], wait=A_DAY)
    await world.route(policy)
    await world.alert()
    await world.let_pass(minutes(2))
    await write(world, policy.id, (ada, 1440), (bob, 5))
    assert len(world.mail.to(bob)) == 1


@pytest.mark.parametrize("what", ["alert", "incident"])
async def test_a_fallback_that_is_chosen_is_asked_at_once(world: World, what: str) -> None:
    """F054: what reaches nobody waits for a day, and somebody is there now."""
    ada, bob = await world.person("ada", reachable=False), await world.person("bob")
    cyd = await world.person("cyd")
    policy = await world.policy([ada], wait=A_DAY)
    await world.route(policy)
    if what == "alert":
        await world.alert()
    else:
        async with world.db.begin() as tx:
            incident = await incidents.declare(tx, world.actor(cyd), title="Down", severity=1)
            targets = [PageTarget("escalation_policy", policy.id)]
            await incidents.page(tx, world.actor(cyd), incident.reference, targets)
    await world.let_pass(minutes(2))
    await set_fallback(world, bob)
    await world.settle()
    assert len(world.mail.to(bob)) == 1
    await world.let_pass(minutes(60))
    assert len(world.mail.to(bob)) == 1


async def test_what_has_reached_somebody_is_left_alone(world: World) -> None:
    """F136: no change of the configuration rings anybody again, or has the next step asked early."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    policy = await world.policy([ada, bob], wait=minutes(30))
    await world.route(policy)
    await world.alert()
    await world.let_pass(minutes(3))
    await set_fallback(world, cyd)
    await add_hook(world, ada)
    await world.settle()
    await write(world, policy.id, (ada, 30), (bob, 30))
    await world.let_pass(minutes(5))
    assert [len(world.mail.to(person)) for person in (ada, bob, cyd)] == [1, 0, 0]
    assert world.hook.sent == []


async def test_what_was_answered_is_left_alone(world: World) -> None:
    """F136: after the end nobody is paged, whatever they are reached by then."""
    ada = await world.person("ada", reachable=False)
    await world.route(await world.policy([ada], wait=A_DAY))
    alert = await world.alert()
    await world.let_pass(minutes(2))
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    await add_mail(world, ada)
    await world.let_pass(minutes(5))
    assert world.mail.sent == []


async def test_a_new_way_is_used_for_a_page_that_does_not_arrive(world: World) -> None:
    """F059: their mail server is away; what they are reached by from now on is not left for the next failure."""
    ada = await world.person("ada")
    world.mail.down = Transient("The connection to the mail server failed.")
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert()
    await world.let_pass(minutes(20))
    await add_hook(world, ada)
    await world.settle()
    assert len(world.hook.sent) == 1


async def test_only_what_has_reached_nobody_is_looked_at(world: World) -> None:
    """F136, G04: there may be many runs, and a change locks none of those whose people were reached in the end."""
    ada = await world.person("ada")
    world.mail.down = AWAY
    await world.route(await world.policy([ada], wait=minutes(5)))
    alert = await world.alert()
    await world.let_pass(minutes(6))
    assert "escalation.unreached" in await world.history(alert)
    before = await looked_at(world, ada)
    world.mail.down = None
    await world.let_pass(minutes(1))
    assert len(world.mail.to(ada)) == 1
    assert (len(before), await looked_at(world, ada)) == (1, [])


async def looked_at(world: World, person: User) -> list[UUID]:
    async with world.db.begin() as tx:
        return await waking_queries.waiting_to_reach(tx, "user", person.id)


# What became of the policy meanwhile


async def test_a_wait_that_is_shortened_ends_when_it_would_have_ended(world: World) -> None:
    """F053: nobody waits for tomorrow because the policy said so yesterday."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada, bob], wait=A_DAY)
    await world.route(policy)
    await world.alert()
    await world.let_pass(minutes(3))
    await write(world, policy.id, (ada, 5), (bob, 5))
    assert world.mail.to(bob) == []
    await world.let_pass(minutes(1.5))
    assert world.mail.to(bob) == []
    await world.let_pass(minutes(1))
    assert len(world.mail.to(bob)) == 1


@pytest.mark.parametrize("at", [1, 2])
async def test_nobody_moves_to_where_the_run_has_passed(world: World, at: int) -> None:
    """G04: a step is taken out of the policy under way, and whoever follows it is asked all the same."""
    ada, bob, cyd, dan = people = await world.people("ada", "bob", "cyd", "dan")
    policy = await world.policy(people, wait=minutes(5))
    await world.route(policy)
    await world.alert()
    await world.let_pass(minutes(5.5 if at == 2 else 0.5))
    left = [(person, 5) for number, person in enumerate(people, start=1) if number != at]
    await write(world, policy.id, *left)
    await world.let_pass(minutes(40))
    assert [len(world.mail.to(person)) for person in (ada, bob, cyd, dan)] == [1, 1, 1, 1]


async def test_whoever_replaces_the_steps_is_followed(world: World) -> None:
    """G04: the last step is under way, and the policy names somebody else altogether."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    policy = await world.policy([ada, bob], wait=minutes(5))
    await world.route(policy)
    await world.alert()
    await world.let_pass(minutes(6))
    await write(world, policy.id, (cyd, 5))
    await world.let_pass(minutes(30))
    assert [len(world.mail.to(person)) for person in (ada, bob, cyd)] == [1, 1, 1]


# What a source holds back


@pytest.mark.parametrize(("now", "waits"), [(None, 0), (10, 5)])
async def test_a_hold_down_that_is_taken_back_lets_go_of_what_it_holds(
    world: World, now: int | None, waits: int
) -> None:
    """F068: a day was too long, and whoever says so sees the page."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(60)))
    source = await world.source()

    async def hold_down(for_minutes: int | None) -> None:
        async with world.db.begin() as tx:
            await alerts.update_source(tx, world.root, source.id, alerts.SourceChanges(hold_down_minutes=for_minutes))
        await world.settle()

    async def says(status: str) -> None:
        await world.signal({"key": "k", "title": "Down", "status": status, "severity": "error"}, source)
        await world.settle()

    await hold_down(1440)
    await says("firing")
    await says("resolved")
    await says("firing")
    await world.let_pass(minutes(5))
    assert len(world.mail.sent) == 1
    await hold_down(now)
    if waits:
        assert len(world.mail.sent) == 1
        await world.let_pass(minutes(waits + 1))
    assert len(world.mail.sent) == 2
    await world.let_pass(minutes(30))
    assert len(world.mail.sent) == 2


# Whom somebody asks for again


async def test_a_policy_that_asks_nobody_at_present_begins_again_when_it_is_asked_for(world: World) -> None:
    """F044: that nobody was reached and it waits for a day is no reason to send nothing."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([ada], wait=A_DAY)
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(bob), title="Down", severity=1)
    world.mail.down = IMPOSSIBLE

    async def ask() -> None:
        async with world.db.begin() as tx:
            targets = [PageTarget("escalation_policy", policy.id)]
            await incidents.page(tx, world.actor(bob), incident.reference, targets)
        await world.settle()

    await ask()
    await world.let_pass(minutes(5))
    world.mail.down = None
    await ask()
    assert len(world.mail.to(ada)) == 1
    await ask()
    assert len(world.mail.to(ada)) == 1


# Two at once


async def test_a_fallback_that_begins_while_the_alert_is_resolved_ends_with_it(world: World) -> None:
    """F036, F054: the end waits for the step that is being taken, and finds what that has begun."""
    ada, bob = await world.people("ada", "bob")
    await set_fallback(world, bob)
    await world.route(await world.policy([ada], wait=minutes(5)))
    alert = await world.alert()
    await world.pass_time(minutes(5.1), settle=False)
    async with world.db.begin() as tx:
        (run,) = await oncall_queries.runs_of(tx, alert_ids=[alert.id])

    async def resolve() -> None:
        async with world.db.begin() as tx:
            await alerts.resolve(tx, world.root, alert.id)

    await behind(world.db, lambda tx: oncall.advance(tx, run.id, step=1, round=0), resolve())
    await world.let_pass(minutes(15))
    assert world.mail.to(bob) == []
    async with world.db.begin() as tx:
        assert all(run.state != "running" for run in await oncall_queries.runs_of(tx, alert_ids=[alert.id]))
