"""Changing what others may change as well: a field that is not set is left alone, and an old copy is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from msgspec import UNSET, Meta, UnsetType

from tocsin.kit.errors import Theirs

T = TypeVar("T")

__all__ = [
    "UNSET",
    "Copy",
    "Seen",
    "UnsetType",
    "apart",
    "is_current",
    "is_refused",
    "limits_of",
    "set_or",
    "version_of",
]


def limits_of(fields: type[Mapping[str, Any]]) -> dict[str, int]:
    """Return how long each field may be, of those that say so where they are declared (a `TypedDict`, with `Meta`)."""
    return {
        name: meta.max_length
        for name, kind in get_type_hints(fields, include_extras=True).items()
        for meta in getattr(kind, "__metadata__", ())
        if isinstance(meta, Meta) and meta.max_length is not None
    }


def set_or(value: T | UnsetType, old: T) -> T:
    """Return what a field is to be: what was set, or what it is."""
    return old if isinstance(value, UnsetType) else value


@dataclass(frozen=True, slots=True)
class Seen:
    """The version that somebody saw when they began to write.

    What they send is refused only where what it changes was changed since. A plain number is exact, as `If-Match` is.
    `told` is the version up to which they were told what others did, and mean theirs all the same; 0: of nothing.
    """

    version: int
    told: int = 0


# Which version the caller has: exactly this one, the one that they saw, or nothing that is asked about.
Copy = int | Seen | None


def version_of(copy: Copy) -> int | None:
    """Return the version that the caller has, or was told of, if they say so."""
    return max(copy.version, copy.told) if isinstance(copy, Seen) else copy


def is_current(version: int, copy: Copy) -> bool:
    """Say whether the caller has the version that is stored; None does not ask."""
    return copy is None or version_of(copy) == version


def is_refused(copy: Copy, wanted: Collection[str] | None, theirs: Sequence[Theirs] | None) -> bool:
    """Say whether a change of the fields `wanted` by somebody with an old copy is refused.

    `theirs` is all that was done since; None where nobody knows it all. Whoever asks for an exact version is refused,
    and so is whoever may change anything (None).
    """
    if not isinstance(copy, Seen) or wanted is None:
        return True
    return bool(wanted) and (theirs is None or any(field in each.fields for each in theirs for field in wanted))


def apart(
    wanted: Mapping[str, str | None], copy: Seen, theirs: Sequence[Theirs]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return of the fields that are not as they are stored those that the caller left alone, and those of a conflict.

    `wanted` is what the caller sent, and `theirs` all that was done since, the newest first, both as the record says
    it. A form sends all of its fields: where one says what it said when it was shown, somebody else has written there
    and not the caller. What the caller was told of is no conflict any more.
    """
    first = {field: each for each in theirs for field in each.fields}
    left = frozenset(
        field
        for field, value in wanted.items()
        if field in first and field in first[field].before and first[field].before[field] == value
    )
    both = {field for each in theirs if each.version > copy.told for field in each.fields}
    return left, frozenset(wanted.keys() & both) - left
