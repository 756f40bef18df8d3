"""Long texts that belong to an incident: who may, what the record says, and two who write at once."""

from __future__ import annotations

import pytest

from tests.world import World
from tocsin.events import log, words
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor
from tocsin.identity.service.owners import Owners
from tocsin.incidents import note_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.incidents.note_queries import WrittenNote
from tocsin.incidents.service import notes
from tocsin.incidents.service.notes import NoteChanges
from tocsin.kit.changes import Seen
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound, Stale


async def begun(world: World, who: Actor | None = None) -> tuple[Incident, WrittenNote]:
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.root, title="Checkout is down")
        return incident, await notes.add_note(tx, who or world.root, incident.id, title=" The  plan ", body=" One \n")


async def edit(
    world: World, who: Actor, incident: Incident, note: WrittenNote, seen: int | Seen | None, **to: str
) -> None:
    changes = NoteChanges(**to)  # type: ignore[typeddict-item]
    async with world.db.begin() as tx:
        await notes.edit_note(tx, who, incident.id, note.note.id, changes, if_version=seen)


async def says(world: World, incident: Incident, note: WrittenNote) -> tuple[str, str]:
    async with world.db.begin() as tx:
        _, found = await note_queries.note(tx, EVERYTHING, incident.id, note.note.id)
        return found.text.title, found.text.body


async def lines(world: World, incident: Incident) -> list[str]:
    async with world.db.begin() as tx:
        found = await log.newest_first(tx, incident_id=incident.id)
    return [words.describe(event.name, event.actor_name, event.data).text for event in found]


async def test_a_note_is_written_edited_and_deleted_and_each_stands_in_the_timeline(world: World) -> None:
    """F027: texts stand in revisions alone, and what is deleted is gone but for its title."""
    incident, note = await begun(world)
    assert (note.text.title, note.text.body) == ("The plan", "One")
    await edit(world, world.root, incident, note, 1, title="The new plan")
    await edit(world, world.root, incident, note, 2, title="The new plan", body="One")
    await edit(world, world.root, incident, note, 2, body="Two")
    async with world.db.begin() as tx:
        texts = await notes.read_note_revisions(tx, world.root, incident.id, note.note.id)
        assert [(text.number, text.title, text.body) for text in texts] == [
            (3, "The new plan", "Two"),
            (2, "The new plan", "One"),
            (1, "The plan", "One"),
        ]
        older = await notes.read_note_revisions(tx, world.root, incident.id, note.note.id, before=2)
        assert [text.number for text in older] == [1]
        await notes.delete_note(tx, world.root, incident.id, note.note.id)
    async with world.db.begin() as tx:
        assert await note_queries.notes(tx, EVERYTHING, incident.id) == []
        for reading in (notes.read_note, notes.read_note_revisions, notes.delete_note):
            with pytest.raises(NotFound):
                await reading(tx, world.root, incident.id, note.note.id)
        events = await log.newest_first(tx, incident_id=incident.id)
    assert "Two" not in str([event.data for event in events])
    name = world.root.ref.name
    assert (await lines(world, incident))[:4] == [
        f"{name} deleted the note “The new plan”",
        f"{name} edited the note “The new plan”",
        f"{name} edited the note “The new plan”",
        f"{name} wrote the note “The plan”",
    ]


@pytest.mark.parametrize(
    ("title", "body", "field"),
    [
        ("", "x", "title"),
        ("\u200b\u202e", "x", "title"),
        ("x" * 201, "x", "title"),
        ("x", "", "body"),
        ("x", "  \n", "body"),
        ("x", "x" * 50_001, "body"),
    ],
)
async def test_a_note_has_a_title_and_a_text_within_limits(world: World, title: str, body: str, field: str) -> None:
    """F027."""
    incident, note = await begun(world)
    async with world.db.begin() as tx:
        with pytest.raises(Invalid) as refused:
            await notes.add_note(tx, world.root, incident.id, title=title, body=body)
        assert refused.value.errors[0].pointer == f"#/{field}"
        with pytest.raises(Invalid):
            await notes.edit_note(tx, world.root, incident.id, note.note.id, NoteChanges(title=title, body=body))
        await notes.add_note(tx, world.root, incident.id, title="x" * 200, body="x" * 50_000)


