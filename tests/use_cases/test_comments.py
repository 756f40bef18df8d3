"""Comments: who may write, edit, erase and look back, what is kept of each text, and that what is erased is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from tests.races import behind
from tests.use_cases.incident_team import Team, names, person, record_of
from tests.world import World
from tocsin.db.engine import Database, Tx
from tocsin.identity import service as identity
from tocsin.identity.access_queries import access
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Owners
from tocsin.incidents import comment_queries, queries, service
from tocsin.incidents.comment_queries import WrittenComment, written_in
from tocsin.incidents.model import Incident
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound, Stale

_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"


async def tables_with(db: Database, word: str) -> list[str]:
    """Every table in which a word stands, be it in a text, in JSON or in bytes."""
    found: list[str] = []
    for name in [row["relname"] for row in await db.pool.fetch(_TABLES)]:
        holds = f'SELECT EXISTS (SELECT FROM "{name}" AS row WHERE row::text LIKE $1 OR row::text LIKE $2)'
        if await db.pool.fetchval(holds, f"%{word}%", f"%{word.encode().hex()}%"):
            found.append(name)
    return found


async def write(team: Team, body: str, *, who: User | None = None) -> WrittenComment:
    async with team.db.begin() as tx:
        return await service.comment(tx, person(who or team.ada), "INC-1", body)


async def now(team: Team, id: UUID) -> WrittenComment:
    async with team.db.begin() as tx:
        return (await comment_queries.comment(tx, person(team.cleo).access, "INC-1", id))[1]


async def test_each_edit_keeps_what_was_said_before_with_who_and_when(team: Team) -> None:
    """F076, F130: the present text is shown, the earlier ones are kept, and the log says that it was edited."""
    incident = await team.incident()
    first = await write(team, "The disk is full.")
    for body in ("The disk was full.", "  The disk was full. ", "It was the network."):
        async with team.db.begin() as tx:
            await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, body)
    found = await now(team, first.comment.id)
    assert (found.body, found.comment.version) == ("It was the network.", 3)
    assert found.comment.edited_at is not None and found.comment.edited_at > found.comment.created_at
    async with team.db.begin() as tx:
        texts = await service.read_revisions(tx, person(team.ada), "INC-1", first.comment.id)
        assert [(text.number, text.body, text.author_name) for text in texts] == [
            (3, "It was the network.", "Ada"),
            (2, "The disk was full.", "Ada"),
            (1, "The disk is full.", "Ada"),
        ]
        assert texts[0].written_at > texts[1].written_at > texts[2].written_at == found.comment.created_at
        assert (await names(tx, incident.id))[-3:] == [
            "incident.comment_added",
            "incident.comment_edited",
            "incident.comment_edited",
        ], "the same text is no edit"
    assert await tables_with(team.db, "The disk is full.") == ["comment_revision"], "in one place only"


async def test_what_is_written_is_checked_also_when_it_is_edited(team: Team) -> None:
    """F076."""
    await team.incident()
    first = await write(team, "x" * 10_000)
    async with team.db.begin() as tx:
        for wrong in ("", " \n", "x" * 10_001):
            with pytest.raises(Invalid):
                await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, wrong)
    assert (await now(team, first.comment.id)).body == "x" * 10_000


async def test_an_erased_text_is_nowhere_any_more(team: Team) -> None:
    """F076: neither the present text nor an earlier one is in any table; that it was there, and who erased it, is."""
    incident = await team.incident()
    kept = await write(team, "This stays.")
    first = await write(team, "The password is hunter2.")
    async with team.db.begin() as tx:
        await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, "The password was hunter2, really.")
    assert await tables_with(team.db, "hunter2") == ["comment_revision"]
    async with team.db.begin() as tx:
        assert (await service.erase_comment(tx, person(team.bob), "INC-1", first.comment.id)).body == ""

    assert await tables_with(team.db, "hunter2") == []
    gone = await now(team, first.comment.id)
    assert (gone.body, gone.comment.author_name, gone.comment.erased_by_name) == ("", "Ada", "Bob")
    assert gone.comment.erased_at is not None and gone.comment.erased_by_id == team.bob.id
    assert (await now(team, kept.comment.id)).body == "This stays."
    async with team.db.begin() as tx:
        texts = await service.read_revisions(tx, person(team.ada), "INC-1", first.comment.id)
        assert texts == []
        events = await record_of(tx, incident.id, show="comments")
        assert [said.body for said in (await written_in(tx, events)).values()].count("") == 1
    assert (await team.record(incident))[-1] == "Bob erased a comment by Ada"


async def test_what_is_erased_stays_erased(team: Team) -> None:
    """F076: it cannot be edited any more, and erasing it again changes nothing of who did it."""
    incident = await team.incident()
    first = await write(team, "x")
    async with team.db.begin() as tx:
        await service.erase_comment(tx, person(team.ada), "INC-1", first.comment.id)
    async with team.db.begin() as tx:
        with pytest.raises(Conflict, match="Ada has erased this comment"):
            await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, "y")
        await service.erase_comment(tx, person(team.bob), "INC-1", first.comment.id, if_version=1)
        assert (await names(tx, incident.id)).count("incident.comment_erased") == 1
    assert (await now(team, first.comment.id)).comment.erased_by_name == "Ada"
    assert (await team.record(incident))[-1] == "Ada erased a comment of their own"


async def test_an_old_copy_neither_edits_nor_erases(team: Team) -> None:
    """F040, F076."""
    await team.incident()
    first = await write(team, "one")
    async with team.db.begin() as tx:
        await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, "two", if_version=1)
    async with team.db.begin() as tx:
        with pytest.raises(Stale, match="Nothing was saved"):
            await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, "three", if_version=1)
        with pytest.raises(Stale):
            await service.erase_comment(tx, person(team.ada), "INC-1", first.comment.id, if_version=1)
    assert (await now(team, first.comment.id)).body == "two"


async def test_a_comment_is_found_in_its_own_incident_only(team: Team) -> None:
    """F118: what one may do in one incident says nothing of another one."""
    await team.incident()
    await team.incident()
    first = await write(team, "one")
    async with team.db.begin() as tx:
        for attempt in (
            comment_queries.comment(tx, person(team.ada).access, "INC-2", first.comment.id),
            service.edit_comment(tx, person(team.ada), "INC-2", first.comment.id, "two"),
            service.erase_comment(tx, person(team.ada), "INC-2", first.comment.id),
            service.read_revisions(tx, person(team.ada), "INC-2", first.comment.id),
        ):
            with pytest.raises(NotFound):
                await attempt


# ---- two at once


async def test_whoever_edits_while_it_is_erased_brings_nothing_back(team: Team) -> None:
    """F076."""
    await team.incident()
    first = await write(team, "The password is hunter2.")

    async def edit() -> None:
        async with team.db.begin() as tx:
            await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, "It was hunter2.")

    async def erase(tx: Tx) -> None:
        await service.erase_comment(tx, person(team.bob), "INC-1", first.comment.id)

    with pytest.raises(Conflict, match="Bob has erased"):
        await behind(team.db, erase, edit())
    assert await tables_with(team.db, "hunter2") == []


async def test_whoever_erases_while_it_is_edited_erases_the_new_text_too(team: Team) -> None:
    """F076."""
    await team.incident()
    first = await write(team, "The password is hunter2.")

    async def edit(tx: Tx) -> None:
        await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, "It was hunter2.")

    async def erase() -> None:
        async with team.db.begin() as tx:
            await service.erase_comment(tx, person(team.bob), "INC-1", first.comment.id)

    await behind(team.db, edit, erase())
    assert await tables_with(team.db, "hunter2") == []
    assert (await now(team, first.comment.id)).comment.erased_at is not None


async def test_of_two_edits_of_the_same_version_one_is_told(team: Team) -> None:
    """F040, F076."""
    await team.incident()
    first = await write(team, "one")

    async def edit(tx: Tx, body: str) -> None:
        await service.edit_comment(tx, person(team.ada), "INC-1", first.comment.id, body, if_version=1)

    async def second() -> None:
        async with team.db.begin() as tx:
            await edit(tx, "mine")

    with pytest.raises(Stale):
        await behind(team.db, lambda tx: edit(tx, "yours"), second())
    assert (await now(team, first.comment.id)).body == "yours"


async def test_to_comment_waits_for_nobody_who_works_on_the_incident(team: Team) -> None:
    """F076: and makes nobody's copy of the incident old."""
    await team.incident()
    first = await write(team, "one")
    async with team.db.begin() as tx:
        incident = await queries.lock(tx, person(team.ada).access, "INC-1")
        async with team.db.begin() as other:
            await service.edit_comment(other, person(team.ada), "INC-1", first.comment.id, "two")
            await service.erase_comment(other, person(team.ada), "INC-1", first.comment.id)
        assert incident.version == 1


