"""Counting wrong passwords: each attempt before it is compared, taken back when it was right. Rules: `guessing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tocsin.db.engine import Tx
from tocsin.identity import credential_queries
from tocsin.identity.guessing import Judge, Tally, must_not_wait


async def count_attempt(tx: Tx, judges: Sequence[Judge], what: str) -> None:
    """Count an attempt, or raise `TooMany` when one of the judges says that it comes too soon; then it is not counted.

    Commit before the password is compared: neither a roll-back nor many guesses at once then get around a limit.
    """
    known = await credential_queries.lock_tallies(tx, [judge.key for judge in judges])
    must_not_wait([judge.rule.wait(known[judge.key], tx.now) for judge in judges], what)
    await _store(tx, judges, {judge.key: judge.rule.counted(known[judge.key], tx.now) for judge in judges})


async def forgive_attempt(tx: Tx, judges: Sequence[Judge]) -> None:
    """Take the attempt back: it was right."""
    known = await credential_queries.lock_tallies(tx, [judge.key for judge in judges])
    await _store(tx, judges, {judge.key: judge.rule.forgiven(known[judge.key]) for judge in judges})


async def _store(tx: Tx, judges: Sequence[Judge], tallies: Mapping[bytes, Tally]) -> None:
    over_at = {judge.key: judge.rule.over_at(tallies[judge.key]) for judge in judges}
    await credential_queries.store_tallies(tx, tallies, over_at)
