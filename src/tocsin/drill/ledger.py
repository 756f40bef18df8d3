"""The count of what must hold: what was accepted is stored, what is stored is paged, what came twice said so.

Read from the tables themselves and from what the receivers remember, not by the product's own queries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tocsin.drill.installation import Installation
from tocsin.drill.sink import Page


@dataclass(slots=True)
class Count:
    """What became of the alerts of one exercise. Times are in seconds from sending the alert that was accepted.

    `wrong` are promises that were not kept, in words; what is lost and what came twice unmarked is not repeated there.
    `note` says what was done.
    """

    exercise: str
    accepted: int = 0
    alerts_lost: int = 0
    due: int = 0
    pages_lost: int = 0
    repeated: int = 0
    marked: int = 0
    longest: float = 0.0
    innocent: float | None = None
    wrong: list[str] = field(default_factory=list[str])
    note: str = ""

    @property
    def is_clean(self) -> bool:
        return self.alerts_lost == 0 and self.pages_lost == 0 and self.repeated == self.marked and not self.wrong


async def count(
    made: Installation, exercise: str = "", *, person: str | None = None, innocent: str | None = None
) -> Count:
    """Count the alerts whose keys begin with the name of the exercise, or all; call it when everything has settled.

    `person`: only pages of this person count. `innocent`: alerts whose keys begin so are timed for themselves.
    """
    prefix = f"{exercise} " if exercise else ""
    connection = await asyncpg.connect(made.dsn, timeout=10)
    try:
        rows = await connection.fetch(_ALERTS, prefix)
    finally:
        await connection.close()
    stored = {row["dedup_key"]: row for row in rows}
    accepted = {key: at for key, at in made.load.accepted.items() if key.startswith(prefix)}
    pages = [page for page in made.sink.pages if page.title.startswith(prefix) and person in (None, page.person)]
    first = _first_pages(pages)
    delays = {key: first[key].at - at for key, at in accepted.items() if key in first}
    repeats = _repeats(pages)
    found = Count(
        exercise,
        accepted=len(accepted),
        alerts_lost=len(accepted.keys() - stored.keys()),
        due=len(stored),
        pages_lost=len(stored.keys() - first.keys()),
        repeated=len(repeats),
        marked=sum(page.possible_duplicate for page in repeats),
        longest=max(delays.values(), default=0.0),
        wrong=[words for key in accepted.keys() & stored.keys() for words in _faulty(key, stored[key])],
    )
    if innocent is not None:
        found.innocent = max((delay for key, delay in delays.items() if key.startswith(innocent)), default=None)
    return found


async def left_behind(made: Installation) -> list[str]:
    """Say which promises the whole installation has not kept after everything has settled."""
    connection = await asyncpg.connect(made.dsn, timeout=10)
    try:
        dead = await connection.fetchval("SELECT count(*) FROM job_dead")
        left = await connection.fetchval(_JOBS_LEFT)
    finally:
        await connection.close()
    wrong: list[str] = []
    if dead:
        wrong.append(f"{dead} jobs were given up")
    if left:
        wrong.append(f"{left} jobs are left")
    if made.sink.most_at_once > 1:
        wrong.append("two workers had one message in their hands")
    if made.load.refusals_without_retry_after:
        wrong.append(f"{made.load.refusals_without_retry_after} refusals did not say when to come again")
    refused = {code for code in made.load.answers if isinstance(code, int) and code not in (202, 503)}
    if refused:
        wrong.append(f"alerts were answered {', '.join(map(str, sorted(refused)))}")
    return wrong


def _first_pages(pages: Iterable[Page]) -> dict[str, Page]:
    first: dict[str, Page] = {}
    for page in pages:
        first.setdefault(page.title, page)
    return first


def _repeats(pages: Iterable[Page]) -> list[Page]:
    seen: set[str] = set()
    repeats: list[Page] = []
    for page in pages:
        if page.delivery_id in seen:
            repeats.append(page)
        seen.add(page.delivery_id)
    return repeats


def _faulty(key: str, row: Any) -> list[str]:
    wrong: list[str] = []
    if not row["signals"] == row["bodies"] >= 1:
        wrong.append(f"“{key}” has no raw signal")
    if row["triggered"] != 1:
        wrong.append(f"“{key}” stands in the record {row['triggered']} times")
    return wrong


# Timers of steps wait; they are the only jobs that may.
_JOBS_LEFT = "SELECT count(*) FROM job WHERE kind <> 'oncall.advance' AND coalesce(dedup, '') NOT LIKE 'schedule:%'"
_ALERTS = """
SELECT dedup_key,
       (SELECT count(*) FROM alert_signal WHERE alert_id = alert.id) AS signals,
       (SELECT count(*) FROM alert_signal JOIN signal ON signal.id = signal_id
        WHERE alert_id = alert.id AND length(body) > 0) AS bodies,
       (SELECT count(*) FROM event WHERE alert_id = alert.id AND name = 'alert.triggered') AS triggered
FROM alert WHERE starts_with(dedup_key, $1)
"""
