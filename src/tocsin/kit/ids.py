"""Identifiers: UUIDv7 inside, a prefix and 26 characters of Crockford base 32 outside. Both sort by time."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Collection, Iterable
from uuid import UUID

from tocsin.kit.errors import NotFound

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {c: i for i, c in enumerate(_ALPHABET)}
_LENGTH = 26
# Ids have to be unique, not secret; asking the system for each one is a tenth of what intake costs.
_random = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=_random.seed)


def new_id() -> UUID:
    """Make a UUIDv7 (RFC 9562, method 3): milliseconds, 12 bits of the fraction, then 62 random bits."""
    millis, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    rest = _random.getrandbits(62)
    return UUID(int=(millis & (1 << 48) - 1) << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | rest)


class IdKind:
    """The ids of one kind of thing: what they look like outside, and how they are read back.

    A domain names its kinds beside its rows; a prefix or a name that is taken fails at once. `folder` is the path below
    which each has a page (`/alerts`), empty for what has none.
    """

    __slots__ = ("folder", "name", "prefix")

    def __init__(self, name: str, prefix: str, folder: str = "") -> None:
        if name in _KINDS or any(prefix == kind.prefix for kind in _KINDS.values()):
            raise ValueError(f"There are ids called {name} or beginning with {prefix}_ already.")
        self.name = name
        self.prefix = prefix
        self.folder = folder
        _KINDS[name] = self

    def write(self, id: UUID) -> str:
        """Write an id as people and programs see it: `inc_01j…`."""
        value = id.int
        digits = [_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5)]
        return f"{self.prefix}_{''.join(digits)}"

    def write_or_none(self, id: UUID | None) -> str | None:
        """Write the id of something that need not be there."""
        return None if id is None else self.write(id)

    def page(self, ref: UUID | str) -> str:
        """Return the place of one's page, from its id or from the number by which people call it (`INC-7`)."""
        return f"{self.folder}/{ref if isinstance(ref, str) else self.write(ref)}"

    def read(self, text: str) -> UUID:
        """Read a public id back; raises `NotFound` for anything that is not one of this kind."""
        head, _, tail = text.partition("_")
        if head != self.prefix or len(tail) != _LENGTH or any(c not in _VALUE for c in tail):
            raise NotFound(f"There is no “{text[:60]}”.")
        value = 0
        for c in tail:
            value = value << 5 | _VALUE[c]
        if value >> 128:
            raise NotFound(f"There is no “{text[:60]}”.")
        return UUID(int=value)

    def read_or_none(self, text: str | None) -> UUID | None:
        """Read the public id of something that need not be named."""
        return None if text is None else self.read(text)

    def read_all(self, texts: Iterable[str]) -> list[UUID]:
        """Read several public ids of this kind."""
        return [self.read(text) for text in texts]


_KINDS: dict[str, IdKind] = {}


def read_any(text: str) -> tuple[str, UUID]:
    """Read a public id of whatever kind, and return the name of the kind with it; raises `NotFound` for none."""
    head, _, _ = text.partition("_")
    for kind in _KINDS.values():
        if kind.prefix == head:
            return kind.name, kind.read(text)
    raise NotFound(f"There is no “{text[:60]}”.")


def ids_of(name: str) -> IdKind:
    """Return the ids of a kind that is known by name only: `incident`, `alert_source`. Raises `KeyError`."""
    return _KINDS[name]


def kinds() -> Collection[IdKind]:
    """Return every kind of ids that a domain has named."""
    return _KINDS.values()
