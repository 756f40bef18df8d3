"""`tocsin doctor`: look at everything a page depends on and say how to mend what is not right. Changes nothing."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
from collections.abc import AsyncGenerator, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import click
from sqlalchemy import text

from tocsin.alerts import queries as alerts
from tocsin.alerts import source_queries
from tocsin.alerts.model import AlertRoute
from tocsin.app import JOBS
from tocsin.cli import runtime, serving
from tocsin.db import migrate
from tocsin.db.condition import READ_ONLY
from tocsin.db.embedded import EmbeddedError, binaries, files, running_dsn
from tocsin.db.embedded import account as accounts
from tocsin.db.embedded.config import DURABLE
from tocsin.db.embedded.server import REFUSE_BELOW, WARN_BELOW
from tocsin.db.engine import Database, Tx
from tocsin.db.errors import STORE_ERRORS, hide_values
from tocsin.db.migrate import SchemaError
from tocsin.events import partition_queries as partitions
from tocsin.events.jobs import BEGIN_MONTH
from tocsin.events.vocabulary import called_alert
from tocsin.identity.access import EVERYTHING
from tocsin.jobs import clockwatch, queue
from tocsin.jobs.worker import workers_alive
from tocsin.kit import clock
from tocsin.kit.addresses import at
from tocsin.notifications import queries as contact
from tocsin.notifications.channels import kinds
from tocsin.notifications.health import Reach, best_of
from tocsin.oncall import queries as oncall
from tocsin.oncall.escalation import outlook
from tocsin.oncall.model import PagingTrouble
from tocsin.oncall.service import describe_fallback
from tocsin.settings import Settings

# A page is late when its job is.
_LATE = {"page": 10.0, "send": 60.0, "news": 600.0, "default": 60.0, "bulk": 600.0, "probe": 60.0}
_SKEW = 2.0
_MOST = 1000
# So many alerts are named.
_NAMED = 5


class Verdict(StrEnum):
    """How one check came out. Only FAIL makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    check: str
    words: str


def _ok(check: str, words: str) -> Finding:
    return Finding(Verdict.OK, check, words)


def _warn(check: str, words: str) -> Finding:
    return Finding(Verdict.WARN, check, words)


def _fail(check: str, words: str) -> Finding:
    return Finding(Verdict.FAIL, check, words)


@click.command(short_help="Say what is wrong and how to mend it.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of {verdict, check, words}.")
def doctor(as_json: bool) -> None:
    """Check everything a page depends on: one line each, ok, warn or FAIL. Status 1 when something FAILs.

    Beside a running server it goes by the settings that the server was started with.
    """
    settings = runtime.read_settings()
    findings: list[Finding] = []

    async def examine() -> None:
        findings.extend([finding async for finding in _examine(settings)])

    runtime.run(examine)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(f"{finding.verdict:<4}  {finding.check}: {finding.words}")
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        sys.exit(1)


async def _examine(settings: Settings) -> AsyncGenerator[Finding]:
    running = serving.find(settings)
    if running is not None:
        settings = running.settings
    for finding in _settings(settings, running):
        yield finding
    try:
        dsn = settings.database_url or running_dsn(settings.data_dir)
    except EmbeddedError as error:
        yield _fail("server", str(error))
        return
    if dsn is None:
        yield _fail("server", "Tocsin does not run on this data directory. Start it (`tocsin serve`) and look again.")
        return
    db = Database(dsn, bell=False, pool_size=1, application="tocsin-cli", writes=False)
    try:
        for finding in await _server(db):
            yield finding
        await migrate.check(db)
        yield _ok("schema", f"The schema is at {migrate.newest()}, which this program needs.")
        async with db.begin() as tx:
            for finding in [*await _work(tx), *await _paging(tx, settings)]:
                yield finding
    except SchemaError as error:
        yield _fail("schema", str(error))
    except STORE_ERRORS as error:
        hide_values(error)
        yield _fail("server", f"The database does not answer: {error}. Look at its log and at TOCSIN_DATABASE_URL.")
    finally:
        await db.close()


def _settings(settings: Settings, running: serving.Running | None) -> Iterator[Finding]:
    yield _ok("settings", f"They can be read. People reach Tocsin at {settings.base_url}.")
    if running is not None:
        yield _running(running)
    if settings.database_url is not None:
        yield _ok("database", "An external PostgreSQL is used (TOCSIN_DATABASE_URL).")
    else:
        yield from _data_dir(settings.data_dir)
        yield _binaries(settings)
    if settings.smtp_host is None:
        yield _warn("e-mail", "Pages cannot go out by mail: set TOCSIN_SMTP_HOST, if people shall be mailed.")
    else:
        yield _ok("e-mail", f"Mail goes out through {settings.smtp_host} port {settings.smtp_port}.")


