"""Browsers that are signed in: opening, recognising and ending their sessions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement

from tocsin.db.engine import Tx
from tocsin.events.configuration import SessionRevoked, SignedIn
from tocsin.events.log import emit
from tocsin.identity import credential_queries, queries
from tocsin.identity.access import P
from tocsin.identity.model import Actor, Session, User
from tocsin.identity.permission import must_manage
from tocsin.kit.crypto import digest, new_secret
from tocsin.kit.errors import Denied, NotFound
from tocsin.kit.ids import new_id

# How exact “last seen” and “last used” are; a write per request would buy nothing.
SEEN_EVERY = timedelta(minutes=1)
# How long after the use of a one-time link a forgotten password can be replaced in that session.
NEW_PASSWORD_WITHIN = timedelta(minutes=15)
# How long a session lasts at most, unless the operator says otherwise.
MOST_DAYS = 90
LONGEST_IP = 64
LONGEST_USER_AGENT = 300


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser that signs in: where it is, what it calls itself, and how long it stays (see `open_session`)."""

    ip: str
    user_agent: str
    days: int
    most_days: int = MOST_DAYS
    instead_of: str | None = None


async def open_session(
    tx: Tx,
    user: User,
    *,
    ip: str,
    user_agent: str,
    how: str,
    days: int = 14,
    most_days: int = MOST_DAYS,
    instead_of: str | None = None,
) -> str:
    """Sign the person in and return the cookie's value; only its digest is stored.

    The session ends after `days` without use, and after `most_days` in any case. `instead_of` is the cookie that the
    browser came with: whosever session that was, it ends here, since the browser no longer shows it to anybody.
    `how` is what the record shows: `password`, `link` or `set-up`. After a `link` the session may replace a forgotten
    password, once and for 15 minutes. The caller has checked the credential and holds
    the person's lock, so that a deactivation at the same moment ends this session too.
    """
    if not user.is_active:
        raise Denied("This account is deactivated. Ask an administrator.")
    cookie = new_secret()
    session = Session(
        id=new_id(),
        token_digest=digest(cookie),
        user_id=user.id,
        created_at=tx.now,
        last_seen_at=tx.now,
        expires_at=tx.now + timedelta(days=min(days, most_days)),
        new_password_until=tx.now + NEW_PASSWORD_WITHIN if how == "link" else None,
        ip=printable(ip, LONGEST_IP),
        user_agent=printable(user_agent, LONGEST_USER_AGENT),
    )
    tx.session.add(session)
    await tx.session.flush()
    await emit(tx, SignedIn(actor=Actor.person(user).ref, ip=session.ip, how=how))
    if instead_of:
        await _end(tx, Actor.person(user), Session.token_digest == digest(instead_of))
    return cookie


async def authenticate_session(tx: Tx, cookie: str, *, days: int, most_days: int = MOST_DAYS) -> Actor | None:
    """Return who holds this cookie; None when it is unknown or expired or the person is deactivated.

    Every use moves the expiry to `days` from now, written at most once a minute, and never beyond `most_days` from
    the sign-in.
    """
    found = await queries.session_with_user(tx, digest(cookie))
    if found is None:
        return None
    session, user, access = found
    latest = session.created_at + timedelta(days=most_days)
    if latest <= tx.now:
        return None
    if session.last_seen_at <= tx.now - SEEN_EVERY:
        await credential_queries.note_session_seen(
            tx, session.id, expires_at=min(latest, tx.now + timedelta(days=days))
        )
    return Actor.person(user, access, session_id=session.id)


async def still_good(tx: Tx, readers: Collection[Actor]) -> set[Actor]:
    """Return those whose session or token is good now and lets them do what it let them do then."""
    sessions = await queries.good_sessions(tx, [who.session_id for who in readers if who.session_id is not None])
    tokens = await queries.good_tokens(tx, [who.token_id for who in readers if who.token_id is not None])
    now = {Actor.person(user, access, session_id=session.id) for session, user, access in sessions}
    now |= {Actor.person(user, access, token_id=token.id, scopes=token.scopes) for token, user, access in tokens}
    return now & set(readers)


async def sign_out(tx: Tx, who: Actor) -> None:
    """End the session that asks. Does nothing for a token, or when it has ended already."""
    if who.session_id is not None:
        await _end(tx, who, Session.id == who.session_id)


async def revoke_session(tx: Tx, who: Actor, session_id: UUID) -> None:
    """End one's own session, or anybody's with `user.manage`. Raises `NotFound`, also for what one may not see."""
    session = await credential_queries.session(tx, session_id)
    if session is None or not (who.may(P.USER_MANAGE) or who.user_id == session.user_id):
        raise NotFound("There is no such session. It may have ended already.")
    must_manage(who, session.user_id)
    await _end(tx, who, Session.id == session_id)


async def revoke_other_sessions(tx: Tx, who: Actor) -> None:
    """End every session of one's own but the one that asks."""
    me = who.must_be_someone()
    must_manage(who, me)
    await queries.lock_user(tx, me)
    await end_sessions(tx, who, me, keep=who.session_id)


async def end_sessions(tx: Tx, who: Actor, user_id: UUID, *, keep: UUID | None = None) -> None:
    """End every session of the person except `keep`. The caller holds the person's lock."""
    condition = Session.user_id == user_id
    await _end(tx, who, condition if keep is None else condition & (Session.id != keep))


async def forget_new_password(tx: Tx, user_id: UUID) -> None:
    """Let what a one-time link allowed be over in every session of the person. The caller holds the person's lock."""
    await credential_queries.forget_new_password(tx, user_id)


async def _end(tx: Tx, who: Actor, condition: ColumnElement[bool]) -> None:
    ended = await credential_queries.end_sessions(tx, condition)
    await emit(tx, *(SessionRevoked(actor=who.ref, session_id=id) for id in ended))


def printable(text: str, longest: int) -> str:
    """Return what can be shown of a text from outside, and not too much of it."""
    return "".join(c for c in text if c.isprintable())[:longest]
