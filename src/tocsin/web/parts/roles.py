"""Roles as people choose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.db.engine import Tx
from tocsin.events import vocabulary
from tocsin.identity import access_queries


@dataclass(frozen=True, slots=True)
class KnownRole:
    """A role with what it is called and whom it is for, if that is said."""

    key: str
    name: str
    words: str

    @property
    def choice(self) -> tuple[str, str]:
        """Return it as a menu offers it."""
        return self.key, f"{self.name}: {self.words}" if self.words else self.name


BUILT_IN_ROLES: Mapping[str, KnownRole] = {
    key: KnownRole(key, name, words) for key, (name, words) in vocabulary.BUILT_IN_ROLES.items()
}


async def known_roles(tx: Tx) -> list[KnownRole]:
    """Return the built-in roles and the organisation's own."""
    own = await access_queries.roles(tx)
    return [*BUILT_IN_ROLES.values(), *(KnownRole(role.key, role.name, role.description) for role in own)]
