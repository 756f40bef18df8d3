"""Key events and times of their own: where they stand in the timeline, who may write and mark them, what stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from tests.use_cases.incident_team import Team, names, person, record_of
from tocsin.events.log import LoggedEvent
from tocsin.events.words import KEY
from tocsin.incidents import comment_queries, service, timeline_queries
from tocsin.incidents.model import Incident
from tocsin.incidents.timeline_queries import Recorded
from tocsin.kit.errors import Denied, Invalid, NotFound


async def happened(
    team: Team, incident: Incident, *, limit: int = 50, show: timeline_queries.Show = "all"
) -> list[list[Recorded]]:
    """Return the parts in which the timeline is read, the newest first."""
    parts: list[list[Recorded]] = []
    before: int | None = None
    async with team.db.begin() as tx:
        while True:
            part, before = await timeline_queries.as_it_happened(tx, incident.id, before=before, show=show, limit=limit)
            parts.append(part)
            if before is None:
                return parts


async def entry_of(team: Team, incident: Incident, name: str) -> LoggedEvent:
    async with team.db.begin() as tx:
        return next(event for event in await record_of(tx, incident.id) if event.name == name)


async def key_event(team: Team, text: str, at: datetime | None = None) -> UUID:
    async with team.db.begin() as tx:
        return (await service.add_key_event(tx, person(team.ada), "INC-1", text, occurred_at=at)).comment.id


async def test_a_key_event_stands_where_it_happened_and_says_when_it_was_written(team: Team) -> None:
    """F077, F130: ordered by when things happened, both times kept; the record stays in its own order."""
    incident = await team.incident()
    earlier = incident.declared_at - timedelta(hours=1)
    await key_event(team, "The vendor confirmed the outage.", earlier)
    await key_event(team, "We told support.")
    (part,) = await happened(team, incident)
    assert [each.at for each in part] == sorted((each.at for each in part), reverse=True)
    last = part[-1]
    assert (last.event.name, last.at, last.is_key) == ("incident.key_event_added", earlier, True)
    assert last.event.at > incident.declared_at
    async with team.db.begin() as tx:
        assert (await names(tx, incident.id))[-2:] == ["incident.key_event_added"] * 2, "the log is in its own order"
        written = await timeline_queries.as_written(tx, incident.id)
    assert [each.event.position for each in written] == sorted((e.event.position for e in written), reverse=True)
    assert [each.occurred_at for each in written[:2]] == [None, earlier]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize("show", ["all", "key", "comments"])
async def test_read_part_by_part_nothing_is_missing_and_nothing_twice(
    team: Team, limit: int, show: timeline_queries.Show
) -> None:
    """F130: whatever the length of a page, and wherever what has a time of its own belongs."""
    incident = await team.incident()
    for number in range(6):
        async with team.db.begin() as tx:
            await service.comment(tx, person(team.ada), "INC-1", f"Comment {number}")
    record = sorted({each.at for each in (await happened(team, incident))[0]})
    for before, after in pairwise(record):
        await key_event(team, "Between two.", before + (after - before) / 2)
    await key_event(team, "At the very moment.", record[2])
    await key_event(team, "Long before.", incident.declared_at - timedelta(days=2))
    (whole,) = await happened(team, incident, limit=1_000, show=show)
    parts = await happened(team, incident, limit=limit, show=show)
    read = [each.event.id for part in parts for each in part]
    assert sorted(read) == sorted(each.event.id for each in whole)
    assert [each.at for part in parts for each in part] == [each.at for each in whole]


async def test_a_time_is_neither_in_the_future_nor_ages_ago(team: Team) -> None:
    """F130."""
    incident = await team.incident()
    for at in (incident.declared_at + timedelta(hours=1), incident.declared_at - timedelta(days=3660)):
        with pytest.raises(Invalid) as refused:
            await key_event(team, "Then.", at)
        assert [error.pointer for error in refused.value.errors] == ["#/occurred_at"]
    for text in ("", "   ", "x" * 2_001):
        with pytest.raises(Invalid) as refused:
            await key_event(team, text)
        assert [error.pointer for error in refused.value.errors] == ["#/text"]
    await key_event(team, "x" * 2_000)


async def test_its_author_sets_text_and_time_right_and_the_record_says_so(team: Team) -> None:
    """F077, F130: nobody else may; what it said stays among its revisions; the same again is nothing."""
    incident = await team.incident()
    earlier = incident.declared_at - timedelta(minutes=20)
    id = await key_event(team, "The vendor called.")
    async with team.db.begin() as tx:
        for _ in range(2):
            await service.edit_key_event(
                tx, person(team.ada), "INC-1", id, {"text": "We called them.", "occurred_at": earlier}
            )
    async with team.db.begin() as tx:
        assert (await names(tx, incident.id))[-3:] == [
            "incident.key_event_added",
            "incident.key_event_moved",
            "incident.comment_edited",
        ]
        found = await comment_queries.key_event(tx, person(team.cleo).access, "INC-1", id)
        assert (found.body, found.comment.occurred_at, found.comment.version) == ("We called them.", earlier, 2)
        with pytest.raises(Denied):
            await service.edit_key_event(tx, person(team.bob), "INC-1", id, {"occurred_at": None})
        await service.edit_key_event(tx, person(team.ada), "INC-1", id, {"occurred_at": None})
    (part,) = await happened(team, incident)
    assert all(each.occurred_at is None for each in part), "it stands again where it was written"


async def test_a_comment_is_no_key_event_and_who_only_reads_writes_none(team: Team) -> None:
    """F077, F117."""
    await team.incident()
    async with team.db.begin() as tx:
        comment = await service.comment(tx, person(team.ada), "INC-1", "I look at it.")
        with pytest.raises(NotFound):
            await comment_queries.key_event(tx, person(team.ada).access, "INC-1", comment.comment.id)
        with pytest.raises(NotFound):
            await service.erase_key_event(tx, person(team.ada), "INC-1", comment.comment.id)
        with pytest.raises(Denied):
            await service.add_key_event(tx, person(team.cleo), "INC-1", "Cleo was here.")
        assert await comment_queries.key_events(tx, person(team.ada).access, "INC-1") == []
        await service.add_key_event(tx, person(team.ada), "INC-1", "A milestone.")
        (listed,) = await comment_queries.comments(tx, person(team.ada).access, "INC-1")
        assert listed.comment.id == comment.comment.id, "and a key event is in no list of comments"


async def test_an_entry_is_marked_and_the_mark_is_taken_back(team: Team) -> None:
    """F077: any entry can lead, or lead no more; the entry stays as it was, and marking is in the record."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.comment(tx, person(team.ada), "INC-1", "The disk is full.")
    comment = await entry_of(team, incident, "incident.comment_added")
    declared = await entry_of(team, incident, "incident.declared")
    assert comment.name not in KEY and declared.name in KEY
    for event, is_key in ((comment, True), (comment, True), (declared, False)):
        async with team.db.begin() as tx:
            marked = await service.mark_entry(tx, person(team.bob), "INC-1", event.id, is_key=is_key)
            assert marked.is_key is is_key
    async with team.db.begin() as tx:
        assert (await names(tx, incident.id)).count("incident.entry_marked") == 2, "said again it is nothing"
        assert [e.name for e in await record_of(tx, incident.id, show="key")] == ["incident.comment_added"]
        with pytest.raises(Denied):
            await service.mark_entry(tx, person(team.cleo), "INC-1", comment.id, is_key=False)
    other = await team.incident()
    async with team.db.begin() as tx:
        with pytest.raises(NotFound):
            await service.mark_entry(tx, person(team.bob), other.reference, comment.id, is_key=True)
        await service.mark_entry(tx, person(team.bob), "INC-1", comment.id, is_key=False)
        assert await record_of(tx, incident.id, show="key") == []