async def test_an_incident_has_a_hundred_notes_at_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F027: those that were deleted are not counted."""
    monkeypatch.setattr(notes, "MOST_NOTES", 2)
    incident, note = await begun(world)
    async with world.db.begin() as tx:
        await notes.add_note(tx, world.root, incident.id, title="Two", body="x")
        with pytest.raises(Conflict):
            await notes.add_note(tx, world.root, incident.id, title="Three", body="x")
        await notes.delete_note(tx, world.root, incident.id, note.note.id)
        await notes.add_note(tx, world.root, incident.id, title="Three", body="x")


async def test_who_writes_another_field_than_others_did_keeps_both(world: World) -> None:
    """F027: a form sends all of its fields; what it sends back as it was seen is left as it stands now."""
    incident, note = await begun(world)
    await edit(world, world.root, incident, note, Seen(1), title="Theirs", body="One")
    await edit(world, world.root, incident, note, Seen(1), title="The plan", body="Mine")
    assert await says(world, incident, note) == ("Theirs", "Mine")


async def test_two_who_write_the_same_get_a_readable_conflict_and_lose_nothing(world: World) -> None:
    """F027: the second is told who wrote what; whoever was told may go on, and the other text is a revision."""
    incident, note = await begun(world)
    ada = world.actor(await world.person("ada"))
    await edit(world, ada, incident, note, Seen(1), body="Theirs")
    with pytest.raises(Stale) as refused:
        await edit(world, world.root, incident, note, Seen(1), title="The plan", body="Mine")
    theirs = refused.value.theirs[0]
    assert theirs.words == f"{ada.ref.name} changed the body of this note" and theirs.fields == {"body": "Theirs"}
    assert (refused.value.mine, refused.value.version) == ({"body": "Mine"}, 2)
    assert await says(world, incident, note) == ("The plan", "Theirs")
    for exact in (1, 3):
        with pytest.raises(Stale):
            await edit(world, world.root, incident, note, exact, title="Another")
    await edit(world, world.root, incident, note, Seen(1, told=2), title="The plan", body="Mine")
    assert await says(world, incident, note) == ("The plan", "Mine")
    async with world.db.begin() as tx:
        texts = await notes.read_note_revisions(tx, world.root, incident.id, note.note.id)
    assert [text.body for text in texts] == ["Mine", "Theirs", "One"]


async def test_who_was_away_for_long_is_refused_where_nobody_knows_what_they_saw(world: World) -> None:
    """F027."""
    incident, note = await begun(world)
    for number in range(60):
        await edit(world, world.root, incident, note, None, body=f"Text {number}")
    with pytest.raises(Stale):
        await edit(world, world.root, incident, note, Seen(1), title="Mine", body="One")
    with pytest.raises(Stale):
        await edit(world, world.root, incident, note, Seen(999), title="Mine", body="One")


async def test_what_was_deleted_meanwhile_is_a_conflict(world: World) -> None:
    """F027: so that the page shows again what was typed."""
    incident, note = await begun(world)
    async with world.db.begin() as tx:
        with pytest.raises(Stale):
            await notes.delete_note(tx, world.root, incident.id, note.note.id, if_version=7)
        await notes.delete_note(tx, world.root, incident.id, note.note.id, if_version=1)
    with pytest.raises(Conflict) as refused:
        await edit(world, world.root, incident, note, Seen(1), body="Mine")
    assert refused.value.code == "note.deleted"


async def test_an_editor_and_the_author_change_a_note_and_nobody_else(world: World) -> None:
    """F027: whoever may comment writes notes; who may neither edit the incident nor wrote it reads what it says now."""
    ada = world.actor(await world.person("ada"))
    cleo = Actor.person(await world.person("cleo", role="stakeholder"))
    incident, note = await begun(world, ada)
    await edit(world, world.root, incident, note, None, body="Edited by somebody else")
    await edit(world, ada, incident, note, None, body="Edited by its author")
    async with world.db.begin() as tx:
        _, written, texts = await notes.read_note(tx, cleo, incident.id, note.note.id)
        assert written.text.body == "Edited by its author" and len(texts) == 1
        with pytest.raises(Denied):
            await notes.add_note(tx, cleo, incident.id, title="x", body="x")
        with pytest.raises(Denied):
            await notes.edit_note(tx, cleo, incident.id, note.note.id, NoteChanges(body="x"))
        with pytest.raises(Denied):
            await notes.delete_note(tx, cleo, incident.id, note.note.id)
        with pytest.raises(Denied):
            await notes.read_note_revisions(tx, cleo, incident.id, note.note.id)


async def test_notes_of_what_may_not_be_seen_are_not_there(world: World) -> None:
    """F027: nor is a note there below another incident than its own."""
    ada = world.actor(await world.person("ada"))
    incident, note = await begun(world)
    async with world.db.begin() as tx:
        other = await incidents.declare(tx, world.root, title="Another")
        await incidents.update(tx, world.root, incident.id, incidents.IncidentChanges(owners=Owners(is_private=True)))
    async with world.db.begin() as tx:
        with pytest.raises(NotFound):
            await note_queries.notes(tx, ada.access, incident.id)
        for ref in (incident.id, other.id):
            with pytest.raises(NotFound):
                await notes.read_note(tx, ada, ref, note.note.id)
            with pytest.raises(NotFound):
                await notes.edit_note(tx, ada, ref, note.note.id, NoteChanges(body="x"))
            with pytest.raises(NotFound):
                await notes.delete_note(tx, ada, ref, note.note.id)
        with pytest.raises(NotFound):
            await notes.add_note(tx, ada, incident.id, title="x", body="x")
