"""What kind of incident it is, what belongs to it and what it does to whom: on its page, without JavaScript."""

from __future__ import annotations

from tests.surfaces.web_client import browser
from tests.world import World
from tocsin.incidents import service as incidents
from tocsin.incidents.vocabularies import Native


async def test_a_drill_is_declared_shown_as_one_and_made_real(world: World) -> None:
    """F010, F017, F018: in the list, on the page, in its title; category and priority have forms of their own."""
    ada, cleo = await world.person("ada"), await world.person("cleo", role="stakeholder")
    async with browser(world, ada) as web:
        fields = {"title": "Region lost", "severity": "2", "category": "reliability", "is_drill": "1", "page": []}
        page = await web.do(await web.get("/incidents/new"), "declare-form", fields)
        assert "This is a drill." in page.html and "INC-1 Drill: Region lost · " in page.html
        assert "Reliability" in page.html and "</span>P2</a>" in page.html
        listed = await web.get("/incidents")
        assert "Drill</span>" in listed.html and ">Drills" in listed.html
        assert "INC-1" not in (await web.get("/incidents?tab=all&drill=no")).html.partition("<table")[2]
        assert "INC-1" in (await web.get("/incidents?tab=all&drill=yes&category=reliability&priority=P2")).html
        page = await web.do(await web.get(f"{page.path}/category"), "category-form", {"category": "security"})
        page = await web.do(await web.get(f"{page.path}/priority"), "priority-form", {"priority": "P4"})
        assert "Security</span>" in page.html and "</span>P4</a>" in page.html
        page = await web.do(await web.get(f"{page.path}/drill"), "drill-form", {})
        assert "This is a drill." not in page.html and "said that this is no drill" in page.html
    async with browser(world, cleo) as web:
        assert f'{page.path}/drill"' not in (await web.get(page.path)).html
        assert (await web.http.get(f"{page.path}/drill")).status_code == 403


async def test_links_and_relations_are_made_and_taken_away_on_the_page(world: World) -> None:
    """F025, F026, F081: a meeting is offered at the head; hostile names are shown as text."""
    ada, cleo = await world.person("ada"), await world.person("cleo", role="stakeholder")
    async with world.db.begin() as tx:
        for title in ("Checkout is down", "Cards are refused"):
            await incidents.declare(tx, world.actor(ada), title=title)
    async with browser(world, ada) as web:
        fields = {"kind": "meeting", "url": "https://meet.example.org/7", "name": "<script>alert(1)</script>"}
        page = await web.do(await web.get("/incidents/INC-1/links/new"), "link-form", fields)
        assert "Link added." in page.html and "Join call" in page.html and "<script>alert" not in page.html
        assert 'rel="noopener noreferrer nofollow"' in page.html
        refused = await web.submit(
            await web.get("/incidents/INC-1/links/new"), "link-form", {"kind": "chat", "url": "javascript:alert(1)"}
        )
        assert refused.status == 422 and 'id="link-form-url-err"' in refused.html
        fields = {"incident": "INC-2", "relation": "parent"}
        page = await web.do(await web.get("/incidents/INC-1/relations/new"), "relation-form", fields)
        assert "Parent, INC-2" in page.html
        assert "Child, INC-1" in (await web.get("/incidents/INC-2")).html
        page = await web.do(page, "unrelate-INC-2", {})
        assert "Parent, INC-2" not in page.html
    async with browser(world, cleo) as web:
        page = await web.get("/incidents/INC-1")
        assert "Join call" in page.html and "/links/new" not in page.html
        assert (await web.http.get("/incidents/INC-1/links/new")).status_code == 403


async def test_customer_impact_has_a_section_and_a_form(world: World) -> None:
    """F016, F129: and a severity that was not recognised says so."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        await incidents.declare(tx, world.actor(ada), title="Slow", severity=Native("soda", "dreadful"))
    async with browser(world, ada) as web:
        fields = {"affected_users": "2,300", "affected_percent": "38,5", "consequence": "<i>x"} | {
            "affected_regions": "EU, US"
        }
        page = await web.do(await web.get("/incidents/INC-1/impact"), "impact-form", fields)
        assert "Severity not recognised: dreadful" in page.html
        assert "2,300</b> users" in page.html and "38.5 %" in page.html and "&lt;i&gt;x" in page.html
        wrong = await web.submit(await web.get("/incidents/INC-1/impact"), "impact-form", {"affected_users": "many"})
        assert wrong.status == 422 and 'id="impact-form-affected_users-err"' in wrong.html