def _running(running: serving.Running) -> Finding:
    check, words = "running server", "This report goes by the settings that it was started with."
    if running.unknown_here:
        words += f" Not set here: {', '.join(running.unknown_here)}."
    if running.contradicted:
        names = ", ".join(running.contradicted)
        return _warn(check, f"{words} Set to something else here: {names}; start it again, if that is right.")
    return _ok(check, words)


def _data_dir(data_dir: Path) -> Generator[Finding]:
    if not data_dir.is_dir():
        yield _fail("data directory", f"{data_dir} does not exist. `tocsin serve` makes it; TOCSIN_DATA_DIR names it.")
        return
    if not os.access(data_dir, os.W_OK | os.X_OK):
        yield _fail("data directory", f"{data_dir} cannot be written by this account. Run this as its owner.")
    else:
        yield _ok("data directory", f"{data_dir} can be written.")
    free = shutil.disk_usage(data_dir).free
    words = f"{free // 2**20:,} MB are free on the disk of {data_dir}."
    if free < REFUSE_BELOW:
        yield _fail("disk", f"{words} PostgreSQL does not start with so little. Make room.")
    elif free < WARN_BELOW:
        yield _warn("disk", f"{words} Make room soon.")
    else:
        yield _ok("disk", words)


def _binaries(settings: Settings) -> Finding:
    cluster = settings.data_dir / files.CLUSTER
    try:
        me = pwd.getpwuid(os.geteuid())
        account = (
            accounts.choose(settings.pg_user, cluster)
            if me.pw_uid == 0
            else accounts.Account(me.pw_name, me.pw_uid, me.pw_gid, (), is_other=False)
        )
        found = binaries.choose(settings.pg_bin, account, cluster)
    except (EmbeddedError, KeyError) as error:
        return _fail("PostgreSQL programs", str(error))
    return _ok("PostgreSQL programs", f"{found.version} from {found.origin} ({found.directory}).")


async def _server(db: Database) -> list[Finding]:
    found: list[Finding] = []
    async with db.engine.connect() as connection:
        version = str((await connection.execute(text("SHOW server_version"))).scalar_one())
        number = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
        if number < migrate.OLDEST_SERVER:
            found.append(_fail("server", f"PostgreSQL {version} is too old; Tocsin needs 15 or newer."))
        else:
            found.append(_ok("server", f"PostgreSQL {version} answers."))
        off = [
            name
            for name in DURABLE
            if (await connection.execute(text("SELECT current_setting(:name)"), {"name": name})).scalar_one()
            not in ("on", "remote_apply", "remote_write")
        ]
        if off:
            found.append(_fail("durability", f"{', '.join(off)} is off: a confirmed alert can be lost. Switch it on."))
        else:
            found.append(_ok("durability", "What is confirmed is on disk."))
        theirs = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        skew = abs((clock.utc_now() - theirs).total_seconds())
        is_read_only = (await connection.execute(text("SHOW transaction_read_only"))).scalar_one() == "on"
    if is_read_only:
        found.append(_fail("writable", READ_ONLY))
    if skew > _SKEW:
        found.append(_warn("clock", f"This machine and the database differ by {skew:.1f} s. Run NTP on both."))
    else:
        found.append(_ok("clock", "This machine and the database agree on the time."))
    return found


async def _work(tx: Tx) -> list[Finding]:
    """Say whether jobs get done: workers, the oldest due job of each lane, jobs that were given up."""
    found = [await _clock_steps(tx)]
    leased = text("SELECT count(DISTINCT owner) FROM job WHERE lease_until > tocsin_now()")
    workers = await workers_alive(await tx.raw()) or (await tx.session.execute(leased)).scalar_one()
    if workers:
        found.append(_ok("worker", f"{workers} alive."))
    else:
        found.append(_fail("worker", "None is alive, so nobody is paged. Run `tocsin serve` or `tocsin worker`."))
    for lane, (number, age) in (await queue.waiting(tx)).items():
        words = f"{number} due, the oldest for {age:.0f} s."
        if age > _LATE[lane]:
            found.append(_fail(f"lane {lane}", f"{words} Jobs are late: run more workers and look at the log."))
        else:
            found.append(_ok(f"lane {lane}", words))
    if unknown := await queue.unknown(tx, [each.kind.name for each in JOBS]):
        names = ", ".join(f"{number} of {kind}" for kind, number in unknown.items())
        found.append(_warn("unknown jobs", f"They wait for the version of Tocsin that knows them: {names}."))
    dead = await queue.dead(tx, limit=_MOST)
    if dead:
        last = f"{dead[0].kind}: {dead[0].last_error[:200]}"
        found.append(_warn("dead jobs", f"{len(dead)} were given up; the last one is {last}"))
    else:
        found.append(_ok("dead jobs", "None."))
    return [*found, await _record(tx)]


