"""People: creating them, changing them, setting their passwords."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from tocsin.db.engine import Database, Tx
from tocsin.db.records import insert_record
from tocsin.events.base import Change, Subject, yes_or_no
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, UserDeactivated, UserLostRights
from tocsin.events.log import emit
from tocsin.events.since import left_alone
from tocsin.identity import queries
from tocsin.identity.access import P, Role, loses_roles
from tocsin.identity.access_queries import access, anew, hold_role
from tocsin.identity.accounts import (
    UserChanges,
    check_new_password,
    clean_email,
    clean_name,
    clean_time_zone,
    is_password,
    zone_or_none,
)
from tocsin.identity.guessing import judges_of_own_password
from tocsin.identity.hashing import in_turn
from tocsin.identity.model import Actor, User, told_as
from tocsin.identity.permission import must_manage, must_not_exceed, must_not_take_over
from tocsin.identity.service.attempts import count_attempt, forgive_attempt
from tocsin.identity.service.sessions import end_sessions, forget_new_password
from tocsin.identity.service.sign_in import delete_links, make_sign_in_link
from tocsin.identity.service.tokens import revoke_tokens
from tocsin.kit.changes import UNSET, Copy
from tocsin.kit.crypto import check_password, hash_password
from tocsin.kit.errors import Conflict, Invalid
from tocsin.kit.ids import new_id

INVITATION_VALID_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class NewUser:
    """A checked account that is ready to be stored."""

    email: str
    name: str
    role: str
    time_zone: str
    password_hash: str | None


async def create_user(
    tx: Tx,
    who: Actor,
    *,
    email: str,
    name: str,
    role: str,
    password: str | None = None,
    time_zone: str = "UTC",
) -> User:
    """Create a person; without a password they sign in by link. Raises `Invalid`, `taken` for a known address."""
    who.must(P.USER_MANAGE)
    must_not_exceed(who, await hold_role(tx, role))
    new = await check_user(email=email, name=name, role=role, password=password, time_zone=time_zone)
    user = await store_user(tx, new)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="user", id=user.id, title=user.name))
    return user


async def invite(tx: Tx, who: Actor, *, email: str, name: str, role: str, again: bool = False) -> str:
    """Create a person and return the token of the link that signs them in; it is good for a week.

    `again` says that this person has just been invited and the first link was never seen: they get another one.
    """
    who.must(P.USER_MANAGE)
    known = await queries.user_by_email(tx, email) if again else None
    person = known or await create_user(tx, who, email=email, name=name, role=role)
    return await make_sign_in_link(tx, who, person.id, INVITATION_VALID_FOR)


async def check_user(*, email: str, name: str, role: str, password: str | None, time_zone: str) -> NewUser:
    """Check the fields and hash the password off the event loop; touches no row, so nothing is locked meanwhile."""
    address, person = clean_email(email), clean_name(name)
    zone = clean_time_zone(time_zone)
    if password is None:
        return NewUser(address, person, role, zone, None)
    check_new_password(password, email=address, name=person)
    return NewUser(address, person, role, zone, await in_turn(address, hash_password, password))


async def store_user(tx: Tx, new: NewUser) -> User:
    """Insert the person; raises `Invalid` when the address belongs to somebody, also when they came first just now."""
    known, given = told_as(new.role)
    values = {
        "id": new_id(),
        "email": new.email,
        "name": new.name,
        "known_role": known,
        "given_role": given,
        "password_hash": new.password_hash,
        "time_zone": new.time_zone,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    user = await insert_record(tx, User, values)
    if user is None:
        raise _taken()
    return user


async def update_user(tx: Tx, who: Actor, user_id: UUID, changes: UserChanges, *, if_version: Copy = None) -> User:
    """Change a person: name and time zone of oneself, everything of anybody with `user.manage`.

    A deactivation ends the person's sessions, tokens and links, and others take over what they were asked, held and
    led (`user.deactivated`); who may no longer edit incidents leads none (`user.lost_rights`). Raises `Stale` when
    `if_version` is not the stored version, `Conflict` when nobody would be left to administer, `Invalid` for a field.
    Nothing new: nothing happens. People call this through `incidents`, where what they are needed for is known.
    """
    must_manage(who, user_id)
    of_the_account = changes.are_of_the_account
    if of_the_account:
        who.must(P.USER_MANAGE)
    user, other_admins = await queries.lock_user_and_admins(tx, user_id)
    changes = await _without_theirs(tx, user, changes, if_version)
    theirs = await access(tx, user_id)
    allowed = before = theirs.organisation
    if of_the_account:
        # Whoever was waited for may have taken it from the actor.
        who = await anew(tx, who)
        who.must(P.USER_MANAGE)
        if who.user_id != user_id:
            must_not_take_over(who, theirs)
    if changes.role is not UNSET and changes.role != user.role:
        allowed = await hold_role(tx, changes.role)
        must_not_exceed(who, allowed)
    was_active = user.is_active
    was_active_admin = user.is_active and user.role == Role.ADMIN
    changed = _apply(user, changes)
    if not changed:
        return user
    if was_active_admin and not other_admins and not (user.is_active and user.role == Role.ADMIN):
        raise Conflict(
            "This is the last active administrator. Make somebody else an administrator first.", code="user.last_admin"
        )
    user.version += 1
    user.updated_at = tx.now
    try:
        await tx.session.flush()
    except IntegrityError as error:
        # The address is the only thing that can clash; the transaction is lost and rolls back at the edge.
        raise _taken() from error
    about: dict[str, Any] = {"kind": "user", "id": user.id, "title": user.name, "version": user.version}
    await emit(tx, ConfigurationChanged(actor=who.ref, **about, changes=changed))
    if was_active and not user.is_active:
        await emit(tx, UserDeactivated(actor=who.ref, user_id=user.id, user_name=user.name))
        await end_sessions(tx, who, user.id)
        await revoke_tokens(tx, who, user.id)
        await delete_links(tx, user.id)
    elif user.is_active and loses_roles(before, allowed):
        await emit(tx, UserLostRights(actor=who.ref, user_id=user.id, user_name=user.name))
    return user


async def take_zone(tx: Tx, user: User, named: str) -> None:
    """Give somebody new the zone that their browser named; what is no zone changes nothing."""
    zone = zone_or_none(named)
    if zone is not None and user.time_zone == "UTC":
        await update_user(tx, Actor.person(user), user.id, UserChanges(time_zone=zone))


async def _without_theirs(tx: Tx, user: User, changes: UserChanges, copy: Copy) -> UserChanges:
    """Return the changes but for what somebody else has written since and the caller left as they saw it."""
    wanted = _differing(user, changes)
    told = [Change(field=name, old=_shown(getattr(user, name)), new=_shown(new)) for name, new in wanted.items()]
    left = await left_alone(tx, Subject("user", user.id), user.version, copy, told, "this person")
    return UserChanges(**{name: value for name, value in wanted.items() if name not in left})


def _differing(user: User, changes: UserChanges) -> dict[str, Any]:
    """Return the fields that are to be other than they are, checked, as they are stored."""
    wanted: dict[str, Any] = {
        "email": UNSET if changes.email is UNSET else clean_email(changes.email),
        "name": UNSET if changes.name is UNSET else clean_name(changes.name),
        "role": changes.role,
        "time_zone": UNSET if changes.time_zone is UNSET else clean_time_zone(changes.time_zone),
        "is_active": changes.is_active,
    }
    return {name: value for name, value in wanted.items() if value is not UNSET and value != getattr(user, name)}


def _apply(user: User, changes: UserChanges) -> list[Change]:
    """Change the fields that differ and return them with their old and new values."""
    wanted = _differing(user, changes)
    told = [Change(field=name, old=_shown(getattr(user, name)), new=_shown(new)) for name, new in wanted.items()]
    for name, value in wanted.items():
        setattr(user, name, value)
    return told


def _shown(value: str | bool) -> str:
    return value if isinstance(value, str) else yes_or_no(value)


async def set_password(db: Database, who: Actor, user_id: UUID, new: str, current: str | None = None) -> User:
    """Set the password and end the person's other sessions and unused links; tokens stay.

    For one's own, `current` must be right, unless there is none yet or this session was opened by a one-time link in
    the last 15 minutes and has not set one since. Somebody else's needs `user.manage`. Opens its own transactions, as
    `sign_in` does: the attempt is counted before it is compared, and none is open while argon2 runs.
    Raises `Conflict` when somebody else has set the password meanwhile, `TooMany` after wrong current passwords.
    """
    must_manage(who, user_id)
    async with db.begin() as tx:
        user = await queries.user(tx, user_id)
        must_not_take_over(who, await access(tx, user_id))
        checked = user.password_hash
        check_new_password(new, email=user.email, name=user.name)
        is_own = checked is not None and who.user_id == user_id
        until = await queries.new_password_until(tx, who.session_id, user_id) if is_own else None
        came_by_link = until is not None and until > tx.now
    if checked is not None and is_own and not came_by_link:
        await _prove_own(db, who, user_id, checked, current or "")
    hashed = await in_turn(_name(who), hash_password, new)

    async with db.begin() as tx:
        user = await queries.lock_user(tx, user_id)
        if user.password_hash != checked:
            raise Conflict("The password was changed in the meantime. Try again.")
        if came_by_link and not await _still_may(tx, who, user_id):
            raise _give_current()
        user.password_hash = hashed
        user.version += 1
        user.updated_at = tx.now
        await tx.session.flush()
        change = Change(field="password", old=None, new=None)
        about: dict[str, Any] = {"kind": "user", "id": user.id, "title": user.name, "version": user.version}
        await emit(tx, ConfigurationChanged(actor=who.ref, **about, changes=[change]))
        await end_sessions(tx, who, user.id, keep=who.session_id)
        await forget_new_password(tx, user.id)
        await delete_links(tx, user.id)
        return user


async def _still_may(tx: Tx, who: Actor, user_id: UUID) -> bool:
    """Say whether this session still exists and has not used up what its one-time link allowed."""
    return await queries.new_password_until(tx, who.session_id, user_id) is not None


async def _prove_own(db: Database, who: Actor, user_id: UUID, stored: str, current: str) -> None:
    """Raise `Invalid` unless the current password is right, and `TooMany` when it was wrong too often."""
    if not current:
        raise _give_current()
    judges = judges_of_own_password(user_id, who.session_id or who.token_id)
    async with db.begin() as tx:
        await count_attempt(tx, judges, "wrong passwords")
    if not is_password(current) or not await in_turn(_name(who), check_password, stored, current):
        raise Invalid("current", "This is not your current password.", code="wrong")
    async with db.begin() as tx:
        await forgive_attempt(tx, judges)


def _name(who: Actor) -> str:
    """Name who asks in the queue of the hashing threads."""
    return str(who.user_id or who.name)


def _give_current() -> Invalid:
    return Invalid("current", "Give your current password.", code="missing")


def _taken() -> Invalid:
    return Invalid("email", "Somebody has this e-mail address already.", code="taken")
