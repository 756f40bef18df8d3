"""Comments by the API, on the page and wherever else they are shown: as they read now, and never what was erased."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.open_streams import opened_with
from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World, minutes
from tocsin.identity.model import Actor, User
from tocsin.incidents import service as incidents
from tocsin.incidents.model import COMMENT_ID
from tocsin.oncall.escalation import PageTarget

COMMENTS = "/incidents/INC-1/comments"


@dataclass
class Stage:
    """Ada wrote something, Bob responds too, Com may comment, Cleo reads, Root administers."""

    api: Api
    people: dict[str, User]
    clients: dict[str, httpx.AsyncClient]
    id: str = ""
    link: str = ""

    @property
    def path(self) -> str:
        return f"{COMMENTS}/{self.id}"


@pytest.fixture
async def stage(api: Api) -> Stage:
    roles = {"ada": "responder", "bob": "responder", "com": "communicator", "cleo": "stakeholder", "root": "admin"}
    people = {name: await api.world.person(name, role=role) for name, role in roles.items()}
    made = Stage(api, people, {name: await api.as_(person) for name, person in people.items()})
    async with api.world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(people["bob"]), title="Checkout is down")
        await incidents.page(tx, Actor.person(people["bob"]), "INC-1", [PageTarget("user", people["ada"].id)])
    await api.world.settle()
    made.link = str(api.world.mail.to(people["ada"])[-1].acknowledge_url).removeprefix("http://127.0.0.1:8700")
    written = await made.clients["ada"].post(
        COMMENTS, json={"body": "The password is hunter2."}, headers={"Idempotency-Key": "once"}
    )
    assert written.status_code == 201, written.text
    made.id = written.json()["id"]
    return made


async def test_a_comment_is_read_edited_and_looked_back_at(stage: Stage) -> None:
    """F076, F120."""
    ada, cleo = stage.clients["ada"], stage.clients["cleo"]
    first = await cleo.get(stage.path)
    assert (first.headers["etag"], first.json()["edited_at"], first.json()["erased_at"]) == ('"1"', None, None)
    assert stage.id.startswith("cmt_") and first.json()["author"]["name"] == "Ada"

    await stage.api.world.pass_time(minutes(1))
    edited = await ada.patch(stage.path, json={"body": "It was **hunter2**."}, headers={"If-Match": '"1"'})
    assert (edited.status_code, edited.headers["etag"], edited.json()["body"]) == (200, '"2"', "It was **hunter2**.")
    assert edited.json()["edited_at"] > edited.json()["at"]
    stale = await ada.patch(stage.path, json={"body": "x"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "comment.stale")
    assert (await cleo.get(COMMENTS)).json()["data"] == [edited.json()] == [(await cleo.get(stage.path)).json()]
    texts = (await ada.get(f"{stage.path}/revisions")).json()["data"]
    assert [(each["revision"], each["body"]) for each in texts] == [
        (2, "It was **hunter2**."),
        (1, "The password is hunter2."),
    ]
    first_page = (await ada.get(f"{stage.path}/revisions", params={"limit": "1"})).json()
    rest = await ada.get(f"{stage.path}/revisions", params={"limit": "1", "cursor": first_page["next_cursor"]})
    assert [first_page["data"], rest.json()["data"]] == [texts[:1], texts[1:]] and rest.json()["next_cursor"] is None
    timeline = (await cleo.get("/incidents/INC-1/timeline", params={"show": "comments"})).json()["data"]
    assert [(each["detail"], each["comment_id"]) for each in timeline] == [("It was **hunter2**.", stage.id)]


async def test_the_list_of_comments_goes_on_where_it_ended(stage: Stage) -> None:
    """F120: the newest first, those that are erased among them."""
    com = stage.clients["com"]
    made = [stage.id] + [(await com.post(COMMENTS, json={"body": f"{n}"})).json()["id"] for n in range(4)]
    assert (await com.delete(f"{COMMENTS}/{made[2]}")).status_code == 204
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = (await com.get(COMMENTS, params={"limit": "2", **cursor})).json()
        found += [each["id"] for each in answer["data"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert found == made[::-1]


# Who may do what with Ada's comment: the status by the API.
_CALLS = {
    "PATCH": {"ada": 200, "bob": 403, "com": 403, "cleo": 403, "root": 403},
    "DELETE": {"ada": 204, "bob": 204, "com": 403, "cleo": 403, "root": 204},
    "LOOK": {"ada": 200, "bob": 200, "com": 403, "cleo": 403, "root": 200},
}


@pytest.mark.parametrize(
    ("name", "method", "status"), [(who, what, code) for what, codes in _CALLS.items() for who, code in codes.items()]
)
async def test_what_the_api_allows_the_page_offers_and_does(stage: Stage, name: str, method: str, status: int) -> None:
    """F117: the same people, the same rights, on both surfaces; what is not offered is refused all the same."""
    await stage.clients["ada"].patch(stage.path, json={"body": "Once edited."})
    async with browser(stage.api.world, stage.people[name]) as web:
        page = await web.get("/incidents/INC-1")
        own = await web.get(stage.path)
        match method:
            case "PATCH":
                answer = await stage.clients[name].patch(stage.path, json={"body": "Anew."})
                shown = await web.get(f"{stage.path}/edit")
                offered = {f"{stage.path}/edit" in here.read.links for here in (page, own)}
                offered.add("edit-comment" in shown.read.forms)
                did = (await _send(web, page, f"{stage.path}/edit", {"body": "And anew."})).status == 303
            case "DELETE":
                shown = await web.get(f"{stage.path}/erase")
                offered = {f"{stage.path}/erase" in here.read.links for here in (page, own)}
                offered.add("erase-comment-form" in shown.read.forms)
                did = (await _send(web, page, f"{stage.path}/erase", {})).status == 303
                answer = await stage.clients[name].delete(stage.path)
            case _:
                answer = await stage.clients[name].get(f"{stage.path}/revisions")
                offered = {stage.path in page.read.links}
                did = "hunter2" in own.html
                assert "Once edited." in own.html
    is_allowed = status != 403
    assert (answer.status_code, offered, did) == (status, {is_allowed}, is_allowed)


async def _send(web: Browser, page: Page, path: str, fields: dict[str, str]) -> Page:
    """Send a form that the page need not have, with what every form of it carries."""
    token = next(iter(page.read.forms.values()))["_csrf_token"]
    return await web.send(path, {"_csrf_token": token, **fields})


async def _shown(stage: Stage) -> dict[str, str]:
    """Everything in which the comment is, or was, to be read: by its author and an administrator."""
    world, ada, root = stage.api.world, stage.clients["ada"], stage.clients["root"]
    found = {
        "comment": (await ada.get(stage.path)).text,
        "comments": (await ada.get(COMMENTS)).text,
        "revisions": (await ada.get(f"{stage.path}/revisions")).text,
        "timeline": (await ada.get("/incidents/INC-1/timeline", params={"limit": "100"})).text,
        "incident": (await ada.get("/incidents/INC-1")).text,
        "events": (await root.get("/events", params={"limit": "100"})).text,
        "export": (await root.get("/events", headers={"accept": "application/x-ndjson"})).text,
        "answer of the key": (
            await ada.post(COMMENTS, json={"body": "The password is hunter2."}, headers={"Idempotency-Key": "once"})
        ).text,
        "stream": await _streamed(stage),
    }
    async with browser(world, stage.people["ada"]) as web:
        found["page"] = (await web.get("/incidents/INC-1")).html
        found["page of comments"] = (await web.get("/incidents/INC-1?show=comments")).html
        found["earlier texts"] = (await web.get(stage.path)).html
        found["link of a page"] = (await web.get(stage.link)).html
    return found


async def _streamed(stage: Stage) -> str:
    """The live stream from its beginning to what has happened last."""
    token = {"authorization": str(stage.clients["ada"].headers["authorization"])}
    last = await stage.api.world.db.pool.fetchval("SELECT name FROM event ORDER BY position DESC LIMIT 1")
    got = ""
    async with opened_with(stage.api.world, "/api/v1/stream", **token, **{"last-event-id": "0-0"}) as opened:
        while f"event: {last}\n" not in got:
            got += await opened.next()
    return got


NOT_ABOUT_IT = {"incident"}


async def test_an_erased_text_is_shown_nowhere_any_more(stage: Stage) -> None:
    """F076, F122: where it was to be read before, it is not afterwards; neither is what it said before an edit."""
    before = await _shown(stage)
    assert {place for place, text in before.items() if "hunter2" not in text} == NOT_ABOUT_IT
    await stage.clients["ada"].patch(stage.path, json={"body": "It was hunter2, to be exact."})
    for place, text in (await _shown(stage)).items():
        if place not in {*NOT_ABOUT_IT, "answer of the key"}:
            assert "to be exact" in text, place

    assert (await stage.clients["bob"].delete(stage.path)).status_code == 204
    for place, text in (await _shown(stage)).items():
        assert "hunter2" not in text, place
    gone = (await stage.clients["ada"].get(stage.path)).json()
    assert (gone["body"], gone["erased_by"]["name"]) == ("", "Bob") and gone["erased_at"] is not None
    again = await stage.clients["ada"].patch(stage.path, json={"body": "hunter3"})
    assert (again.status_code, again.json()["code"]) == (409, "comment.erased")


async def test_a_request_that_is_repeated_after_the_erasing_writes_nothing_again(stage: Stage) -> None:
    """F135: it was carried out, so it is not carried out once more; its answer is gone."""
    ada = stage.clients["ada"]
    assert (await ada.delete(stage.path)).status_code == 204
    again = await ada.post(COMMENTS, json={"body": "The password is hunter2."}, headers={"Idempotency-Key": "once"})
    assert (again.status_code, again.json()["code"]) == (410, "idempotency.forgotten")
    assert len((await ada.get(COMMENTS)).json()["data"]) == 1


async def test_editing_on_the_page_works_without_a_script(stage: Stage) -> None:
    """F076: and says that it was edited; what was typed is kept when somebody was quicker."""
    form = "edit-comment"
    async with (
        browser(stage.api.world, stage.people["ada"]) as web,
        browser(stage.api.world, stage.people["cleo"]) as other,
    ):
        old = await web.get(f"{stage.path}/edit")
        assert old.read.forms[form]["body"] == ["The password is hunter2."] and ">Edit comment<" in old.html
        done = await web.do(old, form, {"body": "It was the **network**."})
        assert done.path == "/incidents/INC-1"
        assert "<strong>network</strong>" in done.html and "hunter2" not in done.html
        assert ">edited " in done.html and "edited a comment" in done.html
        late = await web.submit(old, form, {"body": "Mine."})
        assert late.status == 409 and "This comment was changed after you opened it." in late.html
        assert late.read.forms[form]["body"] == ["Mine."] and late.read.forms[form]["version"] == ["1"]
        assert (await web.submit(late, form)).status == 409, "a second press is no other wish"
        anyway = await web.submit(late, form, {"anyway": "2"})
        assert anyway.status == 303
        empty = await web.submit(await web.get(f"{stage.path}/edit"), form, {"body": " "})
        assert empty.status == 422 and "The body is missing." in empty.html
        seen = await other.get("/incidents/INC-1")
        assert ">edited " in seen.html and not [link for link in seen.read.links if "cmt_" in link]
        texts = await web.get(stage.path)
    assert texts.html.index("Mine.") < texts.html.index("network") < texts.html.index("hunter2")
    assert texts.read.refused == seen.read.refused == done.read.refused == []


async def test_erasing_on_the_page_asks_first_and_leaves_that_it_was_there(stage: Stage) -> None:
    """F076."""
    async with browser(stage.api.world, stage.people["bob"]) as web:
        page = await web.get(f"{stage.path}/erase")
        assert "edit-comment" not in page.read.forms and "taken out for good" in page.html
        done = await web.do(page, "erase-comment-form")
        assert "Erased by Bob" in done.html and "erased a comment by" in done.html
        assert "hunter2" not in done.html and not [link for link in done.read.links if "cmt_" in link]
        gone = await web.get(f"{stage.path}/erase")
    assert "Erased by Bob" in gone.html and "erase-comment-form" not in gone.read.forms


async def test_a_half_written_edit_is_shown_again_when_the_comment_was_erased_meanwhile(stage: Stage) -> None:
    """F040: nothing is saved, and nothing that was typed is lost."""
    async with browser(stage.api.world, stage.people["ada"]) as web:
        page = await web.get(f"{stage.path}/edit")
        await stage.clients["bob"].delete(stage.path)
        late = await web.submit(page, "edit-comment", {"body": "Half a sentence"})
    assert late.status == 409 and "Bob has erased this comment." in late.html
    assert late.read.forms["edit-comment"]["body"] == ["Half a sentence"] and "hunter2" not in late.html


async def test_a_long_timeline_stays_light(stage: Stage) -> None:
    """What one may do with a comment is two links, and not two dialogs each."""
    async with browser(stage.api.world, stage.people["ada"]) as web:
        before = len((await web.get("/incidents/INC-1")).html)
        for number in range(20):
            await stage.clients["ada"].post(COMMENTS, json={"body": f"Line {number}."})
        after = len((await web.get("/incidents/INC-1")).html)
    assert (after - before) / 20 < 2_500


@pytest.mark.parametrize("ref", ["cmt_06b6fyrfa9xsgs9xe3vxkm3j3m", "evt_06b6fyrfa9xsgs9xe3vxkm3j3m", "x"])
async def test_a_comment_that_is_not_there_is_not_found(stage: Stage, ref: str) -> None:
    """F120."""
    ada, path = stage.clients["ada"], f"{COMMENTS}/{ref}"
    answers = [
        await ada.get(path),
        await ada.patch(path, json={"body": "x"}),
        await ada.delete(path),
        await ada.get(f"{path}/revisions"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    async with browser(stage.api.world, stage.people["ada"]) as web:
        page = await web.get("/incidents/INC-1")
        assert (await web.get(path)).status == 404
        for act in ("edit", "erase"):
            assert (await _send(web, page, f"{path}/{act}", {"body": "x"})).status == 404


async def test_comments_of_what_is_hidden_are_hidden(stage: Stage, world: World) -> None:
    """C8: by every address, for whoever does not see the incident."""
    private = await stage.clients["root"].patch("/incidents/INC-1", json={"is_private": True})
    assert private.status_code == 200, private.text
    com = stage.clients["com"]
    answers: list[Any] = [await com.request(method, stage.path) for method in ("GET", "DELETE")]
    answers += [await com.get(f"{stage.path}/revisions"), await com.patch(stage.path, json={"body": "x"})]
    assert {answer.status_code for answer in answers} == {404}
    async with browser(world, stage.people["com"]) as web:
        assert (await web.get(stage.path)).status == 404


async def test_ids_of_comments_are_theirs(stage: Stage) -> None:
    """One kind of id, read back as it was written."""
    assert COMMENT_ID.write(COMMENT_ID.read(stage.id)) == stage.id
    assert re.fullmatch(r"cmt_[0-9a-z]{26}", stage.id)
