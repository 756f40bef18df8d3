"""Why somebody was paged, and why it ended: facts in rows and events, read as sentences; and what 0.1.0 has written."""

from __future__ import annotations

import json

from sqlalchemy import select

from tests import postgres
from tests.contracts.upgrades import dumps, read_dump
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.db import migrate
from tocsin.db.engine import Database
from tocsin.events import facts, words
from tocsin.kit.ids import new_id
from tocsin.oncall import service as oncall
from tocsin.oncall.model import EscalationRun, Page
from tocsin.oncall.reasons import why_ended, why_them, why_you
from tocsin.oncall.service import PolicyChanges

# As 0.1.0 pages somebody.
_PAGED = """
INSERT INTO page (id, run_id, alert_id, incident_id, user_id, step, round, state, reason, paged_at)
SELECT $1, run_id, alert_id, incident_id, user_id, 7, 0, 'paging', 'You are step 7 of Old', now() FROM page LIMIT 1
"""


async def test_what_an_earlier_release_has_written_reads_as_it_did(postgres_dsn: str) -> None:
    """F075: rows and events hold its sentences, and there are no facts in their place."""
    async with postgres.fresh(postgres_dsn, "template0") as dsn:
        db = Database(dsn, bell=False, pool_size=2)
        await db.open()
        await read_dump(db, dumps()["0.1.0"])
        pages = dict(await db.pool.fetch("SELECT id, reason FROM page"))
        ends = dict(await db.pool.fetch("SELECT id, end_reason FROM escalation_run WHERE end_reason IS NOT NULL"))
        events = await db.pool.fetch("SELECT name, actor_name, data FROM event WHERE data ->> 'reason' <> ''")
        assert min(len(pages), len(ends), len(events)) > 3
        await migrate.upgrade(db)
        async with db.begin() as tx:
            assert {page.id: why_you(page) for page in (await tx.session.scalars(select(Page))).all()} == pages
            runs = (await tx.session.scalars(select(EscalationRun))).all()
        assert {run.id: why_ended(run) for run in runs if run.ended_at} == ends
        for name, actor, text in events:
            data = json.loads(text)
            assert words.reason(name, data) == data["reason"]
            line = words.describe(name, actor, data)
            if name in ("alert.not_routed", "escalation.ended", "escalation.exhausted", "alert.acknowledged"):
                assert line.detail == data["reason"]
        await db.close()


async def test_a_page_of_the_version_before_is_read_beside_those_of_this_one(world: World) -> None:
    """F075: a process of 0.1.0 goes on beside: it writes sentences, and finds a text where it looks for one."""
    await world.route(await world.policy([await world.person("ada")]))
    alert = await world.alert()
    id = new_id()
    await world.db.pool.execute(_PAGED, id)
    async with world.db.begin() as tx:
        pages = {page.id: page for page in (await tx.session.scalars(select(Page))).all()}
        run = (await tx.session.scalars(select(EscalationRun).where(EscalationRun.alert_id == alert.id))).one()
    old = pages.pop(id)
    (new,) = pages.values()
    assert (why_you(old), why_you(new)) == ("You are step 7 of Old", "You are step 1 of Duty")
    assert (why_them(old, run), why_them(new, run)) == ("Step 7 of Duty", "Step 1 of Duty")
    assert (new.reason, old.why) == ("", None)


async def test_a_fact_keeps_the_names_of_its_time(world: World) -> None:
    """F075: no sentence is kept, and a policy that is renamed later was not the reason."""
    ada = await world.person("ada")
    policy = await world.policy([ada])
    await world.route(policy)
    alert = await world.alert()
    async with world.db.begin() as tx:
        await oncall.update_policy(tx, world.root, policy.id, PolicyChanges(name="Renamed"))
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    async with world.db.begin() as tx:
        page = (await tx.session.scalars(select(Page))).one()
        run = (await tx.session.scalars(select(EscalationRun))).one()
    assert page.why == {"is": "on_step", "policy": "Duty", "step": 1}
    assert run.end_why == {"is": "alert_taken", "who": "Ada"}
    assert run.end_reason is None
    assert (why_you(page), why_ended(run)) == ("You are step 1 of Duty", "Ada acknowledged the alert.")


async def test_no_event_of_paging_keeps_a_sentence(world: World) -> None:
    """F075: from the route to the end; what is kept is the fact, and what is told is the sentence."""
    ada, bob = await world.person("ada"), await world.person("bob", reachable=False)
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    await world.alert()
    await world.let_pass(minutes(20))
    kept = [
        (row["name"], json.loads(row["data"]))
        for row in await world.db.pool.fetch("SELECT name, data FROM event ORDER BY position")
    ]
    assert {data["reason"] for _, data in kept if "reason" in data} == {""}
    told = [(name, words.told(name, data)["reason"]) for name, data in kept if "reason" in data]
    assert told == [
        ("alert.routed", "No other route matched, so “Everything” took it."),
        ("escalation.started", "No other route matched, so “Everything” took it."),
        ("page.started", "You are step 1 of Duty"),
        ("page.escalated", "No answer in time."),
        ("escalation.step_skipped", "Bob cannot be reached: no contact method, or the account is switched off."),
        ("escalation.exhausted", "All 2 steps of “Duty” went by without an answer."),
    ]
    skipped = next(data["why"] for name, data in kept if name == "escalation.step_skipped")
    assert facts.read(skipped) == facts.NobodyToAsk((facts.NotAsked(bob.id, "Bob", "unreachable"),))
