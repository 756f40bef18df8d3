"""Where else an incident goes on, what it has to do with others, and making one of several."""

from __future__ import annotations

import pytest

from tests.world import World
from tocsin.events import log, words
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor
from tocsin.identity.service.owners import Owners
from tocsin.incidents import queries, related_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident, LinkKind, Relation, ResponderState
from tocsin.incidents.retelling import retell
from tocsin.incidents.service import relating
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound


async def several(world: World, *titles: str) -> list[Incident]:
    async with world.db.begin() as tx:
        return [await incidents.declare(tx, world.root, title=title) for title in titles]


async def lines(world: World, incident: Incident) -> list[str]:
    async with world.db.begin() as tx:
        found = await log.newest_first(tx, incident_id=incident.id)
    return [words.describe(event.name, event.actor_name, event.data).text for event in found]


async def related(world: World, incident: Incident) -> dict[str, str]:
    async with world.db.begin() as tx:
        found = await related_queries.relations(tx, EVERYTHING, incident.id)
    return {each.incident.title: each.relation for each in found}


async def test_links_are_added_listed_and_removed_with_their_entries(world: World) -> None:
    """F026, F081."""
    (incident,) = await several(world, "Slow")
    async with world.db.begin() as tx:
        one = await relating.add_link(
            tx, world.root, incident.id, kind=LinkKind.MEETING, url=" https://meet.example.org/7 ", name=" The  bridge "
        )
        two = await relating.add_link(tx, world.root, incident.id, kind=LinkKind.OTHER, url="http://x.example.org")
        assert (one.name, one.url, two.name) == ("The bridge", "https://meet.example.org/7", "http://x.example.org")
        await relating.remove_link(tx, world.root, incident.id, two.id)
        with pytest.raises(NotFound):
            await relating.remove_link(tx, world.root, incident.id, two.id)
        assert [each.id for each in await related_queries.links(tx, EVERYTHING, incident.id)] == [one.id]
    assert (await lines(world, incident))[0].endswith("removed the link “http://x.example.org”")


@pytest.mark.parametrize(
    "url",
    [
        *("", "javascript:alert(1)", "data:text/html,x", "ftp://x.example.org", "//x.example.org", "https://"),
        *("https://a:b@x.example.org", "https://x.example.org/\u202e", "https://x.example.org/" + "a" * 2048),
    ],
)
async def test_what_is_no_web_address_is_refused(world: World, url: str) -> None:
    """F026."""
    (incident,) = await several(world, "Slow")
    async with world.db.begin() as tx:
        with pytest.raises(Invalid) as refused:
            await relating.add_link(tx, world.root, incident.id, kind=LinkKind.OTHER, url=url)
    assert refused.value.errors[0].pointer == "#/url"


async def test_an_incident_has_fifty_links_at_most_and_only_editors_add_them(world: World) -> None:
    """F026."""
    (incident,) = await several(world, "Slow")
    cleo = Actor.person(await world.person("cleo", role="stakeholder"))
    async with world.db.begin() as tx:
        with pytest.raises(Denied):
            await relating.add_link(tx, cleo, incident.id, kind=LinkKind.CHAT, url="https://x.example.org")
        for _ in range(relating.MOST_LINKS):
            await relating.add_link(tx, world.root, incident.id, kind=LinkKind.CHAT, url="https://x.example.org")
        with pytest.raises(Conflict):
            await relating.add_link(tx, world.root, incident.id, kind=LinkKind.CHAT, url="https://x.example.org")


async def test_both_incidents_say_what_they_are_to_each_other(world: World) -> None:
    """F025: said again it changes nothing; something else takes its place."""
    one, two = await several(world, "One", "Two")
    for _ in range(2):
        async with world.db.begin() as tx:
            await relating.relate(tx, world.root, one.id, relation=Relation.PARENT, incident=two.id)
    assert (await related(world, one), await related(world, two)) == ({"Two": "parent"}, {"One": "child"})
    assert len([text for text in await lines(world, two) if "a child of this incident" in text]) == 1
    async with world.db.begin() as tx:
        await relating.relate(tx, world.root, two.id, relation=Relation.RELATED, incident=one.id)
    assert (await related(world, one), await related(world, two)) == ({"Two": "related"}, {"One": "related"})
    async with world.db.begin() as tx:
        await relating.unrelate(tx, world.root, one.id, two.id)
        await relating.unrelate(tx, world.root, one.id, two.id)
    assert await related(world, one) == {}
    assert "not related" in (await lines(world, one))[0]


