"""Who is being paged now, since when, by what, and who is asked next: of an alert, or of an incident and its alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tocsin.db.engine import Tx
from tocsin.events.lines import listed
from tocsin.events.reasons import said
from tocsin.identity.model import Actor
from tocsin.oncall import service as oncall
from tocsin.oncall.model import EscalationRun


@dataclass(frozen=True, slots=True)
class PagingNow:
    """An escalation that goes on. `names` is empty while nobody can be reached; `includes_me`: the reader is asked.

    `then` is who is asked after `until`, "" for nobody else; nothing follows by itself where `until` is None.
    """

    names: str
    includes_me: bool
    since: datetime | None
    why: str
    until: datetime | None
    then: str


async def paging_now(tx: Tx, who: Actor, runs: Sequence[EscalationRun]) -> list[PagingNow]:
    """Return what pages somebody now, the oldest first."""
    return [_written(who, each) for each in await oncall.going(tx, runs)]


def _written(who: Actor, going: oncall.Going) -> PagingNow:
    includes_me = any(each.user_id == who.user_id for each in going.asked)
    names = ["You", *(each.name for each in going.asked if each.user_id != who.user_id)]
    asked = names if includes_me else names[1:]
    then = ["you" if id == who.user_id else name for id, name in going.then]
    return PagingNow(
        names=listed(asked) if asked else "",
        includes_me=includes_me,
        since=min((each.since for each in going.asked), default=None),
        why=said(going.why),
        until=going.next_at,
        then=listed(then) if then else "",
    )
