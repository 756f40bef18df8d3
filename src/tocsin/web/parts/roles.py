"""Roles as people choose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.db.engine import Tx
from tocsin.identity import access_queries
from tocsin.identity.access import Role


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


_BUILT_IN = (
    KnownRole(Role.RESPONDER.value, "Responder", "acts on alerts and incidents"),
    KnownRole(Role.COMMUNICATOR.value, "Communicator", "declares and comments"),
    KnownRole(Role.STAKEHOLDER.value, "Stakeholder", "reads"),
    KnownRole(Role.GUEST.value, "Guest", "sees what they are asked about or granted"),
    KnownRole(Role.ADMIN.value, "Administrator", "changes everything"),
)
BUILT_IN_ROLES: Mapping[str, KnownRole] = {role.key: role for role in _BUILT_IN}


async def known_roles(tx: Tx) -> list[KnownRole]:
    """Return the built-in roles and the organisation's own."""
    own = await access_queries.roles(tx)
    return [*_BUILT_IN, *(KnownRole(role.key, role.name, role.description) for role in own)]
