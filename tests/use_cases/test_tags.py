"""Tags of incidents."""

from __future__ import annotations

import pytest

from tests.world import World
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor
from tocsin.incidents import queries
from tocsin.incidents import service as incidents
from tocsin.incidents.queries import Filters
from tocsin.kit.errors import Denied, Invalid


async def test_tags_are_words_in_lower_case_each_once(world: World) -> None:
    """F022."""
    ada = Actor.person(await world.person("ada"))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, ada, title="Slow", tags=["  EU ", "eu", "Card  payments", " "])
        assert incident.tags == ["eu", "card payments"]
        changed = await incidents.update(tx, ada, incident.id, incidents.IncidentChanges(tags=["Network"]))
        assert changed.tags == ["network"]
        await incidents.update(tx, ada, incident.id, incidents.IncidentChanges(title="Slower"))
        assert (await queries.get(tx, EVERYTHING, incident.id)).tags == ["network"]


@pytest.mark.parametrize(
    ("tags", "code"), [(["a" * 41], "too_long"), (["a, b"], "invalid"), ([f"t{n}" for n in range(21)], "count")]
)
async def test_what_no_tag_can_be_is_refused(world: World, tags: list[str], code: str) -> None:
    """F022."""
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.root, title="Slow")
        with pytest.raises(Invalid) as refused:
            await incidents.update(tx, world.root, incident.id, incidents.IncidentChanges(tags=tags))
    assert [(error.pointer, error.code) for error in refused.value.errors] == [("#/tags", code)]


async def test_whoever_may_not_edit_gives_no_tags(world: World) -> None:
    """F022."""
    bob = Actor.person(await world.person("bob", role="stakeholder"))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.root, title="Slow")
        with pytest.raises(Denied):
            await incidents.update(tx, bob, incident.id, incidents.IncidentChanges(tags=["eu"]))


async def test_incidents_are_found_by_any_of_some_tags(world: World) -> None:
    """F114: in whatever case they are asked for."""
    async with world.db.begin() as tx:
        for title, tags in (("One", ["eu"]), ("Two", ["us", "cards"]), ("Three", [])):
            await incidents.declare(tx, world.root, title=title, tags=tags)

        async def found(*tags: str) -> set[str]:
            return {each.title for each in await queries.listed(tx, EVERYTHING, Filters(tags=tags))}

        assert await found("EU") == {"One"}
        assert await found("eu", "cards") == {"One", "Two"}
        assert await found("nothing") == set()
        assert await found() == {"One", "Two", "Three"}
