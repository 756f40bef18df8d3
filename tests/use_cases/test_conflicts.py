"""Whose change is refused when several write at once: that of whoever would undo one that they have not seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.world import World
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.service.routes import RouteChanges
from tocsin.db.engine import Tx
from tocsin.identity.model import Actor
from tocsin.incidents import queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import CancelReason, IncidentRole, Status
from tocsin.incidents.service import IncidentChanges
from tocsin.kit.changes import Copy, Seen, is_refused
from tocsin.kit.errors import Conflict, Stale, Theirs

Do = Callable[[Tx, Actor, str, Copy], Awaitable[Any]]


def _write(**written: Any) -> Do:
    return lambda tx, who, ref, copy: incidents.update(tx, who, ref, IncidentChanges(**written), if_version=copy)


def _move(to: Status) -> Do:
    return lambda tx, who, ref, copy: incidents.update_status(tx, who, ref, to, if_version=copy)


def _give(role: IncidentRole) -> Do:
    async def give(tx: Tx, who: Actor, ref: str, copy: Copy) -> None:
        await incidents.assign_roles(tx, who, ref, {role: who.user_id}, if_version=copy)

    return give


ACTS: dict[str, Do] = {
    "title": lambda tx, who, ref, copy: _write(title=f"By {who.name}")(tx, who, ref, copy),
    "summary": lambda tx, who, ref, copy: _write(summary=f"By {who.name}")(tx, who, ref, copy),
    "tags": lambda tx, who, ref, copy: _write(tags=[who.name])(tx, who, ref, copy),
    "severity": lambda tx, who, ref, copy: _write(severity=1 if who.name == "Ada" else 2)(tx, who, ref, copy),
    "status": lambda tx, who, ref, copy: _move(Status.MITIGATED if who.name == "Ada" else Status.IDENTIFIED)(
        tx, who, ref, copy
    ),
    "lead": _give(IncidentRole.LEAD),
    "commander": _give(IncidentRole.COMMANDER),
    "resolve": lambda tx, who, ref, copy: incidents.resolve(tx, who, ref, f"By {who.name}", if_version=copy),
    "cancel": lambda tx, who, ref, copy: incidents.cancel(tx, who, ref, CancelReason.OTHER, if_version=copy),
}
FIELDS = ("title", "summary", "tags", "severity", "status", "lead", "commander")


@pytest.mark.parametrize("theirs", FIELDS)
async def test_a_field_is_refused_when_that_field_was_changed_and_else_not(world: World, theirs: str) -> None:
    """F040: every field against every other; who ends the incident changes no field that somebody writes."""
    ada, bob = await world.people("ada", "bob")
    for mine in ACTS:
        async with world.db.begin() as tx:
            incident = await incidents.declare(tx, Actor.person(bob), title="Checkout is down", severity=3)
            ref, seen = incident.reference, incident.version
        async with world.db.begin() as tx:
            await ACTS[theirs](tx, Actor.person(ada), ref, Seen(seen))
        refused = await _try(world, ACTS[mine], Actor.person(bob), ref, Seen(seen))
        assert (refused is not None) == (mine == theirs), (mine, theirs)
        if refused is not None:
            assert {each.who for each in refused.theirs} == {"Ada"} and theirs in refused.theirs[0].fields
            assert refused.theirs[0].words.startswith("Ada "), refused.theirs
            # Whoever has been told, and means it, has seen theirs.
            assert refused.version is not None
            assert await _try(world, ACTS[mine], Actor.person(bob), ref, Seen(refused.version)) is None


async def _try(world: World, do: Do, who: Actor, ref: str, copy: Copy) -> Stale | None:
    try:
        async with world.db.begin() as tx:
            await do(tx, who, ref, copy)
    except Stale as problem:
        return problem
    return None


async def test_an_exact_version_is_refused_for_any_change(world: World) -> None:
    """F119: `If-Match` is about the whole of it, and says all that was done since."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, Actor.person(bob), title="Checkout is down", severity=3)
        ref, seen = incident.reference, incident.version
    for act in ("severity", "title"):
        async with world.db.begin() as tx:
            await ACTS[act](tx, Actor.person(ada), ref, None)
    for act in ("summary", "resolve", "lead"):
        refused = await _try(world, ACTS[act], Actor.person(bob), ref, seen)
        assert refused is not None and [list(each.fields) for each in refused.theirs] == [["title"], ["severity"]]


