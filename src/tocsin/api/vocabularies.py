"""What other products call severities and states, and what their words mean here."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

import msgspec

from tocsin.api.base.resource import Called, ForAll, Order, Resource, plainly
from tocsin.db.engine import Tx
from tocsin.edge.cursors import read_place
from tocsin.edge.rights import Right
from tocsin.incidents.model import Status
from tocsin.incidents.vocabularies import VOCABULARIES, Vocabulary


class VocabularyOut(msgspec.Struct):
    """The words of one product. `severities_in` and `statuses_in` say what its words mean, other spellings included.

    `severities_out` and `statuses_out` say which of its words stands for each of ours. A severity that it does not know
    is read as `fallback_severity`.
    """

    id: str
    name: str
    severities_in: Mapping[str, int]
    severities_out: Mapping[str, str]
    statuses_in: Mapping[str, Status]
    statuses_out: Mapping[str, str]
    fallback_severity: int


def _write(words: Vocabulary) -> VocabularyOut:
    return VocabularyOut(
        id=words.id,
        name=words.name,
        severities_in={**words.severities, **words.also_severities},
        severities_out={str(level): words.severity_out(level) for level in range(1, 6)},
        statuses_in={**words.statuses, **words.also_statuses},
        statuses_out={status.value: words.status_out(status) for status in Status},
        fallback_severity=words.fallback,
    )


async def _all(_: Tx, *, after: str | None = None, limit: int = 100) -> list[Vocabulary]:
    found = [words for id, words in sorted(VOCABULARIES.items()) if after is None or id > after]
    return found[:limit]


def _place(cursor: str | None) -> str | None:
    return read_place(cursor, str)


VOCABULARY = Resource(
    "/vocabularies",
    Called("vocabulary"),
    VocabularyOut,
    plainly(_write),
    view=Right.SIGNED_IN,
    tag="incidents",
    order=Order(attrgetter("id"), _place),
)
ROUTER = VOCABULARY.router(VOCABULARY.list(ForAll(_all), "List the vocabularies of other products, by their ids."))
