"""Answers are packed, and nothing that is secret can be read from how well they pack."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World
from tocsin.alerts.model import ALERT_ID, SOURCE_ID
from tocsin.edge import csrf
from tocsin.edge.auth import COOKIE
from tocsin.edge.packing import LEVEL, Packing, pack, takes_gzip
from tocsin.identity import service as identity
from tocsin.identity.model import USER_ID, Actor, User
from tocsin.incidents import service as incidents
from tocsin.kit.ids import new_id
from tocsin.notifications import service as notifications

HOOK = "https://hooks.example.org/services/a-hidden-path"
GZIP = {"accept-encoding": "gzip, br"}
TOKEN = re.compile(r'name="_csrf_token" value="([^"]*)"')


@dataclass
class Scene:
    """An administrator, and what of theirs nobody else may know."""

    ada: User
    web: Browser
    source: str
    secrets: dict[str, str]


@pytest.fixture
async def scene(world: World) -> AsyncIterator[Scene]:
    ada = await world.person("ada", role="admin")
    await world.route(await world.policy([ada]), "true")
    for n in range(12):
        await world.alert(f"Disk {n} is full", labels={"team": "storage"})
    source = await world.source()
    async with world.db.begin() as tx:
        who = Actor.person(ada)
        await incidents.declare(tx, who, title="Disks are full")
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address=HOOK
        )
    async with browser(world, ada) as web:
        cookie = web.http.cookies[COOKIE]
        token = csrf._secret(world.app.context, cookie).hex()  # pyright: ignore
        secrets = {"source": source.token, "webhook": "a-hidden-path", "session": cookie, "form": token}
        yield Scene(ada, web, f"/sources/{SOURCE_ID.write(source.id)}", secrets)


def is_packed(page: Page) -> bool:
    return page.headers.get("content-encoding") == "gzip"


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5, br", True),
        ("gzip;q=1.0", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("br, zstd", False),
        ("x-gzip-not", False),
        ("", False),
    ],
)
def test_who_takes_gzip(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) is takes


async def test_a_page_is_packed_for_whoever_takes_it_so(scene: Scene) -> None:
    plain = await scene.web.http.get("/alerts", headers={"accept-encoding": "identity"})
    packed = await scene.web.http.get("/alerts", headers=GZIP)
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    assert len(plain.content) == int(plain.headers["content-length"]) > 4 * int(packed.headers["content-length"])
    assert gzip.decompress(pack(plain.content, LEVEL)) == plain.content
    # A document of the API as well; what is short, and what a form is answered with, is left as it is.
    assert is_packed(await scene.web.get("/api/v1/alerts", **GZIP))
    assert not is_packed(await scene.web.get("/api/v1/me", **GZIP))
    assert not is_packed(await scene.web.fetch("/"))
    token = (await scene.web.get("/alerts")).read.forms["sign-out"]["_csrf_token"][0]
    body = {"action": "acknowledge", "ids": [ALERT_ID.write(new_id()) for _ in range(20)]}
    told = await scene.web.http.post("/api/v1/alerts/actions/bulk", json=body, headers={**GZIP, "x-csrf-token": token})
    assert told.status_code == 200 and len(told.content) > 1024 and "content-encoding" not in told.headers


async def test_an_answer_in_parts_is_not_packed_as_if_the_first_were_all() -> None:
    """Section 8: of an answer that comes in parts nothing is lost, and the first is not passed off as all."""
    parts = [b"a" * 2000, b"b" * 2000]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        for n, part in enumerate(parts):
            await send({"type": "http.response.body", "body": part, "more_body": n + 1 < len(parts)})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "GET", "path": "/alerts", "headers": [(b"accept-encoding", b"gzip")]}
    await Packing(app)(scope, cast(Any, None), send)
    assert [each["type"] for each in sent] == ["http.response.start", *["http.response.body"] * 2]
    assert b"content-encoding" not in dict(sent[0]["headers"])
    assert b"".join(each["body"] for each in sent[1:]) == b"".join(parts)


async def test_head_says_what_get_says(scene: Scene) -> None:
    answer = await scene.web.http.head("/nowhere", headers=GZIP)
    assert answer.status_code == 404 and answer.content == b""


async def test_no_two_answers_have_the_same_bytes_for_the_form_token(world: World, scene: Scene) -> None:
    """BREACH: what is guessed from one answer stands in no other."""
    pages = [await scene.web.get("/alerts", **GZIP) for _ in range(5)]
    assert all(map(is_packed, pages))
    seen = [set(TOKEN.findall(page.html)) for page in pages]
    assert [len(each) for each in seen] == [1] * 5
    written = [each.pop() for each in seen]
    # Not even a few letters of one stand at their place in another more often than chance has it.
    for n in range(0, len(written[0]), 8):
        assert len({each[n : n + 8] for each in written}) == 5
    # What is masked is taken; what is behind the mask is not, nor is it shown.
    plain = scene.secrets["form"]
    assert not any(plain in page.html for page in pages)
    declare = {"title": "x", "severity": "3"}
    for token, status in (
        (written[0], 303),
        (written[4], 303),
        (plain, 403),
        ("0" * 128, 403),
        (written[0].upper(), 403),
        (written[0][:-2], 403),
        (f"{written[0]}é", 403),
    ):
        sent = await scene.web.send("/incidents", {"_csrf_token": token, "form_id": token[-32:], **declare})
        assert sent.status == status, token


async def test_a_page_with_a_secret_and_words_of_others_is_not_packed(world: World, scene: Scene) -> None:
    """A tool's own words stand on the page of its source, beside its token: a right guess must not make it shorter."""
    token = scene.secrets["source"]
    for words in ("", token, token[::-1]):
        page = await scene.web.get(f"{scene.source}?before={words}", **GZIP)
        assert not is_packed(page) and token in page.html
        assert page.headers["cache-control"] == "no-store, no-transform"


