"""Two who give the same name in the same instant: the second is told what whoever comes later is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.races import act, behind
from tests.world import World
from tocsin.alerts import service as alerts
from tocsin.db.engine import Tx
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.kit.errors import Conflict, Invalid
from tocsin.oncall import service as oncall


@pytest.mark.parametrize(
    "what",
    ["policy", "policy renamed", "team", "team renamed", "role", "person", "person corrected", "catch-all"],
)
async def test_a_name_that_is_taken_in_this_instant_is_taken(world: World, what: str) -> None:
    """F143, G22: it is said of the field, in the words of every other day; nothing says that somebody was faster."""
    ada, bob = await world.people("ada", "bob")
    mine, theirs = [await world.policy([ada], name=name) for name in ("Mine", "Theirs")]

    async def take(tx: Tx, *, is_second: bool) -> Any:
        policy, person = (theirs, bob) if is_second else (mine, ada)
        match what:
            case "policy":
                steps = [oncall.StepDraft([ada.id], 5)]
                return await oncall.create_policy(tx, world.root, name="Duty", steps=steps)
            case "policy renamed":
                return await oncall.update_policy(tx, world.root, policy.id, oncall.PolicyChanges(name="Duty"))
            case "team":
                return await identity.create_team(tx, world.root, name="DÜTY" if is_second else "Düty")
            case "team renamed":
                team = await identity.create_team(tx, world.root, name="Theirs" if is_second else "Mine")
                return await identity.update_team(tx, world.root, team.id, {"name": "DÜTY" if is_second else "Düty"})
            case "role":
                name = "DÜTY x" if is_second else "Düty-X"
                return await identity.create_role(tx, world.root, name=name, permissions=[])
            case "person":
                return await identity.create_user(tx, world.root, email="d@x.org", name="Dan", role="responder")
            case "person corrected":
                return await identity.update_user(tx, world.root, person.id, UserChanges(email="d@x.org"))
            case _:
                return await alerts.create_route(tx, world.root, alerts.RouteDraft("All", is_catch_all=True))

    later = act(world, lambda tx: take(tx, is_second=True))
    with pytest.raises(Conflict if what == "catch-all" else Invalid) as told:
        await behind(world.db, lambda tx: take(tx, is_second=False), later)
    with pytest.raises(type(told.value)) as again:
        await act(world, lambda tx: take(tx, is_second=True))
    assert (told.value.message, told.value.code) == (again.value.message, again.value.code)
