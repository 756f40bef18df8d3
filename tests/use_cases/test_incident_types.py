"""Incident types, custom fields and gates."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.races import behind
from tests.world import World
from tocsin.db.engine import Tx
from tocsin.events import log
from tocsin.events.words import describe
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import TEAM_ID, USER_ID, Actor
from tocsin.incidents import gates, queries, type_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.missing import missing_for
from tocsin.incidents.model import CancelReason, Incident, Status
from tocsin.incidents.queries import Filters
from tocsin.incidents.service import custom_fields, types
from tocsin.incidents.service.filling_in import Filled
from tocsin.incidents.type_model import GENERAL, CustomField, IncidentType, Kind
from tocsin.kit.changes import Seen
from tocsin.kit.errors import Conflict, Denied, InUse, Invalid, NotFound, Stale


@pytest.fixture
async def boss(world: World) -> Actor:
    """Somebody who may do everything, and leads what they declare."""
    return world.actor(await world.person("mia", role="admin"))


async def field(tx: Tx, boss: Actor, key: str, kind: Kind = Kind.TEXT, **more: Any) -> CustomField:
    return await custom_fields.create_custom_field(tx, boss, key=key, kind=kind, name=key.capitalize(), **more)


async def kind_of(tx: Tx, boss: Actor, *requirements: str, short_id: str = "net", **more: Any) -> IncidentType:
    written = {"name": short_id.capitalize(), "requirements": list(requirements), **more}
    return await types.create_type(tx, boss, short_id=short_id, **written)


async def declare(tx: Tx, who: Actor, type: str = "", **values: object) -> Incident:
    return await incidents.declare(tx, who, title="Slow", filled=Filled(type, values))


async def say(tx: Tx, who: Actor, incident: Incident, **values: object) -> Incident:
    return await incidents.update(tx, who, incident.id, incidents.IncidentChanges(filled=Filled(values=values)))


def named(refused: pytest.ExceptionInfo[Invalid]) -> list[str]:
    return [each.pointer for each in refused.value.errors]


async def test_three_types_are_there_from_the_first_day(world: World, boss: Actor) -> None:
    """F019: General is what is declared without a type, and asks for nothing."""
    async with world.db.begin() as tx:
        known = await type_queries.types(tx)
        assert [(each.short_id, each.is_default) for each in known] == [
            ("general", True),
            ("data_quality", False),
            ("security", False),
        ]
        assert known[0].id == GENERAL
        keys = {each.key for each in await type_queries.custom_fields(tx)}
        assert {key for each in known for key in each.layout} <= keys | set(gates.ALWAYS)
        incident = await declare(tx, boss)
        assert (incident.type_id, incident.type_version) == (GENERAL, 1)
        await incidents.resolve(tx, boss, incident.id, "Done.")


async def test_a_gate_names_each_field_that_is_missing(world: World, boss: Actor) -> None:
    """G08: state by state, built-in fields and custom ones; once they are there the way is free."""
    async with world.db.begin() as tx:
        await field(tx, boss, "cause")
        await field(tx, boss, "impact", required_when="severity <= 2 && status == 'resolved'")
        wanted = ("declared:cause", "identified:communicator", "resolved:summary", "closed:tags", "cancelled:teams")
        await kind_of(tx, boss, *wanted, layout=["cause", "impact"])
        with pytest.raises(Invalid) as refused:
            await declare(tx, boss, "net")
        assert named(refused) == ["#/fields/cause"]
        incident = await declare(tx, boss, "net", cause="A bolt")
        with pytest.raises(Invalid) as refused:
            await incidents.update_status(tx, boss, incident.id, Status.IDENTIFIED)
        assert named(refused) == ["#/communicator"]
        await incidents.update(tx, boss, incident.id, incidents.IncidentChanges(severity=2))
        with pytest.raises(Invalid) as refused:
            await incidents.resolve(tx, boss, incident.id, "Done.")
        assert named(refused) == ["#/fields/impact", "#/communicator", "#/summary"]
        with pytest.raises(Invalid) as refused:
            await incidents.cancel(tx, boss, incident.id, CancelReason.OTHER)
        assert named(refused) == ["#/teams"]
        ahead = await missing_for(tx, incident, Status.INVESTIGATING, Status.CLOSED)
        assert [each.key for each in ahead[Status.INVESTIGATING]] == []
        assert [each.key for each in ahead[Status.CLOSED]] == ["communicator", "summary", "tags", "resolution_note"][:3]
        changes = incidents.IncidentChanges(severity=3, summary="It broke.")
        await incidents.update(tx, boss, incident.id, changes)
        incident.communicator_id = incident.lead_id
        await incidents.update_status(tx, boss, incident.id, Status.IDENTIFIED)
        await incidents.resolve(tx, boss, incident.id, "Done.")
        with pytest.raises(Invalid) as refused:
            await incidents.close(tx, boss, incident.id)
        assert named(refused) == ["#/tags"]
        await incidents.update(tx, boss, incident.id, incidents.IncidentChanges(tags=["eu"]))
        assert (await incidents.close(tx, boss, incident.id)).status == Status.CLOSED


async def test_a_refused_move_changes_nothing(world: World, boss: Actor) -> None:
    """G08: alone, and as one of several."""
    async with world.db.begin() as tx:
        await kind_of(tx, boss, "resolved:summary")
        held, free = await declare(tx, boss, "net"), await declare(tx, boss)
    async with world.db.begin() as tx:
        refs = [held.reference, free.reference]
        found = await incidents.change_all(tx, boss, incidents.Resolve("Done."), refs)
        assert isinstance(found[0], Invalid)
    async with world.db.begin() as tx:
        states = {each.reference: each.status for each in await queries.listed(tx, EVERYTHING)}
    assert states == {held.reference: "declared", free.reference: "resolved"}


async def test_who_acknowledges_takes_it_on_also_where_a_gate_is_shut(world: World, boss: Actor) -> None:
    """G08: an answer at night is never refused; the status follows when what is missing is there."""
    bob = world.actor(await world.person("bob"))
    async with world.db.begin() as tx:
        await kind_of(tx, boss, "investigating:summary")
        incident = await declare(tx, boss, "net")
        await incidents.acknowledge(tx, bob, incident.id)
        assert (incident.status, incident.acknowledged_at is not None) == ("declared", True)
        with pytest.raises(Invalid):
            await incidents.update_status(tx, bob, incident.id, Status.INVESTIGATING)
        await incidents.update(tx, bob, incident.id, incidents.IncidentChanges(summary="Known."))
        assert (await incidents.update_status(tx, bob, incident.id, Status.INVESTIGATING)).status == "investigating"


async def test_an_incident_keeps_the_version_that_it_was_declared_with(world: World, boss: Actor) -> None:
    """F019, story 9: version 2 requires a field; an incident of version 1 is saved and resolved as before."""
    async with world.db.begin() as tx:
        await field(tx, boss, "cause")
        kind = await kind_of(tx, boss)
        old = await declare(tx, boss, "net")
        changes: types.TypeChanges = {"requirements": ["declared:cause"]}
        await types.update_type(tx, boss, kind.id, changes, if_version=1)
        assert (kind.version, kind.layout) == (2, ["title", "severity", "summary", "cause"])
        with pytest.raises(Invalid) as refused:
            await declare(tx, boss, "net")
        assert named(refused) == ["#/fields/cause"]
        new = await declare(tx, boss, "net", cause="A bolt")
        assert (old.type_version, new.type_version) == (1, 2)
        await incidents.update(tx, boss, old.id, incidents.IncidentChanges(title="Slower"))
        await incidents.resolve(tx, boss, old.id, "Done.")
        assert [each.number for each in await type_queries.versions(tx, kind.id)] == [2, 1]
        assert [each.number for each in await type_queries.versions(tx, kind.id, before=2)] == [1]


async def test_a_change_that_says_what_is_so_makes_no_version(world: World, boss: Actor) -> None:
    """F019."""
    async with world.db.begin() as tx:
        kind = await kind_of(tx, boss, auto_close_days=7)
        await types.update_type(tx, boss, kind.id, {"auto_close_days": 7, "layout": kind.layout})
        assert kind.version == 1


async def test_fields_stand_in_the_timeline_with_both_values(world: World, boss: Actor) -> None:
    """F021: by their names, people and teams by theirs; a private team is not named."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        team = await identity.create_team(tx, boss, name="Secret", is_private=True)
        await field(tx, boss, "owner", Kind.USER)
        await field(tx, boss, "group", Kind.TEAM)
        await kind_of(tx, boss, layout=["owner", "group"])
        incident = await declare(tx, boss, "net", owner=USER_ID.write(ada.id))
        await say(tx, boss, incident, owner=None, group=TEAM_ID.write(team.id))
        (newest,) = await log.newest_first(tx, incident_id=incident.id, limit=1)
    line = describe(newest.name, newest.actor_name, newest.data)
    assert line.text.endswith("changed “Owner” and “Group”")
    assert line.detail == "Owner: Ada → empty\nGroup: empty → a private team"
    assert incident.fields == {"group": TEAM_ID.write(team.id)}


