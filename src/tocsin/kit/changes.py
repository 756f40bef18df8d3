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
    """

    version: int


# Which version the caller has: exactly this one, the one that they saw, or nothing that is asked about.
Copy = int | Seen | None


def version_of(copy: Copy) -> int | None:
    """Return the version that the caller has, if they say so."""
    return copy.version if isinstance(copy, Seen) else copy


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
