"""A drill from its beginning to its report: the exercises of one set-up after the other, then the count."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import asyncpg

from tocsin.db.embedded import EmbeddedError
from tocsin.drill.exercises import Exercise
from tocsin.drill.ledger import Count, count, left_behind
from tocsin.drill.stage import Plan, Stage
from tocsin.drill.waiting import NotInTime
from tocsin.kit import clock

# After the last fault: 65 s until a send of unknown outcome goes out again, 120 s until a receiver that hung is
# probed, and a slow machine.
_SETTLES_WITHIN = 300.0
# What an exercise may meet that is a result and no bug of the drill.
_FAILURES = (NotInTime, RuntimeError, OSError, EmbeddedError, asyncpg.PostgresError, asyncpg.InterfaceError)

# Of what went wrong, its beginning and its end are shown.
_LONGEST = 600

Say = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """What became of all exercises."""

    counts: list[Count] = field(default_factory=list[Count])
    left_out: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return bool(self.counts) and all(each.is_clean for each in self.counts)

    def total(self) -> Count:
        """Add up all exercises."""
        total = Count("in all")
        for name in ("accepted", "alerts_lost", "due", "pages_lost", "repeated", "marked"):
            setattr(total, name, sum(getattr(each, name) for each in self.counts))
        total.longest = max((each.longest for each in self.counts), default=0.0)
        innocent = [each.innocent for each in self.counts if each.innocent is not None]
        total.innocent = max(innocent, default=None)
        return total

    def as_json(self) -> dict[str, Any]:
        return {
            "is_clean": self.is_clean,
            "seconds": round(self.seconds, 1),
            "exercises": [asdict(each) for each in self.counts],
            "total": asdict(self.total()),
            "left_out": self.left_out,
        }

    def lines(self) -> list[str]:
        """Return the table, and below it what was not as it should be."""
        rows = [_HEAD, *(_row(each) for each in [*self.counts, self.total()])]
        widths = [max(len(row[n]) for row in rows) for n in range(len(_HEAD))]
        table = [
            "  ".join(
                cell.ljust(width) if n == 0 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        wrong = [f"{each.exercise}: {words}" for each in self.counts for words in each.wrong]
        return [table[0], *table[1:-1], table[-1], *wrong, *(f"Left out: {words}" for words in self.left_out)]


_HEAD = ("exercise", "accepted", "lost", "due", "lost", "repeated", "marked", "longest", "innocent")


def _row(each: Count) -> tuple[str, ...]:
    numbers = (each.accepted, each.alerts_lost, each.due, each.pages_lost, each.repeated, each.marked)
    innocent = "–" if each.innocent is None else f"{each.innocent:.2f} s"
    return (each.exercise, *map(str, numbers), f"{each.longest:.1f} s", innocent)


async def drill(plan: Plan, exercises: Sequence[Exercise], say: Say) -> Report:
    """Do the exercises and count. Whatever happens, no process and no directory of it is left."""
    began = clock.monotonic()
    report = Report()
    for _, group in itertools.groupby(exercises, key=lambda each: each.setup):
        report.counts += await _in_one_setup(plan, list(group), say)
    report.seconds = clock.monotonic() - began
    return report


async def _in_one_setup(plan: Plan, exercises: list[Exercise], say: Say) -> list[Count]:
    done: dict[str, Count] = {}
    try:
        async with exercises[0].setup(plan) as stage:
            for exercise in exercises:
                done[exercise.name] = Count(exercise.name)
                await _do(exercise, stage, done[exercise.name])
                say(f"{exercise.name}: {exercise.sentence}: {done[exercise.name].note}")
            say("Waiting until everything has settled …")
            await stage.made.settle(_SETTLES_WITHIN)
            for exercise in exercises:
                counted = await _count(exercise, stage)
                counted.wrong += done[exercise.name].wrong
                counted.note = done[exercise.name].note
                done[exercise.name] = counted
            done[exercises[-1].name].wrong += await left_behind(stage.made)
    except _FAILURES as error:
        name = exercises[max(0, len(done) - 1)].name
        done.setdefault(name, Count(name)).wrong.append(_words(error))
    return [done.get(each.name) or Count(each.name, wrong=["it was not tried"]) for each in exercises]


async def _do(exercise: Exercise, stage: Stage, count: Count) -> None:
    """Do one exercise, and note what did not come true in time. The others go on all the same."""
    began = clock.monotonic()
    stage.made.about = exercise.name
    try:
        said = await exercise.run(stage)
    except NotInTime as error:
        said = _words(error)
        count.wrong.append(said)
    count.note = f"{said} ({clock.monotonic() - began:.0f} s)"


async def _count(exercise: Exercise, stage: Stage) -> Count:
    return await count(stage.made, exercise.name, innocent=f"{exercise.name} innocent" if exercise.innocents else None)


def _words(error: BaseException) -> str:
    notes = " ".join(getattr(error, "__notes__", ()))
    words = " ".join(f"{error or type(error).__name__} {notes}".split())
    return words if len(words) <= _LONGEST else f"{words[:200]} … {words[-_LONGEST + 200 :]}"
