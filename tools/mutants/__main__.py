"""Put faults into rules, use cases and the edge, one at a time, and say which of them no test notices.

python -m tools.mutants --sample 200 --seed 1     # as many, chosen by chance; goes on where it ended
python -m tools.mutants --only incidents          # of the modules with this in their name
python -m tools.mutants --again                   # try those anew that survived
python -m tools.mutants --record [TESTS]          # record anew which tests go through which lines, or add some
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.mutants import changes, covering, trial

RESULTS = covering.PLACE / "results.jsonl"
# Rules, use cases and the edge. What only has tables and words is left out: nearly every change of it is another name.
WHERE = (
    "kit/*.py",
    "alerts/*.py",
    "alerts/service/*.py",
    "alerts/sources/*.py",
    "edge/*.py",
    "events/words.py",
    "identity/*.py",
    "identity/service/*.py",
    "incidents/*.py",
    "incidents/service/*.py",
    "jobs/*.py",
    "notifications/*.py",
    "notifications/service/*.py",
    "notifications/channels/webhook/*.py",
    "oncall/*.py",
    "oncall/service/*.py",
)
LEFT_OUT = ("model.py", "__init__.py", "metrics.py")
TESTS = ["tests/rules", "tests/use_cases", "tests/surfaces"]
# They start processes, in which there is no fault.
NOT_THESE = ["--ignore-glob=*/test_cli_*", "--ignore-glob=*/test_embedded_*"]
# So many tests may look at a fault; one that none of the best of them notices has survived.
MOST = 40
OUTCOMES = ("killed", "timed out", "survived", "no test", "broken")


@dataclass(frozen=True, slots=True)
class Fault:
    """A change in a file of which this is the digest."""

    path: Path
    digest: str
    change: changes.Change

    @property
    def key(self) -> str:
        return f"{self.path} {self.digest} {self.change.number}"

    @property
    def module(self) -> str:
        return ".".join(self.path.with_suffix("").parts[1:])


def faults(only: str) -> Iterator[Fault]:
    for path in sorted({path for pattern in WHERE for path in Path("src/tocsin").glob(pattern)}):
        if path.name not in LEFT_OUT and only in str(path):
            source = path.read_text()
            digest = hashlib.sha256(source.encode()).hexdigest()[:12]
            for change in changes.changes(source):
                yield Fault(path, digest, change)


def record(tests: list[str]) -> None:
    """Record which tests go through which lines; without tests named, all of it anew."""
    if not tests:
        for path in covering.PLACE.glob("[lt]i*"):
            path.unlink()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tools.mutants.covering", *(tests or TESTS + NOT_THESE)],
        env=os.environ | {"TOCSIN_RECORD_LINES": "1"},
        check=False,
    )


def known() -> dict[str, str]:
    """What became of faults in earlier runs, by their keys."""
    if not RESULTS.exists():
        return {}
    return {row["key"]: row["outcome"] for row in map(json.loads, RESULTS.read_text().splitlines())}


def run(chosen: list[Fault], again: frozenset[str]) -> dict[str, str]:
    """Try those of the chosen whose outcome is not known, or is to be known anew."""
    data, times = covering.read()
    done = {key: outcome for key, outcome in known().items() if outcome not in again}
    waiting = [fault for fault in chosen if fault.key not in done]
    if not waiting:
        return done
    trial.preload(TESTS)
    with trial.postgres(), RESULTS.open("a") as results:
        for number, fault in enumerate(waiting, start=1):
            tests = covering.Covering(data, times, fault.path)
            looking = tests.tests(fault.change, MOST)
            outcome = "no test"
            if looking:
                outcome = trial.judge(
                    fault.module,
                    fault.path,
                    fault.change.number,
                    looking,
                    tests.seconds(looking),
                    is_once=fault.change.is_once,
                )
            done[fault.key] = outcome
            results.write(json.dumps({"key": fault.key, "outcome": outcome}) + "\n")
            results.flush()
            print(f"{number:4}/{len(waiting)} {outcome:9} {_told(fault)}", flush=True)
    return done


def _told(fault: Fault) -> str:
    return f"{fault.path}:{fault.change.first}  {fault.change.what}"


def report(chosen: list[Fault], done: dict[str, str]) -> None:
    by_module: dict[str, Counter[str]] = defaultdict(Counter)
    for fault in chosen:
        by_module[fault.module][done[fault.key]] += 1
    print(f"\n{'module':46}" + "".join(f"{outcome:>11}" for outcome in OUTCOMES))
    for module, counts in sorted(by_module.items()):
        print(f"{module:46}" + "".join(f"{counts[outcome] or '':>11}" for outcome in OUTCOMES))
    total = sum(by_module.values(), Counter[str]())
    print(f"{'all':46}" + "".join(f"{total[outcome]:>11}" for outcome in OUTCOMES))
    noticed = total["killed"] + total["timed out"]
    print(f"\n{noticed} of {len(chosen)} were noticed: {noticed / max(1, len(chosen)):.1%}.")
    for fault in chosen:
        if done[fault.key] not in ("killed", "timed out"):
            print(f"{done[fault.key]:9} {_told(fault)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, help="how many, chosen by chance; all of them if 0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only modules with this in their path")
    parser.add_argument("--again", action="store_true", help="try those anew that no test killed")
    parser.add_argument("--record", nargs="*", metavar="TESTS", help="record lines: of these tests, or all anew")
    asked = parser.parse_args()
    if asked.record is not None or not covering.TIMES.exists():
        record(asked.record or [])
    chosen = list(faults(asked.only))
    print(f"There are {len(chosen)} faults to try.")
    random.Random(asked.seed).shuffle(chosen)
    if asked.sample:
        chosen = chosen[: asked.sample]
    done = run(chosen, frozenset(("timed out", "survived", "no test", "broken")) if asked.again else frozenset())
    report(sorted(chosen, key=lambda fault: (fault.path, fault.change.first)), done)


if __name__ == "__main__":
    main()