async def test_what_is_wrong_is_said_of_every_field_at_once(world: World, boss: Actor) -> None:
    """F021: also of one that the type does not ask for, and of somebody who is gone."""
    gone = await world.person("gone")
    async with world.db.begin() as tx:
        await identity.update_user(tx, boss, gone.id, UserChanges(is_active=False))
        await field(tx, boss, "count", Kind.NUMBER, minimum=1)
        await field(tx, boss, "owner", Kind.USER)
        await field(tx, boss, "other")
        await kind_of(tx, boss, layout=["count", "owner"])
        with pytest.raises(Invalid) as refused:
            await declare(tx, boss, "net", count=0, owner=USER_ID.write(gone.id), other="x", nope=1)
        assert named(refused) == ["#/fields/count", "#/fields/owner", "#/fields/other", "#/fields/nope"]


async def test_defaults_begin_a_declaration(world: World, boss: Actor) -> None:
    """F019, F021: of fields and of the type; what somebody says counts."""
    async with world.db.begin() as tx:
        await field(tx, boss, "region", Kind.SELECT, options=["EU", "US"], default_value="EU")
        await kind_of(tx, boss, layout=["region"], default_severity=1, is_private=True)
        begun = await declare(tx, boss, "net")
        assert (begun.fields, begun.severity, begun.is_private) == ({"region": "EU"}, 1, True)
        said = await incidents.declare(tx, boss, title="x", severity=4, filled=Filled("NET", {"region": "US"}))
        assert (said.fields, said.severity) == ({"region": "US"}, 4)
        emptied = await declare(tx, boss, "net", region=None)
        assert emptied.fields == {}


