"""The keys that all processes of an installation share, and changing the one that signs acknowledge links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.events.configuration import ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.identity.access import P
from tocsin.identity.model import Actor, Secret
from tocsin.kit.clock import in_utc
from tocsin.kit.crypto import KeyRing, digest, new_secret

# The first key of links; a later one has the second in which it was made behind this.
_LINK = "link"
_KIND = "acknowledge_key"


async def secret(tx: Tx, name: str) -> bytes:
    """Return the 32-byte key of this name that all processes share, and make it when it is asked for first.

    A key that was made in this transaction counts once it commits: do not sign with it before.
    """
    query = select(Secret.value).where(Secret.name == name)
    value = (await tx.session.scalars(query)).one_or_none()
    if value is not None:
        return value
    # The hash of 256 random bits is 32 bytes that are as random.
    new = insert(Secret).values(name=name, value=digest(new_secret())).on_conflict_do_nothing()
    await tx.session.execute(new)
    return (await tx.session.scalars(query)).one()


# The keys of acknowledge links as two columns, `key_names` and `key_values`, for a statement that runs anyway.
LINK_KEYS = f"""
(SELECT array_agg(name ORDER BY name) FROM secret WHERE name ~ '^{_LINK}(:|$)') AS key_names,
(SELECT array_agg(value ORDER BY name) FROM secret WHERE name ~ '^{_LINK}(:|$)') AS key_values
"""  # noqa: S608


def link_keys_in(secrets: Mapping[str, bytes], valid_for: timedelta) -> KeyRing:
    """Return the keys of acknowledge links that a statement has read as `LINK_KEYS`."""
    return KeyRing(_by_second(secrets.items()), valid_for)


async def link_keys(tx: Tx, valid_for: timedelta) -> KeyRing:
    """Return the keys of acknowledge links, which are good for `valid_for`. Read anew each time: they may change."""
    return KeyRing(await _link_keys(tx), valid_for)


async def rotate_link_key(tx: Tx, who: Actor, valid_for: timedelta, *, at_once: bool) -> int:
    """Make a new key for acknowledge links; returns how many older ones are still good.

    Links that are on their way stay good until they expire, unless `at_once`: then all of them are worthless now.
    Needs `user.manage`.
    """
    who.must(P.USER_MANAGE)
    await secret(tx, _LINK)
    # The first key is always locked first, so that of two at once the second sees what the first has made.
    await tx.session.execute(select(Secret.name).where(Secret.name == _LINK).with_for_update())
    keys = await _link_keys(tx)
    made = max(int(tx.now.timestamp()), max(keys) + 1)
    tx.session.add(Secret(name=f"{_LINK}:{made}", value=digest(new_secret())))
    await tx.session.flush()
    ring = KeyRing(await _link_keys(tx), valid_for)
    over = [each for each in keys if at_once or not ring.is_good(each, tx.now)]
    await emit(tx, ConfigurationCreated(actor=who.ref, kind=_KIND, id=UUID(int=made), title=_title(made)))
    for each in over:
        await _forget(tx, who, each)
    return len(keys) - len(over)


async def _forget(tx: Tx, who: Actor, made: int) -> None:
    if made == 0:
        # Its row stays to be locked, and so that no start makes it anew; what is in it signs nothing.
        (await tx.session.get_one(Secret, _LINK)).value = b""
    else:
        gone = delete(Secret).where(Secret.name == f"{_LINK}:{made}")
        await tx.session.execute(gone.execution_options(synchronize_session=False))
    await tx.session.flush()
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind=_KIND, id=UUID(int=made), title=_title(made)))


async def _link_keys(tx: Tx) -> Mapping[int, bytes]:
    """Return the keys by the second in which each was made, 0 for the first."""
    query = select(Secret.name, Secret.value).where((Secret.name == _LINK) | Secret.name.startswith(f"{_LINK}:"))
    rows = (await tx.session.execute(query)).all()
    return _by_second((name, value) for name, value in rows)


def _by_second(rows: Iterable[tuple[str, bytes]]) -> Mapping[int, bytes]:
    return {int(name.partition(":")[2] or 0): value for name, value in rows if value}


def _title(made: int) -> str:
    return in_utc(datetime.fromtimestamp(made, UTC)) if made else "the first"
