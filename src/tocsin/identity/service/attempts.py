"""Counting wrong passwords: each attempt before it is compared, taken back when it was right. Rules: `guessing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.dialects.postgresql import insert

from tocsin.db.engine import Tx
from tocsin.identity.guessing import Judge, Tally, must_not_wait
from tocsin.identity.model import SignInThrottle


async def count_attempt(tx: Tx, judges: Sequence[Judge], what: str) -> None:
    """Count an attempt, or raise `TooMany` when one of the judges says that it comes too soon; then it is not counted.

    Commit before the password is compared: neither a roll-back nor many guesses at once then get around a limit.
    """
    known = await _lock(tx, judges)
    must_not_wait([judge.rule.wait(known[judge.key], tx.now) for judge in judges], what)
    await _store(tx, judges, {judge.key: judge.rule.counted(known[judge.key], tx.now) for judge in judges})


async def forgive_attempt(tx: Tx, judges: Sequence[Judge]) -> None:
    """Take the attempt back: it was right."""
    known = await _lock(tx, judges)
    await _store(tx, judges, {judge.key: judge.rule.forgiven(known[judge.key]) for judge in judges})


async def _lock(tx: Tx, judges: Sequence[Judge]) -> dict[bytes, Tally]:
    """Return what is known under each key, nothing at all included, and let nobody else count there meanwhile."""
    # In the order of the keys, or two attempts could wait for each other.
    keys = sorted(judge.key for judge in judges)
    row = SignInThrottle
    new = insert(row).values([{"key": key, "failures": 0, "at": tx.now, "over_at": tx.now} for key in keys])
    # The update changes nothing; it locks the row and has it returned.
    found = new.on_conflict_do_update(index_elements=[row.key], set_={"failures": row.failures})
    rows = await tx.session.execute(found.returning(row.key, row.failures, row.at))
    return {key: Tally(failures, at) for key, failures, at in rows.all()}


async def _store(tx: Tx, judges: Sequence[Judge], tallies: Mapping[bytes, Tally]) -> None:
    values = [
        {"key": judge.key, "failures": tally.failures, "at": tally.at, "over_at": judge.rule.over_at(tally)}
        for judge in sorted(judges, key=lambda judge: judge.key)
        for tally in (tallies[judge.key],)
    ]
    new = insert(SignInThrottle).values(values)
    set_ = {name: new.excluded[name] for name in ("failures", "at", "over_at")}
    await tx.session.execute(new.on_conflict_do_update(index_elements=[SignInThrottle.key], set_=set_))
