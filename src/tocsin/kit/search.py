"""What can be looked for among everything there is, and what only among the newest."""

from __future__ import annotations

import re
from collections.abc import Collection
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
# How the API describes a search.
IN_ANY_ORDER = "Words in any order, each of them anywhere; what stands in quotation marks is one."
# The index knows texts by what stands in their words, three characters at a time.
_INDEXED = 3
# More words than anybody remembers of a title; each is a condition of its own.
_MOST_WORDS = 8
_WORD = re.compile(r'"([^"]+)"?|([^\s"]+)')


def is_short(wanted: str) -> bool:
    """Say whether a text has no three letters or digits in a row, so that the index of trigrams knows nothing of it."""
    runs = (sum(1 for _ in run) for is_word, run in groupby(wanted, str.isalnum) if is_word)
    return max(runs, default=0) < _INDEXED


def words_in(wanted: str) -> list[str]:
    """Return what is looked for, each for itself: words, and what stands in quotation marks."""
    found = [(phrase or word).strip() for phrase, word in _WORD.findall(wanted)]
    return list(dict.fromkeys(word for word in found if word))[:_MOST_WORDS]


def has_words(words: Collection[str], *texts: str) -> bool:
    """Say whether each of the words stands in the texts; for lists that are in memory."""
    within = " ".join(texts).casefold()
    return all(word.casefold() in within for word in words)
