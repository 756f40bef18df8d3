"""Wrong tokens and links, counted per network in this process.

A right one always works: nobody guesses 256 random bits, so there is nothing to keep away but the noise, and nobody is
kept out for what a neighbour sends. What is wrong is answered 429 instead of its usual words when it comes too often.
"""

from __future__ import annotations

from collections import OrderedDict

from tocsin.identity.guessing import TOKENS, Tally, must_not_wait, network
from tocsin.kit.clock import utc_now

# So many networks are remembered, the latest ones.
_MOST = 4096


class WrongTokens:
    """What each network has sent that was wrong."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Tally] = OrderedDict()

    def note(self, ip: str, what: str) -> None:
        """Count a wrong one; raises `TooMany` when there have been enough of this network."""
        where, now = network(ip), utc_now()
        tally = self._known.pop(where, None)
        wait = TOKENS.wait(tally, now)
        self._known[where] = tally if tally is not None and wait.total_seconds() > 0 else TOKENS.counted(tally, now)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        must_not_wait([wait], what)
