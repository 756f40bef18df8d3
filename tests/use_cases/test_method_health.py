"""How it stands with a contact method, and what a correction does to what waits."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.world import World, minutes
from tocsin.identity.model import User
from tocsin.kit.errors import Conflict, InUse, Patience, Refused, Transient
from tocsin.notifications import jobs
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.health import Condition
from tocsin.notifications.model import ContactMethod, Urgency
from tocsin.notifications.service import MethodChanges, RuleDraft
from tocsin.oncall import service as oncall


async def method_of(world: World, user: User) -> ContactMethod:
    async with world.db.begin() as tx:
        return (await contact.contact_methods(tx, user.id))[0]


async def known(world: World, method: ContactMethod) -> Condition:
    async with world.db.begin() as tx:
        return (await contact.conditions(tx, [method.id], world.app.channels))[method.id]


async def correct(world: World, method: ContactMethod, address: str) -> None:
    async with world.db.begin() as tx:
        await notifications.update_contact_method(
            tx,
            world.root,
            world.app.channels,
            user_id=method.user_id,
            method_id=method.id,
            changes=MethodChanges(address=address),
        )


async def try_it(world: World, user: User) -> None:
    async with world.db.begin() as tx:
        await notifications.send_test_page(tx, world.root, user_id=user.id)
    await world.settle()


async def test_taken_and_arrived_are_two_things(world: World) -> None:
    """F141: what the receiver confirmed, and what it only took."""
    ada = await world.person("ada")
    method = await method_of(world, ada)
    assert (await known(world, method)).state == "unused"
    await try_it(world, ada)
    taken = await known(world, method)
    assert (taken.state, taken.confirmed_at) == ("accepted", None)
    world.mail.confirms = True
    await world.pass_time(minutes(1))
    await try_it(world, ada)
    arrived = await known(world, method)
    assert (arrived.state, arrived.confirmed_at) == ("confirmed", arrived.accepted_at)
    assert arrived.accepted_at is not None and taken.accepted_at is not None
    assert arrived.accepted_at > taken.accepted_at


async def test_what_failed_and_what_nobody_knows_are_two_things(world: World) -> None:
    """F141: a refusal is in the receiver's words; a call without an answer may have arrived."""
    ada, bob = await world.people("ada", "bob")
    mine, theirs = await method_of(world, ada), await method_of(world, bob)
    world.mail.down = Refused("550 no such user", patience=Patience.NONE)
    await try_it(world, ada)
    failing = await known(world, mine)
    assert (failing.state, failing.error) == ("failing", "550 no such user")
    world.mail.down = Transient("No answer within 15 seconds.", may_have_arrived=True)
    await try_it(world, bob)
    await world.let_pass(minutes(30))
    assert (await known(world, theirs)).state == "unknown"
    world.mail.down = None
    await try_it(world, bob)
    assert (await known(world, theirs)).state == "accepted"


async def test_a_channel_that_is_not_set_up_sends_nothing(world: World) -> None:
    """F141: it is never "sent"; the page passes on, and the person counts as unreachable."""
    ada, bob = await world.people("ada", "bob")
    method = await method_of(world, ada)
    await world.db.pool.execute("UPDATE contact_method SET kind = 'sms' WHERE id = $1", method.id)
    await world.db.pool.execute("UPDATE configuration_version SET paging = paging + 1")
    await world.route(await world.policy([ada, bob], wait=minutes(60)))
    alert = await world.alert()
    assert await world.deliveries(alert) == ["Ada: queued"]
    await world.let_pass(minutes(2), every=timedelta(seconds=5))
    assert await world.deliveries(alert) == ["Ada: failed", "Bob: sent"]
    assert world.mail.to(ada) == []
    assert (await known(world, method)).state == "unavailable"
    async with world.db.begin() as tx:
        assert await contact.reaches(tx, [ada.id, bob.id], world.app.channels) == {ada.id: "none", bob.id: "well"}


async def test_a_corrected_address_gets_what_waits_at_once(world: World) -> None:
    """F141: what was queued, refused and put off goes out now, to the new address."""
    ada = await world.person("ada")
    method = await method_of(world, ada)
    await world.route(await world.policy([ada], wait=minutes(60)))
    world.mail.down = Refused("550 no such user", answered=True)
    alert = await world.alert()
    await world.let_pass(minutes(3))
    world.mail.down = None
    await correct(world, method, "ada@new.example")
    await world.settle()
    assert [address for address, _ in world.mail.sent] == ["ada@new.example"]
    assert await world.deliveries(alert) == ["Ada: sent"]
    found = await known(world, method)
    assert (found.state, found.failing_since) == ("accepted", None)


async def test_what_waits_counts_for_its_new_origin(world: World) -> None:
    """F141: while the old one is set aside because it does not answer, the corrected one is not."""
    ada = await world.person("ada", reachable=False)
    async with world.db.begin() as tx:
        method = await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address="https://old.example/a"
        )
    await world.route(await world.policy([ada], wait=minutes(60)))
    world.hook.down = Transient("away")
    await world.alert()
    await correct(world, method, "https://new.example/a")
    shares = await world.db.pool.fetchval("SELECT shares FROM job WHERE kind = $1", notifications.SEND.name)
    assert any("new.example" in share for share in shares)
    assert not any("old.example" in share for share in shares)


