"""What a link counts for is said by the use case, whatever surface it is brought to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.surfaces.test_links_to_old_addresses import correct, remove
from tests.world import World, minutes
from tocsin.alerts.model import Alert
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.incidents.service import AnswerLink, LinkAct

VALID_FOR = timedelta(hours=48)


async def paged(world: World, ada: User) -> tuple[Alert, str]:
    """Ada is paged; the token of the link that she got."""
    bob = await world.person("bob")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert()
    return alert, str(world.mail.to(ada)[-1].acknowledge_url).rpartition("/")[2]


async def spoil(world: World, person: User, how: str) -> None:
    match how:
        case "removed":
            await remove(world, person)
        case "corrected":
            await correct(world, person, "ada@new.example")
        case "switched off":
            async with world.db.begin() as tx:
                await identity.update_user(tx, world.root, person.id, UserChanges(is_active=False))
        case "expired":
            await world.pass_time(VALID_FOR + minutes(1), settle=False)
        case _:
            pass


async def read(world: World, token: str) -> AnswerLink | None:
    async with world.db.begin() as tx:
        return await incidents.read_link(tx, token, valid_for=VALID_FOR)


async def act(world: World, token: str, what: LinkAct) -> bool:
    async with world.db.begin() as tx:
        return await incidents.answer_by_link(tx, token, what, valid_for=VALID_FOR, seen=(0, 1))


@pytest.mark.parametrize("how", ["removed", "corrected", "switched off", "expired", "forged"])
@pytest.mark.parametrize("what", LinkAct)
async def test_a_link_that_does_not_count_does_nothing(world: World, how: str, what: LinkAct) -> None:
    """F061, F118, G22: neither of the three acts, for whoever calls the use case; and nothing stands in the record."""
    ada = await world.person("ada")
    alert, token = await paged(world, ada)
    await spoil(world, ada, how)
    before = await world.history(alert)
    link = await read(world, token[:-4] if how == "forged" else token)
    assert link is None if how in ("switched off", "forged") else link is not None and not link.counts
    assert not await act(world, token[:-4] if how == "forged" else token, what)
    assert await world.history(alert) == before


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (LinkAct.ACKNOWLEDGE, "page.acknowledged: Ada"),
        (LinkAct.DECLINE, "page.declined: Ada"),
        (LinkAct.ESCALATE, "page.escalated"),
    ],
)
async def test_a_link_that_counts_does_what_its_person_could_do(world: World, what: LinkAct, says: str) -> None:
    """F061: once; an address that was changed and changed back is theirs."""
    ada = await world.person("ada")
    alert, token = await paged(world, ada)
    for address in ("ada@new.example", ada.email):
        await correct(world, ada, address)
    for _ in range(2):
        assert await act(world, token, what)
    assert (await world.history(alert)).count(says) == 1
