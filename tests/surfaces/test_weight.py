"""How many bytes a screen is, as they go over the line: a budget for each, so that nobody notices only on a phone."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.surfaces.test_web_acknowledge import paged
from tests.surfaces.web_client import Browser, browser
from tests.world import World
from tocsin.edge.packing import pack
from tocsin.identity import service as identity
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import service as incidents
from tocsin.incidents.type_model import GENERAL, TYPE_ID
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base import assets

KB = 1024
GZIP = {"accept-encoding": "gzip"}
# What the pages of people ask for only when they are there to be read: the API's document.
ELSEWHERE = {"js/api-docs.js"}
# A list has 50 rows. Each budget is what the page may weigh; what is well below it stays there.
PAGES = {
    "alerts": 12 * KB,
    "incidents": 12 * KB,
    # With 50 comments in its timeline.
    "incident": 12 * KB,
    "alert": 8 * KB,
    "declare": 6 * KB + 256,
    "people": 8 * KB,
    "policies": 6 * KB,
    "policy": 8 * KB,
    "new policy": 8 * KB,
    "routes": 12 * KB,
    "sources": 6 * KB,
    "organisation": 6 * KB,
    "sessions": 5 * KB,
    "teams": 6 * KB,
    # With 50 rows each.
    "action items": 12 * KB,
    "action items of an incident": 12 * KB,
    "nothing": 4 * KB,
}
WORDS = """
ferry harbour berth queue checkout payment search gateway replica shard disk latency error timeout certificate backup
ticket booking crane pilot tide north south east west primary standby worker mail webhook cache index import export
login session token region cluster node pod volume network route price refund invoice manifest
"""


@dataclass
class Scene:
    """Somebody in a large organisation, with much going on."""

    web: Browser
    paths: dict[str, str]


def phrase(chance: random.Random, length: int) -> str:
    return " ".join(chance.choices(WORDS.split(), k=length)).capitalize()


@pytest.fixture
async def scene(world: World) -> AsyncIterator[Scene]:
    chance = random.Random(8)
    ada = await world.person("ada", role="admin")
    who = Actor.person(ada)
    async with world.db.begin() as tx:
        for n in range(60):
            name = f"{phrase(chance, 1)} {phrase(chance, 1)}"
            await identity.create_user(tx, world.root, email=f"{n}@example.org", name=name, role="responder")
    policies = [await world.policy([ada, ada], name=f"{phrase(chance, 2)} {n}") for n in range(6)]
    for n in range(20):
        place = f'labels["team"] == "{phrase(chance, 1)}{n}"'
        await world.route(policies[n % 6], place, name=f"{phrase(chance, 2)} {n}")
    for n in range(60):
        labels = {"team": phrase(chance, 1), "service": phrase(chance, 1), "host": f"{chance.randrange(16**8):08x}"}
        alert = await world.alert(f"{phrase(chance, 5)} {n}", labels=labels, description=phrase(chance, 20))
    found: Any = None
    for n in range(60):
        async with world.db.begin() as tx:
            given = {"title": f"{phrase(chance, 6)} {n}", "severity": 1 + n % 5, "summary": phrase(chance, 30)}
            found = await incidents.declare(tx, who, **given)
    for _ in range(50):
        async with world.db.begin() as tx:
            await incidents.comment(tx, who, found.id, f"{phrase(chance, 25)}.")
    for n in range(60):
        async with world.db.begin() as tx:
            text = f"{phrase(chance, 6)} {n}"
            await incidents.create_action_item(tx, who, found.id, description=text, assignee_id=ada.id)
    async with browser(world, ada) as web:
        alert = re.findall(r'href="(/alerts/[^"?/]+)"', (await web.get("/alerts")).html)[0]
        paths = {
            "alerts": "/alerts",
            "incidents": "/incidents",
            "incident": f"/incidents/{found.reference}",
            "alert": alert,
            "declare": "/incidents/new",
            "people": "/people",
            "policies": "/policies",
            "policy": f"/policies/{POLICY_ID.write(policies[0].id)}",
            "new policy": "/policies/new",
            "routes": "/routes",
            "sources": "/sources",
            "organisation": "/organisation",
            "sessions": "/sessions",
            "incident types": "/organisation/types",
            "incident type": f"/organisation/types/{TYPE_ID.write(GENERAL)}",
            "custom fields": "/organisation/fields",
            "teams": "/teams",
            "action items": "/action-items",
            "action items of an incident": f"/incidents/{found.reference}/action-items",
            "nothing": "/nothing/here",
            "person": f"/people/{USER_ID.write(ada.id)}",
        }
        yield Scene(web, paths)


async def test_pages_keep_to_their_budgets(scene: Scene) -> None:
    sizes: dict[str, int] = {}
    for name, limit in PAGES.items():
        answer = await scene.web.http.get(scene.paths[name], headers=GZIP)
        assert answer.status_code == (404 if name == "nothing" else 200)
        sizes[name] = int(answer.headers["content-length"])
        print(f"{name}: {sizes[name]} of {limit}, {len(answer.content)} unpacked")
    assert {name: size for name, size in sizes.items() if size > PAGES[name]} == {}


async def test_a_live_update_is_less_than_the_page(scene: Scene) -> None:
    """What stands around a page is not brought again; of what is a fragment, only what has changed."""
    for name in ("incident", "incidents", "alerts", "alert"):
        whole = await scene.web.http.get(scene.paths[name], headers=GZIP)
        update = await scene.web.http.get(scene.paths[name], headers={**GZIP, "hx-request": "true", "x-known": ""})
        sizes = [int(each.headers["content-length"]) for each in (whole, update)]
        digests = ",".join(re.findall(r'data-digest="([0-9a-f]+)"', update.text))
        again = await scene.web.http.get(scene.paths[name], headers={**GZIP, "hx-request": "true", "x-known": digests})
        print(f"live update of {name}: {sizes[1]} of {sizes[0]}, nothing changed {again.headers['content-length']}")
        assert sizes[1] < sizes[0]
        assert "data-digest" not in again.text and int(again.headers["content-length"]) <= 5 * KB


def weight(name: str) -> int:
    body = assets._ASSETS[name].body
    return len(body) if name.endswith(".woff2") else len(pack(body, 9))


async def test_what_every_page_asks_for_keeps_to_its_budget(scene: Scene) -> None:
    html = (await scene.web.get("/incidents")).html
    asked = {name for name in re.findall(r'(?:src|href)="/static/([^"?#]+)', html)}
    # Whatever of ours is imported, by way of others as well, and what a worker of the browser runs.
    scripts = {name for name in asked if name.endswith(".js")}
    scripts |= {name for name in assets._ASSETS if name.startswith("js/")} - ELSEWHERE
    first = sum(map(weight, scripts)) + weight(assets.SHEET)
    icons = sum(weight(name) for name in asked if name.endswith(".svg"))
    fonts = sum(weight(name) for name in assets._ASSETS if name.endswith(".woff2"))
    print(f"scripts and styles {first}, styles alone {weight(assets.SHEET)}, icons {icons}, fonts {fonts}")
    assert "vendor/icons.svg" in asked and "vendor/htmx.min.js" in scripts and "js/live.js" in scripts
    assert first <= 60 * KB
    assert icons <= 8 * KB
    assert fonts <= 55 * KB


def test_the_sprite_has_what_is_used_and_nothing_else() -> None:
    """An icon that nobody shows is carried to everybody."""
    everything = "".join(
        path.read_text()
        for kind in ("*.html", "*.py", "*.js")
        for path in assets.FOLDER.parent.parent.rglob(kind)
        if "vendor" not in path.parts
    )
    drawn = re.findall(r'<symbol id="([^"]+)"', assets._ASSETS["vendor/icons.svg"].body.decode())
    assert [name for name in drawn if not re.search(rf"[\"'#]{name}[\"' ]", everything)] == []


async def test_the_page_to_acknowledge_is_small(world: World) -> None:
    """On a bad line in the night it is one answer that counts, and it is not packed: its address is a secret."""
    ada = await world.person("ada")
    _, link = await paged(world, ada)
    async with browser(world) as web:
        answer = await web.http.get(link, headers=GZIP)
    assert answer.status_code == 200 and "content-encoding" not in answer.headers
    print(f"page to acknowledge: {len(answer.content)}")
    assert len(answer.content) <= 8 * KB
