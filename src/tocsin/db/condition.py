"""What the statements of this process say about the store: that it is silent, full, or may only be read."""

from __future__ import annotations

import math
from collections.abc import Callable

import asyncpg

from tocsin.db.errors import is_away, sqlstate
from tocsin.kit.clock import monotonic

# SQLSTATE → what is wrong and what to do.
_REFUSALS = {
    "53100": "The disk of the database is full, so nothing can be stored. Make room there.",
    "58030": "The disk of the database fails, so nothing can be stored. Look at the database's log.",
    "25006": "The database may only be read: it is a standby, or it was made read-only. Point Tocsin at the primary.",
}
READ_ONLY = _REFUSALS["25006"]
# So long a refusal counts by itself. After that it counts until a write has been tried and has worked.
_FRESH = 10.0
_TRY_EVERY = 30.0
_TRY_EVERY_IN_TROUBLE = 5.0

# Takes room that nobody has yet, as a write of an alert may have to, and leaves nothing behind when it is rolled back.
TRY_TO_WRITE = (
    "CREATE TEMPORARY TABLE tocsin_room (filling bytea) ON COMMIT DROP;"
    "ALTER TABLE tocsin_room ALTER COLUMN filling SET STORAGE EXTERNAL;"
    "INSERT INTO tocsin_room SELECT decode(repeat('ab', 65536), 'hex') FROM generate_series(1, 8)"
)


class Condition:
    """Kept per process, from what its own statements met."""

    def __init__(self) -> None:
        # Connections that were made before this moment are not used again.
        self.doubted_at = -math.inf
        self.when_doubted: Callable[[], None] = lambda: None
        self._refusal: str | None = None
        self._refused_at = -math.inf
        self._tried_at = -math.inf

    def note(self, error: BaseException) -> None:
        """Remember what a statement failed of."""
        code = sqlstate(error)
        if isinstance(error, TimeoutError) or code == "25006":
            # What one of them met, all that are as old may meet: the way they lead is gone, or leads elsewhere now.
            self.doubted_at = monotonic()
            self.when_doubted()
        if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
            code = "25006"
        if code in _REFUSALS:
            self._refusal, self._refused_at = _REFUSALS[code], monotonic()

    def wants_trial(self) -> bool:
        """Say whether it is time to try a write, for a condition that nothing else has shown for a while."""
        now = monotonic()
        if now - self._refused_at < _FRESH:
            return False
        return now - self._tried_at >= (_TRY_EVERY if self._refusal is None else _TRY_EVERY_IN_TROUBLE)

    def tried(self, error: BaseException | None) -> None:
        """Take note of how a trial ended."""
        self._tried_at = monotonic()
        if error is not None and (is_away(error) or sqlstate(error) in _REFUSALS):
            self.note(error)
        else:
            # An account that may not make the table is told so before any room is needed: nothing is known of it.
            self._refusal = None

    @property
    def trouble(self) -> str | None:
        """What keeps the store from taking anything, in a sentence for whoever looks after it."""
        return self._refusal