async def test_two_who_write_different_fields_are_not_in_each_others_way(world: World, boss: Actor) -> None:
    """F021: the same field is a conflict that says who did it; what was sent back as it was seen stays theirs."""
    async with world.db.begin() as tx:
        await field(tx, boss, "cause")
        await field(tx, boss, "impact")
        await kind_of(tx, boss, layout=["cause", "impact"])
        incident = await declare(tx, boss, "net", cause="Old")
        seen = Seen(incident.version)
        await say(tx, boss, incident, cause="Theirs")

        async def change(**values: object) -> None:
            changes = incidents.IncidentChanges(filled=Filled(values=values))
            await incidents.update(tx, boss, incident.id, changes, if_version=seen)

        await change(cause="Old", impact="Mine")
        assert incident.fields == {"cause": "Theirs", "impact": "Mine"}
        with pytest.raises(Stale) as refused:
            await change(cause="Mine")
        assert refused.value.mine == {"fields/cause": "Mine"}


async def test_another_type_is_taken_at_its_newest_version(world: World, boss: Actor) -> None:
    """F019, story 9: what was said stays; what the new one does not ask for can only be taken away or kept."""
    async with world.db.begin() as tx:
        await field(tx, boss, "cause")
        await kind_of(tx, boss, layout=["cause"])
        incident = await declare(tx, boss, "net", cause="A bolt")
        await incidents.update(tx, boss, incident.id, incidents.IncidentChanges(filled=Filled("general")))
        assert (incident.type_id, incident.fields) == (GENERAL, {"cause": "A bolt"})
        await say(tx, boss, incident, cause="Another")
        await say(tx, boss, incident, cause=None)
        with pytest.raises(Invalid):
            await say(tx, boss, incident, cause="Again")
        (newest,) = await log.newest_first(tx, incident_id=incident.id, limit=1)
        assert newest.data["changes"][0]["new"] == ""


@pytest.mark.parametrize("type", ["nope", "ity_00000000000000000000000000", "ity_x"])
async def test_a_type_that_there_is_not_is_refused(world: World, boss: Actor, type: str) -> None:
    """F019."""
    async with world.db.begin() as tx:
        with pytest.raises(Invalid) as refused:
            await declare(tx, boss, type)
        assert named(refused) == ["#/type"]


async def test_an_archived_type_is_offered_for_nothing_new(world: World, boss: Actor) -> None:
    """F019: its incidents keep it."""
    async with world.db.begin() as tx:
        kind = await kind_of(tx, boss)
        incident = await declare(tx, boss, "net")
        await types.archive_type(tx, boss, kind.id)
        await types.archive_type(tx, boss, kind.id)
        with pytest.raises(Invalid):
            await declare(tx, boss, "net")
        changes = incidents.IncidentChanges(title="x", filled=Filled("net"))
        assert (await incidents.update(tx, boss, incident.id, changes)).type_version == 1
        assert (await types.unarchive_type(tx, boss, kind.id)).archived_at is None
        await declare(tx, boss, "net")