async def _record(tx: Tx) -> Finding:
    """Say whether the record gets a part for each month. Nothing waits for one, so nothing is lost without."""
    check = "record"
    if await partitions.has_strays(tx):
        words = "Some events fit into no month and lie in event_default. Nothing is lost; positions were moved by hand."
        return _warn(check, words)
    if await partitions.is_late(tx, BEGIN_MONTH.name):
        words = (
            "This month has no part of its own yet, and the record goes on in an earlier one. Nothing is lost; the "
            "log says at jobs of the kind events.begin_month what is in the way, such as a table that it may not make."
        )
        return _warn(check, words)
    return _ok(check, "It goes on in the part of this month, or of the one before until somebody makes it.")


async def _clock_steps(tx: Tx) -> Finding:
    check = "clock steps"
    steps = await clockwatch.recent_steps(tx)
    if not steps:
        return _ok(check, "The database's clock has not stepped within seven days.")
    at, seconds, moved = steps[0]
    way = "forward" if seconds > 0 else "back"
    words = (
        f"The database's clock was set {way} by {abs(seconds):,} s, then {clock.in_utc(at)}; {moved} waits were moved "
        f"with it. Steps within seven days: {len(steps)}. Let NTP steer the clock there instead of setting it."
    )
    return _warn(check, words)


async def _paging(tx: Tx, settings: Settings) -> list[Finding]:
    """Say whether an alert that comes in now would reach somebody."""
    found: list[Finding] = []
    enabled = [source for source in await source_queries.sources(tx, EVERYTHING, limit=_MOST) if source.is_enabled]
    if enabled:
        found.append(_ok("alert sources", f"{len(enabled)} switched on."))
    else:
        found.append(_warn("alert sources", "None is switched on, so no alert can come in. Add one under Sources."))
    routes = await alerts.routes(tx)
    switched_on = [route for route in routes if route.is_enabled]
    if any(route.is_catch_all for route in switched_on):
        found.append(_ok("routes", f"{len(switched_on)}, with a catch-all."))
    else:
        found.append(_warn("routes", "There is no catch-all: an alert that no route takes pages nobody. Add one."))
    channels = kinds(mail=settings.smtp_host is not None, console=settings.console_pages)
    policies = await _reach(tx, channels)
    return [
        *found,
        _routes(routes, policies),
        *_policies(policies),
        await _fallback(tx, channels),
        await _in_vain(tx, settings),
        *await _console(tx, settings),
        *await _methods(tx),
    ]


async def _fallback(tx: Tx, channels: Collection[str]) -> Finding:
    """Say whether somebody is asked when an escalation reaches nobody, or nobody answers."""
    check = "last resort"
    found = await describe_fallback(tx, channels)
    if found is None:
        words = "Nobody is paged when an escalation reaches nobody or goes unanswered."
        return _warn(check, f"{words} Choose somebody in the settings, under General.")
    if found.problem:
        return _warn(
            check,
            f"{found.name} cannot be reached: {found.problem}. Mend it, or choose in the settings, under General.",
        )
    return _ok(check, f"{found.name} is paged when nobody else answers or can be reached.")


async def _in_vain(tx: Tx, settings: Settings) -> Finding:
    """Name the alerts that are in nobody's hands now."""
    check = "unanswered alerts"
    found = await alerts.listed(tx, EVERYTHING, alerts.Filter(troubles=tuple(PagingTrouble)), limit=_NAMED + 1)
    if not found:
        return _ok(check, "Every page so far reached somebody, and none has gone by without an answer.")
    names = ", ".join(f"{called_alert(alert.number)} “{alert.title[:60]}”" for alert, _, _ in found[:_NAMED])
    more = " and more" if len(found) > _NAMED else ""
    address = at(settings.base_url, "/alerts?tab=unanswered")
    if (await alerts.count_troubles(tx, EVERYTHING))[PagingTrouble.UNREACHED]:
        return _fail(check, f"No message about some of them has reached anybody: {names}{more}. Look at {address}")
    return _warn(check, f"Nobody has answered {names}{more}. Look at {address}")


@dataclass(frozen=True, slots=True)
class _Policy:
    """A policy, how well each of its steps reaches somebody, and who on it is switched off or hard to reach."""

    name: str
    steps: list[Reach]
    people: list[str]


