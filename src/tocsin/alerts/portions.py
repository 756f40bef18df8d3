"""How a request with many signals is divided, so that nobody waits long behind it. Pure: no store, no clock.

Invariant: signals of one key keep their order, and stand in one portion wherever they fit; where they do not, it ends
with what resolves the alert. So what fires and is over within one request pages nobody, in portions as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tocsin.alerts.sources.base import Action, Signal

# Rows that are written in some 50 ms.
MOST_SIGNALS = 512
# How often a key may change its mind in one portion: each time is a wave of statements of its own, about 1 ms.
MOST_TURNS = 32


def portions(signals: Sequence[Signal]) -> list[tuple[Signal, ...]]:
    """Divide the signals of a request into what one transaction each should hold; one portion for hardly anything."""
    if len(signals) <= MOST_TURNS:
        return [tuple(signals)]
    chains: dict[str, list[Signal]] = {}
    for signal in signals:
        chains.setdefault(signal.dedup_key, []).append(signal)
    found: list[list[Signal]] = [[]]
    for chain in chains.values():
        for piece in _pieces(chain):
            if found[-1] and (len(found[-1]) + len(piece) > MOST_SIGNALS or piece[0].dedup_key == _last_key(found[-1])):
                found.append([])
            found[-1].extend(piece)
    return [tuple(portion) for portion in found]


def _last_key(portion: Sequence[Signal]) -> str:
    return portion[-1].dedup_key


def _pieces(chain: Sequence[Signal]) -> list[Sequence[Signal]]:
    """Cut the signals of one key where they are too many or turn too often, after a resolve if there is one."""
    pieces: list[Sequence[Signal]] = []
    start = 0
    while start < len(chain):
        end = _end_of_piece(chain, start)
        pieces.append(chain[start:end])
        start = end
    return pieces


def _end_of_piece(chain: Sequence[Signal], start: int) -> int:
    turns, after_resolve = 1, start
    most = min(len(chain), start + MOST_SIGNALS)
    for at, (signal, following) in enumerate(pairwise(chain[start:most]), start + 1):
        turns += signal.action is not following.action
        if signal.action is Action.RESOLVE and signal.action is not following.action:
            after_resolve = at
        if turns > MOST_TURNS:
            return after_resolve if after_resolve > start else at
    return most if most == len(chain) or after_resolve == start else after_resolve
