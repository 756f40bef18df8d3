"""Action items: who may, what is checked and recorded, that nothing of a hidden incident shows, and who has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.races import behind
from tests.use_cases.incident_team import Team, names, person
from tests.world import World
from tocsin.db.engine import Tx
from tocsin.events import log
from tocsin.events.base import Subject
from tocsin.events.words import describe
from tocsin.identity import service as identity
from tocsin.identity.access_queries import access
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Owners
from tocsin.incidents import action_item_queries, service
from tocsin.incidents.action_item_queries import Filters, Place
from tocsin.incidents.action_items import ActionItemChanges
from tocsin.incidents.model import TO_DO, ActionItem, ActionKind, ActionStatus, Incident, Priority
from tocsin.kit.changes import Seen
from tocsin.kit.errors import Denied, Invalid, NotFound, Stale

_DAY = timedelta(days=1)


async def add(team: Team, text: str = "Write the runbook", *, who: User | None = None, **fields: Any) -> ActionItem:
    async with team.db.begin() as tx:
        return (await service.create_action_item(tx, person(who or team.ada), "INC-1", description=text, **fields)).item


async def change(
    team: Team, item: ActionItem, changes: ActionItemChanges, *, who: User | None = None, if_version: Any = None
) -> ActionItem:
    async with team.db.begin() as tx:
        actor = person(who or team.ada)
        return (await service.update_action_item(tx, actor, item.id, changes, if_version=if_version)).item


async def now(team: Team, item: ActionItem) -> ActionItem:
    async with team.db.begin() as tx:
        return (await action_item_queries.get(tx, person(team.ada).access, item.id)).item


async def lines(team: Team, incident: Incident) -> list[tuple[str, str]]:
    """What the timeline says of action items, oldest first."""
    async with team.db.begin() as tx:
        found = await log.newest_first(tx, incident_id=incident.id, limit=50)
        told = [describe(each.name, each.actor_name, each.data) for each in reversed(found) if "action" in each.name]
        return [(line.text, line.detail) for line in told]


async def test_each_change_stands_on_the_timeline_with_what_was_before(team: Team) -> None:
    """F078, C8: added, changed, begun, done, reopened, dropped, deleted, with who, old and new."""
    incident = await team.incident()
    item = await add(team, "  Write \n the runbook ", due_date=date(2026, 12, 11), kind=ActionKind.PREVENT)
    assert (item.description, item.status, item.version) == ("Write the runbook", "open", 1)
    both: ActionItemChanges = {"due_date": None, "priority": Priority.P2, "assignee_id": team.bob.id}
    await change(team, item, both)
    await change(team, item, {"status": ActionStatus.IN_PROGRESS}, who=team.bob)
    async with team.db.begin() as tx:
        await service.complete_action_item(tx, person(team.bob), item.id)
        await service.complete_action_item(tx, person(team.bob), item.id)
        done = (await service.complete_action_item(tx, person(team.bob), item.id)).item
        assert (done.status, done.ended_at, done.version) == ("done", tx.now, 4), "done once"
        await service.reopen_action_item(tx, person(team.ada), item.id)
        again = (await service.reopen_action_item(tx, person(team.ada), item.id)).item
        assert (again.status, again.ended_at, again.version) == ("open", None, 5)
    await change(team, item, {"status": ActionStatus.DROPPED, "description": "Write it"})
    assert (await now(team, item)).ended_at is not None
    async with team.db.begin() as tx:
        await service.delete_action_item(tx, person(team.ada), item.id)
    assert await lines(team, incident) == [
        ("Ada added the action item “Write the runbook”", "due date: 2026-12-11\nkind: prevent"),
        (
            "Ada changed the assignee, the due date and the priority of the action item “Write the runbook”",
            "assignee: none → Bob\ndue date: 2026-12-11 → none\npriority: none → P2",
        ),
        ("Bob began with the action item “Write the runbook”", ""),
        ("Bob completed the action item “Write the runbook”", ""),
        ("Ada reopened the action item “Write the runbook”", "It was done."),
        (
            "Ada changed the description and the status of the action item “Write it”",
            "description: Write the runbook → Write it\nstatus: open → dropped",
        ),
        ("Ada deleted the action item “Write it”", ""),
    ]
    async with team.db.begin() as tx:
        assert len(await log.newest_first(tx, subject=Subject("action_item", item.id), limit=50)) == 7
        with pytest.raises(NotFound):
            await action_item_queries.get(tx, person(team.ada).access, item.id)


async def test_what_is_done_is_said_beside_what_else_changes(team: Team) -> None:
    """F078: a change and the end are two entries and two versions."""
    incident = await team.incident()
    item = await add(team)
    item = await change(team, item, {"status": ActionStatus.DONE, "description": "Wrote it"})
    assert item.version == 3
    assert [text for text, _ in await lines(team, incident)][1:] == [
        "Ada changed the description of the action item “Wrote it”",
        "Ada completed the action item “Wrote it”",
    ]


async def test_it_is_carried_past_the_end_of_the_incident(team: Team) -> None:
    """F078: what is open stays so when the incident is resolved and closed, and can be added and done afterwards."""
    incident = await team.incident()
    item = await add(team)
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), "INC-1", "Restarted.")
        await service.close(tx, person(team.ada), "INC-1")
    later = await add(team, "Alert on full disks")
    async with team.db.begin() as tx:
        found = await action_item_queries.open_in(tx, person(team.ada).access, [incident.id])
        assert {each.id for each in found[incident.id]} == {item.id, later.id}
    await change(team, item, {"status": ActionStatus.DONE})
    assert (await now(team, item)).status == "done"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"description": " \n"}, "description"),
        ({"description": "\u200b‍"}, "description"),
        ({"description": "x" * 501}, "description"),
        ({"due_date": date(1999, 1, 1)}, "due_date"),
        ({"due_date": date(9999, 12, 31)}, "due_date"),
        ({"assignee_id": UUID(int=7)}, "assignee_id"),
    ],
)
async def test_what_is_written_is_checked_when_it_is_added_and_when_it_is_changed(
    team: Team, fields: dict[str, Any], field: str
) -> None:
    """F078: its limits; nothing is stored of what is refused."""
    await team.incident()
    item = await add(team, "x" * 500, due_date=date(2026, 12, 1))
    for attempt in (add(team, fields.get("description", "Other"), **_but(fields)), change(team, item, fields)):  # type: ignore[arg-type]
        with pytest.raises(Invalid) as refused:
            await attempt
        assert refused.value.errors[0].pointer == f"#/{field}"
    async with team.db.begin() as tx:
        assert await action_item_queries.count(tx, person(team.ada).access, Filters(), most=10) == 1
    assert (await now(team, item)).version == 1


def _but(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "description"}


async def test_only_who_may_edit_the_incident_may_and_only_such_a_person_can_have_one(team: Team) -> None:
    """F078, F117: Cleo reads; an account that is off is given nothing."""
    await team.incident()
    item = await add(team)
    async with team.db.begin() as tx:
        who = person(team.cleo)
        assert (await action_item_queries.get(tx, who.access, item.id)).item.id == item.id
        for attempt in (
            service.create_action_item(tx, who, "INC-1", description="Mine"),
            service.update_action_item(tx, who, item.id, {"status": ActionStatus.DONE}),
            service.complete_action_item(tx, who, item.id),
            service.reopen_action_item(tx, who, item.id),
            service.delete_action_item(tx, who, item.id),
            service.change_action_items(tx, who, {"due_date": None}, [item.id]),
        ):
            with pytest.raises(Denied):
                await attempt
    with pytest.raises(Invalid, match="Cleo may not work on INC-1"):
        await change(team, item, {"assignee_id": team.cleo.id})
    async with team.db.begin() as tx:
        await identity.update_user(tx, Actor.system("test"), team.bob.id, UserChanges(is_active=False))
    with pytest.raises(Invalid, match="can sign in"):
        await add(team, assignee_id=team.bob.id)


@pytest.fixture
async def hidden(team: Team) -> AsyncIterator[tuple[Incident, ActionItem]]:
    """An item of a private incident of a team of Ada's; Bob is in no team."""
    async with team.db.begin() as tx:
        security = await identity.create_team(tx, Actor.system("test"), name="Security", members={team.ada.id: None})
        ada = Actor.person(team.ada, await access(tx, team.ada.id))
        incident = await service.declare(tx, ada, title="Leak", owners=Owners(team_ids=[security.id], is_private=True))
    async with team.db.begin() as tx:
        item = (await service.create_action_item(tx, ada, "INC-1", description="Turn the keys")).item
    yield incident, item