async def test_a_type_that_is_used_is_not_deleted(world: World, boss: Actor) -> None:
    """F019, F143: neither is the default one; one that nobody used is."""
    async with world.db.begin() as tx:
        used, unused = await kind_of(tx, boss), await kind_of(tx, boss, short_id="wan")
        await declare(tx, boss, "net")
        for id, code in ((used.id, "incident_type.in_use"), (GENERAL, "incident_type.default")):
            with pytest.raises(Conflict) as refused:
                await types.delete_type(tx, boss, id)
            assert refused.value.code == code
        await types.delete_type(tx, boss, unused.id)
        assert unused.id not in {each.id for each in await type_queries.types(tx)}
        with pytest.raises(NotFound):
            await types.delete_type(tx, boss, unused.id)


async def test_whoever_deletes_a_type_waits_for_who_declares_one_of_it(world: World, boss: Actor) -> None:
    """F019: and then finds the incident."""
    async with world.db.begin() as tx:
        kind = await kind_of(tx, boss)

    async def first(tx: Tx) -> None:
        await declare(tx, boss, "net")

    async def second() -> None:
        async with world.db.begin() as tx:
            with pytest.raises(Conflict):
                await types.delete_type(tx, boss, kind.id)

    await behind(world.db, first, second())


async def test_another_type_becomes_the_default(world: World, boss: Actor) -> None:
    """F019: there is one at a time, and it is not archived."""
    async with world.db.begin() as tx:
        kind = await kind_of(tx, boss)
        await types.set_default(tx, boss, kind.id)
        assert [each.short_id for each in await type_queries.types(tx) if each.is_default] == ["net"]
        assert (await declare(tx, boss)).type_id == kind.id
        with pytest.raises(Conflict):
            await types.archive_type(tx, boss, kind.id)
        await types.archive_type(tx, boss, GENERAL)
        with pytest.raises(Conflict):
            await types.set_default(tx, boss, GENERAL)


async def test_a_field_that_is_used_is_archived_and_not_deleted(world: World, boss: Actor) -> None:
    """F021, F143: by a type, by a condition or by what an incident says; what was said stays, and is asked no more."""
    async with world.db.begin() as tx:
        cause, impact = await field(tx, boss, "cause"), await field(tx, boss, "impact")
        asks = await field(tx, boss, "told", required_when="fields.impact == 'x'")
        kind = await kind_of(tx, boss, "resolved:cause", layout=["cause"])
        for used in (cause, impact):
            with pytest.raises(InUse):
                await custom_fields.delete_custom_field(tx, boss, used.id)
        incident = await declare(tx, boss, "net", cause="A bolt")
        await types.update_type(tx, boss, kind.id, {"layout": [], "requirements": []})
        with pytest.raises(Conflict) as refused:
            await custom_fields.delete_custom_field(tx, boss, cause.id)
        assert refused.value.code == "custom_field.in_use"
        await custom_fields.archive_custom_field(tx, boss, cause.id)
        with pytest.raises(Invalid):
            await types.update_type(tx, boss, kind.id, {"layout": ["cause"]})
        assert incident.fields == {"cause": "A bolt"}
        await say(tx, boss, incident, cause=None)
        await incidents.resolve(tx, boss, incident.id, "Done.")
        await custom_fields.delete_custom_field(tx, boss, cause.id)
        await custom_fields.delete_custom_field(tx, boss, asks.id)
        await custom_fields.delete_custom_field(tx, boss, impact.id)


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ({"key": "Cause"}, "key"),
        ({"key": "summary"}, "key"),
        ({"key": "taken"}, "key"),
        ({"name": "Summary"}, "name"),
        ({"name": "TAKEN"}, "name"),
        ({"name": ""}, "name"),
        ({"kind": Kind.SELECT}, "options"),
        ({"minimum": 2, "maximum": 1}, "maximum"),
        ({"pattern": "("}, "pattern"),
        ({"default_value": 7}, "default_value"),
        ({"required_when": "fields.nope == 1"}, "required_when"),
        ({"required_when": "severity"}, "required_when"),
        ({"hint": "x" * 201}, "hint"),
    ],
)
async def test_a_field_that_can_be_none_is_refused(
    world: World, boss: Actor, written: dict[str, Any], wrong: str
) -> None:
    """F021."""
    async with world.db.begin() as tx:
        await field(tx, boss, "taken")
        with pytest.raises(Invalid) as refused:
            await custom_fields.create_custom_field(
                tx, boss, **{"key": "new", "name": "New", "kind": Kind.TEXT, **written}
            )
        assert named(refused) == [f"#/{wrong}"]


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ({"short_id": "Net work"}, "short_id"),
        ({"short_id": "general"}, "short_id"),
        ({"name": "general"}, "name"),
        ({"layout": ["nope"]}, "layout/0"),
        ({"requirements": ["resolved:nope"]}, "requirements"),
        ({"requirements": ["ended:summary"]}, "requirements"),
        ({"requirements": ["identified:resolution_note"]}, "requirements"),
        ({"default_severity": 6}, "default_severity"),
        ({"auto_close_days": 0}, "auto_close_days"),
        ({"auto_close_days": 366}, "auto_close_days"),
        ({"layout": [f"f{n}" for n in range(41)]}, "layout"),
    ],
)
async def test_a_type_that_can_be_none_is_refused(
    world: World, boss: Actor, written: dict[str, Any], wrong: str
) -> None:
    """F019."""
    async with world.db.begin() as tx:
        if wrong == "layout":
            for key in written["layout"]:
                await field(tx, boss, key)
        with pytest.raises(Invalid) as refused:
            await types.create_type(tx, boss, **{"short_id": "net", "name": "Net", **written})
        assert named(refused) == [f"#/{wrong}"]


