"""What other products call severities and states, as data: what their words mean here, and what ours mean there.

Of each word of theirs it holds that what we make of it goes back unchanged. The other way round several of ours may be
one of theirs. A word is only ever read in a vocabulary that is named: SEV1 is the worst for one product and the second
for another. Pure; no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from tocsin.incidents.model import Status
from tocsin.kit.errors import Invalid

USUAL_SEVERITY = 3
NATIVE_LIMIT = 60
T = TypeVar("T")
_OURS = {f"sev{level}": level for level in range(1, 6)}


class Native(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word of another product, and which product that is."""

    vocabulary: Annotated[str, Meta(max_length=NATIVE_LIMIT)]
    value: Annotated[str, Meta(max_length=NATIVE_LIMIT)]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one product. `severities` and `statuses` are its own, the worst and the first of them first.

    `also` are other spellings that it takes. `out` says which of its words stand for those of ours that it has not.
    `fallback` is the severity of a word that it does not know.
    """

    id: str
    name: str
    severities: Mapping[str, int]
    severities_out: Mapping[int, str]
    statuses: Mapping[str, Status]
    statuses_out: Mapping[Status, str]
    also_severities: Mapping[str, int] = field(default_factory=dict[str, int])
    also_statuses: Mapping[str, Status] = field(default_factory=dict[str, Status])
    fallback: int = USUAL_SEVERITY

    def severity(self, word: str) -> int | None:
        """Return the severity that a word means; None for one that it does not know."""
        return _known({**self.severities, **self.also_severities}, word)

    def severity_out(self, severity: int) -> str:
        """Return the word for a severity."""
        return self.severities_out[severity]

    def status(self, word: str) -> Status | None:
        """Return the status that a word means; None for one that it does not know."""
        return _known({**self.statuses, **self.also_statuses}, word)

    def status_out(self, status: Status) -> str:
        """Return the word for a status."""
        return self.statuses_out[status]


def _known(words: Mapping[str, T], word: str) -> T | None:
    wanted = word.strip().casefold()
    return next((meaning for each, meaning in words.items() if each.casefold() == wanted), None)


def _and_back(words: Mapping[str, T], more: Mapping[T, str]) -> Mapping[T, str]:
    return {meaning: word for word, meaning in words.items()} | dict(more)


_ILERT = {f"SEV{level}": level for level in range(1, 6)}
_ILERT_STATUSES = {
    "Declared": Status.DECLARED,
    "Investigating": Status.INVESTIGATING,
    "Identified": Status.IDENTIFIED,
    "Monitoring": Status.MONITORING,
    "Resolved": Status.RESOLVED,
}
_HARNESS = {str(number): number + 1 for number in range(5)}
_HARNESS_ALSO = {
    **{f"SEV{number}": number + 1 for number in range(5)},
    **{f"SECURITY{number}": number + 1 for number in range(3)},
    **{f"CUSTOMER-P{number}": number + 1 for number in range(2)},
    "INTERNAL-PROD": 2,
    "DEPLOYMENT": 3,
    "INTERNAL-NONPROD": 4,
    "MAINTENANCE": 4,
}
_HARNESS_STATUSES = {
    "Investigating": Status.INVESTIGATING,
    "Identified": Status.IDENTIFIED,
    "Monitoring": Status.MONITORING,
    "Resolved": Status.RESOLVED,
    "Closed": Status.CLOSED,
}
_FLANKSOURCE = {"critical": 1, "high": 2, "medium": 3, "low": 4, "info": 5}
_FLANKSOURCE_STATUSES = {
    "open": Status.DECLARED,
    "investigating": Status.INVESTIGATING,
    "mitigated": Status.MITIGATED,
    "resolved": Status.RESOLVED,
    "closed": Status.CLOSED,
    "cancelled": Status.CANCELLED,
}
_SODA = {"critical": 1, "major": 2, "minor": 4}
_SODA_STATUSES = {
    "reported": Status.DECLARED,
    "investigating": Status.INVESTIGATING,
    "fixing": Status.IDENTIFIED,
    "resolved": Status.RESOLVED,
}
_PREFECT = {"critical": 1, "high": 2, "moderate": 3, "low": 4, "minor": 5}
_PREFECT_STATUSES = {"active": Status.INVESTIGATING, "resolved": Status.RESOLVED}

VOCABULARIES: Mapping[str, Vocabulary] = {
    each.id: each
    for each in (
        Vocabulary(
            "flanksource",
            "Flanksource Mission Control",
            _FLANKSOURCE,
            _and_back(_FLANKSOURCE, {}),
            _FLANKSOURCE_STATUSES,
            _and_back(_FLANKSOURCE_STATUSES, {Status.IDENTIFIED: "investigating", Status.MONITORING: "mitigated"}),
            also_severities={"blocker": 1, "warning": 4},
            also_statuses={"new": Status.DECLARED},
        ),
        Vocabulary(
            "harness",
            "Harness",
            _HARNESS,
            _and_back(_HARNESS, {}),
            _HARNESS_STATUSES,
            _and_back(
                _HARNESS_STATUSES,
                {Status.DECLARED: "Investigating", Status.MITIGATED: "Identified", Status.CANCELLED: "Closed"},
            ),
            also_severities=_HARNESS_ALSO,
            also_statuses={
                "detected": Status.DECLARED,
                "Acknowledged": Status.INVESTIGATING,
                "mitigating": Status.MITIGATED,
            },
            # As that product reads what it does not know.
            fallback=5,
        ),
        Vocabulary(
            "ilert",
            "ilert",
            _ILERT,
            _and_back(_ILERT, {}),
            _ILERT_STATUSES,
            _and_back(
                _ILERT_STATUSES,
                {Status.MITIGATED: "Identified", Status.CLOSED: "Resolved", Status.CANCELLED: "Resolved"},
            ),
        ),
        Vocabulary(
            "prefect",
            "Prefect",
            _PREFECT,
            _and_back(_PREFECT, {}),
            _PREFECT_STATUSES,
            _and_back(
                _PREFECT_STATUSES,
                {
                    **dict.fromkeys(
                        (Status.DECLARED, Status.IDENTIFIED, Status.MITIGATED, Status.MONITORING), "active"
                    ),
                    **dict.fromkeys((Status.CLOSED, Status.CANCELLED), "resolved"),
                },
            ),
        ),
        Vocabulary(
            "soda",
            "Soda",
            _SODA,
            _and_back(_SODA, {3: "major", 5: "minor"}),
            _SODA_STATUSES,
            _and_back(
                _SODA_STATUSES,
                {
                    **dict.fromkeys((Status.MITIGATED, Status.MONITORING), "fixing"),
                    **dict.fromkeys((Status.CLOSED, Status.CANCELLED), "resolved"),
                },
            ),
            also_statuses={"opened": Status.DECLARED},
        ),
    )
}


def vocabulary(id: str) -> Vocabulary:
    """Return a vocabulary; raises `Invalid` for one that is not there."""
    found = VOCABULARIES.get(id)
    if found is None:
        known = ", ".join(VOCABULARIES)
        raise Invalid("severity/vocabulary", f"There is no such vocabulary. These are there: {known}.", code="unknown")
    return found


def read_severity(said: int | str | Native) -> int:
    """Return the severity that somebody means by 1 to 5, “SEV2” or a word of a vocabulary; raises `Invalid`.

    A word that its vocabulary does not know has the fallback of that; who shows the incident says so.
    """
    match said:
        case Native(id, word):
            words = vocabulary(id)
            return words.severity(word) or words.fallback
        case str():
            level = _OURS.get(said.strip().casefold())
            if level is None:
                raise Invalid("severity", "Say 1 to 5 or SEV1 to SEV5, or name the vocabulary.", code="unknown")
            return level
        case int():
            return said


def is_recognised(native: Native) -> bool:
    """Say whether the vocabulary knows the word."""
    words = VOCABULARIES.get(native.vocabulary)
    return words is not None and words.severity(native.value) is not None