# ---- who may

_ROLES = {
    "ada": "admin",
    "bob": "responder",
    "com": "communicator",
    "cleo": "stakeholder",
    # A guest sees what a team of theirs owns; the second one may work there, the third may comment.
    "gil": "guest",
    "tea": "guest",
    "tom": "guest",
}
_IN_TEAM = {"gil": None, "tea": "responder", "tom": "communicator"}

Attempt = Callable[[Tx, Actor, Incident, UUID], Awaitable[object]]
_ACTS: dict[str, Attempt] = {
    "read": lambda tx, who, incident, id: comment_queries.comment(tx, who.access, incident.id, id),
    "edit": lambda tx, who, incident, id: service.edit_comment(tx, who, incident.id, id, "Anew."),
    "erase": lambda tx, who, incident, id: service.erase_comment(tx, who, incident.id, id),
    "look back": lambda tx, who, incident, id: service.read_revisions(tx, who, incident.id, id),
}
# Of one's own comment, and of somebody else's.
_MAY: dict[str, tuple[set[str], set[str]]] = {
    "ada": ({"read", "edit", "erase", "look back"}, {"read", "erase", "look back"}),
    "bob": ({"read", "edit", "erase", "look back"}, {"read", "erase", "look back"}),
    "com": ({"read", "edit", "erase", "look back"}, {"read"}),
    # They wrote it in a role that they no longer have.
    "cleo": ({"read", "look back"}, {"read"}),
    "gil": ({"read", "look back"}, {"read"}),
    "tea": ({"read", "edit", "erase", "look back"}, {"read", "erase", "look back"}),
    "tom": ({"read", "edit", "erase", "look back"}, {"read"}),
}


