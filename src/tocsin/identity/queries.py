"""Reading and locking people, teams and credentials."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.arrays import among
from tocsin.db.engine import Tx
from tocsin.db.locks import LOCK, for_change
from tocsin.db.records import count_records, get_record, has_words, list_records, lock_record, lock_records
from tocsin.identity.access import Access, Permission, Role
from tocsin.identity.access_queries import GRANTED, access_of, has_permission, visible_teams
from tocsin.identity.accounts import is_email
from tocsin.identity.model import (
    ApiToken,
    OneTimeLink,
    Organisation,
    Session,
    Team,
    TeamMember,
    User,
)
from tocsin.kit.clock import zone
from tocsin.kit.errors import Conflict, Denied, NotFound
from tocsin.kit.search import words_in
from tocsin.kit.text import storable


async def organisation(tx: Tx) -> Organisation | None:
    """Return the organisation, or None before the set-up."""
    return await tx.session.get(Organisation, 1)


async def lock_organisation(tx: Tx) -> Organisation | None:
    """Return the organisation as it is now and keep everybody else from changing it; None before the set-up."""
    return await tx.session.get(Organisation, 1, with_for_update=LOCK, populate_existing=True)


async def user(tx: Tx, user_id: UUID) -> User:
    """Return the person, active or not; raises `NotFound`."""
    return await get_record(tx, User, user_id, "person")


async def zone_of(tx: Tx, user_id: UUID | None) -> ZoneInfo:
    """Return the zone in which this person reads times; UTC for nobody."""
    named = await tx.session.scalar(select(User.time_zone).where(User.id == user_id)) if user_id is not None else None
    return zone(named or "UTC")


async def lock_user(tx: Tx, user_id: UUID) -> User:
    """Return the person as they are now and keep everybody else from changing them; raises `NotFound`."""
    return await lock_record(tx, User, user_id, "person")


async def lock_active_user(tx: Tx, user_id: UUID) -> User:
    """Do the same for somebody who is to be given something new; raises `Conflict` when their account is off."""
    person = await lock_user(tx, user_id)
    if not person.is_active:
        raise Conflict(
            f"{person.name}’s account is switched off, so nothing can be sent to them. Activate it first.",
            code="user.inactive",
        )
    return person


async def lock_user_and_admins(tx: Tx, user_id: UUID) -> tuple[User, list[User]]:
    """Lock the person and every active administrator, in the order of their ids; the person stands apart."""
    wanted = or_(User.id == user_id, (User.known_role == Role.ADMIN) & User.is_active)
    rows = list((await tx.session.scalars(for_change(select(User).where(wanted), User))).all())
    found = next((row for row in rows if row.id == user_id), None)
    if found is None:
        raise NotFound("There is no such person.")
    return found, [row for row in rows if row.id != user_id]


async def keep_active(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, User]:
    """Return those of these people whose accounts are on, and keep them on and their roles until the commit.

    Who is given something to answer for is asked for here, before rows of runs and messages are locked: a deactivation
    at the same moment then comes before, and is seen, or after, and takes it from them again.
    """
    query = select(User).where(User.id.in_(set(ids)), User.is_active).order_by(User.id).with_for_update(read=True)
    found = await tx.session.scalars(query.execution_options(populate_existing=True))
    return {row.id: row for row in found.all()}


async def must_stay_active(tx: Tx, user_id: UUID | None) -> None:
    """Raise `Denied` when this person's account has been switched off since they asked; else keep it on, as above."""
    if user_id is not None and not await keep_active(tx, [user_id]):
        raise Denied("This account is deactivated. Ask an administrator.")


async def user_by_email(tx: Tx, email: str) -> User | None:
    """Return the person with this address in any case of letters; None for anything that is not an address."""
    wanted = email.strip().lower()
    if not is_email(wanted):
        return None
    return (await tx.session.scalars(select(User).where(func.lower(User.email) == wanted))).one_or_none()