async def test_parents_make_no_circle_and_nobody_has_two(world: World) -> None:
    """F025."""
    one, two, three = await several(world, "One", "Two", "Three")
    async with world.db.begin() as tx:
        await relating.relate(tx, world.root, one.id, relation=Relation.PARENT, incident=two.id)
        await relating.relate(tx, world.root, two.id, relation=Relation.PARENT, incident=three.id)
        with pytest.raises(Conflict):
            await relating.relate(tx, world.root, three.id, relation=Relation.PARENT, incident=one.id)
        with pytest.raises(Conflict):
            await relating.relate(tx, world.root, one.id, relation=Relation.PARENT, incident=three.id)
        with pytest.raises(Invalid):
            await relating.relate(tx, world.root, one.id, relation=Relation.RELATED, incident=one.id)
        with pytest.raises(Invalid):
            await relating.relate(tx, world.root, one.id, relation=Relation.DUPLICATE_OF, incident=two.id)


async def test_who_may_not_see_the_other_is_not_told_of_it(world: World) -> None:
    """F025: neither in the list nor by the timeline; nor can they relate to it."""
    who = world.actor(await world.person("ada"))
    one, hidden = await several(world, "One", "Secret merger")
    async with world.db.begin() as tx:
        await incidents.update(tx, world.root, hidden.id, incidents.IncidentChanges(owners=Owners(is_private=True)))
        await relating.relate(tx, world.root, one.id, relation=Relation.RELATED, incident=hidden.id)
    async with world.db.begin() as tx:
        assert await related_queries.relations(tx, who.access, one.id) == []
        with pytest.raises(NotFound):
            await related_queries.relations(tx, who.access, hidden.id)
        events = await log.newest_first(tx, incident_id=one.id)
        told = await retell(tx, who.access, events)
        said = [words.describe(e.name, e.actor_name, t.data) for e, t in zip(events, told, strict=True)]
        assert "another incident" in said[0].text and "Secret" not in str(said)
        with pytest.raises(Invalid) as refused:
            await relating.relate(tx, who, one.id, relation=Relation.RELATED, incident=hidden.reference)
    assert refused.value.errors[0].code == "unknown"


async def test_what_is_merged_goes_over_and_both_sides_say_so(world: World) -> None:
    """F025, F031, F035, F074: open alerts and whoever has joined; the survivor lists its duplicates."""
    ada = Actor.person(await world.person("ada"))
    alert = await world.alert("Disk")
    (survivor,) = await several(world, "Goes on")
    async with world.db.begin() as tx:
        double = await incidents.declare(tx, ada, title="Double", alert_id=alert.id)
        await relating.merge(tx, world.root, survivor.id, [double.id, double.reference])
        assert (double.status, double.duplicate_of_id) == ("cancelled", survivor.id)
        assert await queries.linked_alert_ids(tx, survivor.id) == [alert.id]
        place = await queries.responder(tx, survivor.id, ada.must_be_someone())
        assert place is not None and place.state == ResponderState.JOINED
    assert await related(world, survivor) == {"Double": "duplicate"}
    assert await related(world, double) == {"Goes on": "duplicate_of"}
    assert any("as a duplicate of this one" in text for text in await lines(world, survivor))
    assert any(f"a duplicate of {survivor.reference}" in text for text in await lines(world, double))


async def test_merging_in_a_circle_or_into_what_is_over_is_refused_and_changes_nothing(world: World) -> None:
    """F025, F035."""
    ada = Actor.person(await world.person("ada"))
    async with world.db.begin() as tx:
        one, two, three = [await incidents.declare(tx, ada, title=title) for title in ("One", "Two", "Three")]
        await relating.mark_duplicate(tx, world.root, one.id, two.id)
        with pytest.raises(Conflict):
            await relating.mark_duplicate(tx, world.root, two.id, one.id)
        with pytest.raises(Conflict):
            await relating.merge(tx, world.root, one.id, [three.id])
        for refs in ([], [two.id], ["INC-999"], [three.id] * 21):
            with pytest.raises(Invalid):
                await relating.merge(tx, world.root, two.id, refs)
        assert three.status == "declared"
