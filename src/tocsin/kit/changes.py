"""Changing what others may change as well: a field that is not set is left alone, and an old copy is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from msgspec import UNSET, Meta, UnsetType

from tocsin.kit.errors import Stale

T = TypeVar("T")

__all__ = ["UNSET", "UnsetType", "is_current", "limits_of", "must_be_current", "set_or"]


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


def is_current(version: int, if_version: int | None) -> bool:
    """Say whether the caller has seen the version that is stored; None does not ask."""
    return if_version is None or if_version == version


def must_be_current(version: int, if_version: int | None, changed: str, *, it: str = "it") -> None:
    """Raise `Stale` when the caller has seen another version than the stored one; None does not ask.

    `changed` is what somebody did meanwhile (“changed this source”), `it` what is to be looked at again.
    """
    if not is_current(version, if_version):
        raise Stale(f"Somebody {changed} in the meantime. Look at {it} again before you save.")
