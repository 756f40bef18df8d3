"""`tocsin drill`: prove on this machine that nobody is left unpaged when things break."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sys
import time
from pathlib import Path

import click

from tocsin.cli import runtime
from tocsin.drill.exercises import EXERCISES, NEEDS_OWN_DATABASE, Exercise
from tocsin.drill.run import Report
from tocsin.drill.run import drill as do
from tocsin.drill.stage import Plan

_ROUNDS, _ROUNDS_QUICK = 4, 2


@click.command(short_help="Break a throw-away copy of Tocsin and count what is lost.")
@click.option("--quick", is_flag=True, help="The most telling exercises, within two minutes.")
@click.option("--only", multiple=True, metavar="NAME", help="Do this exercise; may be given several times.")
@click.option("--rounds", type=click.IntRange(1, 1000), help="How many times each exercise that kills does so.")
@click.option("--seed", type=int, help="Repeat the chances of an earlier drill.")
@click.option("--database-url", help="An empty database for the two nodes, instead of one of the drill's own.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--list", "lists", is_flag=True, help="List the exercises and do nothing.")
def drill(
    quick: bool,
    only: tuple[str, ...],
    rounds: int | None,
    seed: int | None,
    database_url: str | None,
    as_json: bool,
    lists: bool,
) -> None:
    """Kill, freeze, cut off, fill up and delay a throw-away copy of Tocsin, and count what was lost.

    It uses this program, processes and a PostgreSQL of its own in a temporary directory, and loopback only; the
    installation, its database and its people are not touched. Status 1 when anything was lost, came twice without
    saying so, or was not as promised.
    """
    if lists:
        for each in EXERCISES:
            click.echo(f"{each.name:<24}{each.sentence}{' (quick)' if each.is_quick else ''}")
        return
    if not Path("/proc/self/stat").exists():
        runtime.fail("A drill needs /proc, to find the processes that it stops. It runs on Linux.")
    exercises, left_out = _choose(quick, only, database_url)
    seed = int(time.time_ns() % 1_000_000) if seed is None else seed
    plan = Plan(
        settings=runtime.read_settings(),
        chance=random.Random(seed),  # noqa: S311 (it has to be had again)
        rounds=rounds or (_ROUNDS_QUICK if quick else _ROUNDS),
        is_quick=quick,
        database_url=database_url,
    )
    runtime.say(f"{len(exercises)} exercises, seed {seed}. Ctrl-C ends the drill and leaves nothing behind.")
    reports: list[Report] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            reports.append(await do(plan, exercises, runtime.say))

    runtime.run(work)
    if not reports:
        runtime.say("Stopped. Nothing is left of it.")
        sys.exit(130)
    report = reports[0]
    report.left_out += left_out
    if as_json:
        click.echo(json.dumps(report.as_json() | {"seed": seed}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(report.lines()))
        verdict = "Nothing was lost." if report.is_clean else "NOT everything was as promised."
        click.echo(f"{verdict} {report.seconds:.0f} s, seed {seed}.")
    if not report.is_clean:
        sys.exit(1)


def _choose(quick: bool, only: tuple[str, ...], database_url: str | None) -> tuple[list[Exercise], list[str]]:
    known = {each.name for each in EXERCISES}
    for name in only:
        if name not in known:
            raise click.BadParameter(
                f"There is no exercise {name}. `tocsin drill --list` names them.", param_hint="--only"
            )
    chosen = [each for each in EXERCISES if (each.name in only if only else each.is_quick or not quick)]
    left_out: list[str] = []
    if database_url is not None:
        left_out = [
            f"{each.name}, which needs a database of the drill's own"
            for each in chosen
            if each.name in NEEDS_OWN_DATABASE
        ]
        chosen = [each for each in chosen if each.name not in NEEDS_OWN_DATABASE]
    return chosen, left_out
