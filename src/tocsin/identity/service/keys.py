"""The keys that all processes of an installation share, and changing the one that signs acknowledge links."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.configuration import ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.identity import credential_queries
from tocsin.identity.access import P
from tocsin.identity.credential_queries import LINK
from tocsin.identity.model import Actor, Secret
from tocsin.identity.service.link_sessions import end_link_sessions
from tocsin.kit.clock import in_utc
from tocsin.kit.crypto import KeyRing, digest, new_secret

_KIND = "acknowledge_key"


async def secret(tx: Tx, name: str) -> bytes:
    """Return the 32-byte key of this name that all processes share, and make it when it is asked for first.

    A key that was made in this transaction counts once it commits: do not sign with it before.
    """
    value = await credential_queries.secret(tx, name)
    if value is not None:
        return value
    # The hash of 256 random bits is 32 bytes that are as random.
    return await credential_queries.keep_secret(tx, name, digest(new_secret()))


def link_keys_in(secrets: Mapping[str, bytes], valid_for: timedelta) -> KeyRing:
    """Return the keys of acknowledge links that a statement has read as `LINK_KEYS`."""
    return KeyRing(_by_second(secrets), valid_for)


async def link_keys(tx: Tx, valid_for: timedelta) -> KeyRing:
    """Return the keys of acknowledge links, which are good for `valid_for`. Read anew each time: they may change."""
    return KeyRing(await _link_keys(tx), valid_for)


async def rotate_link_key(tx: Tx, who: Actor, valid_for: timedelta, *, at_once: bool) -> int:
    """Make a new key for acknowledge links; returns how many older ones are still good.

    Links that are on their way stay good until they expire, unless `at_once`: then all of them are worthless now, and
    so is what they opened in browsers.
    Needs `user.manage`.
    """
    who.must(P.USER_MANAGE)
    await secret(tx, LINK)
    # The first key is always locked first, so that of two at once the second sees what the first has made.
    await credential_queries.lock_secret(tx, LINK)
    keys = await _link_keys(tx)
    made = max(int(tx.now.timestamp()), max(keys) + 1)
    tx.session.add(Secret(name=f"{LINK}:{made}", value=digest(new_secret())))
    await tx.session.flush()
    ring = KeyRing(await _link_keys(tx), valid_for)
    over = [each for each in keys if at_once or not ring.is_good(each, tx.now)]
    await emit(tx, ConfigurationCreated(actor=who.ref, kind=_KIND, id=UUID(int=made), title=_title(made)))
    for each in over:
        await _forget(tx, who, each)
    if at_once:
        await end_link_sessions(tx, who)
    return len(keys) - len(over)


async def _forget(tx: Tx, who: Actor, made: int) -> None:
    if made == 0:
        # Its row stays to be locked, and so that no start makes it anew; what is in it signs nothing.
        await credential_queries.empty_secret(tx, LINK)
    else:
        await credential_queries.delete_secret(tx, f"{LINK}:{made}")
    await tx.session.flush()
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind=_KIND, id=UUID(int=made), title=_title(made)))


async def _link_keys(tx: Tx) -> Mapping[int, bytes]:
    """Return the keys by the second in which each was made, 0 for the first."""
    return _by_second(await credential_queries.secrets_of(tx, LINK))


def _by_second(secrets: Mapping[str, bytes]) -> Mapping[int, bytes]:
    return {int(name.partition(":")[2] or 0): value for name, value in secrets.items() if value}


def _title(made: int) -> str:
    return in_utc(datetime.fromtimestamp(made, UTC)) if made else "the first"
