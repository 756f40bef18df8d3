"""Every query about secrets: keys, one-time links, tokens, sessions, and how often a password was wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.identity.guessing import Tally
from tocsin.identity.model import ApiToken, OneTimeLink, Secret, Session, SignInThrottle
from tocsin.kit.record import Record

# The first key of links; a later one has the second in which it was made behind this.
LINK = "link"
# The keys of acknowledge links as two columns, `key_names` and `key_values`, for a statement that runs anyway.
LINK_KEYS = f"""
(SELECT array_agg(name ORDER BY name) FROM secret WHERE name ~ '^{LINK}(:|$)') AS key_names,
(SELECT array_agg(value ORDER BY name) FROM secret WHERE name ~ '^{LINK}(:|$)') AS key_values
"""  # noqa: S608


async def lock_tallies(tx: Tx, keys: Iterable[bytes]) -> dict[bytes, Tally]:
    """Return what is known under each key, nothing at all included, and let nobody else count there meanwhile."""
    row = SignInThrottle
    # In the order of the keys, or two attempts could wait for each other.
    new = insert(row).values([{"key": key, "failures": 0, "at": tx.now, "over_at": tx.now} for key in sorted(keys)])
    # The update changes nothing; it locks the row and has it returned.
    found = new.on_conflict_do_update(index_elements=[row.key], set_={"failures": row.failures})
    rows = await tx.session.execute(found.returning(row.key, row.failures, row.at))
    return {key: Tally(failures, at) for key, failures, at in rows.all()}


async def store_tallies(tx: Tx, tallies: Mapping[bytes, Tally], over_at: Mapping[bytes, datetime]) -> None:
    """Store what is known under each key, and when it may be forgotten."""
    values = [
        {"key": key, "failures": tallies[key].failures, "at": tallies[key].at, "over_at": over_at[key]}
        for key in sorted(over_at)
    ]
    new = insert(SignInThrottle).values(values)
    set_ = {name: new.excluded[name] for name in ("failures", "at", "over_at")}
    await tx.session.execute(new.on_conflict_do_update(index_elements=[SignInThrottle.key], set_=set_))


async def secret(tx: Tx, name: str) -> bytes | None:
    """Return the key of this name that all processes share."""
    return (await tx.session.scalars(select(Secret.value).where(Secret.name == name))).one_or_none()


async def keep_secret(tx: Tx, name: str, value: bytes) -> bytes:
    """Store a key unless there is one by now; returns the one that counts."""
    await tx.session.execute(insert(Secret).values(name=name, value=value).on_conflict_do_nothing())
    return (await tx.session.scalars(select(Secret.value).where(Secret.name == name))).one()


async def lock_secret(tx: Tx, name: str) -> None:
    """Keep others from changing the key of this name."""
    await tx.session.execute(select(Secret.name).where(Secret.name == name).with_for_update())


async def secrets_of(tx: Tx, name: str) -> dict[str, bytes]:
    """Return the keys of this name, and of this name with something behind a colon."""
    query = select(Secret.name, Secret.value).where((Secret.name == name) | Secret.name.startswith(f"{name}:"))
    return {found: value for found, value in (await tx.session.execute(query)).all()}


async def empty_secret(tx: Tx, name: str) -> None:
    """Take what is in the key of this name out of it; its row stays."""
    (await tx.session.get_one(Secret, name)).value = b""


async def delete_secret(tx: Tx, name: str) -> None:
    """Delete the key of this name."""
    gone = delete(Secret).where(Secret.name == name)
    await tx.session.execute(gone.execution_options(synchronize_session=False))


async def use_link_up(tx: Tx, token_digest: bytes) -> bool:
    """Delete a one-time link; says whether it was there, so of two at once one is told so."""
    used = delete(OneTimeLink).where(OneTimeLink.token_digest == token_digest).returning(OneTimeLink.created_at)
    return (await tx.session.execute(used.execution_options(synchronize_session=False))).first() is not None


async def delete_links_of(tx: Tx, user_id: UUID | None) -> None:
    """Delete the one-time links of a person, or those of the set-up."""
    mine = OneTimeLink.user_id.is_(None) if user_id is None else OneTimeLink.user_id == user_id
    await tx.session.execute(delete(OneTimeLink).where(mine).execution_options(synchronize_session=False))


async def revoke_tokens(tx: Tx, user_id: UUID) -> dict[UUID, str]:
    """End every token of a person; returns the names of those that were good until now."""
    ended = await tx.session.execute(
        update(ApiToken)
        .where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=tx.now)
        .returning(ApiToken.id, ApiToken.name)
        .execution_options(synchronize_session=False)
    )
    return {id: name for id, name in ended}


async def note_token_used(tx: Tx, token_id: UUID) -> None:
    """Note that a token is used now."""
    # A row that another request is just writing is left to it: a busy program must not queue up here.
    free = (
        select(ApiToken.id)
        .where(ApiToken.id == token_id)
        .with_for_update(skip_locked=True, key_share=True)
        .scalar_subquery()
    )
    await tx.session.execute(
        update(ApiToken)
        .where(ApiToken.id == free)
        .values(last_used_at=tx.now)
        .execution_options(synchronize_session=False)
    )


async def session(tx: Tx, id: UUID) -> Session | None:
    """Return the session of a browser."""
    return await tx.session.get(Session, id)


async def note_session_seen(tx: Tx, id: UUID, *, expires_at: datetime) -> None:
    """Note that a session is used now, and lasts until then."""
    # A row that another request is just writing is left to it: requests of one browser must not queue up here.
    free = (
        select(Session.id).where(Session.id == id).with_for_update(skip_locked=True, key_share=True).scalar_subquery()
    )
    await tx.session.execute(
        update(Session)
        .where(Session.id == free)
        .values(last_seen_at=tx.now, expires_at=expires_at)
        .execution_options(synchronize_session=False)
    )


async def forget_new_password(tx: Tx, user_id: UUID) -> None:
    """Let no session of a person replace a forgotten password any more."""
    await tx.session.execute(
        update(Session)
        .where(Session.user_id == user_id, Session.new_password_until.is_not(None))
        .values(new_password_until=None)
        .execution_options(synchronize_session=False)
    )


async def end_sessions(tx: Tx, which: ColumnElement[bool]) -> list[UUID]:
    """Delete these sessions; returns which there were."""
    ended = delete(Session).where(which).returning(Session.id)
    return list((await tx.session.scalars(ended.execution_options(synchronize_session=False))).all())


async def delete_what_is_over(tx: Tx) -> None:
    """Delete sessions, links and counters of wrong passwords that are worth nothing any more."""
    over: list[tuple[type[Record], ColumnElement[bool]]] = [
        (Session, Session.expires_at <= tx.now),
        (OneTimeLink, OneTimeLink.expires_at <= tx.now),
        (SignInThrottle, SignInThrottle.over_at <= tx.now),
    ]
    for record, condition in over:
        await tx.session.execute(delete(record).where(condition).execution_options(synchronize_session=False))