async def test_an_item_of_a_hidden_incident_is_not_there(team: Team, hidden: tuple[Incident, ActionItem]) -> None:
    """F078, F119: not by its id, in no list, count or search, and it can be given to nobody who does not see it."""
    incident, item = hidden
    async with team.db.begin() as tx:
        bob = Actor.person(team.bob, await access(tx, team.bob.id))
        ada = Actor.person(team.ada, await access(tx, team.ada.id))
        for attempt in (
            action_item_queries.get(tx, bob.access, item.id),
            action_item_queries.of_incident(tx, bob.access, incident.id),
            service.create_action_item(tx, bob, incident.id, description="x"),
            service.update_action_item(tx, bob, item.id, {"status": ActionStatus.DONE}),
            service.delete_action_item(tx, bob, item.id),
        ):
            with pytest.raises(NotFound):
                await attempt
        (missing,) = await service.change_action_items(tx, bob, {"due_date": None}, [item.id])
        assert isinstance(missing, NotFound)
        for who, seen in ((bob, 0), (ada, 1)):
            for q in ("", "keys", "ke", "INC-1"):
                assert len(await action_item_queries.listed(tx, who.access, q=q)) == seen
                assert await action_item_queries.count(tx, who.access, Filters(), q=q, most=9) == seen
            mine = Filters(incident_ids=[incident.id], statuses=TO_DO)
            assert len(await action_item_queries.listed(tx, who.access, mine)) == seen
            assert len(await action_item_queries.open_in(tx, who.access, [incident.id])) == seen
        with pytest.raises(Invalid, match="may not work on"):
            await service.update_action_item(tx, ada, item.id, {"assignee_id": team.bob.id})


