"""What can be looked for among everything there is, and what only among the newest."""

from __future__ import annotations

from itertools import groupby

# A search that no index can answer reads so many rows and no more, however large the table has grown.
MOST_SEARCHED = 1000
NARROWED = (
    f"Only the first {MOST_SEARCHED:,} of this list were searched. "
    "Three letters or digits in a row are looked for in all of it."
)
AT_LEAST = (
    f"Without three letters or digits in a row it looks at the first {MOST_SEARCHED:,} of the list, and `notice` says "
    "so where there are more."
)
# The index knows texts by what stands in their words, three characters at a time.
_INDEXED = 3


def is_short(wanted: str) -> bool:
    """Say whether a text has no three letters or digits in a row, so that the index of trigrams knows nothing of it."""
    runs = (sum(1 for _ in run) for is_word, run in groupby(wanted, str.isalnum) if is_word)
    return max(runs, default=0) < _INDEXED
