"""Proving who one is: by password, with a brake on guessing, or by a link that works once."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from tocsin.db.engine import Database, Tx
from tocsin.events.base import ActorRef
from tocsin.events.configuration import ConfigurationCreated, SignInFailed
from tocsin.events.log import emit
from tocsin.identity import credential_queries, queries
from tocsin.identity.access import P
from tocsin.identity.access_queries import access
from tocsin.identity.accounts import is_password
from tocsin.identity.guessing import Device, judges_of_sign_in, network
from tocsin.identity.hashing import KNOWN, STRANGERS
from tocsin.identity.model import Actor, ActorKind, OneTimeLink, User
from tocsin.identity.permission import must_not_take_over
from tocsin.identity.service.attempts import count_attempt, forgive_attempt
from tocsin.identity.service.sessions import MOST_DAYS, open_session
from tocsin.kit.crypto import check_password, digest, hash_password, needs_rehash, new_secret
from tocsin.kit.errors import Conflict, Unauthenticated

_FAILURES = "failed sign-ins"


async def sign_in(
    db: Database,
    email: str,
    password: str,
    ip: str,
    user_agent: str,
    *,
    days: int,
    most_days: int = MOST_DAYS,
    device: Device | None = None,
    instead_of: str | None = None,
) -> tuple[User, str]:
    """Check the password and open a session as `open_session` says; returns the person and the cookie's value.

    `device` is what the browser's device cookie says, if it has a good one: then only its own failures count, and it
    does not queue behind strangers. Opens its own transactions: the attempt is counted and committed before the
    password is compared, and no transaction is open during the tens of milliseconds that argon2 takes.
    Raises `Unauthenticated`, the same for an unknown address, a wrong password and a deactivated person, `TooMany` as
    `guessing` says, and `Unavailable` when too many sign in at once.
    """
    lane, of = (KNOWN, f"device:{device.id}") if device is not None else (STRANGERS, network(ip))
    async with lane.turn(of):
        async with db.begin() as tx:
            judges = judges_of_sign_in(email, ip, device, tx.now)
            await count_attempt(tx, judges, _FAILURES)
            user = await queries.user_by_email(tx, email)
        checked = user.password_hash if user is not None else None

        is_right, rehashed = await lane.run(_compare, checked, password)

        if user is not None and checked is not None and is_right:
            async with db.begin() as tx:
                user = await queries.lock_user(tx, user.id)
                # Deactivated, or the password changed, while it was compared: then it is refused below.
                if user.is_active and user.password_hash == checked:
                    user.password_hash = rehashed or checked
                    await forgive_attempt(tx, judges)
                    return user, await open_session(
                        tx,
                        user,
                        ip=ip,
                        user_agent=user_agent,
                        how="password",
                        days=days,
                        most_days=most_days,
                        instead_of=instead_of,
                    )

        async with db.begin() as tx:
            # The address that was typed is not recorded unless it is somebody's: people type passwords into it.
            by = Actor.person(user).ref if user is not None else ActorRef(kind=ActorKind.SYSTEM.value, name="sign-in")
            await emit(tx, SignInFailed(actor=by, ip=ip))
    raise Unauthenticated(
        "The e-mail address or the password is wrong.",
        code="auth.sign_in_failed",
        hint="An administrator can send you a link that signs you in.",
    )


async def make_sign_in_link(tx: Tx, who: Actor, user_id: UUID, valid_for: timedelta) -> str:
    """Return the token of a link that signs the person in once; the record says who made it.

    Whoever holds it is that person. Needs `user.manage`.
    """
    who.must(P.USER_MANAGE)
    user = await queries.lock_user(tx, user_id)
    must_not_take_over(who, await access(tx, user_id))
    if not user.is_active:
        raise Conflict("This account is deactivated. Activate it before you make a link for it.")
    token = new_secret()
    tx.session.add(
        OneTimeLink(token_digest=digest(token), user_id=user.id, created_at=tx.now, expires_at=tx.now + valid_for)
    )
    await tx.session.flush()
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="sign_in_link", id=user.id, title=user.name))
    return token


async def sign_in_with_link(
    tx: Tx,
    token: str,
    ip: str,
    user_agent: str,
    *,
    days: int,
    most_days: int = MOST_DAYS,
    instead_of: str | None = None,
) -> tuple[User, str]:
    """Use the link up and open a session; of two at once, one gets in.

    Only a POST may call this: mail scanners and link previews follow links with GET.
    Raises `Unauthenticated` when the link is unknown, used or expired or the person is deactivated.
    """
    found = await queries.link(tx, digest(token))
    if found is None or found.user_id is None:
        raise _bad_link()
    # The person before the link, as in a deactivation, which deletes the links of the person it has locked.
    user = await queries.lock_user(tx, found.user_id)
    if not await credential_queries.use_link_up(tx, found.token_digest) or not user.is_active:
        raise _bad_link()
    cookie = await open_session(
        tx,
        user,
        ip=ip,
        user_agent=user_agent,
        how="link",
        days=days,
        most_days=most_days,
        instead_of=instead_of,
    )
    return user, cookie


async def delete_links(tx: Tx, user_id: UUID) -> None:
    """Make the person's unused links worthless. The caller holds the person's lock."""
    await credential_queries.delete_links_of(tx, user_id)


def _bad_link() -> Unauthenticated:
    return Unauthenticated("This link has been used or has expired. Ask for a new one.", code="auth.link_invalid")


def _compare(stored: str | None, password: str) -> tuple[bool, str | None]:
    """Say whether the password is right, and make a new hash when the stored one is of an older kind."""
    comparable = is_password(password)
    is_right = check_password(stored if comparable else None, password if comparable else "")
    if is_right and stored is not None and needs_rehash(stored):
        return True, hash_password(password)
    return is_right, None
