"""Credentials for programs: making, recognising and revoking API tokens."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import Subject
from tocsin.events.configuration import ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.identity import credential_queries, queries
from tocsin.identity.access import Access, P, Permission, implied
from tocsin.identity.access_queries import access
from tocsin.identity.accounts import clean_name
from tocsin.identity.model import Actor, ApiToken, User
from tocsin.identity.permission import must_manage, must_not_take_over
from tocsin.identity.service.sessions import SEEN_EVERY
from tocsin.kit.crypto import digest, new_secret
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound
from tocsin.kit.ids import new_id

PREFIX = "tcs_"
# How much of the secret stays readable, so that a person can tell tokens apart.
_HINT = len(PREFIX) + 4


async def create_token(tx: Tx, who: Actor, *, user_id: UUID, name: str, scopes: Iterable[str]) -> tuple[ApiToken, str]:
    """Make a token that acts as the person within its scopes, and return it with its secret, shown only now.

    For oneself, or for anybody with `user.manage`. No scopes: everything the person's role allows, also later.
    """
    must_manage(who, user_id)
    title = clean_name(name)
    wanted = sorted(set(scopes))
    user = await queries.lock_user(tx, user_id)
    if not user.is_active:
        raise Conflict("This account is deactivated. Activate it before you make a token for it.", code="user.inactive")
    _check_scopes(who, user, await access(tx, user_id), wanted)
    secret = new_secret(PREFIX)
    token = ApiToken(
        id=new_id(),
        token_digest=digest(secret),
        hint=secret[:_HINT],
        user_id=user.id,
        name=title,
        scopes=wanted,
        created_at=tx.now,
    )
    tx.session.add(token)
    await tx.session.flush()
    of = (Subject("user", user.id),)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="token", id=token.id, title=title, of=of))
    return token, secret


async def revoke_token(tx: Tx, who: Actor, token_id: UUID) -> ApiToken:
    """End one's own token, or anybody's with `user.manage`; a revoked token stays revoked.

    Raises `NotFound`, also for what one may not see.
    """
    token = await queries.lock_token(tx, token_id)
    if not (who.may(P.USER_MANAGE) or who.user_id == token.user_id):
        raise NotFound("There is no such token.")
    must_manage(who, token.user_id)
    if token.revoked_at is None:
        token.revoked_at = tx.now
        await tx.session.flush()
        of = (Subject("user", token.user_id),)
        await emit(tx, ConfigurationDeleted(actor=who.ref, kind="token", id=token.id, title=token.name, of=of))
    return token


async def revoke_tokens(tx: Tx, who: Actor, user_id: UUID) -> None:
    """End every token of the person. The caller holds the person's lock."""
    ended = await credential_queries.revoke_tokens(tx, user_id)
    of = (Subject("user", user_id),)
    gone = [ConfigurationDeleted(actor=who.ref, kind="token", id=id, title=name, of=of) for id, name in ended.items()]
    await emit(tx, *gone)


async def authenticate_token(tx: Tx, secret: str) -> Actor | None:
    """Return whom this token acts as; None when it is unknown or revoked or the person is deactivated.

    The time of the last use is written at most once a minute.
    """
    if not secret.startswith(PREFIX):
        return None
    found = await queries.token_with_user(tx, digest(secret))
    if found is None:
        return None
    token, user, access = found
    if token.last_used_at is None or token.last_used_at <= tx.now - SEEN_EVERY:
        await credential_queries.note_token_used(tx, token.id)
    return Actor.person(user, access, token_id=token.id, scopes=token.scopes)


def _check_scopes(who: Actor, user: User, theirs: Access, wanted: list[str]) -> None:
    known = set(Permission)
    unknown = [scope for scope in wanted if scope not in known]
    if unknown:
        raise Invalid("scopes", f"There is no scope “{unknown[0][:60]}”. Choose from {', '.join(sorted(known))}.")
    scopes = {Permission(scope) for scope in wanted}
    beyond = sorted(scope for scope in scopes if not theirs.may_somewhere(scope))
    if beyond:
        raise Invalid("scopes", f"The role {user.role} does not allow “{beyond[0]}”.")
    would = theirs.narrowed(scopes) if scopes else theirs
    # A token must not make one that may do more than itself.
    if who.token_id is not None and not (scopes and all(who.access.may_somewhere(scope) for scope in implied(scopes))):
        raise Denied("A token can only make tokens whose scopes are named and within its own.")
    if who.user_id != user.id:
        must_not_take_over(who, would)
