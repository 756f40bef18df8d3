"""A page that went to an address which is its person's no longer has not reached them: it goes where they are."""

from __future__ import annotations

import pytest

from tests.surfaces.test_links_to_old_addresses import correct, remove
from tests.use_cases.far_ends import AWAY, NO, add_hook, set_rules
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.identity.model import User
from tocsin.notifications import service as notifications

A_DAY = minutes(1440)
NEW = "ada@new.example"


async def add_mail(world: World, person: User, address: str) -> None:
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.actor(person), world.app.channels, user_id=person.id, kind="email", address=address
        )


def sent_to(world: World) -> list[str]:
    return [address for address, _ in world.mail.sent]


@pytest.mark.parametrize("order", ["corrected", "removed first", "added first"])
async def test_a_page_that_went_astray_goes_to_the_right_address_at_once(world: World, order: str) -> None:
    """F111, G04: the step waits for a day, and whoever has the old address is somebody else."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert()
    await world.let_pass(minutes(3))
    match order:
        case "corrected":
            await correct(world, ada, NEW)
        case "removed first":
            await remove(world, ada)
            await world.settle()
            await add_mail(world, ada, NEW)
        case _:
            await add_mail(world, ada, NEW)
            await world.settle()
            await remove(world, ada)
    await world.settle()
    assert sent_to(world) == ["ada@example.org", NEW]
    await world.let_pass(minutes(60))
    assert sent_to(world) == ["ada@example.org", NEW]


async def test_a_page_that_reached_them_otherwise_is_not_sent_again(world: World) -> None:
    """F111: nobody is rung because they tidy up their contact methods."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert()
    await correct(world, ada, NEW)
    await world.settle()
    await remove(world, ada)
    await world.let_pass(minutes(5))
    assert (sent_to(world), len(world.hook.sent)) == (["ada@example.org"], 1)


@pytest.mark.parametrize("end", ["answered", "resolved", "passed on"])
async def test_what_waits_for_nobody_is_not_sent_again(world: World, end: str) -> None:
    """F036, F111: after the end, or once others are asked, the correction sends nothing."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    alert = await world.alert()
    if end == "passed on":
        await world.let_pass(minutes(6))
    else:
        async with world.db.begin() as tx:
            await (alerts.acknowledge if end == "answered" else alerts.resolve)(tx, world.actor(bob), alert.id)
    await world.settle()
    before = sent_to(world)
    await correct(world, ada, NEW)
    await world.let_pass(minutes(2))
    assert sent_to(world) == before


async def test_a_page_that_waits_for_its_mail_server_goes_once_to_the_new_address(world: World) -> None:
    """F111: it follows by itself, and nothing is put beside it."""
    ada = await world.person("ada")
    world.mail.down = AWAY
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert()
    await world.let_pass(minutes(2))
    await correct(world, ada, NEW)
    await world.settle()
    world.mail.down = None
    await world.let_pass(minutes(5))
    assert sent_to(world) == [NEW]


async def test_a_call_that_was_under_way_to_the_old_address_is_seen_when_it_ends(world: World) -> None:
    """F111: it was corrected while the old server took its time, and that server took the message after all."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=A_DAY))

    async def mend() -> None:
        world.mail.meanwhile = None
        await correct(world, ada, NEW)
        await world.settle()

    world.mail.meanwhile = mend
    await world.alert()
    await world.let_pass(minutes(2))
    assert sent_to(world) == ["ada@example.org", NEW]


async def test_a_call_under_way_to_the_old_address_hurries_nothing_else(world: World) -> None:
    """F059, F111: it has not failed, and follows to the new address by itself; the telephone keeps its own time."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await set_rules(world, ada, ("email", 0), ("webhook", 20))
    await world.route(await world.policy([ada], wait=A_DAY))

    async def mend() -> None:
        world.mail.meanwhile = None
        await correct(world, ada, NEW)
        await world.settle()
        world.mail.failures = [AWAY]

    world.mail.meanwhile = mend
    await world.alert()
    await world.let_pass(minutes(2))
    assert (sent_to(world), world.hook.sent) == ([NEW], [])


async def test_a_call_under_way_to_the_old_address_is_not_sent_a_second_time_beside_it(world: World) -> None:
    """F111, G04: another method fails meanwhile, and the message under way follows its own to the new address."""
    ada = await world.person("ada")
    await add_hook(world, ada)
    await world.route(await world.policy([ada], wait=A_DAY))
    world.hook.failures = [NO]

    async def mend() -> None:
        world.mail.meanwhile = None
        await correct(world, ada, NEW)
        await world.settle()
        world.mail.failures = [AWAY]

    world.mail.meanwhile = mend
    alert = await world.alert()
    assert "page.attempt_failed: Ada" in await world.history(alert)
    await world.let_pass(minutes(5))
    assert (sent_to(world), len(world.hook.sent)) == ([NEW], 1)


async def test_an_address_that_is_theirs_again_when_the_call_to_it_ends_was_right(world: World) -> None:
    """F111: there and back while the server took its time; what it took has reached them."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=A_DAY))

    async def there_and_back() -> None:
        world.mail.meanwhile = None
        for address in (NEW, ada.email):
            await correct(world, ada, address)
            await world.settle()

    world.mail.meanwhile = there_and_back
    await world.alert()
    await world.let_pass(minutes(5))
    assert sent_to(world) == [ada.email]


async def test_what_comes_back_while_the_call_to_the_address_between_goes_on_is_sent(world: World) -> None:
    """F111, G04: it was to go to the corrected address, which was wrong; whoever has that took it."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=A_DAY))
    world.mail.failures = [AWAY]
    await world.alert()
    await correct(world, ada, NEW)

    async def back() -> None:
        world.mail.meanwhile = None
        await correct(world, ada, ada.email)
        await world.settle()

    world.mail.meanwhile = back
    await world.let_pass(minutes(2))
    assert sent_to(world) == [NEW, ada.email]


async def test_a_calm_page_that_went_astray_follows_its_own_method_only(world: World) -> None:
    """F111: low urgency keeps to what its person wants."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=A_DAY))
    await world.alert(severity="info")
    await add_hook(world, ada)
    await correct(world, ada, NEW)
    await world.settle()
    assert (sent_to(world), world.hook.sent) == (["ada@example.org", NEW], [])
