"""What could not be reached for so long that it was given up works again: what reached nobody is asked anew."""

from __future__ import annotations

import pytest

from tests.use_cases.far_ends import NO, add_hook
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.events import log
from tocsin.identity.model import User
from tocsin.kit.errors import Refused
from tocsin.notifications import service as notifications

A_DAY = minutes(1440)
# As `net/http` and `net/smtp` say it: nobody has answered, as nothing has left.
NO_CERTIFICATE = Refused("hooks.example has no valid certificate for its name: certificate has expired.")


async def press_test(world: World, person: User) -> None:
    async with world.db.begin() as tx:
        await notifications.send_test_page(tx, world.actor(person), user_id=person.id)
    await world.settle()


def pages(world: World) -> list[str]:
    return [address for address, message in world.mail.sent if message.kind == "page"]


async def recoveries(world: World) -> int:
    async with world.db.begin() as tx:
        return len(await log.newest_first(tx, names=("contact_method.recovered",), limit=20))


async def test_a_page_leaves_within_a_minute_of_a_renewed_certificate(world: World) -> None:
    """F060, G04: whatever was said for some minutes before."""
    ada = await world.person("ada")
    world.mail.down = NO_CERTIFICATE
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert()
    await world.let_pass(minutes(5))
    world.mail.down = None
    await world.let_pass(minutes(1))
    assert pages(world) == ["ada@example.org"]


@pytest.mark.parametrize("down", [NO, NO_CERTIFICATE], ids=["refused", "certificate"])
async def test_whoever_sees_their_test_arrive_is_paged_for_what_reached_nobody(world: World, down: Refused) -> None:
    """F136, F141, G04: it was given up, the step waits for a day, and the test says that it works again."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=A_DAY))
    world.mail.down = down
    await world.alert()
    await world.let_pass(minutes(20))
    world.mail.down = None
    await world.let_pass(minutes(2))
    assert pages(world) == []
    await press_test(world, ada)
    assert pages(world) == ["ada@example.org"]
    await press_test(world, ada)
    await world.let_pass(minutes(30))
    assert pages(world) == ["ada@example.org"]
    assert await recoveries(world) == 1


async def test_what_carries_messages_for_one_carries_them_for_all(world: World) -> None:
    """G04: the mail server took nothing from anybody; Bob sees first that it does again."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada], wait=A_DAY))
    world.mail.down = NO
    await world.alert()
    await press_test(world, bob)
    await world.let_pass(minutes(20))
    world.mail.down = None
    await press_test(world, bob)
    assert pages(world) == ["ada@example.org"]


@pytest.mark.parametrize("end", ["acknowledge", "resolve"])
async def test_nobody_is_paged_after_the_end(world: World, end: str) -> None:
    """F036: what works again has nothing left to say."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada], wait=A_DAY))
    world.mail.down = NO
    alert = await world.alert()
    await world.let_pass(minutes(20))
    async with world.db.begin() as tx:
        await getattr(alerts, end)(tx, world.actor(bob), alert.id)
    world.mail.down = None
    await press_test(world, ada)
    await world.let_pass(minutes(5))
    assert pages(world) == []


async def test_whoever_was_reached_otherwise_is_left_alone(world: World) -> None:
    """F136: Ada got it by webhook, so her mail that works again is no reason to ring."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await world.route(await world.policy([ada], wait=A_DAY))
    world.mail.down = NO
    await world.alert()
    await world.let_pass(minutes(20))
    assert len(world.hook.sent) == 1
    world.mail.down = None
    await press_test(world, ada)
    await world.let_pass(minutes(5))
    assert (pages(world), len([1 for _, each in world.hook.sent if each.kind == "page"])) == ([], 1)


async def test_a_blip_is_no_recovery(world: World) -> None:
    """F075: a message that goes out at its second attempt says enough."""
    ada = await world.person("ada")
    world.mail.failures = [NO]
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert()
    await world.let_pass(minutes(1))
    assert pages(world) == ["ada@example.org"]
    assert await recoveries(world) == 0
