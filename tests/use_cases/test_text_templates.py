"""F020: text templates, and what is declared with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.races import behind
from tests.world import World
from tocsin.alerts import service as alerts
from tocsin.alerts.service import SourceChanges
from tocsin.db.engine import Tx
from tocsin.events import log
from tocsin.events.words import describe
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.incidents import placeholders, text_template_queries, type_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import CancelReason, Incident
from tocsin.incidents.service import templating, types
from tocsin.incidents.service.filling_in import Filled
from tocsin.incidents.text_template_model import TextTemplate
from tocsin.kit.changes import Seen
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound, Stale


@pytest.fixture
async def boss(world: World) -> Actor:
    """Somebody who may do everything."""
    return world.actor(await world.person("mia", role="admin"))


async def template_of(tx: Tx, boss: Actor, short_id: str = "slow", **more: Any) -> TextTemplate:
    return await templating.create_template(tx, boss, short_id=short_id, name=short_id.capitalize(), **more)


async def declare(tx: Tx, who: Actor, template: str = "slow", **more: Any) -> Incident:
    return await incidents.declare(tx, who, template=template, **more)


async def test_three_templates_are_there_from_the_first_day_and_can_be_declared_with(world: World, boss: Actor) -> None:
    """F020: each is a template that could be saved, and one by hand says all that it needs."""
    async with world.db.begin() as tx:
        known = await text_template_queries.text_templates(tx)
        assert [each.short_id for each in known] == ["service_down", "data_late", "break_in"]
        for each in known:
            assert placeholders.checked("title", each.title, 500) == each.title
            assert placeholders.checked("summary", each.summary, 8000) == each.summary
        incident = await declare(tx, boss, "service_down")
        assert (incident.title, incident.severity, incident.category) == ("A service is down", 1, "availability")
        assert incident.tags == ["outage"]
        assert "**Who is affected:**" in incident.summary
        type = await type_queries.versions_of(tx, [await declare(tx, boss, "break_in")])
        assert [each.type.short_id for each in type.values()] == ["security"]


async def test_a_template_fills_what_is_left_out_then_the_alert_does(world: World, boss: Actor) -> None:
    """F020: what somebody wrote counts, then the template, then the alert, then the type."""
    alert = await world.alert("Disk is full", labels={"service": "search"}, severity=2)
    async with world.db.begin() as tx:
        await types.create_type(tx, boss, short_id="net", name="Net", default_severity=5)
        await template_of(
            tx,
            boss,
            title="{{ labels.service }}: {{ alert.title }} ({{ incident.number }})",
            tags=["Disk"],
            type="net",
            category="cost",
        )
        offered = await incidents.prefill(tx, boss, alert.id, "slow")
        assert (offered.title, offered.severity, offered.type) == (
            "search: Disk is full ({{ incident.number }})",
            2,
            "net",
        )
        first = await declare(tx, boss, title="Mine", severity=4, tags=[], filled=Filled("general"))
        second = await declare(tx, boss, alert_id=alert.id)
        third = await declare(tx, boss, title="No alert")
        assert (first.title, first.severity, first.tags, first.category) == ("Mine", 4, [], "cost")
        assert second.title == f"search: Disk is full ({second.reference})"
        assert (second.severity, second.tags, second.summary) == (2, ["disk"], alert.description)
        assert third.severity == 5
        found = await log.newest_first(tx, incident_id=second.id, limit=50)
        declared = next(each for each in found if each.name == "incident.declared")
    assert "with the template “Slow”" in describe(declared.name, declared.actor_name, declared.data).detail


async def test_teams_of_a_template_own_the_incident(world: World, boss: Actor) -> None:
    """F020: archived teams are left out."""
    async with world.db.begin() as tx:
        old, net = [await identity.teams.create_team(tx, boss, name=name) for name in ("Old", "Net")]
        made = await template_of(tx, boss, title="Slow", team_ids=[old.id, net.id])
        await identity.teams.archive_team(tx, boss, old.id)
        assert (await declare(tx, boss)).team_ids == [net.id]
        with pytest.raises(Invalid, match="The team Old is archived"):
            await template_of(tx, boss, "more", team_ids=[old.id])
        kept = await templating.update_template(tx, boss, made.id, {"team_ids": [old.id, net.id], "title": "Slower"})
        assert set(kept.team_ids) == {old.id, net.id}


async def test_what_a_private_source_says_stays_with_its_teams_whatever_the_template_says(
    world: World, boss: Actor
) -> None:
    """F020, C8: and what an open source says goes to the teams of the template."""
    alert = await world.alert("Disk is full")
    async with world.db.begin() as tx:
        net, secret = [await identity.teams.create_team(tx, boss, name=name) for name in ("Net", "Secret")]
        await template_of(tx, boss, team_ids=[net.id])
        for is_private, owner in ((True, secret), (False, net)):
            owners = identity.Owners([secret.id], is_private=is_private)
            await alerts.update_source(tx, boss, alert.source_id, SourceChanges(owners=owners))
            drill = await declare(tx, boss, alert_id=alert.id, title="Slow", summary="It is slow.")
            assert (drill.team_ids, drill.is_private) == ([owner.id], is_private)
            await incidents.cancel(tx, boss, drill.id, CancelReason.OTHER)


async def test_a_template_that_names_an_archived_type_is_refused_until_another_is_named(
    world: World, boss: Actor
) -> None:
    """F020: it is said whose the type is; with another one it goes on."""
    async with world.db.begin() as tx:
        net = await types.create_type(tx, boss, short_id="net", name="Net")
        made = await template_of(tx, boss, title="Slow", type="net")
        with pytest.raises(Conflict, match="The text template Slow declares incidents of the type Net"):
            await types.delete_type(tx, boss, net.id)
        await types.archive_type(tx, boss, net.id)
        with pytest.raises(Invalid, match="The template Slow is for the type Net, which is archived") as refused:
            await declare(tx, boss)
        assert [each.pointer for each in refused.value.errors] == ["#/template"]
        assert (await declare(tx, boss, filled=Filled("general"))).title == "Slow"
        with pytest.raises(Invalid, match="archived"):
            await template_of(tx, boss, "other", type="net")
        await templating.update_template(tx, boss, made.id, {"type": "net", "description": "Kept as it is."})
        await templating.update_template(tx, boss, made.id, {"type": ""})
        await types.delete_type(tx, boss, net.id)
        assert (await declare(tx, boss)).title == "Slow"


async def test_a_template_in_use_is_archived_and_one_that_is_not_is_deleted(world: World, boss: Actor) -> None:
    """F020: an archived one declares nothing, an unknown one is said, and what was declared goes on naming it."""
    async with world.db.begin() as tx:
        used, free = await template_of(tx, boss, title="Slow"), await template_of(tx, boss, "free")
        incident = await declare(tx, boss)
        assert incident.template_id == used.id
        with pytest.raises(Conflict, match="Incidents were declared with the template Slow"):
            await templating.delete_template(tx, boss, used.id)
        await templating.archive_template(tx, boss, used.id)
        with pytest.raises(Invalid, match="The template Slow is archived"):
            await declare(tx, boss)
        await templating.unarchive_template(tx, boss, used.id)
        await declare(tx, boss)
        await templating.delete_template(tx, boss, free.id)
        with pytest.raises(NotFound):
            await text_template_queries.text_template(tx, free.id)
        for unknown in ("free", "ttp_x", "\0", "%"):
            with pytest.raises(Invalid, match=r"There is no"):
                await declare(tx, boss, unknown)


async def test_who_declares_waits_for_who_deletes(world: World, boss: Actor) -> None:
    """F020: no incident names a template that is gone."""
    async with world.db.begin() as tx:
        made = await template_of(tx, boss, title="Slow")

    async def delete(tx: Tx) -> None:
        await templating.delete_template(tx, boss, made.id)

    async def declares() -> None:
        async with world.db.begin() as tx:
            with pytest.raises(Invalid, match="There is no text template"):
                await declare(tx, boss)

    await behind(world.db, delete, declares())


@pytest.mark.parametrize("role", ["responder", "communicator", "stakeholder"])
async def test_only_who_manages_changes_templates_and_only_who_declares_previews(
    world: World, boss: Actor, role: str
) -> None:
    """F020: rights of roles."""
    who = world.actor(await world.person("ada", role=role))
    async with world.db.begin() as tx:
        made = await template_of(tx, boss, title="Slow")
        for refused in (
            template_of(tx, who, "mine"),
            templating.update_template(tx, who, made.id, {"title": "x"}),
            templating.archive_template(tx, who, made.id),
            templating.delete_template(tx, who, made.id),
        ):
            with pytest.raises(Denied):
                await refused
        if role == "stakeholder":
            with pytest.raises(Denied):
                await templating.preview_template(tx, who, title="x")
        else:
            shown = await templating.preview_template(tx, who, title="{{ incident.number }} {{ labels.service }}")
            assert (shown.title, shown.is_sample) == ("INC-7 checkout", True)


async def test_a_preview_shows_no_alert_that_one_does_not_see(world: World, boss: Actor) -> None:
    """F020: nobody reads a private alert by way of a template."""
    alert = await world.alert("Salaries are late")
    async with world.db.begin() as tx:
        shown = await templating.preview_template(tx, boss, title="{{ alert.title }}", alert_id=alert.id)
        assert (shown.title, shown.is_sample) == ("Salaries are late", False)
    guest = world.actor(await world.person("gus", role="guest"))
    async with world.db.begin() as tx:
        with pytest.raises((Denied, NotFound)):
            await templating.preview_template(tx, guest, title="{{ alert.title }}", alert_id=alert.id)


async def test_two_who_change_a_template_do_not_undo_each_other(world: World, boss: Actor) -> None:
    """F020: the same field of an old copy is refused, and another one is taken."""
    async with world.db.begin() as tx:
        await types.create_type(tx, boss, short_id="net", name="Net")
        made = await template_of(tx, boss, title="Slow")
        await templating.update_template(tx, boss, made.id, {"type": "net"}, if_version=Seen(1))
        await templating.update_template(tx, boss, made.id, {"type": "", "title": "Slower"}, if_version=Seen(1))
        assert (made.title, made.type_id is not None, made.version) == ("Slower", True, 3)
        with pytest.raises(Stale):
            await templating.update_template(tx, boss, made.id, {"type": "security"}, if_version=Seen(1))
        with pytest.raises(Stale):
            await templating.update_template(tx, boss, made.id, {"type": ""}, if_version=1)
        with pytest.raises(Invalid, match="already"):
            await template_of(tx, boss)
        for short_id in ("", "Ü", "a b", "x" * 21):
            with pytest.raises(Invalid, match="small letters"):
                await template_of(tx, boss, short_id)