async def test_whoever_may_not_manage_types_only_sees_them(world: World, boss: Actor) -> None:
    """C8."""
    ada = world.actor(await world.person("ada"))
    async with world.db.begin() as tx:
        cause, kind = await field(tx, boss, "cause"), await kind_of(tx, boss)
        for refused in (
            types.create_type(tx, ada, short_id="x", name="X"),
            types.update_type(tx, ada, kind.id, {"name": "X"}),
            types.archive_type(tx, ada, kind.id),
            types.set_default(tx, ada, kind.id),
            types.delete_type(tx, ada, kind.id),
            custom_fields.create_custom_field(tx, ada, key="x", kind=Kind.TEXT, name="X"),
            custom_fields.update_custom_field(tx, ada, cause.id, {"name": "X"}),
            custom_fields.archive_custom_field(tx, ada, cause.id),
            custom_fields.delete_custom_field(tx, ada, cause.id),
        ):
            with pytest.raises(Denied):
                await refused


async def test_what_is_resolved_closes_by_itself(world: World, boss: Actor) -> None:
    """F019, C2: after so many days; not what was begun again meanwhile, and not while a gate is shut."""
    async with world.db.begin() as tx:
        await kind_of(tx, boss, "closed:summary", auto_close_days=3)
        waiting, again, held = [await declare(tx, boss, "net") for _ in range(3)]
        for each in (waiting, again, held):
            await incidents.resolve(tx, boss, each.id, "Done.")
        for each in (waiting, again):
            await incidents.update(tx, boss, each.id, incidents.IncidentChanges(summary="Known."))
    await world.pass_time(timedelta(days=2))

    async def states() -> list[str]:
        async with world.db.begin() as tx:
            return [(await queries.get(tx, EVERYTHING, each.id)).status for each in (waiting, again, held)]

    assert await states() == ["resolved", "resolved", "resolved"]
    async with world.db.begin() as tx:
        await incidents.reopen(tx, boss, again.id, "It came back.")
        await incidents.resolve(tx, boss, again.id, "Done again.")
    await world.pass_time(timedelta(days=1, minutes=1))
    assert await states() == ["closed", "resolved", "resolved"]
    async with world.db.begin() as tx:
        await incidents.update(tx, boss, held.id, incidents.IncidentChanges(summary="Known."))
    await world.pass_time(timedelta(days=1))
    assert await states() == ["closed", "resolved", "closed"]
    await world.pass_time(timedelta(days=1))
    assert await states() == ["closed", "closed", "closed"]


async def test_incidents_are_found_by_their_type(world: World, boss: Actor) -> None:
    """F114."""
    async with world.db.begin() as tx:
        kind = await kind_of(tx, boss)
        await declare(tx, boss)
        mine = await declare(tx, boss, "net")
        found = await queries.listed(tx, EVERYTHING, Filters(type_ids=[kind.id]))
        assert [each.id for each in found] == [mine.id]
        assert await type_queries.ids_of_types(tx, ["NET"]) == [kind.id]
        nothing = Filters(type_ids=await type_queries.ids_of_types(tx, ["nope"]))
        assert await queries.listed(tx, EVERYTHING, nothing) == []
