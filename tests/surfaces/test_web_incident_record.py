"""What kind of incident it is, what belongs to it and what it does to whom: on its page, without JavaScript."""

from __future__ import annotations

from tests.surfaces.web_client import browser
from tests.world import World


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
