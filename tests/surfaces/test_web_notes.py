"""The notes of an incident on its pages: what is shown, and what happens where two write at once."""

from __future__ import annotations

import pytest

from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World
from tocsin.identity.service.owners import Owners
from tocsin.incidents import service as incidents
from tocsin.incidents.service import notes

LIST = "/incidents/INC-1/notes"


async def declared(world: World) -> None:
    async with world.db.begin() as tx:
        await incidents.declare(tx, world.root, title="Checkout is down")


async def written(web: Browser) -> Page:
    fields = {"title": "The <b>plan</b>", "body": "**Fail** over\n\n<script>alert(1)</script>"}
    return await web.do(await web.get(f"{LIST}/new"), "note-form", fields)


async def test_a_note_is_written_read_edited_and_deleted(world: World) -> None:
    """F027: what people wrote is cleaned; what it said before can be read, and the deleted one is in the timeline."""
    ada = await world.person("ada")
    await declared(world)
    async with browser(world, ada) as web:
        assert "Nobody has written a note yet" in (await web.get(LIST)).html
        page = await written(web)
        assert "<strong>Fail</strong> over" in page.html and "&lt;b&gt;plan" in page.html
        assert "<script>alert" not in page.html and "What it said before" not in page.html
        page = await web.do(await web.get(f"{page.path}/edit"), "note-form", {"title": "Plan B", "body": "Wait"})
        assert "Note saved." in page.html and "Wait" in page.html and "What it said before" in page.html
        before = await web.get(f"{page.path}?revision=1")
        assert "This is an earlier text." in before.html and "<strong>Fail</strong>" in before.html
        for number in ("3", "0", "x"):
            assert (await web.get(f"{page.path}?revision={number}")).status == 404
        assert "Plan B" in (await web.get(LIST)).html
        done = await web.do(await web.get(f"{page.path}/delete"), "delete-note", {})
        assert "Note deleted." in done.html and "Plan B" not in done.html
        assert "deleted the note “Plan B”" in (await web.get("/incidents/INC-1")).html
        assert (await web.get(page.path)).status == 404


@pytest.mark.parametrize(("fields", "wrong"), [({"title": " "}, "title"), ({"body": ""}, "body")])
async def test_what_is_refused_is_shown_again_with_all_that_was_typed(
    world: World, fields: dict[str, str], wrong: str
) -> None:
    """F027."""
    ada = await world.person("ada")
    await declared(world)
    async with browser(world, ada) as web:
        sent = {"title": "Typed title", "body": "Typed body", **fields}
        page = await web.submit(await web.get(f"{LIST}/new"), "note-form", sent)
        assert page.status == 422 and f'id="note-form-{wrong}-err"' in page.html
        assert ("Typed body" if wrong == "title" else "Typed title") in page.html


async def test_two_who_write_at_once_see_each_other_and_lose_nothing(world: World) -> None:
    """F027: the second is shown what the first wrote beside theirs, and may save all the same."""
    ada, bob = await world.person("ada"), await world.person("bob")
    await declared(world)
    async with browser(world, ada) as first, browser(world, bob) as second:
        note = await written(first)
        theirs, mine = await first.get(f"{note.path}/edit"), await second.get(f"{note.path}/edit")
        await first.do(theirs, "note-form", {"title": "The plan", "body": "Written by Ada"})
        refused = await second.submit(mine, "note-form", {"title": "The <b>plan</b>", "body": "Written by Bob"})
        assert refused.status == 409 and "Written by Ada" in refused.html and "Written by Bob" in refused.html
        fields = {"body": "Written by Bob", "anyway": "2"}
        saved = await second.do(refused, "note-form", fields)
        assert "Written by Bob" in saved.html
        assert "Written by Ada" in (await second.get(f"{note.path}?revision=2")).html


async def test_what_was_typed_is_shown_though_the_note_was_deleted_meanwhile(world: World) -> None:
    """F027."""
    ada, bob = await world.person("ada"), await world.person("bob")
    await declared(world)
    async with browser(world, ada) as first, browser(world, bob) as second:
        note = await written(first)
        mine = await second.get(f"{note.path}/edit")
        await first.do(await first.get(f"{note.path}/delete"), "delete-note", {})
        refused = await second.submit(mine, "note-form", {"title": "Plan", "body": "Typed by Bob"})
        assert refused.status == 409 and "Typed by Bob" in refused.html and "has deleted this note" in refused.html


async def test_who_may_only_look_is_shown_no_forms_and_who_may_not_see_nothing(world: World) -> None:
    """F027: as comments, also by the links of the dialogs and by sending the forms."""
    ada, cleo = await world.person("ada"), await world.person("cleo", role="stakeholder")
    await declared(world)
    async with browser(world, ada) as web:
        note = await written(web)
        await web.do(await web.get(f"{note.path}/edit"), "note-form", {"body": "Now"})
    async with browser(world, cleo) as web:
        assert "/notes/new" not in (await web.get(LIST)).html
        page = await web.get(note.path)
        assert "Now" in page.html and "/edit" not in page.html and "What it said before" not in page.html
        assert (await web.get(f"{note.path}?revision=1")).status == 404
        for place in (f"{LIST}/new", f"{note.path}/edit", f"{note.path}/delete"):
            assert (await web.http.get(place)).status_code == 403
    async with world.db.begin() as tx:
        await incidents.update(tx, world.root, "INC-1", incidents.IncidentChanges(owners=Owners(is_private=True)))
    async with browser(world, cleo) as web:
        for place in (LIST, note.path):
            assert (await web.get(place)).status == 404


async def test_a_hundred_notes_are_listed(world: World) -> None:
    """F027: all that an incident can have."""
    ada = await world.person("ada")
    await declared(world)
    async with world.db.begin() as tx:
        for number in range(notes.MOST_NOTES):
            await notes.add_note(tx, world.root, "INC-1", title=f"Note {number}.", body="x")
    async with browser(world, ada) as web:
        page = await web.get(LIST)
        assert "Note 0." in page.html and "Note 99." in page.html