async def users(
    tx: Tx,
    *,
    after: UUID | None = None,
    limit: int = 100,
    active_only: bool = False,
    may: Permission | None = None,
    words: Collection[str] = (),
) -> list[User]:
    """Return people in the order they were created, those after the id `after`; `may`: whose role allows this.

    `words`: who has each of them in their name or e-mail.
    """
    only = [has_permission(may)] if may is not None else []
    only += [User.is_active.is_(True)] if active_only else []
    return await list_records(tx, User, *only, *is_said_of(words), after=after, limit=limit)


def is_said_of(words: Collection[str]) -> list[ColumnElement[bool]]:
    """Say in SQL that a `User` has each of these words in their name or e-mail."""
    return has_words(words, User.name, User.email)


async def users_by_id(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, User]:
    """Return these people by their ids; unknown ids are left out."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    return {row.id: row for row in (await tx.session.scalars(select(User).where(User.id.in_(wanted)))).all()}


async def users_called(tx: Tx, name: str, *, limit: int = 50) -> list[UUID]:
    """Return whom each of these words may mean: people with all of them in their name."""
    has_all = [User.name.icontains(word, autoescape=True) for word in words_in(storable(name))]
    return list((await tx.session.scalars(select(User.id).where(*has_all).order_by(User.id).limit(limit))).all())


async def users_by_handle(tx: Tx, handles: Collection[str]) -> dict[str, User]:
    """Return who these handles mean, of those whose accounts are on: the e-mail, or what stands in it before the “@”.

    A handle that several people have means nobody.
    """
    wanted = dict.fromkeys(storable(handle).lower() for handle in handles)
    if not wanted:
        return {}
    email = func.lower(User.email)
    is_meant = or_(email.in_(wanted), func.split_part(email, "@", 1).in_(wanted))
    found: dict[str, list[User]] = {handle: [] for handle in wanted}
    for person in await tx.session.scalars(select(User).where(is_meant, User.is_active)):
        address = person.email.lower()
        for handle in wanted.keys() & {address, address.partition("@")[0]}:
            found[handle].append(person)
    return {handle: people[0] for handle, people in found.items() if len(people) == 1}


async def has_users(tx: Tx) -> bool:
    """Say whether anybody exists, active or not."""
    return (await tx.session.execute(select(select(User.id).exists()))).scalar_one()


async def sessions_of(
    tx: Tx, user_id: UUID, *, before: tuple[datetime, UUID] | None = None, limit: int = 100
) -> list[Session]:
    """Return the person's sessions that have not expired, the most recently used first, used before `before`."""
    query = select(Session).where(Session.user_id == user_id, Session.expires_at > tx.now)
    if before is not None:
        query = query.where(tuple_(Session.last_seen_at, Session.id) < tuple_(*before))
    query = query.order_by(Session.last_seen_at.desc(), Session.id.desc()).limit(limit)
    return list((await tx.session.scalars(query)).all())


async def new_password_until(tx: Tx, session_id: UUID | None, user_id: UUID) -> datetime | None:
    """Return until when this session of the person might set a new password without the old one, also if it is over."""
    query = select(Session.new_password_until).where(Session.id == session_id, Session.user_id == user_id)
    return (await tx.session.scalars(query)).one_or_none()


async def session_with_user(tx: Tx, token_digest: bytes) -> tuple[Session, User, Access] | None:
    """Return a session that is good now, and its active person with what they may do."""
    found = await _good_sessions(tx, Session.token_digest == token_digest, Session.delivery_ids.is_(None))
    return found[0] if found else None


async def link_session_with_user(tx: Tx, token_digest: bytes) -> tuple[Session, User, Access] | None:
    """Return a session by page link that is good now, and its active person with what they may do signed in."""
    found = await _good_sessions(tx, Session.token_digest == token_digest, Session.delivery_ids.is_not(None))
    return found[0] if found else None


async def lock_link_sessions(tx: Tx, user_id: UUID) -> list[Session]:
    """Return the person's sessions by page link for changing, the oldest first."""
    query = select(Session).where(Session.user_id == user_id, Session.delivery_ids.is_not(None)).order_by(Session.id)
    found = await tx.session.scalars(query.with_for_update().execution_options(populate_existing=True))
    return list(found.all())