async def _reach(tx: Tx, channels: Collection[str]) -> dict[UUID, _Policy]:
    plans = await oncall.plans(tx)
    everybody = {id for plan in plans.values() for step in plan.steps for id in step.user_ids}
    reach = await contact.reaches(tx, everybody, channels)
    wrong = await oncall.weaknesses_of(tx, plans, channels)
    return {
        id: _Policy(
            plan.name,
            [outlook([step], reach) for step in plan.steps],
            [one.words for one in wrong[id] if one.code in ("inactive", "failing_person")],
        )
        for id, plan in plans.items()
    }


async def _methods(tx: Tx) -> list[Finding]:
    """Say which contact methods fail; their addresses may be secrets, so people and channels are named."""
    failing = await contact.failing(tx, limit=_MOST)
    if not failing:
        return [_ok("contact methods", "None fails.")]
    shown = [
        f"{method.kind} “{method.name}” of {name} since {clock.in_utc(health.failing_since)}"
        for method, name, health in failing[:10]
        if health.failing_since is not None
    ]
    more = f" and {len(failing) - len(shown)} more" if len(failing) > len(shown) else ""
    return [_warn("contact methods", f"These fail: {'; '.join(shown)}{more}. Their pages under People say why.")]


def _routes(routes: Sequence[AlertRoute], policies: Mapping[UUID, _Policy]) -> Finding:
    """Say whether any route leads to somebody; the order of the routes and their conditions do not count here."""
    check = "reach of routes"
    if not routes:
        words = "There is no route, so no alert pages anybody. Add a catch-all that leads to a policy under Routes."
        return _warn(check, words)
    enabled = [route for route in routes if route.is_enabled]
    if not enabled:
        return _warn(check, "Every route is switched off, so no alert pages anybody. Switch one on under Routes.")
    led_to = [policies[route.escalation_policy_id] for route in enabled if route.escalation_policy_id is not None]
    if not led_to:
        words = "No route leads to a policy, so alerts are recorded and nobody is paged. Choose a policy under Routes."
        return _warn(check, words)
    reaching = sum(best_of(policy.steps) is Reach.WELL for policy in led_to)
    if not reaching:
        names = _listed(sorted({f"“{policy.name}”" for policy in led_to}))
        if any(best_of(policy.steps) is Reach.FAILING for policy in led_to):
            words = f"Every route leads to people whose contact methods fail: {names}. Mend these, or add other ones."
            return _warn(check, words)
        mend = "a step with somebody who is active and has a contact method, under Policies and People"
        return _warn(check, f"Every route leads to nobody. Give {names} {mend}.")
    verb = "leads" if reaching == 1 else "lead"
    return _ok(check, f"{reaching} of {len(enabled)} routes {verb} to somebody who can be reached.")


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _policies(policies: Mapping[UUID, _Policy]) -> list[Finding]:
    if not policies:
        return [_warn("escalation policies", "There is none, so nobody is paged. Add one under Policies.")]
    found: list[Finding] = []
    for policy in policies.values():
        if not policy.steps:
            found.append(_fail("escalation policies", f"“{policy.name}” has no steps: add one under Policies."))
        elif best_of(policy.steps) is Reach.NONE:
            words = f"“{policy.name}” reaches nobody: give its people contact methods, or other people."
            found.append(_fail("escalation policies", words))
        elif best_of(policy.steps) is Reach.FAILING:
            words = f"“{policy.name}” is likely to reach nobody: the contact methods of all its people fail."
            found.append(_fail("escalation policies", words))
        elif Reach.NONE in policy.steps:
            number = policy.steps.index(Reach.NONE) + 1
            found.append(_warn("escalation policies", f"Step {number} of “{policy.name}” reaches nobody."))
        found += [_warn("escalation policies", f"“{policy.name}”: {words}") for words in policy.people]
    return found or [_ok("escalation policies", f"{len(policies)}; every step reaches somebody.")]


async def _console(tx: Tx, settings: Settings) -> list[Finding]:
    count = text("SELECT kind, count(*) FROM contact_method WHERE kind IN ('console', 'email') GROUP BY kind")
    used = {str(kind): int(number) for kind, number in (await tx.session.execute(count)).all()}
    found: list[Finding] = []
    if used.get("console") and not settings.console_pages:
        words = (
            f"Contact methods of this kind: {used['console']}. It is off: set TOCSIN_CONSOLE_PAGES=on, or change them."
        )
        found.append(_warn("console", words))
    if used.get("email") and settings.smtp_host is None:
        found.append(_fail("e-mail", f"Contact methods of this kind: {used['email']}. TOCSIN_SMTP_HOST is not set."))
    return found
