"""The organisation: its name, its incident numbers and the keys that all processes share."""

from __future__ import annotations

import pytest

from tests.use_cases.accounts import in_tx, last_event, make, race, record
from tocsin.db.engine import Database
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import Role
from tocsin.identity.model import Actor, Organisation
from tocsin.kit.errors import Conflict, Denied, Invalid, Stale


async def test_incident_numbers_have_no_gaps_and_no_doubles(db: Database) -> None:
    """Identity: the organisation counts its incidents."""
    with pytest.raises(Conflict, match="set up"):
        await in_tx(db, identity.next_incident_number)
    await in_tx(db, lambda tx: identity.ensure_organisation(tx, "Example"))
    await in_tx(db, lambda tx: identity.ensure_organisation(tx, "Other"))
    won, lost = await race(*(in_tx(db, identity.next_incident_number) for _ in range(5)))
    assert lost == []
    assert sorted(won) == [(n, f"INC-{n}") for n in range(1, 6)]

    with pytest.raises(RuntimeError):
        async with db.begin() as tx:
            await identity.next_incident_number(tx)
            raise RuntimeError
    assert (await in_tx(db, identity.next_incident_number))[0] == 6
    organisation = await in_tx(db, queries.organisation)
    assert organisation is not None and organisation.name == "Example"


async def rename(db: Database, who: Actor, name: str, if_version: int | None = None) -> Organisation:
    async with db.begin() as tx:
        return await identity.update_organisation(
            tx, who, identity.OrganisationChanges(name=name), if_version=if_version
        )


async def test_an_administrator_renames_the_organisation(db: Database) -> None:
    """F110, F040, identity: the organisation; the record shows both names, an old copy changes nothing."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob")
    with pytest.raises(Conflict, match="set up"):
        await rename(db, Actor.person(ada), "Harbourline")
    await in_tx(db, lambda tx: identity.ensure_organisation(tx, "Example"))
    after = await rename(db, Actor.person(ada), "  Harbourline  Ferries ", 1)
    assert (after.name, after.version) == ("Harbourline Ferries", 2)
    who, data = await last_event(db)
    assert (who, data["kind"], data["title"]) == ("Ada", "organisation", "Harbourline Ferries")
    assert data["changes"] == [{"field": "name", "old": "Example", "new": "Harbourline Ferries"}]

    events = await record(db)
    assert (await rename(db, Actor.person(ada), "Harbourline Ferries", 2)).version == 2
    with pytest.raises(Stale, match="Ada changed the name"):
        await rename(db, Actor.person(ada), "Other", 1)
    with pytest.raises(Denied):
        await rename(db, Actor.person(bob), "Other")
    with pytest.raises(Invalid) as caught:
        await rename(db, Actor.person(ada), " ")
    assert caught.value.errors[0].pointer == "#/name"
    assert await record(db) == events


async def test_all_processes_share_one_key_of_a_name(db: Database) -> None:
    """Identity: keys."""
    won, lost = await race(*(in_tx(db, lambda tx: identity.secret(tx, "links")) for _ in range(4)))
    assert lost == [] and len(set(won)) == 1 and len(won[0]) == 32
    assert await in_tx(db, lambda tx: identity.secret(tx, "links")) == won[0]
    assert await in_tx(db, lambda tx: identity.secret(tx, "other")) != won[0]