async def good_sessions(tx: Tx, ids: Collection[UUID]) -> list[tuple[Session, User, Access]]:
    """Return those of these sessions that are good now, each with its active person and what they may do."""
    return await _good_sessions(tx, Session.id.in_(ids)) if ids else []


async def _good_sessions(tx: Tx, *which: ColumnElement[bool]) -> list[tuple[Session, User, Access]]:
    query = select(Session, User, GRANTED).join(User, User.id == Session.user_id)
    rows = await tx.session.execute(query.where(*which, Session.expires_at > tx.now, User.is_active))
    return [(row[0], row[1], access_of(row[1].id, row[1].role, row[2])) for row in rows]


async def tokens_of(
    tx: Tx,
    user_id: UUID | None,
    *,
    after: UUID | None = None,
    backwards: bool = False,
    limit: int = 100,
    with_revoked: bool = False,
    words: Collection[str] = (),
) -> list[ApiToken]:
    """Return the person's tokens, or everybody's for None, in the order they were created, those after `after`.

    `words`: those that have each of them in their name or that of their person. `backwards`: see `list_records`.
    """
    only = [] if with_revoked else [ApiToken.revoked_at.is_(None)]
    only += _tokens(user_id, words)
    return await list_records(tx, ApiToken, *only, after=after, backwards=backwards, limit=limit)


async def count_tokens(tx: Tx, user_id: UUID | None, words: Collection[str], *, most: int) -> int:
    """Count the tokens that `tokens_of` would find, and stop when they are more than `most`."""
    return await count_records(tx, ApiToken, ApiToken.revoked_at.is_(None), *_tokens(user_id, words), most=most)


def _tokens(user_id: UUID | None, words: Collection[str]) -> list[ColumnElement[bool]]:
    of = [ApiToken.user_id == user_id] if user_id is not None else []
    owner = select(User.name).where(User.id == ApiToken.user_id).scalar_subquery()
    return [*of, *has_words(words, ApiToken.name, owner)]


async def token(tx: Tx, token_id: UUID, user_id: UUID | None) -> ApiToken:
    """Return a token of this person, or anybody’s; raises `NotFound`."""
    found = await get_record(tx, ApiToken, token_id, "token")
    if user_id is not None and found.user_id != user_id:
        raise NotFound("There is no such token.")
    return found


async def lock_token(tx: Tx, token_id: UUID) -> ApiToken:
    """Return the token, revoked or not, and keep everybody else from changing it; raises `NotFound`."""
    return await lock_record(tx, ApiToken, token_id, "token")


async def token_with_user(tx: Tx, token_digest: bytes) -> tuple[ApiToken, User, Access] | None:
    """Return a token that is not revoked, and its active person with what they may do."""
    found = await _good_tokens(tx, ApiToken.token_digest == token_digest)
    return found[0] if found else None


async def good_tokens(tx: Tx, ids: Collection[UUID]) -> list[tuple[ApiToken, User, Access]]:
    """Return those of these tokens that are not revoked, each with its active person and what they may do."""
    return await _good_tokens(tx, ApiToken.id.in_(ids)) if ids else []


async def _good_tokens(tx: Tx, which: ColumnElement[bool]) -> list[tuple[ApiToken, User, Access]]:
    query = select(ApiToken, User, GRANTED).join(User, User.id == ApiToken.user_id)
    rows = await tx.session.execute(query.where(which, ApiToken.revoked_at.is_(None), User.is_active))
    return [(row[0], row[1], access_of(row[1].id, row[1].role, row[2])) for row in rows]


async def link(tx: Tx, token_digest: bytes) -> OneTimeLink | None:
    """Return a one-time link that is good now."""
    query = select(OneTimeLink).where(OneTimeLink.token_digest == token_digest, OneTimeLink.expires_at > tx.now)
    return (await tx.session.scalars(query)).one_or_none()


