"""An origin that was away is back: what goes out then, and what keeps its own time."""

from __future__ import annotations

from typing import Any

from tests.use_cases.far_ends import AWAY, NO, SILENT, seconds, set_rules
from tests.world import World, minutes
from tocsin.notifications.channels.base import PageMessage


async def test_a_provider_that_is_away_for_an_hour_delivers_within_a_minute(world: World) -> None:
    """F060, G04: one message to each person for each alert, in the order of the alerts, and it says how late it is."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], repeat=9, wait=minutes(10)))
    world.mail.down = AWAY
    first = await world.alert("Disk")
    await world.let_pass(minutes(2))
    second = await world.alert("Cart")
    await world.let_pass(minutes(54))
    assert world.mail.sent == []
    world.mail.down = None
    await world.let_pass(minutes(1), every=seconds(15))
    for person in (ada, bob):
        assert world.mail.subjects(person) == ["Disk", "Cart"]
    assert {message.possible_duplicate for _, message in world.mail.sent} == {False}
    assert max(message.minutes_late for _, message in world.mail.sent) >= 9
    for alert in (first, second):
        found = await world.deliveries(alert)
        assert (found.count("Ada: sent"), found.count("Bob: sent")) == (1, 1)
        assert set(found) == {"Ada: cancelled", "Bob: cancelled", "Ada: sent", "Bob: sent"}


async def test_a_success_wakes_what_waits_for_the_same_origin(world: World) -> None:
    """F060, F141: the back-off of one message does not outlast the outage."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(60)))
    world.mail.failures = [SILENT] * 6
    await world.alert("Disk")
    await world.let_pass(minutes(6), every=seconds(5))
    late = [message.sent_at for _, message in world.mail.sent]
    assert len(late) == 2
    assert max(late) - min(late) < seconds(6)


async def test_a_success_hurries_nobody_who_wants_to_be_asked_later(world: World) -> None:
    """F059, F060: what waits for its time and not for the origin is not woken when the origin is back."""
    ada, bob = await world.people("ada", "bob")
    await set_rules(world, bob, ("email", 20))
    await world.route(await world.policy([[ada, bob]], wait=minutes(60)))
    world.mail.failures = [AWAY] * 6
    await world.alert("Disk")
    await world.let_pass(minutes(6), every=seconds(5))
    assert (len(world.mail.to(ada)), world.mail.to(bob)) == (1, [])
    await world.let_pass(minutes(15))
    assert len(world.mail.to(bob)) == 1


async def test_a_success_does_not_mend_the_refusal_of_another_address(world: World) -> None:
    """F060: whoever is refused keeps their own time, however often others are reached meanwhile."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(60)))
    tried: list[str] = []
    send, away = world.mail.send, [AWAY] * 3

    async def refuses_ada(address: str, message: PageMessage, *, within: float = 15.0) -> Any:
        tried.append(address)
        if address == ada.email:
            raise NO
        if away:
            raise away.pop()
        return await send(address, message, within=within)

    world.mail.send = refuses_ada
    await world.alert("Disk")
    await world.let_pass(seconds(40), every=seconds(1))
    assert len(world.mail.to(bob)) == 1
    # At once, and after 2, 5 and 15 seconds more; the next wait is one of 45.
    assert tried.count(ada.email) == 4
