"""Every page: who may see it, that it is escaped, and that it keeps to the content security policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from tests.surfaces.web_client import Page, browser
from tests.world import World
from tocsin.alerts.model import ALERT_ID, SOURCE_ID
from tocsin.edge.cursors import write_place
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import USER_ID, Actor, User
from tocsin.incidents import service as incidents
from tocsin.oncall.model import POLICY_ID

HOSTILE = "<script>alert(1)</script> \"quoted\" & 'single'"


@dataclass
class Scene:
    """An organisation with something of everything, much of it with a hostile name."""

    admin: User
    responder: User
    stakeholder: User
    paths: dict[str, str]


@pytest.fixture
async def scene(world: World) -> Scene:
    admin = await world.person("ada", role="admin")
    responder = await world.person("bob")
    stakeholder = await world.person("cleo", role="stakeholder", reachable=False)
    policy = await world.policy([responder, admin], name=HOSTILE)
    await world.route(policy, 'severity <= 2 && title != "<b>"', name=HOSTILE)
    alert = await world.alert(HOSTILE, description=HOSTILE, labels={"team": HOSTILE})
    async with world.db.begin() as tx:
        await identity.update_organisation(tx, Actor.person(admin), identity.OrganisationChanges(name=HOSTILE))
        await identity.update_user(tx, Actor.person(admin), responder.id, UserChanges(name=HOSTILE))
        incident = await incidents.declare(tx, Actor.person(admin), alert_id=alert.id, summary=HOSTILE)
        await incidents.comment(tx, Actor.person(responder), incident.id, f"**bold** {HOSTILE}")
    source = await world.source("pagerduty")
    return Scene(
        admin,
        responder,
        stakeholder,
        {
            "incidents": "/incidents",
            "resolved": "/incidents?tab=resolved&q=%25",
            "incident": f"/incidents/{incident.reference}",
            "alerts": "/alerts",
            "alert": f"/alerts/{ALERT_ID.write(alert.id)}",
            "policies": "/policies",
            "policy": f"/policies/{POLICY_ID.write(policy.id)}",
            "routes": "/routes",
            "people": "/people",
            "person": f"/people/{USER_ID.write(responder.id)}",
            "tokens": "/tokens",
            "sessions": "/sessions",
            "sources": "/sources",
            "source": f"/sources/{SOURCE_ID.write(source.id)}",
            "declare": "/incidents/new",
            "new policy": "/policies/new",
            "organisation": "/organisation",
        },
    )


async def pages_of(world: World, scene: Scene, person: User) -> dict[str, int]:
    found: dict[str, int] = {}
    async with browser(world, person) as web:
        for name, path in scene.paths.items():
            page = await web.get(path)
            found[name] = page.status
            keeps_to_the_rules(name, page)
    return found


def keeps_to_the_rules(name: str, page: Page) -> None:
    """Nothing that was typed becomes markup, no id stands twice, nothing runs that the policy forbids."""
    assert page.read.refused == [], (name, page.read.refused)
    assert "<script>alert" not in page.html, name
    twice = {id for id in page.read.ids if page.read.ids.count(id) > 1}
    assert not twice, (name, twice)
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] in ("no-store", "no-store, no-transform")


async def test_an_administrator_sees_every_page(world: World, scene: Scene) -> None:
    """F119."""
    assert set((await pages_of(world, scene, scene.admin)).values()) == {200}


async def test_a_responder_sees_what_concerns_response(world: World, scene: Scene) -> None:
    """F119."""
    found = await pages_of(world, scene, scene.responder)
    assert {name for name, status in found.items() if status != 200} == {"new policy", "organisation"}


async def test_a_stakeholder_reads(world: World, scene: Scene) -> None:
    """F117, F119."""
    found = await pages_of(world, scene, scene.stakeholder)
    hidden = {"new policy", "declare", "sources", "source", "organisation"}
    assert {name for name, status in found.items() if status == 403} == hidden
    assert {status for status in found.values()} == {200, 403}


async def test_who_came_by_a_link_sees_the_page_for_a_new_password(world: World, scene: Scene) -> None:
    async with world.db.begin() as tx:
        token = await identity.make_sign_in_link(tx, world.root, scene.responder.id, timedelta(hours=1))
    async with browser(world) as web:
        await web.do(await web.get(f"/link/{token}"), "link")
        page = await web.get("/new-password")
    assert (page.status, page.path) == (200, "/new-password")
    assert "&lt;script&gt;" in page.html
    keeps_to_the_rules("new password", page)


@pytest.mark.parametrize("moment", ["2026-01-01T00:00:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("path", ["/incidents", "/alerts", "/sources"])
async def test_a_place_that_no_list_has_begins_at_the_start(world: World, path: str, moment: str) -> None:
    """F113: addresses are typed, shortened and guessed; none of them breaks a list."""
    ada = await world.person("ada", role="admin")
    source = await world.source("generic")
    url = f"{path}/{SOURCE_ID.write(source.id)}" if path == "/sources" else path
    async with browser(world, ada) as web:
        page = await web.get(f"{url}?before={write_place((moment, source.id))}")
        assert page.status == 200


async def test_the_page_of_all_components_is_there_in_development_only(world: World) -> None:
    """In production it is as if there were none, for whoever asks."""
    ada = await world.person("ada", role="admin")
    async with browser(world, ada) as web:
        assert (await web.fetch("/ui")).status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/incidents?tag=%00", 200),
        ("/incidents?q=disk%00", 200),
        ("/alerts?tab=all&q=disk%00", 200),
        ("/people?q=disk%00", 200),
        ("/roles/%00", 404),
        ("/teams/%00", 404),
        ("/access/%00", 404),
    ],
)
async def test_what_the_store_cannot_hold_is_found_nowhere(world: World, path: str, status: int) -> None:
    """F120: a NUL in an address is a text that nothing has, and no fault of ours."""
    async with browser(world, await world.person("ada", role="admin")) as web:
        assert (await web.get(path)).status == status


@pytest.mark.parametrize("role", ["stakeholder", "communicator"])
async def test_whoever_may_less_is_offered_nothing_that_is_closed_to_them(world: World, role: str) -> None:
    """13: every link of what they read leads somewhere; what is closed says who may, and leads back."""
    ada, tea = await world.person("ada", role="admin"), await world.person("tea", role=role)
    await world.route(await world.policy([ada, tea]))
    alert = await world.alert("Checkout is down")
    await world.settle()
    async with world.db.begin() as tx:
        declared = await incidents.declare(tx, Actor.person(ada), title="Checkout", severity=2, alert_id=alert.id)
    async with browser(world, tea) as web:
        for path in (f"/alerts/{ALERT_ID.write(alert.id)}", f"/incidents/{declared.reference}", "/incidents", "/inbox"):
            page = await web.get(path)
            assert page.status == 200, path
            inside = {link for link in page.read.links if link.startswith("/")}
            closed = [link for link in sorted(inside) if (await web.get(link)).status == 403]
            assert closed == [], path
        answer = await web.get("/sources", referer="http://127.0.0.1:8700/alerts?q=x")
        assert answer.status == 403 and "/alerts?q=x" in answer.read.links
        assert "see alert sources and what they sent (source.view)" in answer.html
        assert "The role for it is admin or responder." in answer.html
