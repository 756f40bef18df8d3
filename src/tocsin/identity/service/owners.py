"""Which teams own something, and whether it is for them only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import Change, yes_or_no
from tocsin.identity import queries
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor, OwnedByTeams, Team
from tocsin.kit.errors import Invalid

MOST_OWNERS = 20


@dataclass(frozen=True, slots=True)
class Owners:
    """Who owns something from now on; None leaves what it is."""

    team_ids: Collection[UUID] | None = None
    is_private: bool | None = None


AS_THEY_ARE = Owners()


@dataclass(frozen=True, slots=True)
class NewOwners:
    """Who is to own something, checked; `told` is what that changes, for the record."""

    team_ids: Sequence[UUID]
    is_private: bool
    told: Sequence[Change]

    def give(self, thing: OwnedByTeams, left: Collection[str] = ()) -> list[Change]:
        """Let them own it, but for the fields that are to stay as they are; returns what changed."""
        told = [change for change in self.told if change.field not in left]
        for change in told:
            if change.field == "teams":
                thing.team_ids = list(self.team_ids)
            else:
                thing.is_private = self.is_private
        return told


async def new_owners(tx: Tx, who: Actor, thing: OwnedByTeams, wanted: Owners) -> NewOwners:
    """Look whether something can be given to these teams, all of which the actor sees.

    The caller has locked it and checked the right to change it, and looks afterwards whether the actor still sees it.
    Raises `Invalid` for a team that there is not, or that is archived and did not own it before.
    """
    changes: list[Change] = []
    team_ids: Sequence[UUID] = thing.team_ids
    if wanted.team_ids is not None and set(wanted.team_ids) != set(thing.team_ids):
        before = await queries.teams_by_id(tx, EVERYTHING, thing.team_ids)
        teams = await _teams(tx, who, wanted.team_ids, before)
        # What the actor does not see stays as it is: nobody takes something from a team that they do not know of.
        hidden = before.keys() - (await queries.teams_by_id(tx, who.access, before)).keys()
        after = teams | {id: before[id] for id in hidden}
        if len(after) > MOST_OWNERS:
            raise Invalid("team_ids", f"At most {MOST_OWNERS} teams can own it.", code="count")
        if after.keys() != before.keys():
            changes.append(Change(field="teams", old=_names(before.values()), new=_names(after.values())))
            team_ids = sorted(after)
    is_private = thing.is_private if wanted.is_private is None else wanted.is_private
    if is_private != thing.is_private:
        changes.append(Change(field="is_private", old=yes_or_no(thing.is_private), new=yes_or_no(is_private)))
    return NewOwners(team_ids, is_private, changes)


async def _teams(tx: Tx, who: Actor, ids: Collection[UUID], before: Collection[UUID]) -> dict[UUID, Team]:
    found = await queries.teams_by_id(tx, who.access, set(ids))
    if set(ids) - found.keys():
        raise Invalid("team_ids", "One of these teams does not exist.", code="unknown")
    if gone := [team.name for team in found.values() if team.archived_at is not None and team.id not in before]:
        raise Invalid("team_ids", f"The team {gone[0]} is archived.", code="archived")
    return found


def must_still_see(seen: object) -> None:
    """Raise `Invalid` when the change would hide the thing from the actor, who then could not take it back."""
    if not seen:
        raise Invalid("team_ids", "You would not see it yourself any more. Name a team that you are in.", code="hidden")


def _names(teams: Iterable[Team]) -> str:
    """Name the teams for the record, which is read by whoever sees the thing, and may not know of all of them."""
    return ", ".join(sorted("a private team" if team.is_private else team.name for team in teams))
