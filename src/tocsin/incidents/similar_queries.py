"""Finding open incidents that may be the same one as somebody is about to declare."""

from __future__ import annotations

from collections import Counter

from tocsin.db.engine import Tx
from tocsin.identity.access import Access
from tocsin.incidents import queries
from tocsin.incidents.model import OPEN, Incident

# Of a title, the words that say something are looked for, and so many of them.
_LEAST_LETTERS = 4
_MOST_WORDS = 5
_MOST_SIMILAR = 3


async def similar_to(tx: Tx, access: Access, title: str) -> list[Incident]:
    """Return open incidents that share words with this title, those that share most of them first.

    Of a title with three words or more, two have to be shared.
    """
    words = [word for word in dict.fromkeys(title.casefold().split()) if len(word) >= _LEAST_LETTERS][:_MOST_WORDS]
    shared: Counter[str] = Counter()
    known: dict[str, Incident] = {}
    for word in words:
        for incident in await queries.listed(tx, access, queries.Filters(statuses=OPEN), q=word, limit=10):
            known[incident.reference] = incident
            shared[incident.reference] += 1
    least = 1 if len(words) < 3 else 2
    return [known[ref] for ref, count in shared.most_common(_MOST_SIMILAR) if count >= least]
