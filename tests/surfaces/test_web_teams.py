"""Teams, roles and who has access to one thing, in the browser."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.surfaces.web_client import Browser, Fields, Page, browser
from tests.world import World
from tocsin.alerts import queries as alerts
from tocsin.alerts import service as alert_service
from tocsin.alerts.model import SOURCE_ID, SourceKind
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import TEAM_ID, USER_ID, User
from tocsin.incidents import queries as incidents
from tocsin.incidents import service as incident_service
from tocsin.incidents.model import INCIDENT_ID, Incident


@pytest.fixture
async def ada(world: World) -> User:
    return await world.person("ada", role="admin")


@pytest.fixture
async def web(world: World, ada: User) -> AsyncIterator[Browser]:
    async with browser(world, ada) as web:
        yield web


async def _send(web: Browser, path: str, fields: Fields) -> Page:
    """Send what no form of the page would, with a token that is good."""
    token = (await web.get("/teams")).read.forms["sign-out"]["_csrf_token"]
    return await web.send(path, {**fields, "_csrf_token": token})


async def _members(world: World, path: str) -> dict[str, str | None]:
    id = TEAM_ID.read(path.rpartition("/")[2])
    async with world.db.begin() as tx:
        return {person.name: role for person, role in (await queries.members(tx, [id]))[id]}


async def _incident(world: World) -> Incident:
    async with world.db.begin() as tx:
        return await incident_service.declare(tx, world.root, title="Card data", severity=2)


async def test_a_team_is_made_filled_and_archived(world: World, web: Browser) -> None:
    """F118."""
    bob, cyd = await world.person("bob"), await world.person("cyd")
    page = await web.get("/teams")
    assert "No teams yet" in page.html
    page = await web.open(page, "new-team")
    fields = {"name": "Payments", "description": "Cards and payouts."}
    made = await web.do(page, "new-team", fields)
    assert made.path.startswith("/teams/tem_") and "Team created." in made.html and "Nobody is in it yet" in made.html
    assert (await web.submit(page, "new-team", fields)).status == 303, "sent twice, it is made once"
    async with world.db.begin() as tx:
        assert [team.name for team in await queries.teams(tx, EVERYTHING)] == ["Payments"]
    other = await web.do(page, "new-team", fields | {"name": "Refunds"})
    assert "Team created." in other.html, "gone back to and changed, it is another one"

    people = [USER_ID.write(bob.id), USER_ID.write(cyd.id)]
    filled = await web.do(made, "add-members", {"user_id": people, "role": "responder"})
    assert await _members(world, made.path) == {"Bob": "responder", "Cyd": "responder"}
    await web.do(filled, f"role-{USER_ID.write(bob.id)}", {"role": ""})
    assert await _members(world, made.path) == {"Bob": None, "Cyd": "responder"}
    await web.do(filled, f"remove-{USER_ID.write(cyd.id)}-form")
    assert await _members(world, made.path) == {"Bob": None}
    empty = await _send(web, f"{made.path}/members", {"role": "responder"})
    assert empty.status == 422 and "Choose at least one." in empty.html

    await web.do(filled, "archive-form")
    archived = await web.get("/teams?tab=archived")
    assert "Payments" in archived.html and "Payments" not in (await web.get("/teams")).html.partition("<table")[2]
    back = await web.do(await web.get(made.path), "unarchive")
    assert "Team restored." in back.html


async def test_a_team_that_somebody_changed_meanwhile_is_not_overwritten(world: World, web: Browser) -> None:
    """F118: the second of two who edit reads that somebody was faster, and loses nothing that they typed."""
    page = await web.do(await web.get("/teams"), "new-team", {"name": "Payments"})
    old = await web.open(page, "edit-team")
    await web.do(page, "edit-team", {"name": "Cards"})
    late = await web.submit(old, "edit-team", {"name": "Payouts"})
    assert late.status == 409 and " changed the name" in late.html and "Set mine anyway" in late.html
    assert 'value="Payouts"' in late.html
    taken = await web.do(await web.get("/teams"), "new-team", {"name": "Search"})
    refused = await web.submit(taken, "edit-team", {"name": "Cards"})
    assert refused.status == 422 and "There is a team of this name already." in refused.html


async def test_only_who_manages_teams_changes_them_and_a_private_one_is_not_there(world: World, web: Browser) -> None:
    """F118."""
    private = await web.do(await web.get("/teams"), "new-team", {"name": "Security", "is_private": "1"})
    open_one = await web.do(await web.get("/teams"), "new-team", {"name": "Payments"})
    async with browser(world, await world.person("bob")) as theirs:
        page = await theirs.get("/teams")
        assert "Payments" in page.html and "Security" not in page.html and "new-team" not in page.read.forms
        assert (await theirs.get(private.path)).status == 404
        shown = await theirs.get(open_one.path)
        assert shown.status == 200 and not set(shown.read.forms) & {"edit-team", "add-members", "archive-form"}
        for verb in ("", "/members", "/members/role", "/members/remove", "/archive", "/unarchive"):
            assert (await _send(theirs, open_one.path + verb, {"name": "Mine"})).status == 403
            assert (await _send(theirs, private.path + verb, {"name": "Mine"})).status in (403, 404)
        assert (await _send(theirs, "/teams", {"name": "Mine"})).status == 403
    assert (await web.get(open_one.path)).html.count("Mine") == 0


async def test_the_page_of_a_team_shows_what_it_owns_and_the_reader_may_see(world: World, web: Browser) -> None:
    """F118: a source or an incident that is hidden from the reader is not named by the team that owns it, too."""
    page = await web.do(await web.get("/teams"), "new-team", {"name": "Payments"})
    team = TEAM_ID.read(page.path.rpartition("/")[2])
    incident = await _incident(world)
    async with world.db.begin() as tx:
        source = await alert_service.create_source(tx, world.root, name="Prometheus EU", kind=SourceKind.GENERIC)
        owners = identity.Owners([team], is_private=True)
        await incident_service.change_owners(tx, world.root, incident.owned.things[0], owners)
        await alert_service.update_source(
            tx, world.root, source.id, alert_service.SourceChanges(owners=identity.Owners([team]))
        )
    shown = await web.get(page.path)
    assert "Card data" in shown.html and "Prometheus EU" in shown.html
    async with browser(world, await world.person("bob")) as theirs:
        shown = await theirs.get(page.path)
        assert "Card data" not in shown.html and "Prometheus EU" in shown.html


async def test_a_role_is_made_changed_and_deleted_when_nobody_has_it(world: World, web: Browser) -> None:
    """F118."""
    page = await web.get("/roles")
    assert "Acts on alerts and incidents" in page.html
    fields = {"name": "Night desk", "permissions": ["incident.view", "incident.declare"]}
    made = await web.do(page, "new-role", fields)
    assert made.path == "/roles/night-desk" and "Nobody has it." in made.html
    assert set(made.read.forms["edit-role"]["permissions"]) == {"incident.view", "incident.declare", "self.edit"}
    saved = await web.do(made, "edit-role", {"permissions": ["incident.view"]})
    assert set(saved.read.forms["edit-role"]["permissions"]) == {"incident.view", "self.edit"}
    assert (await web.submit(made, "edit-role", {"permissions": ["alert.view"]})).status == 409
    await world.person("bob", role="night-desk")
    used = await web.submit(await web.get(made.path), "delete-role-form")
    assert used.status == 409 and "is in use: 1 person" in used.html
    assert "1 person" in (await web.get(made.path)).html
    spare = await web.do(await web.get("/roles"), "new-role", {"name": "Spare", "permissions": ["incident.view"]})
    assert (await web.do(spare, "delete-role-form")).path == "/roles"
    built_in = await web.get("/roles/responder")
    assert "it cannot be changed" in built_in.html and "edit-role" not in built_in.read.forms
    assert (await _send(web, "/roles/responder", {"name": "Boss"})).status == 404
    assert (await web.get("/roles/nonsense")).status == 404
    async with browser(world, await world.person("cyd")) as theirs:
        assert (await theirs.get("/roles")).status == 200
        assert (await _send(theirs, "/roles", fields)).status == 403
        assert (await _send(theirs, "/roles/night-desk", fields)).status == 403


async def test_who_owns_an_incident_and_is_granted_it_is_changed_on_its_page_of_access(
    world: World, web: Browser
) -> None:
    """F118: what is private to a team is seen by who is in it, or was granted it, and by nobody else."""
    bob, cyd = await world.person("bob", role="stakeholder"), await world.person("cyd")
    team = await web.do(await web.get("/teams"), "new-team", {"name": "Security"})
    incident = await _incident(world)
    path = f"/access/{INCIDENT_ID.write(incident.id)}"
    page = await web.get(path)
    owned = await web.do(page, "owners", {"team_ids": [team.path.rpartition("/")[2]], "is_private": "1"})
    assert "Saved." in owned.html
    other = await web.do(await web.get("/teams"), "new-team", {"name": "Search"})
    assert (await web.submit(page, "owners", {"team_ids": [other.path.rpartition("/")[2]]})).status == 409
    async with browser(world, bob) as theirs:
        assert (await theirs.get(f"/incidents/{incident.reference}")).status == 404
        assert (await theirs.get(path)).status == 404
        await web.do(owned, "grant", {"holder": f"user:{USER_ID.write(bob.id)}", "role": "stakeholder"})
        assert (await theirs.get(f"/incidents/{incident.reference}")).status == 200
        # They see it, and cannot hand it on.
        assert (await theirs.get(path)).status == 403
        mine = {"holder": f"user:{USER_ID.write(cyd.id)}", "role": "stakeholder"}
        assert (await _send(theirs, f"{path}/grant", mine)).status == 403
        granted = await web.get(path)
        (place,) = [place for place in granted.read.dialogs if place.endswith("/revoke")]
        asked = await web.get(place)
        assert "Take it back from Bob" in asked.html
        await web.do(asked, f"revoke-{place.split('/')[-2]}-form")
        assert (await theirs.get(f"/incidents/{incident.reference}")).status == 404
    async with world.db.begin() as tx:
        assert (await incidents.get(tx, EVERYTHING, incident.id)).is_private
    for wrong in ({"holder": "user:usr_1", "role": "stakeholder"}, {"holder": "", "role": ""}):
        assert (await _send(web, f"{path}/grant", wrong)).status == 422
    assert (await web.get("/access/nonsense")).status == 404


async def test_a_source_is_given_to_a_team_on_its_page_of_access(world: World, web: Browser) -> None:
    """F118."""
    async with world.db.begin() as tx:
        source = await alert_service.create_source(tx, world.root, name="Prometheus EU", kind=SourceKind.GENERIC)
    team = await web.do(await web.get("/teams"), "new-team", {"name": "Platform"})
    link = f"/access/{SOURCE_ID.write(source.id)}"
    assert f'href="{link}"' in (await web.get(SOURCE_ID.page(source.id))).html
    await web.do(await web.get(link), "owners", {"team_ids": [team.path.rpartition("/")[2]]})
    async with world.db.begin() as tx:
        found = await alerts.source(tx, EVERYTHING, source.id)
    assert found.team_ids == [TEAM_ID.read(team.path.rpartition("/")[2])] and not found.is_private


async def test_whoever_may_not_see_people_is_shown_none_by_a_form(world: World, web: Browser) -> None:
    """F118: neither by the form of a team that they lead, nor by that of a thing that they were granted."""
    async with world.db.begin() as tx:
        lead = await identity.create_role(tx, world.root, name="Lead", permissions=["team.manage", "incident.edit"])
    gil = await world.person("gil", role="guest")
    await world.person("zoe")
    team = await web.do(await web.get("/teams"), "new-team", {"name": "Payments"})
    await web.do(team, "add-members", {"user_id": [USER_ID.write(gil.id)], "role": lead.key})
    incident = await _incident(world)
    path = f"/access/{INCIDENT_ID.write(incident.id)}"
    await web.do(await web.get(path), "owners", {"team_ids": [team.path.rpartition("/")[2]]})
    async with browser(world, gil) as theirs:
        token = (await theirs.get("/incidents")).read.forms["sign-out"]["_csrf_token"]
        for page in (
            await theirs.get(team.path),
            await theirs.get(path),
            await theirs.send(f"{team.path}/members", {"_csrf_token": token}),
            await theirs.send(f"{path}/grant", {"holder": "", "role": "", "_csrf_token": token}),
        ):
            assert page.status == 403 and "Zoe" not in page.html