class House:
    """An incident of a team, and somebody of each role, in the organisation or in the team."""

    def __init__(self, world: World, people: dict[str, User], incident: Incident) -> None:
        self.world = world
        self.people = people
        self.incident = incident

    async def who(self, name: str, *scopes: str) -> Actor:
        async with self.world.db.begin() as tx:
            user = self.people[name]
            return Actor.person(user, await access(tx, user.id), scopes=list(scopes))

    async def comment_by(self, user: User) -> UUID:
        async with self.world.db.begin() as tx:
            written = await service.comment(tx, Actor.person(user, self.world.root.access), self.incident.id, "Said.")
        return written.comment.id

    async def can(self, who: Actor, act: str, id: UUID) -> bool:
        try:
            async with self.world.db.begin() as tx:
                await _ACTS[act](tx, who, self.incident, id)
        except Denied:
            return False
        return True


@pytest.fixture
async def house(world: World) -> House:
    people = {name: await world.person(name, role=role) for name, role in _ROLES.items()}
    async with world.db.begin() as tx:
        members = {people[name].id: role for name, role in _IN_TEAM.items()}
        owner = await identity.create_team(tx, world.root, name="Payments", members=members)
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.root, title="Refunds", owners=Owners([owner.id]))
    return House(world, people, incident)


@pytest.mark.parametrize("act", _ACTS)
@pytest.mark.parametrize("name", _ROLES)
async def test_who_may_do_what_with_a_comment(house: House, name: str, act: str) -> None:
    """F117, F118: a comment is its author's; who may edit the incident may erase it; nobody edits another's words."""
    who = await house.who(name)
    other = house.people["com" if name != "com" else "bob"]
    own, others = _MAY[name]
    assert await house.can(who, act, await house.comment_by(house.people[name])) == (act in own)
    assert await house.can(who, act, await house.comment_by(other)) == (act in others)


@pytest.mark.parametrize(
    ("scopes", "own", "others"),
    [
        (("incident.view",), {"read", "look back"}, {"read"}),
        (("incident.comment",), {"edit", "erase"}, set[str]()),
        (("incident.edit",), {"edit", "erase"}, {"erase"}),
        (("self.edit",), set[str](), set[str]()),
    ],
)
async def test_a_token_does_what_its_scopes_say(
    house: House, scopes: tuple[str, ...], own: set[str], others: set[str]
) -> None:
    """F118: also with one's own comments."""
    who = await house.who("bob", *scopes)
    for act in _ACTS:
        for author, allowed in (("bob", own), ("com", others)):
            id = await house.comment_by(house.people[author])
            try:
                can = await house.can(who, act, id)
            except NotFound:
                can = False
            assert can == (act in allowed), (act, author)


async def test_whoever_may_not_see_the_incident_finds_no_comment(house: House) -> None:
    """C8: not even their own."""
    id = await house.comment_by(house.people["com"])
    async with house.world.db.begin() as tx:
        changes = service.IncidentChanges(owners=Owners(None, is_private=True))
        await service.update(tx, house.world.root, house.incident.id, changes)
    who = await house.who("com")
    for act in _ACTS:
        with pytest.raises(NotFound):
            await house.can(who, act, id)
