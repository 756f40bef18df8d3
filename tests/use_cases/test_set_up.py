"""The first administrator, by the link that the server prints."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.use_cases.accounts import BROWSER, CLI, IP, PASSWORD, in_tx, last_event, make, pass_time, race
from tocsin.db.engine import Database
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.model import User
from tocsin.kit.errors import Conflict, Invalid, Unauthenticated


async def set_up(db: Database, token: str, name: str = "Ada") -> User:
    async with db.begin() as tx:
        return await identity.set_up(
            tx, token, organisation="Example", name=name, email=f"{name}@example.org", password=PASSWORD
        )


async def test_the_link_makes_the_first_administrator_once(db: Database) -> None:
    """Identity: set-up."""
    assert await in_tx(db, identity.needs_set_up)
    token = await in_tx(db, identity.make_set_up_link)
    ada = await set_up(db, token)

    assert (ada.role, ada.email, ada.is_active) == ("admin", "ada@example.org", True)
    assert not await in_tx(db, identity.needs_set_up)
    organisation = await in_tx(db, queries.organisation)
    assert organisation is not None and organisation.name == "Example"
    assert (await last_event(db))[0] == "Ada"
    with pytest.raises(Conflict, match="already"):
        await set_up(db, token, "Bob")
    with pytest.raises(Conflict, match="already"):
        await in_tx(db, identity.make_set_up_link)
    user, _ = await identity.sign_in(db, "ada@example.org", PASSWORD, IP, BROWSER, days=14)
    assert user.id == ada.id


async def test_a_new_link_replaces_the_earlier_one_and_a_day_ends_it(db: Database) -> None:
    """Identity: set-up."""
    earlier = await in_tx(db, identity.make_set_up_link)
    later = await in_tx(db, identity.make_set_up_link)
    for token in (earlier, "", "guess"):
        with pytest.raises(Unauthenticated):
            await set_up(db, token)
    await pass_time(db, timedelta(hours=24))
    with pytest.raises(Unauthenticated):
        await set_up(db, later)


async def test_a_wrong_field_does_not_use_the_link_up(db: Database) -> None:
    """Identity: set-up."""
    token = await in_tx(db, identity.make_set_up_link)
    with pytest.raises(Invalid):
        await set_up(db, token, "")
    assert (await set_up(db, token)).name == "Ada"


async def test_of_two_set_ups_at_once_one_wins(db: Database) -> None:
    """Identity: set-up."""
    token = await in_tx(db, identity.make_set_up_link)
    won, lost = await race(set_up(db, token, "Ada"), set_up(db, token, "Bob"))
    assert len(won) == 1
    assert [type(e) for e in lost] == [Conflict]
    assert [u.id for u in await in_tx(db, queries.users)] == [won[0].id]


async def test_a_sign_in_link_does_not_set_up(db: Database) -> None:
    """Identity: set-up."""
    ada = await make(db, "ada")
    token = await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))
    with pytest.raises(Conflict):
        await set_up(db, token, "Bob")