async def test_a_list_is_narrowed_and_read_by_due_date(team: Team) -> None:
    """F078: mine, my teams', overdue, by status, kind, priority, nobody's, of an incident; onwards and backwards."""
    await team.incident()
    other = await team.incident(title="Search is slow")
    today = date(2026, 11, 29)
    late = await add(team, "Late", due_date=today - _DAY, assignee_id=team.ada.id, kind=ActionKind.DETECT)
    due = await add(team, "Due", due_date=today, assignee_id=team.bob.id, priority=Priority.P1)
    free = await add(team, "Free")
    over = await add(team, "Over", due_date=today - 2 * _DAY, assignee_id=team.ada.id)
    await change(team, over, {"status": ActionStatus.DONE})
    async with team.db.begin() as tx:
        elsewhere = (await service.create_action_item(tx, person(team.ada), "INC-2", description="Elsewhere")).item
        payments = await identity.create_team(tx, Actor.system("test"), name="Payments", members={team.bob.id: None})
    cases: list[tuple[Filters, list[ActionItem]]] = [
        (Filters(), [over, late, due, free, elsewhere]),
        (Filters(statuses=TO_DO), [late, due, free, elsewhere]),
        (Filters(statuses=[ActionStatus.DONE, ActionStatus.OPEN]), [over, late, due, free, elsewhere]),
        (Filters(assignee_ids=[team.ada.id]), [over, late]),
        (Filters(assignee_ids=[team.ada.id], is_unassigned=True), [over, late, free, elsewhere]),
        (Filters(is_unassigned=True), [free, elsewhere]),
        (Filters(overdue_on=today), [late]),
        (Filters(overdue_on=today + _DAY), [late, due]),
        (Filters(kinds=[ActionKind.DETECT]), [late]),
        (Filters(priorities=[Priority.P1]), [due]),
        (Filters(incident_ids=[other.id]), [elsewhere]),
        (Filters(incident_ids=[]), []),
        (Filters(team_ids=[payments.id]), [due]),
        (Filters(team_ids=[]), []),
    ]
    async with team.db.begin() as tx:
        who = person(team.ada).access

        async def ids(narrowed: Filters, **more: Any) -> list[UUID]:
            return [each.item.id for each in await action_item_queries.listed(tx, who, narrowed, **more)]

        for narrowed, wanted in cases:
            assert await ids(narrowed) == [each.id for each in wanted], narrowed
            assert await action_item_queries.count(tx, who, narrowed, most=9) == len(wanted)
        everything = await ids(Filters())
        for q, wanted in (("late", [late]), ("du", [due]), ("INC-2", [elsewhere]), ("search", [])):
            assert await ids(Filters(), q=q) == [each.id for each in wanted], q
        place, read = None, list[UUID]()
        while page := await action_item_queries.listed(tx, who, after=place, limit=2):
            read += [each.item.id for each in page]
            place = Place.of(page[-1])
        assert read == everything
        last = Place(date.max, elsewhere.id)
        assert await ids(Filters(), after=last, backwards=True) == [*reversed(everything[:-1])]