async def test_the_same_value_is_no_conflict(world: World) -> None:
    """F040: two who want the same have it."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, Actor.person(bob), title="Checkout is down", severity=3)
        ref, seen = incident.reference, incident.version
    for who in (ada, bob):
        assert await _try(world, _write(severity=1), Actor.person(who), ref, Seen(seen)) is None


async def test_what_is_over_is_refused_by_its_state(world: World) -> None:
    """F034: not by its version: a note is not lost to a colleague's correction of the title."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, Actor.person(bob), title="Checkout is down", severity=3)
        ref, seen = incident.reference, incident.version
    async with world.db.begin() as tx:
        await incidents.cancel(tx, Actor.person(ada), ref, CancelReason.OTHER)
    with pytest.raises(Conflict, match="cancelled"):
        async with world.db.begin() as tx:
            await incidents.resolve(tx, Actor.person(bob), ref, "Fixed.", if_version=Seen(seen))


async def test_changes_that_the_record_does_not_number_refuse_everything(world: World) -> None:
    """What 0.1.0 wrote says no version: nothing is overwritten unseen, and the newest is named."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, Actor.person(bob), title="Checkout is down", severity=3)
        ref, seen = incident.reference, incident.version
    async with world.db.begin() as tx:
        await ACTS["severity"](tx, Actor.person(ada), ref, None)
        # As if a version had no event: counted without one.
        (await queries.lock(tx, Actor.person(ada).access.reach, ref)).version += 1
    refused = await _try(world, ACTS["title"], Actor.person(bob), ref, Seen(seen))
    assert refused is not None and [each.who for each in refused.theirs] == ["Ada"]


async def test_a_route_says_who_changed_it(world: World) -> None:
    """F069: and takes mine once I have seen theirs."""
    ada, bob = [await world.person(name, role="admin") for name in ("ada", "bob")]
    route = await world.route(await world.policy([bob]))
    async with world.db.begin() as tx:
        seen = (await alert_queries.route(tx, route)).version
        await alerts.update_route(tx, Actor.person(ada), route, RouteChanges(name="Theirs"))
    with pytest.raises(Stale) as refused:
        async with world.db.begin() as tx:
            await alerts.update_route(tx, Actor.person(bob), route, RouteChanges(name="Mine"), if_version=Seen(seen))
    assert [(each.who, each.fields["name"]) for each in refused.value.theirs] == [("Ada", "Theirs")]
    async with world.db.begin() as tx:
        copy = Seen(refused.value.version or 0)
        assert (
            await alerts.update_route(tx, Actor.person(bob), route, RouteChanges(name="Mine"), if_version=copy)
        ).name == "Mine"


def test_who_is_refused() -> None:
    """The rule by itself: exact versions always, seen ones for the same field, or where nobody knows."""
    title = [Theirs("Ada", None, "", {"title": "x"})]  # type: ignore[arg-type]
    table = [
        (3, {"summary"}, title, True),
        (Seen(3), {"summary"}, title, False),
        (Seen(3), {"title", "summary"}, title, True),
        (Seen(3), set[str](), title, False),
        (Seen(3), {"summary"}, None, True),
        (Seen(3), None, title, True),
        (Seen(3), set[str](), None, False),
    ]
    for copy, wanted, theirs, refused in table:
        assert is_refused(copy, wanted, theirs) is refused, (copy, wanted)