async def test_a_guess_in_a_packed_page_is_worth_nothing(scene: Scene) -> None:
    """A search is repeated on the page that it is answered with, as long as one likes."""

    async def length(words: str) -> int:
        answer = await scene.web.http.get("/alerts", params={"q": words}, headers=GZIP)
        return int(answer.headers["content-length"])

    masked = TOKEN.findall((await scene.web.get("/alerts")).html)[0]
    for words in (scene.secrets["form"], masked[:64], masked[64:]):
        # A string as long and as random, and just as wrong.
        other = words[::-1]
        right, wrong = [sorted([await length(each) for _ in range(9)])[4] for each in (words, other)]
        # What stands on the page already takes three bytes; what does not, of these letters, more than thirty.
        assert abs(right - wrong) < 15


async def test_no_packed_answer_shows_what_nobody_else_may_know(world: World, scene: Scene) -> None:
    """Every page that leads from one to the other, and what shows a secret this once."""
    web, packed, plain = scene.web, dict[str, str](), dict[str, str]()

    def note(place: str, page: Page) -> None:
        (packed if is_packed(page) else plain)[place] = page.html

    tokens = await web.get("/tokens")
    made = await web.submit(tokens, "new-token", {"name": "a"})
    note("a token that was just made", made)
    scene.secrets["token"] = re.findall(r'id="new-token-value">([^<]+)', made.html)[0]
    invited = await web.submit(await web.get("/people"), "invite", {"name": "Bo", "email": "b@c.de", "role": "guest"})
    note("an invitation", invited)
    scene.secrets["invitation"] = re.findall(r'id="invite-url">[^<]*/link/([^<]+)', invited.html)[0]
    person = f"/users/{USER_ID.write(scene.ada.id)}"
    waiting = ["/incidents", f"/api/v1{person}/contact_methods", "/api/v1/alert_sources", "/api/v1/events?limit=100"]
    async with world.db.begin() as tx:
        link = await identity.make_sign_in_link(tx, Actor.person(scene.ada), scene.ada.id, timedelta(hours=1))
    scene.secrets["link"] = link
    waiting += [f"/link/{link}", f"/api/v1{scene.source.replace('/sources', '/alert_sources')}"]
    while waiting:
        place = waiting.pop().partition("#")[0]
        if not place.startswith("/") or place.startswith("/static") or place in packed or place in plain:
            continue
        page = await web.get(place, **GZIP)
        note(place, page)
        waiting += page.read.links if page.headers["content-type"].startswith("text/html") else []
    shown = {(place, name) for place, html in packed.items() for name, value in scene.secrets.items() if value in html}
    assert not shown
    # And that the secrets were looked for where they are.
    everywhere = "".join(plain.values())
    assert {name for name, value in scene.secrets.items() if value in everywhere} == set(scene.secrets) - {
        "form",
        "session",
    }
    assert len(packed) > 20
