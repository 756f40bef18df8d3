"""Teams: creating them and saying who belongs to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated
from tocsin.events.log import emit
from tocsin.identity import queries
from tocsin.identity.access import P
from tocsin.identity.accounts import clean_name
from tocsin.identity.model import Actor, Team, TeamMember, User
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import new_id


async def create_team(tx: Tx, who: Actor, *, name: str, description: str = "", member_ids: Iterable[UUID] = ()) -> Team:
    """Create a team with its first members; raises `Invalid` for a name that is taken or an unknown person."""
    who.must(P.USER_MANAGE)
    people = await _people(tx, member_ids, ())
    statement = (
        insert(Team)
        .values(id=new_id(), name=clean_name(name), description=description.strip(), created_at=tx.now)
        .on_conflict_do_nothing()
        .returning(Team)
    )
    team = (await tx.session.scalars(statement)).one_or_none()
    if team is None:
        raise Invalid("name", "There is a team of this name already.", code="taken")
    await _add(tx, team.id, people)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="team", id=team.id, title=team.name))
    return team


async def update_members(tx: Tx, who: Actor, team_id: UUID, member_ids: Iterable[UUID]) -> list[User]:
    """Make exactly these people the team's members; returns them by name. Unchanged: nothing happens."""
    who.must(P.USER_MANAGE)
    team = await queries.lock_team(tx, team_id)
    before = {person.id: person for person in (await queries.members(tx, [team_id]))[team_id]}
    people = await _people(tx, member_ids, before.keys())
    if before.keys() == people.keys():
        return _by_name(people.values())
    removed = before.keys() - people.keys()
    await tx.session.execute(
        delete(TeamMember)
        .where(TeamMember.team_id == team_id, TeamMember.user_id.in_(removed))
        .execution_options(synchronize_session=False)
    )
    await _add(tx, team_id, {id: person for id, person in people.items() if id not in before})
    change = Change(field="members", old=_names(before.values()), new=_names(people.values()))
    await emit(tx, ConfigurationChanged(actor=who.ref, kind="team", id=team.id, title=team.name, changes=[change]))
    return _by_name(people.values())


async def _people(tx: Tx, ids: Iterable[UUID], members: Collection[UUID]) -> dict[UUID, User]:
    wanted = set(ids)
    found = await queries.users_by_id(tx, wanted)
    if wanted - found.keys():
        raise Invalid("member_ids", "One of these people does not exist.")
    gone = [person.name for person in _by_name(found.values()) if not (person.is_active or person.id in members)]
    if gone:
        raise Invalid("member_ids", f"The account of {gone[0]} is switched off.", code="inactive")
    return found


async def _add(tx: Tx, team_id: UUID, people: dict[UUID, User]) -> None:
    if people:
        rows = [{"team_id": team_id, "user_id": user_id} for user_id in sorted(people)]
        await tx.session.execute(insert(TeamMember).values(rows).on_conflict_do_nothing())


def _by_name(people: Iterable[User]) -> list[User]:
    return sorted(people, key=lambda person: (person.name, person.id))


def _names(people: Iterable[User]) -> str:
    return ", ".join(person.name for person in _by_name(people))