async def teams(
    tx: Tx,
    access: Access,
    *,
    after: UUID | None = None,
    backwards: bool = False,
    limit: int = 100,
    is_archived: bool | None = None,
    words: Collection[str] = (),
) -> list[Team]:
    """Return the teams that may be seen in the order they were created, those after the id `after`.

    `words`: those that have each of them in their name or description. `backwards`: see `list_records`.
    """
    only = _teams(access, words, is_archived=is_archived)
    return await list_records(tx, Team, *only, after=after, backwards=backwards, limit=limit)


async def count_teams(tx: Tx, access: Access, words: Collection[str] = (), *, is_archived: bool, most: int) -> int:
    """Count the teams that `teams` would find, and stop when they are more than `most`."""
    return await count_records(tx, Team, *_teams(access, words, is_archived=is_archived), most=most)


def _teams(access: Access, words: Collection[str], *, is_archived: bool | None) -> list[ColumnElement[bool]]:
    found = [visible_teams(access), *has_words(words, Team.name, Team.description)]
    return found if is_archived is None else [*found, Team.archived_at.is_not(None) == is_archived]


async def team(tx: Tx, access: Access, team_id: UUID) -> Team:
    """Return the team; raises `NotFound`, also for one that may not be seen."""
    return await get_record(tx, Team, team_id, "team", visible_teams(access))


async def teams_by_id(tx: Tx, access: Access, ids: Collection[UUID]) -> dict[UUID, Team]:
    """Return those of these teams that may be seen."""
    query = select(Team).where(among(Team.id, ids), visible_teams(access))
    return {team.id: team for team in await tx.session.scalars(query)} if ids else {}


async def lock_team(tx: Tx, access: Access, team_id: UUID) -> Team:
    """Return the team and keep everybody else from changing it; raises `NotFound`, also for one not to be seen."""
    return (await lock_records(tx, Team, [team_id], "team", visible_teams(access)))[0]


async def members(tx: Tx, team_ids: Iterable[UUID]) -> dict[UUID, list[tuple[User, str | None]]]:
    """Return the members of these teams by name, each with the key of their role there, if they have one."""
    wanted = sorted(set(team_ids))
    result: dict[UUID, list[tuple[User, str | None]]] = {team_id: [] for team_id in wanted}
    if not wanted:
        return result
    query = select(TeamMember.team_id, User, TeamMember.role).join(User, User.id == TeamMember.user_id)
    query = query.where(TeamMember.team_id.in_(wanted)).order_by(User.name, User.id)
    for team_id, person, role in await tx.session.execute(query):
        result[team_id].append((person, role))
    return result


async def teams_of(tx: Tx, access: Access, user_ids: Collection[UUID]) -> dict[UUID, list[Team]]:
    """Return in which of the teams that may be seen, and are in use, each of these people is, by name."""
    result: dict[UUID, list[Team]] = {user_id: [] for user_id in user_ids}
    query = select(TeamMember.user_id, Team).join(Team, Team.id == TeamMember.team_id)
    query = query.where(TeamMember.user_id.in_(user_ids), Team.archived_at.is_(None), visible_teams(access))
    for user_id, team in (await tx.session.execute(query.order_by(Team.name, Team.id))).all() if user_ids else ():
        result[user_id].append(team)
    return result


async def add_members(tx: Tx, team_id: UUID, members: Mapping[UUID, str | None]) -> None:
    """Put people into a team, each with the key of their role in it; who is in it already stays as they are."""
    if members:
        rows = [{"team_id": team_id, "user_id": user_id, "role": members[user_id]} for user_id in sorted(members)]
        await tx.session.execute(insert(TeamMember).values(rows).on_conflict_do_nothing())


async def remove_members(tx: Tx, team_id: UUID, user_ids: Collection[UUID]) -> None:
    """Put people out of a team."""
    gone = delete(TeamMember).where(TeamMember.team_id == team_id, TeamMember.user_id.in_(user_ids))
    await tx.session.execute(gone.execution_options(synchronize_session=False))