async def test_who_has_an_old_copy_is_told_what_others_did_to_the_same_field(team: Team) -> None:
    """F078: per field: another field goes through, the same one is a conflict, an exact version is for any change."""
    await team.incident()
    item = await add(team)
    await change(team, item, {"assignee_id": team.bob.id}, who=team.bob)
    await change(team, item, {"due_date": date(2026, 12, 1)}, if_version=Seen(1))
    with pytest.raises(Stale, match="Bob changed the assignee of the action item") as refused:
        await change(team, item, {"assignee_id": team.ada.id}, if_version=Seen(1))
    assert refused.value.theirs[0].fields == {"assignee": "Bob"}
    with pytest.raises(Stale):
        await change(team, item, {"priority": Priority.P1}, if_version=2)
    # What the form merely sends back is left as it stands.
    kept = await change(team, item, {"assignee_id": None, "priority": Priority.P1}, if_version=Seen(1))
    assert (kept.assignee_id, kept.priority) == (team.bob.id, "P1")
    async with team.db.begin() as tx:
        await service.complete_action_item(tx, person(team.bob), item.id)
    with pytest.raises(Stale, match="Bob completed"):
        await change(team, item, {"status": ActionStatus.DROPPED}, if_version=Seen(kept.version))


async def test_two_who_change_one_at_once_come_one_after_the_other(team: Team) -> None:
    """F078."""
    await team.incident()
    item = await add(team)

    async def give(tx: Tx) -> None:
        await service.update_action_item(tx, person(team.ada), item.id, {"assignee_id": team.ada.id})

    with pytest.raises(Stale, match="Ada changed the assignee"):
        await behind(team.db, give, change(team, item, {"assignee_id": team.bob.id}, who=team.bob, if_version=Seen(1)))
    assert (await now(team, item)).assignee_id == team.ada.id


async def test_one_act_for_several_says_what_became_of_each(team: Team) -> None:
    """F078: what is there is changed, what is so already is said, what cannot be is raised when that is all of it."""
    await team.incident()
    first, second = await add(team, "One"), await add(team, "Two")
    await change(team, second, {"status": ActionStatus.DONE})
    async with team.db.begin() as tx:
        done: ActionItemChanges = {"status": ActionStatus.DONE}
        ids = [first.id, second.id, UUID(int=9)]
        one, two, none = await service.change_action_items(tx, person(team.ada), done, ids)
        assert isinstance(one, service.ChangedItem) and one.is_new
        assert isinstance(two, service.ChangedItem) and not two.is_new
        assert isinstance(none, NotFound)
        with pytest.raises(Invalid, match="Cleo may not work on"):
            cleo: ActionItemChanges = {"assignee_id": team.cleo.id}
            await service.change_action_items(tx, person(team.ada), cleo, [first.id, second.id])
    assert (await now(team, first)).status == "done"


async def test_who_is_switched_off_has_nothing_to_do_any_more(world: World) -> None:
    """F135: what is open is nobody's, with an entry that says why; what is done keeps who did it."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        incident = await service.declare(tx, Actor.person(ada), title="Checkout is down")

        async def given(text: str) -> ActionItem:
            mine = {"description": text, "assignee_id": bob.id}
            return (await service.create_action_item(tx, Actor.person(ada), "INC-1", **mine)).item  # type: ignore[arg-type]

        to_do, done = await given("To do"), await given("Done")
        await service.complete_action_item(tx, Actor.person(bob), done.id)
    async with world.db.begin() as tx:
        await service.update_person(tx, world.root, bob.id, UserChanges(is_active=False), confirmed=True)
    await world.settle()
    async with world.db.begin() as tx:
        mine = Actor.person(ada).access
        freed = (await action_item_queries.get(tx, mine, to_do.id)).item
        assert (freed.assignee_id, freed.version) == (None, 2)
        assert [each.item.id for each in await action_item_queries.listed(tx, mine, Filters(is_unassigned=True))] == [
            to_do.id
        ]
        assert (await action_item_queries.get(tx, mine, done.id)).item.assignee_id == bob.id
        (event,) = await log.newest_first(tx, incident_id=incident.id, names=("action_item.updated",), limit=5)
        line = describe(event.name, event.actor_name, event.data)
        assert line.text == "Nobody has the action item “To do” any more"
        assert line.detail == "Bob’s account was switched off.\nassignee: Bob → none"
        # Whoever is active again by the time keeps what they have.
        await service.update_person(tx, world.root, bob.id, UserChanges(is_active=True))
        await service.update_action_item(tx, Actor.person(ada), to_do.id, {"assignee_id": bob.id})
        assert not await service.free_action_items(tx, bob.id)
        assert (await action_item_queries.get(tx, mine, to_do.id)).item.assignee_id == bob.id
        assert "action_item.updated" in await names(tx, incident.id)
