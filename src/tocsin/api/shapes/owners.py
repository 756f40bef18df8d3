"""Which teams own something, in requests and answers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from tocsin.api.base.body import ids_in
from tocsin.db.engine import Tx
from tocsin.identity import queries
from tocsin.identity.model import TEAM_ID, Actor, OwnedByTeams
from tocsin.identity.service import Owners


class TeamRef(msgspec.Struct):
    """A team in few words."""

    id: str
    name: str


def read_owners(team_ids: Sequence[str] | None, is_private: bool | None) -> Owners:
    """Read who is to own something; None leaves what it is."""
    return Owners(ids_in("team_ids", TEAM_ID, team_ids) if team_ids is not None else None, is_private)


async def owning_teams(tx: Tx, who: Actor, things: Sequence[OwnedByTeams]) -> dict[UUID, TeamRef]:
    """Return those of the teams of all these things that the caller sees."""
    found = await queries.teams_by_id(tx, who.access, {id for thing in things for id in thing.team_ids})
    return {team.id: TeamRef(TEAM_ID.write(team.id), team.name) for team in found.values()}
