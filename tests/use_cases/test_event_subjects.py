"""What the record is about: the history of a policy, a person or a source, and whose a thing was when it happened."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.world import World
from tocsin.alerts import service as alerts
from tocsin.alerts.model import AlertSource
from tocsin.alerts.service import SourceChanges
from tocsin.db.engine import Database, encode_json
from tocsin.events import configuration as happened
from tocsin.events import log
from tocsin.events.base import SYSTEM, ActorRef, Change, Event, Subject
from tocsin.events.incidents import ResponderPaged
from tocsin.events.log import LoggedEvent
from tocsin.events.words import CLASSES
from tocsin.identity import service as identity
from tocsin.identity.access import ResourceKind
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Owners
from tocsin.identity.service.people import UserChanges
from tocsin.incidents import service as incidents
from tocsin.incidents.service import Holder, IncidentChanges
from tocsin.kit.ids import new_id
from tocsin.notifications import service as notifications
from tocsin.oncall import service as oncall

# As 0.1.0 writes an event.
OF_0_1_0 = """
INSERT INTO event (id, name, at, actor_kind, actor_id, actor_name, alert_id, incident_id, data, depth)
VALUES ($1, $2, tocsin_now(), $3, $4, $5, $6, $7, $8, 0)
"""


async def told(db: Database, kind: str, id: UUID, **narrowed: Any) -> list[str]:
    """The names of what happened to something, the newest first."""
    async with db.begin() as tx:
        return [event.name for event in await log.newest_first(tx, subject=Subject(kind, id), **narrowed)]


async def newest(db: Database, *names: str) -> LoggedEvent:
    async with db.begin() as tx:
        return (await log.newest_first(tx, names=names, limit=1))[0]


async def written_by_0_1_0(db: Database, *events: Event) -> None:
    for event in events:
        data = {name: value for name, value in event.data().items() if name != "of"}
        by = event.actor
        raw = (new_id(), event.name, by.kind, by.id, by.name, event.alert_id, event.incident_id, encode_json(data))
        await db.pool.execute(OF_0_1_0, *raw)


async def rename(world: World, policy_id: UUID, name: str) -> None:
    async with world.db.begin() as tx:
        await oncall.update_policy(tx, world.root, policy_id, oncall.PolicyChanges(name=name))


async def test_the_history_of_a_policy_is_what_was_done_to_it(world: World) -> None:
    ada = await world.person("ada")
    policy, other = await world.policy([ada]), await world.policy([ada], name="Night")
    await rename(world, policy.id, "Day")
    await rename(world, other.id, "Late")
    assert await told(world.db, "escalation_policy", policy.id) == ["configuration.changed", "configuration.created"]


async def test_a_history_is_read_a_page_at_a_time_and_by_name(world: World) -> None:
    ada = await world.person("ada")
    policy = await world.policy([ada])
    for number in range(5):
        await rename(world, policy.id, f"Day {number}")
    async with world.db.begin() as tx:
        about = Subject("escalation_policy", policy.id)
        first = await log.newest_first(tx, subject=about, limit=4)
        rest = await log.newest_first(tx, subject=about, before=first[-1].position, limit=4)
        made = await log.newest_first(tx, subject=about, names=("configuration.created",), limit=1)
    assert [event.data["title"] for event in first] == ["Day 4", "Day 3", "Day 2", "Day 1"]
    assert [event.data["title"] for event in rest] == ["Day 0", "Duty"]
    assert [event.data["title"] for event in made] == ["Duty"]


async def test_the_history_of_a_person_has_what_is_theirs_and_not_what_they_did(world: World) -> None:
    ada, bob = await world.person("ada", role="admin", reachable=False), await world.person("bob")
    async with world.db.begin() as tx:
        methods = world.app.channels
        await notifications.add_contact_method(
            tx, world.actor(ada), methods, user_id=bob.id, kind="email", address="b@example.org"
        )
        await identity.create_token(tx, world.root, user_id=ada.id, name="ci", scopes=())
        await identity.open_session(tx, ada, ip="127.0.0.1", user_agent="test", how="password")
    assert await told(world.db, "user", ada.id) == [
        *("user.signed_in", "configuration.created", "configuration.created"),
    ]
    assert await told(world.db, "user", bob.id) == ["configuration.created"] * 3


async def test_whoever_is_switched_off_has_it_in_their_history(world: World) -> None:
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, ada.id, UserChanges(is_active=False))
    assert (await told(world.db, "user", ada.id))[:2] == ["user.deactivated", "configuration.changed"]


async def test_a_grant_is_in_the_history_of_both_sides(world: World) -> None:
    ada, bob = await world.person("ada"), await world.person("bob")
    async with world.db.begin() as tx:
        source = await alerts.create_source(tx, world.root, name="Probe", kind="generic")
        incident = await incidents.declare(tx, world.actor(ada), title="Checkout is down")
        for kind, id in ((ResourceKind.ALERT_SOURCE, source.id), (ResourceKind.INCIDENT, incident.id)):
            made = await incidents.grant(
                tx, world.root, kind=kind, resource_id=id, role="responder", holder=Holder("user", bob.id)
            )
        await incidents.revoke_grant(tx, world.root, made.id)
    grants = ["configuration.deleted", "configuration.created", "configuration.created"]
    configured = [name for name in await told(world.db, "user", bob.id) if name.startswith("configuration.")]
    assert configured[:3] == grants
    assert await told(world.db, "alert_source", source.id) == ["configuration.created"] * 2
    # Beside what is on its timeline.
    assert await told(world.db, "incident", incident.id, limit=2) == ["configuration.deleted", "configuration.created"]
    assert "incident.declared" in await told(world.db, "incident", incident.id)


async def test_an_alert_and_an_incident_have_their_history_from_their_own_rows(world: World) -> None:
    """Intake writes nothing beside the event."""
    alert = await world.alert()
    assert set(await told(world.db, "alert", alert.id)) == {"alert.triggered", "alert.not_routed"}
    assert await told(world.db, "alert", alert.id, limit=1) == ["alert.not_routed"]
    assert await told(world.db, "alert", alert.id, names=("alert.triggered",)) == ["alert.triggered"]
    count = "SELECT count(*) FROM event_subject WHERE kind IN ('alert', 'incident')"
    assert await world.db.pool.fetchval(count) == 0


def _each() -> list[Event]:
    by = ActorRef("user", "Ada", new_id())
    kinds = ("team", "token", "sign_in_link", "notification_rules", "contact_method", "alert_source", "organisation")
    return [
        *(happened.ConfigurationCreated(actor=by, kind=kind, id=new_id(), title="x") for kind in kinds),
        happened.ConfigurationChanged(
            actor=by, kind="team", id=new_id(), title="x", changes=[Change("name", "a", "b")]
        ),
        happened.ConfigurationDeleted(actor=by, kind="alert_route", id=new_id(), title="x"),
        happened.UserDeactivated(actor=by, user_id=new_id(), user_name="x"),
        happened.UserLostRights(actor=by, user_id=new_id(), user_name="x"),
        happened.ContactMethodRecovered(actor=SYSTEM, id=new_id(), title="x", user_name="x"),
        happened.SignedIn(actor=by, ip="::1", how="password"),
        happened.SignInFailed(actor=by, ip="::1"),
        happened.SignInFailed(actor=SYSTEM, ip="::1"),
        happened.SessionRevoked(actor=by, session_id=new_id()),
    ]


def test_every_event_of_the_configuration_is_about_something() -> None:
    samples = _each()
    known = {kind.name for kind in CLASSES.values() if kind.__module__ == happened.__name__}
    assert {event.name for event in samples} == known
    assert [event.name for event in samples if not event.subjects()] == ["user.sign_in_failed"]


async def test_what_the_version_before_writes_is_found_as_what_this_one_writes(db: Database) -> None:
    """While an upgrade goes on both write: nothing that 0.1.0 writes is missing from a history for ever."""
    samples = _each()
    async with db.begin() as tx:
        await log.emit(tx, *samples)
    mine = await db.pool.fetch("SELECT kind, id FROM event_subject ORDER BY position, kind, id")
    last = await db.pool.fetchval("SELECT max(position) FROM event")
    await written_by_0_1_0(db, *samples)
    theirs = await db.pool.fetch(
        "SELECT kind, id FROM event_subject WHERE position > $1 ORDER BY position, kind, id", last
    )
    assert [tuple(row) for row in theirs] == [tuple(row) for row in mine]
    assert len(mine) == len(samples) - 1


async def test_what_is_written_together_keeps_its_order(db: Database) -> None:
    """Also where whose it was is looked up in tables that are joined in any order."""
    await db.pool.execute(
        """
        INSERT INTO incident (id, number, reference, title, severity, status, reporter_name, started_at, declared_at,
                              updated_at)
        SELECT gen_random_uuid(), n, 'INC-' || n, 'x', 3, 'declared', 'x', tocsin_now(), tocsin_now(), tocsin_now()
        FROM generate_series(1, 300) AS n
        """
    )
    ids = [row["id"] for row in await db.pool.fetch("SELECT id FROM incident ORDER BY number DESC")]
    events: list[Event] = []
    for number, id in enumerate(ids):
        events.append(ResponderPaged(actor=SYSTEM, incident_id=id, target=str(2 * number)))
        events.append(happened.ConfigurationCreated(actor=SYSTEM, kind="team", id=id, title=str(2 * number + 1)))
    async with db.begin() as tx:
        await log.emit(tx, *events)
    said = await db.pool.fetch("SELECT coalesce(data->>'target', data->>'title') FROM event ORDER BY position")
    assert [int(row[0]) for row in said] == list(range(600))


async def test_what_the_version_before_writes_of_alerts_names_nothing_beside_them(db: Database) -> None:
    await written_by_0_1_0(db, ResponderPaged(actor=SYSTEM, incident_id=new_id(), target='{"kind": "team"}'))
    assert await db.pool.fetchval("SELECT count(*) FROM event_subject") == 0


@pytest.mark.parametrize("sql", ["UPDATE event_subject SET kind = 'x'", "DELETE FROM event_subject"])
async def test_what_an_event_was_about_cannot_be_changed(db: Database, sql: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await db.pool.execute(sql)


@pytest.mark.own_database
async def test_a_history_is_read_by_its_index_however_long_the_record_is(world: World) -> None:
    ada = await world.person("ada")
    policy = await world.policy([ada])
    await world.db.pool.execute(
        """
        INSERT INTO event (id, name, at, actor_kind, actor_name, data, team_ids)
        SELECT gen_random_uuid(), 'configuration.changed', tocsin_now(), 'system', 'x',
               '{"kind": "team", "id": "018f0000-0000-7000-8000-000000000001", "title": "x", "changes": []}', '{}'
        FROM generate_series(1, 20000)
        """
    )
    await world.db.pool.execute(
        "INSERT INTO event_subject SELECT 'team', '018f0000-0000-7000-8000-000000000001', position FROM event"
        " ON CONFLICT DO NOTHING"
    )
    await world.db.pool.execute("ANALYZE event_subject, event")
    async with world.db.begin() as tx:
        about = log._about(Subject("escalation_policy", policy.id), None, (), 50)  # pyright: ignore[reportPrivateUsage]
        compiled = log.select(LoggedEvent).where(LoggedEvent.position.in_(about)).order_by(LoggedEvent.position.desc())
        sql = compiled.compile(dialect=world.db.engine.dialect, compile_kwargs={"literal_binds": True})
        plan = "\n".join((await tx.session.execute(log.text(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}"))).scalars())
    read = [line for line in plan.splitlines() if "Scan" in line and "never executed" not in line]
    assert len(read) == 2, plan
    assert "event_subject_pkey" in read[0] and "event_past_pkey" in read[1], plan


async def members(world: World, name: str, *people: User) -> UUID:
    async with world.db.begin() as tx:
        with_role = {person.id: None for person in people}
        return (await identity.create_team(tx, world.root, name=name, members=with_role)).id


async def test_an_event_says_who_owned_what_it_is_about_when_it_happened(world: World) -> None:
    ada = await world.person("ada", role="admin")
    payments, security = await members(world, "Payments"), await members(world, "Security")
    async with world.db.begin() as tx:
        who = Actor.person(ada)
        incident = await incidents.declare(tx, who, title="Slow", owners=Owners([payments], is_private=False))
        await incidents.comment(tx, who, incident.reference, "Looking")
    before = await newest(world.db, "incident.comment_added")
    async with world.db.begin() as tx:
        await incidents.update(tx, who, incident.reference, IncidentChanges(owners=Owners([security], is_private=True)))
        await incidents.comment(tx, who, incident.reference, "Card data")
    after = await newest(world.db, "incident.comment_added")
    assert (before.team_ids, before.is_private) == ([payments], False)
    assert (after.team_ids, after.is_private) == ([security], True)
    changed = await newest(world.db, "incident.updated")
    assert (changed.team_ids, changed.is_private) == ([security], True)


async def owned(world: World, source: AlertSource, *teams: UUID, is_private: bool = False) -> None:
    async with world.db.begin() as tx:
        owners = Owners(list(teams), is_private=is_private)
        await alerts.update_source(tx, world.root, source.id, SourceChanges(owners=owners))


async def test_an_alert_belongs_to_whom_its_source_belongs_from_its_first_event_on(world: World) -> None:
    ada = await world.person("ada")
    team = await members(world, "Payments", ada)
    source = await world.source()
    await owned(world, source, team, is_private=True)
    await world.signal({"title": "Disk", "status": "firing", "severity": "critical", "key": "d"}, source)
    await world.settle()
    async with world.db.begin() as tx:
        alert_id = (await log.newest_first(tx, names=("alert.triggered",), limit=1))[0].alert_id
        assert alert_id is not None
        await alerts.acknowledge(tx, world.root, alert_id)
    for name in ("alert.triggered", "alert.not_routed", "alert.acknowledged"):
        event = await newest(world.db, name)
        assert (name, event.team_ids, event.is_private) == (name, [team], True)


async def test_what_happens_to_an_incident_is_its_owners_and_not_those_of_its_alerts(world: World) -> None:
    """An event of an alert in it belongs to both, and is for them only when both are."""
    ada = await world.person("ada", role="admin")
    payments, security = await members(world, "Payments"), await members(world, "Security")
    source = await world.source()
    await owned(world, source, payments)
    await world.signal({"title": "Disk", "status": "firing", "severity": "critical", "key": "d"}, source)
    await world.settle()
    alert_id = (await newest(world.db, "alert.triggered")).alert_id
    assert alert_id is not None
    async with world.db.begin() as tx:
        owners = Owners([security], is_private=True)
        await incidents.declare(tx, Actor.person(ada), title="Slow", alert_id=alert_id, owners=owners)
    linked = await newest(world.db, "incident.alert_linked")
    assert (linked.team_ids, linked.is_private) == ([security], True)
    async with world.db.begin() as tx:
        await alerts.resolve(tx, world.root, alert_id)
    resolved = await newest(world.db, "alert.resolved")
    assert (set(resolved.team_ids or ()), resolved.is_private) == ({payments, security}, False)


async def test_what_nobody_owns_is_open(world: World) -> None:
    ada = await world.person("ada")
    await world.policy([ada])
    event = await newest(world.db, "configuration.created")
    assert (event.team_ids, event.is_private) == ([], False)
