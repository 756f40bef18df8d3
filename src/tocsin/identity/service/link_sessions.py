"""Browsers that came by the link of a page: for a while, and for what the page was about.

Which links count, and what each was about, is said by who knows of pages (`incidents.service.visiting`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.configuration import SessionRevoked, SignedIn
from tocsin.events.log import emit
from tocsin.identity import credential_queries, queries
from tocsin.identity.access import Confined
from tocsin.identity.model import BY_PAGE_LINK, Actor, Session, User
from tocsin.identity.service.sessions import LONGEST_IP, LONGEST_USER_AGENT, SEEN_EVERY, printable
from tocsin.kit.crypto import digest_of_link_session, new_secret
from tocsin.kit.ids import new_id

# How many messages one browser may have come by, and how many such browsers a person may have: the oldest go.
MOST_DELIVERIES = 20
MOST_SESSIONS = 10
_NOTHING = Confined(frozenset(), frozenset())


async def open_link_session(
    tx: Tx, user: User, delivery_id: UUID, until: datetime, *, ip: str, user_agent: str, cookie: str
) -> str:
    """Let the browser that sent this cookie see what a page was about; returns the cookie that it has from now on.

    Where it came by another link of the same person before, it goes on seeing that, too. The caller holds the person's
    lock and knows the link to count; `until` is when its own time is over.
    """
    kept = await queries.lock_link_sessions(tx, user.id)
    here = digest_of_link_session(cookie)
    session = next((each for each in kept if each.token_digest == here and each.expires_at > tx.now), None)
    if session is None:
        cookie = new_secret()
        session = Session(
            id=new_id(),
            token_digest=digest_of_link_session(cookie),
            user_id=user.id,
            created_at=tx.now,
            last_seen_at=tx.now,
            expires_at=until,
            delivery_ids=[],
            ip=printable(ip, LONGEST_IP),
            user_agent=printable(user_agent, LONGEST_USER_AGENT),
        )
        tx.session.add(session)
    before = [each for each in session.delivery_ids or () if each != delivery_id]
    session.delivery_ids = [*before, delivery_id][-MOST_DELIVERIES:]
    session.expires_at = max(session.expires_at, until)
    session.last_seen_at = tx.now
    await tx.session.flush()
    who = Actor.person(user).by_link(_NOTHING, session.expires_at)
    await emit(tx, SignedIn(actor=who.ref, ip=session.ip, how=BY_PAGE_LINK))
    too_many = [each.id for each in kept if each is not session][: -(MOST_SESSIONS - 1)]
    await credential_queries.end_sessions(tx, Session.id.in_(too_many))
    return cookie


async def link_session(tx: Tx, cookie: str) -> tuple[Session, Actor] | None:
    """Return the session by page link of this cookie and its person as they are signed in; None when it is over.

    Its time is never moved on by use.
    """
    found = await queries.link_session_with_user(tx, digest_of_link_session(cookie))
    if found is None:
        return None
    session, user, access = found
    if session.last_seen_at <= tx.now - SEEN_EVERY:
        await credential_queries.note_session_seen(tx, session.id, expires_at=session.expires_at)
    return session, Actor.person(user, access, session_id=session.id)


async def link_sessions(tx: Tx, ids: Collection[UUID]) -> list[tuple[Session, Actor]]:
    """Return those of these sessions that are good now and by page link, each with its person as they are signed in."""
    return [
        (session, Actor.person(user, access, session_id=session.id))
        for session, user, access in await queries.good_sessions(tx, ids)
        if session.is_by_link
    ]


async def end_link_sessions(tx: Tx, who: Actor) -> None:
    """End what links of pages have opened, everybody's."""
    ended = await credential_queries.end_sessions(tx, Session.delivery_ids.is_not(None))
    await emit(tx, *(SessionRevoked(actor=who.ref, session_id=id) for id in ended))