async def test_what_is_planned_for_later_keeps_its_time(world: World) -> None:
    """F059, F141: a correction hurries nobody who wants to be asked later."""
    ada = await world.person("ada")
    method = await method_of(world, ada)
    async with world.db.begin() as tx:
        rule = RuleDraft(Urgency.HIGH, 10, method.id)
        await notifications.set_rules(tx, world.root, user_id=ada.id, rules=[rule])
    await world.route(await world.policy([ada], wait=minutes(60)))
    await world.alert()
    await correct(world, method, "ada@new.example")
    await world.settle()
    assert world.mail.sent == []
    await world.pass_time(minutes(11))
    assert [address for address, _ in world.mail.sent] == ["ada@new.example"]


async def test_a_call_that_fails_while_the_address_is_corrected_goes_to_the_new_one(world: World) -> None:
    """F141, a race: what is just being sent follows before it is tried again, and its failure is the old address's."""
    ada = await world.person("ada")
    method = await method_of(world, ada)
    await world.route(await world.policy([ada], wait=minutes(60)))
    tried: list[str] = []

    async def in_the_middle() -> None:
        world.mail.meanwhile = None
        tried.append("old")
        await correct(world, method, "ada@new.example")

    world.mail.meanwhile = in_the_middle
    world.mail.failures = [Transient("broken off", may_have_arrived=True)]
    await world.alert()
    await world.settle()
    assert tried == ["old"]
    assert [address for address, _ in world.mail.sent] == ["ada@new.example"]
    assert (await known(world, method)).failing_since is None


async def test_a_late_success_of_the_old_address_heals_nothing(world: World) -> None:
    """F141: what the old address does says nothing of the new one."""
    ada = await world.person("ada")
    method = await method_of(world, ada)

    async def in_the_middle() -> None:
        world.mail.meanwhile = None
        await correct(world, method, "ada@new.example")
        await world.db.pool.execute(
            "INSERT INTO contact_method_health (contact_method_id, failing_since, last_failed_at, last_error)"
            " VALUES ($1, tocsin_now(), tocsin_now(), 'new')",
            method.id,
        )

    world.mail.meanwhile = in_the_middle
    await try_it(world, ada)
    found = await known(world, method)
    assert (found.state, found.error, found.accepted_at) == ("failing", "new", None)


@pytest.mark.parametrize("corrected", [False, True])
async def test_a_late_answer_is_noted_of_the_address_that_gave_it(
    world: World, monkeypatch: pytest.MonkeyPatch, corrected: bool
) -> None:
    """F141: what is slow is given a minute at once from then on; the address that took its place is not slow."""
    ada = await world.person("ada")
    method = await method_of(world, ada)
    now = [1000.0]
    monkeypatch.setattr(jobs, "monotonic", lambda: now[0])

    async def half_a_minute() -> None:
        world.mail.meanwhile = None
        now[0] += 30
        if corrected:
            await correct(world, method, "ada@new.example")

    world.mail.meanwhile = half_a_minute
    await try_it(world, ada)
    found = await known(world, method)
    assert (found.state, found.answers_after) == (("unused", None) if corrected else ("slow", 30))


async def test_a_failure_of_the_old_address_is_not_held_against_the_new_one(world: World) -> None:
    """F141: the refusal comes when the address has been corrected, and the new one has heard nothing yet."""
    ada = await world.person("ada")
    method = await method_of(world, ada)

    async def in_the_middle() -> None:
        world.mail.meanwhile = None
        await correct(world, method, "ada@new.example")

    world.mail.meanwhile = in_the_middle
    world.mail.failures = [Refused("550 no such user", patience=Patience.NONE)]
    await try_it(world, ada)
    found = await known(world, method)
    assert (found.failing_since, found.error) == (None, None)


async def test_the_last_way_to_reach_somebody_who_is_paged_goes_when_confirmed(world: World) -> None:
    """F143: others may go, and so may the last one of somebody whom nothing pages."""
    ada, bob = await world.people("ada", "bob")
    await world.policy([ada])
    mine, theirs = await method_of(world, ada), await method_of(world, bob)
    await remove(world, theirs)
    with pytest.raises(InUse) as caught:
        await remove(world, mine)
    assert [use.name for use in caught.value.uses] == ["Duty"]
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address="https://a.example"
        )
    await remove(world, mine)
    await remove(world, await method_of(world, ada), confirmed=True)


async def remove(world: World, method: ContactMethod, *, confirmed: bool = False) -> None:
    async with world.db.begin() as tx:
        await oncall.remove_contact_method(
            tx, world.root, user_id=method.user_id, method_id=method.id, confirmed=confirmed
        )


@pytest.mark.parametrize("act", ["add", "change", "rules", "test"])
async def test_nothing_new_is_set_up_for_an_account_that_is_off(world: World, act: str) -> None:
    """F135: what was there stays and can be removed."""
    ada = await world.person("ada")
    method = await method_of(world, ada)
    await world.db.pool.execute("UPDATE user_account SET is_active = false")
    with pytest.raises(Conflict) as caught:
        await _set_up(world, method, ada.id, act)
    assert caught.value.code == "user.inactive"
    await remove(world, method)


async def _set_up(world: World, method: ContactMethod, user_id: UUID, act: str) -> None:
    async with world.db.begin() as tx:
        match act:
            case "add":
                await notifications.add_contact_method(
                    tx, world.root, world.app.channels, user_id=user_id, kind="email", address="new@example.org"
                )
            case "change":
                await notifications.update_contact_method(
                    tx,
                    world.root,
                    world.app.channels,
                    user_id=user_id,
                    method_id=method.id,
                    changes=MethodChanges(name="Other"),
                )
            case "rules":
                rule = RuleDraft(Urgency.HIGH, 0, method.id)
                await notifications.set_rules(tx, world.root, user_id=user_id, rules=[rule])
            case _:
                await notifications.send_test_page(tx, world.root, user_id=user_id)
