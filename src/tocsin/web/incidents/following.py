"""Who follows an incident, as its page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.db.engine import Tx
from tocsin.identity.model import Actor
from tocsin.incidents import subscriber_queries
from tocsin.incidents.model import Incident
from tocsin.incidents.subscribers import SUBSCRIBER_ID, SubscriberSource

_CAME = {
    SubscriberSource.SELF: "",
    SubscriberSource.ADDED: "Added by {}",
    SubscriberSource.MENTIONED: "Mentioned by {}",
}


@dataclass(frozen=True, slots=True)
class SubscriberView:
    """Somebody who follows, and who had them follow."""

    id: str
    name: str
    is_team: bool
    is_me: bool
    how: str


@dataclass(frozen=True, slots=True)
class Following:
    """Who follows the incident, and whether the reader does: by themselves, or in a team that does."""

    all: Sequence[SubscriberView]
    is_mine: bool
    is_by_team: bool


async def following(tx: Tx, who: Actor, incident: Incident) -> Following:
    """Read who follows, as far as the reader sees them."""
    rows = await subscriber_queries.subscribers(tx, who.access, incident.id)
    team_ids = {each.row.team_id for each in rows if each.row.team_id is not None}
    views = [
        SubscriberView(
            id=SUBSCRIBER_ID.write(each.row.id),
            name=each.name,
            is_team=each.row.team_id is not None,
            is_me=each.row.user_id is not None and each.row.user_id == who.user_id,
            how=_CAME[SubscriberSource(each.row.source)].format(each.row.added_by_name),
        )
        for each in rows
    ]
    return Following(views, any(each.is_me for each in views), not team_ids.isdisjoint(who.access.teams))
