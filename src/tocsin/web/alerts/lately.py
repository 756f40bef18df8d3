"""How often alerts were signalled lately, as a picture of a few strokes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tocsin.alerts import list_queries
from tocsin.db.engine import Tx

# Three hours in parts of ten minutes, drawn 16 high.
_PART = 600
_PARTS = 18
_HEIGHT = 16


@dataclass(frozen=True, slots=True)
class Lately:
    """The signals of three hours: the path of an SVG of 72 by 16 that draws them, and their number."""

    bars: str = ""
    signals: int = 0


async def lately(tx: Tx, alert_ids: Sequence[UUID]) -> dict[UUID, Lately]:
    """Return it for each of the alerts."""
    # Parts of the clock, so that the picture changes at most every ten minutes.
    end = datetime.fromtimestamp((tx.now.timestamp() // _PART + 1) * _PART, tx.now.tzinfo)
    since = end - timedelta(seconds=_PARTS * _PART)
    found = await list_queries.signals_lately(tx, alert_ids, since=since, seconds=_PART)
    return {id: Lately(_bars(found.get(id, {})), sum(found.get(id, {}).values())) for id in alert_ids}


def _bars(signals: Mapping[int, int]) -> str:
    """Draw one stroke for each part that has any, as high as it has many."""
    most = max(signals.values(), default=0)
    return "".join(
        f"M{part * 4 + 2} {_HEIGHT}v-{max(3, round(number * _HEIGHT / most))}"
        for part, number in sorted(signals.items())
        if 0 <= part < _PARTS
    )
