"""Teams and their members."""

from __future__ import annotations

import pytest

from tests.use_cases.accounts import CLI, in_tx, last_event, make, record
from tocsin.db.engine import Database
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor
from tocsin.kit.errors import Denied, Invalid, NotFound
from tocsin.kit.ids import new_id


async def test_a_team_has_exactly_the_members_that_were_named(db: Database) -> None:
    """Identity: teams."""
    ada, bob, cyd = [await make(db, name) for name in ("ada", "bob", "cyd")]
    async with db.begin() as tx:
        team = await identity.create_team(tx, CLI, name="Payments", members={bob.id: None, ada.id: None})
        empty = await identity.create_team(tx, CLI, name="Search")
    async with db.begin() as tx:
        members = await queries.members(tx, [team.id, empty.id])
        assert [t.name for t in await queries.teams(tx, EVERYTHING)] == ["Payments", "Search"]
    assert {id: [u.name for u, _ in people] for id, people in members.items()} == {
        team.id: ["Ada", "Bob"],
        empty.id: [],
    }

    async with db.begin() as tx:
        await identity.update_members(tx, CLI, team.id, {cyd.id: None, bob.id: None})
        assert [u.name for u, _ in (await queries.members(tx, [team.id]))[team.id]] == ["Bob", "Cyd"]
    _, data = await last_event(db)
    assert data["changes"] == [{"field": "members", "old": "Ada, Bob", "new": "Bob, Cyd"}]
    events = await record(db)
    async with db.begin() as tx:
        await identity.update_members(tx, CLI, team.id, {cyd.id: None, bob.id: None})
    assert await record(db) == events


async def test_teams_are_refused_without_right_name_or_known_people(db: Database) -> None:
    """F118."""
    bob = Actor.person(await make(db, "bob"))
    await in_tx(db, lambda tx: identity.create_team(tx, CLI, name="Payments"))
    for who, name, ids, error in (
        (bob, "Search", [], Denied),
        (CLI, "Payments", [], Invalid),
        (CLI, "", [], Invalid),
        (CLI, "Search", [new_id()], Invalid),
    ):
        with pytest.raises(error):
            async with db.begin() as tx:
                await identity.create_team(tx, who, name=name, members=dict.fromkeys(ids))
    with pytest.raises(Invalid) as missing:
        await in_tx(db, lambda tx: identity.create_team(tx, CLI, description="Cards and payouts."))
    assert [(error.pointer, error.code) for error in missing.value.errors] == [("#/name", "required")]
    with pytest.raises(NotFound):
        async with db.begin() as tx:
            await identity.update_members(tx, CLI, new_id(), {})
