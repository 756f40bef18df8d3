"""Incidents through their use cases: declaring, taking on, asking for help, ending, and finding them again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert, AlertSource
from tocsin.db.engine import Database, Tx
from tocsin.events.log import LoggedEvent
from tocsin.events.words import describe
from tocsin.identity.model import Actor, Organisation, Role, User
from tocsin.incidents import queries, service
from tocsin.incidents.model import CancelReason, Incident, IncidentRole, Status
from tocsin.incidents.queries import Place
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound, Stale, Unauthenticated
from tocsin.kit.ids import new_id, public
from tocsin.notifications.model import ContactMethod, Urgency
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageContent, PageTarget
from tocsin.oncall.model import EscalationPolicy, EscalationRun, EscalationStep, EscalationTarget, Page


class Team:
    """Ada and Bob respond and can be reached, Cleo only watches; alerts come from one source."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.ada, self.bob, self.cleo = (
            self._user("Ada", Role.RESPONDER),
            self._user("Bob", Role.RESPONDER),
            self._user("Cleo", Role.STAKEHOLDER),
        )
        self.source_id = new_id()

    def _user(self, name: str, role: Role) -> User:
        return User(id=new_id(), email=f"{name.lower()}@example.org", name=name, role=role, is_active=True)

    async def move_in(self) -> None:
        async with self.db.begin() as tx:
            tx.session.add(Organisation(id=1, name="Acme", created_at=tx.now))
            for user in (self.ada, self.bob, self.cleo):
                user.created_at = user.updated_at = tx.now
                tx.session.add(user)
            await tx.session.flush()
            for user in (self.ada, self.bob):
                tx.session.add(
                    ContactMethod(
                        id=new_id(),
                        user_id=user.id,
                        kind="email",
                        address=user.email,
                        name="Work",
                        created_at=tx.now,
                    )
                )
            tx.session.add(
                AlertSource(
                    id=self.source_id,
                    name="Prometheus",
                    kind="generic",
                    token=uuid4().hex,
                    created_at=tx.now,
                    updated_at=tx.now,
                )
            )

    async def policy(self, *users: User) -> UUID:
        async with self.db.begin() as tx:
            policy = EscalationPolicy(id=new_id(), name="Payments", created_at=tx.now, updated_at=tx.now)
            tx.session.add(policy)
            await tx.session.flush()
            for position, user in enumerate(users, start=1):
                step = EscalationStep(id=new_id(), policy_id=policy.id, position=position, wait_minutes=5)
                tx.session.add(step)
                await tx.session.flush()
                tx.session.add(EscalationTarget(step_id=step.id, position=1, kind="user", user_id=user.id))
        return policy.id

    async def alert(self, title: str = "Disk is full", *, paging: User | None = None) -> UUID:
        async with self.db.begin() as tx:
            alert = Alert(
                id=new_id(),
                source_id=self.source_id,
                dedup_key=uuid4().hex,
                status="triggered",
                title=title,
                description="No space left.",
                severity=2,
                urgency="high",
                labels={"service": "checkout", "env": "prod"},
                links=[],
                created_at=tx.now - timedelta(minutes=3),
                last_seen_at=tx.now,
                updated_at=tx.now,
            )
            tx.session.add(alert)
            await tx.session.flush()
            if paging is not None:
                content = PageContent(title, "", 2, Urgency.HIGH, "Prometheus", {})
                await oncall.start(
                    tx, [oncall.Start(content=content, reason="a test", alert_id=alert.id, user_id=paging.id)]
                )
        return alert.id

    async def incident(self, who: User | None = None, **fields: object) -> Incident:
        async with self.db.begin() as tx:
            named: dict[str, object] = {"title": "Checkout is down", **fields}
            return await service.declare(tx, Actor.person(who or self.ada), **named)  # pyright: ignore[reportArgumentType]

    async def page_of(self, user: User) -> Page:
        async with self.db.begin() as tx:
            found = await tx.session.scalars(select(Page).where(Page.user_id == user.id).order_by(Page.id.desc()))
            return found.first()  # type: ignore[return-value]

    async def run_states(self) -> list[str]:
        async with self.db.begin() as tx:
            return list(await tx.session.scalars(select(EscalationRun.state).order_by(EscalationRun.id)))

    async def responders(self, incident: Incident) -> dict[str, tuple[str, str]]:
        async with self.db.begin() as tx:
            found = await queries.responders(tx, incident.id)
            return {person.name: (person.responder.state, person.responder.source) for person in found}

    async def record(self, incident: Incident) -> list[str]:
        """What the timeline says, oldest first."""
        async with self.db.begin() as tx:
            rows = await queries.timeline(tx, incident.id)
            return [describe(row.name, row.actor_name, row.data).text for row in reversed(rows)]


@pytest.fixture
async def team(db: Database) -> Team:
    team = Team(db)
    await team.move_in()
    return team


def person(user: User) -> Actor:
    return Actor.person(user)


async def names(tx: Tx, incident_id: UUID) -> list[str]:
    query = select(LoggedEvent.name).where(LoggedEvent.incident_id == incident_id).order_by(LoggedEvent.position)
    return list(await tx.session.scalars(query))


async def test_a_declared_incident_has_a_number_defaults_and_a_lead(team: Team) -> None:
    """F001, F033, F044."""
    first, second = await team.incident(), await team.incident(team.bob, title="  Search\nis slow ", severity=1)

    assert (first.reference, first.severity, first.status, first.lead_id) == ("INC-1", 3, "declared", team.ada.id)
    assert (second.reference, second.title, second.severity) == ("INC-2", "Search is slow", 1)
    assert (second.reporter_id, second.reporter_name) == (team.bob.id, "Bob")
    assert first.acknowledged_at is None and first.started_at == first.declared_at
    assert await team.responders(first) == {"Ada": ("joined", "self")}
    assert await team.record(first) == ["Ada declared INC-1 as SEV3", "Ada joined"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"title": " "}, "#/title"),
        ({"title": "x" * 201}, "#/title"),
        ({"severity": 0}, "#/severity"),
        ({"severity": 6}, "#/severity"),
        ({"summary": "x" * 20_001}, "#/summary"),
    ],
)
async def test_what_is_wrong_with_a_new_incident_is_named(team: Team, fields: dict[str, object], pointer: str) -> None:
    """F001: and no number is used up."""
    with pytest.raises(Invalid) as refused:
        await team.incident(**fields)
    assert refused.value.errors[0].pointer == pointer
    assert (await team.incident()).reference == "INC-1"


async def test_it_cannot_have_started_in_the_future(team: Team) -> None:
    async with team.db.begin() as tx:
        with pytest.raises(Invalid, match="future"):
            await service.declare(tx, person(team.ada), title="x", started_at=tx.now + timedelta(minutes=1))


async def test_tocsin_itself_may_declare_and_the_first_to_join_leads(team: Team) -> None:
    """F033: nothing proceeds without a lead."""
    async with team.db.begin() as tx:
        incident = await service.declare(tx, Actor.system("Automation"), title="x")
        assert (incident.reporter_id, incident.reporter_name, incident.lead_id) == (None, "Automation", None)
    async with team.db.begin() as tx:
        with pytest.raises(Conflict, match="no lead"):
            await service.update_status(tx, person(team.ada), incident.id, Status.IDENTIFIED)
    async with team.db.begin() as tx:
        incident = await service.join(tx, person(team.bob), incident.id)
    assert (incident.lead_id, incident.status) == (team.bob.id, "investigating")
    assert "Bob took the role of lead" in await team.record(incident)


async def test_stakeholders_watch_only(team: Team) -> None:
    incident = await team.incident()
    who = person(team.cleo)
    async with team.db.begin() as tx:
        for attempt in (
            service.declare(tx, who, title="x"),
            service.prefill(tx, who, uuid4()),
            service.update(tx, who, incident.id, title="x"),
            service.change_severity(tx, who, incident.id, 1),
            service.update_status(tx, who, incident.id, Status.IDENTIFIED),
            service.acknowledge(tx, who, incident.id),
            service.join(tx, who, incident.id),
            service.leave(tx, who, incident.id),
            service.resolve(tx, who, incident.id, "x"),
            service.close(tx, who, incident.id, "x"),
            service.cancel(tx, who, incident.id, CancelReason.OTHER),
            service.reopen(tx, who, incident.id, "x"),
            service.comment(tx, who, incident.id, "x"),
            service.assign_role(tx, who, incident.id, IncidentRole.LEAD, None),
            service.page(tx, who, incident.id, [PageTarget("user", team.bob.id)]),
            service.link_alerts(tx, who, incident.id, [uuid4()]),
            service.unlink_alert(tx, who, incident.id, uuid4()),
        ):
            with pytest.raises(Denied):
                await attempt


async def test_an_alert_fills_in_the_incident_and_is_taken_on(team: Team) -> None:
    """F002: its escalation ends, and whoever was paged for it becomes a responder."""
    alert_id = await team.alert(paging=team.bob)
    async with team.db.begin() as tx:
        draft = await service.prefill(tx, person(team.ada), alert_id)
    assert (draft.title, draft.severity) == ("Disk is full", 2)
    assert draft.summary == "No space left.\n\n- env: prod\n- service: checkout"

    incident = await team.incident(title="", alert_id=alert_id)

    assert (incident.title, incident.severity, incident.summary) == (draft.title, 2, draft.summary)
    assert incident.started_at < incident.declared_at
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("paged", "linked_alert")}
    assert await team.run_states() == ["answered"]
    async with team.db.begin() as tx:
        alert = await alert_queries.get(tx, alert_id)
        assert (alert.status, alert.acknowledged_by, alert.incident_id) == ("acknowledged", "Ada", incident.id)
        assert await alert_queries.linked_counts(tx, [incident.id]) == {incident.id: 1}
        events = await names(tx, incident.id)
    assert events[:3] == ["incident.declared", "incident.responder_joined", "incident.alert_linked"]
    assert "alert.acknowledged" in events


async def test_who_acknowledged_the_alert_before_joins_and_who_did_not_answer_stays_paged(team: Team) -> None:
    """F002, F045."""
    alert_id, policy_id = await team.alert(), await team.policy(team.ada, team.bob)
    async with team.db.begin() as tx:
        content = PageContent("Disk is full", "", 2, Urgency.HIGH, "Prometheus", {})
        start = oncall.Start(content=content, reason="a test", alert_id=alert_id, policy_id=policy_id)
        await oncall.start(tx, [start])
    async with team.db.begin() as tx:
        await alerts.escalate(tx, person(team.ada), alert_id)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        await service.answer_page(tx, person(team.bob), page.id)
    async with team.db.begin() as tx:
        incident = await service.declare(tx, Actor.system("Automation"), alert_id=alert_id)

    assert await team.responders(incident) == {"Ada": ("paged", "linked_alert"), "Bob": ("joined", "linked_alert")}
    record = await team.record(incident)
    assert (record.count("Bob joined"), record.count("Ada joined")) == (1, 0)
    async with team.db.begin() as tx:
        turnout = await queries.joined_counts(tx, [incident.id])
        assert (turnout[incident.id].joined, turnout[incident.id].asked) == (1, 2)
        assert (await alert_queries.get(tx, alert_id)).acknowledged_by == "Bob"


async def test_who_acknowledged_the_alert_without_being_paged_joins_too(team: Team) -> None:
    """F002, F045: unless they gave it back."""
    kept, given_back = await team.alert("Kept", paging=team.ada), await team.alert("Given back", paging=team.ada)
    async with team.db.begin() as tx:
        for alert_id in (kept, given_back):
            await alerts.acknowledge(tx, person(team.bob), alert_id)
        await alerts.unacknowledge(tx, person(team.bob), given_back)

    first, second = await team.incident(alert_id=kept), await team.incident(alert_id=given_back)

    assert await team.responders(first) == {"Ada": ("joined", "self"), "Bob": ("joined", "self")}
    assert await team.responders(second) == {"Ada": ("joined", "self")}


async def test_linking_an_alert_brings_whoever_acknowledged_it(team: Team) -> None:
    """F045, F074: but nobody who has left or declined, and nobody onto an incident that is over."""
    incident, over = await team.incident(), await team.incident(title="Yesterday")
    one, two, three = [await team.alert(title, paging=team.bob) for title in ("One", "Two", "Three")]
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [one])
        for alert_id in (two, three):
            await alerts.acknowledge(tx, person(team.bob), alert_id)
        await service.resolve(tx, person(team.ada), over.id, "Done.")
    assert (await team.responders(incident))["Bob"] == ("paged", "linked_alert")

    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [two])
        await service.link_alerts(tx, person(team.ada), over.id, [three])
    assert (await team.responders(incident))["Bob"] == ("joined", "linked_alert")
    assert (await team.responders(over))["Bob"] == ("paged", "linked_alert")

    async with team.db.begin() as tx:
        await service.leave(tx, person(team.bob), incident.id)
        await service.unlink_alert(tx, person(team.ada), incident.id, two)
        await service.link_alerts(tx, person(team.ada), incident.id, [two])
    assert (await team.responders(incident))["Bob"] == ("left", "linked_alert")


async def test_declaring_for_others_leaves_the_escalation_running(team: Team) -> None:
    """F002."""
    alert_id = await team.alert(paging=team.bob)
    incident = await team.incident(title="Mine", alert_id=alert_id, page_others=True, severity=5)
    assert (incident.title, incident.severity) == ("Mine", 5)
    assert await team.run_states() == ["running"]
    async with team.db.begin() as tx:
        assert (await alert_queries.get(tx, alert_id)).status == "triggered"


async def test_taking_on_one_alert_leaves_every_other_escalation_alone(team: Team) -> None:
    """F002, F050."""
    mine, _ = await team.alert(paging=team.ada), await team.alert(paging=team.bob)
    await team.incident(alert_id=mine)
    assert await team.run_states() == ["answered", "running"]


async def test_an_alert_belongs_to_one_incident(team: Team) -> None:
    """F074: whoever comes second is told where it is."""
    alert_id = await team.alert()
    first, second = await team.incident(alert_id=alert_id), await team.incident()
    async with team.db.begin() as tx:
        for attempt in (
            service.prefill(tx, person(team.bob), alert_id),
            service.declare(tx, person(team.bob), alert_id=alert_id),
            service.link_alerts(tx, person(team.bob), second.id, [alert_id]),
        ):
            with pytest.raises(Conflict, match="belongs to INC-1 already"):
                await attempt
        await service.link_alerts(tx, person(team.bob), first.id, [alert_id])


async def test_two_people_declaring_from_one_alert_make_one_incident(team: Team) -> None:
    """F002, F074."""
    alert_id = await team.alert()
    results = await asyncio.gather(
        team.incident(team.ada, alert_id=alert_id), team.incident(team.bob, alert_id=alert_id), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "Incident"]


async def test_alerts_are_linked_and_unlinked(team: Team) -> None:
    """F074: the people paged for them join as responders."""
    incident = await team.incident()
    one, two = await team.alert("One", paging=team.bob), await team.alert("Two")
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), "inc-1", [two, one])
    async with team.db.begin() as tx:
        await service.unlink_alert(tx, person(team.ada), incident.id, two)
        await service.unlink_alert(tx, person(team.ada), incident.id, two)
        assert [alert.id for alert in await alert_queries.of_incident(tx, incident.id)] == [one]
        assert (await queries.get(tx, incident.id)).version == 1
        with pytest.raises(NotFound):
            await service.link_alerts(tx, person(team.ada), incident.id, [one, uuid4()])
        with pytest.raises(Invalid):
            await service.link_alerts(tx, person(team.ada), incident.id, [])
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("paged", "linked_alert")}
    record = await team.record(incident)
    assert record[-3:] == [
        "Ada linked the alert “One”",
        "Ada linked the alert “Two”",
        "Ada unlinked the alert “Two”",
    ]


async def test_fields_change_with_their_old_and_new_value(team: Team) -> None:
    """F075."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        start = tx.now - timedelta(hours=1)
        changed = await service.update(
            tx, person(team.bob), "INC-1", title="Checkout is slow", summary="", started_at=start, if_version=1
        )
        assert (changed.title, changed.started_at, changed.version) == ("Checkout is slow", start, 2)
        await service.update(tx, person(team.bob), "INC-1", title="Checkout is slow")
        await service.change_severity(tx, person(team.bob), "INC-1", 1)
        same = await service.change_severity(tx, person(team.bob), "INC-1", 1)
        assert same.version == 3
        event = (await queries.timeline(tx, incident.id, limit=2))[1]
    assert event.data["changes"][0] == {"field": "title", "old": "Checkout is down", "new": "Checkout is slow"}
    assert (await team.record(incident))[-2:] == [
        "Bob changed the title and the start",
        "Bob raised the severity from SEV3 to SEV1",
    ]


async def test_an_old_copy_is_refused_and_nothing_is_lost(team: Team) -> None:
    """F040."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.update(tx, person(team.ada), incident.id, summary="It is the disk.", if_version=1)
    async with team.db.begin() as tx:
        who = person(team.bob)
        for attempt in (
            service.update(tx, who, incident.id, summary="x", if_version=1),
            service.change_severity(tx, who, incident.id, 1, if_version=1),
            service.update_status(tx, who, incident.id, Status.IDENTIFIED, if_version=1),
            service.resolve(tx, who, incident.id, "x", if_version=1),
            service.close(tx, who, incident.id, "x", if_version=1),
            service.cancel(tx, who, incident.id, CancelReason.OTHER, if_version=1),
            service.assign_role(tx, who, incident.id, IncidentRole.LEAD, None, if_version=1),
            service.acknowledge(tx, who, incident.id, if_version=1),
        ):
            with pytest.raises(Stale, match="Nothing was saved"):
                await attempt
    async with team.db.begin() as tx:
        assert (await queries.get(tx, incident.id)).summary == "It is the disk."


async def test_of_two_edits_at_once_one_wins(team: Team) -> None:
    """F040."""
    incident = await team.incident()

    async def edit(user: User) -> None:
        async with team.db.begin() as tx:
            await service.update(tx, person(user), incident.id, title=f"By {user.name}", if_version=1)

    results = await asyncio.gather(edit(team.ada), edit(team.bob), return_exceptions=True)
    assert sorted(str(type(result).__name__) for result in results) == ["NoneType", "Stale"]


async def test_status_moves_freely_between_open_states(team: Team) -> None:
    """F028, F030."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        for to in (Status.MITIGATED, Status.MONITORING, Status.INVESTIGATING, Status.INVESTIGATING):
            incident = await service.update_status(tx, person(team.ada), incident.id, to)
        assert incident.mitigated_at == tx.now and incident.version == 4
        for to in (Status.RESOLVED, Status.CLOSED, Status.CANCELLED):
            with pytest.raises(Invalid, match="Use “"):
                await service.update_status(tx, person(team.ada), incident.id, to)
    assert (await team.record(incident))[-1] == "Ada changed the status from monitoring to investigating"


async def test_two_people_acknowledge_at_once(team: Team) -> None:
    """F029: both join, the first one's time counts, and there is one acknowledgement in the record."""
    incident = await team.incident()

    async def take(user: User) -> None:
        async with team.db.begin() as tx:
            await service.acknowledge(tx, person(user), incident.id)

    await asyncio.gather(take(team.ada), take(team.bob), take(team.bob))
    async with team.db.begin() as tx:
        now = await queries.get(tx, incident.id)
        assert now.status == "investigating" and now.acknowledged_at is not None
        happened = await names(tx, incident.id)
        turnout = await queries.joined_counts(tx, [incident.id])
    assert happened.count("incident.acknowledged") == happened.count("incident.status_changed") == 1
    assert happened.count("incident.responder_joined") == 2
    assert (turnout[incident.id].joined, turnout[incident.id].asked) == (2, 2)


async def test_acknowledging_what_is_over_changes_nothing_but_joining_it_is_refused(team: Team) -> None:
    """F029, F046."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
    async with team.db.begin() as tx:
        same = await service.acknowledge(tx, person(team.bob), incident.id)
        assert (same.status, same.acknowledged_at) == ("resolved", None)
        with pytest.raises(Conflict, match="Reopen it first"):
            await service.join(tx, person(team.bob), incident.id)


async def test_only_a_person_can_take_an_incident_on(team: Team) -> None:
    incident = await team.incident()
    async with team.db.begin() as tx:
        with pytest.raises(Unauthenticated):
            await service.join(tx, Actor.system("Automation"), incident.id)


async def test_people_join_and_leave(team: Team) -> None:
    """F045, F046."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.leave(tx, person(team.bob), incident.id)
        await service.join(tx, person(team.bob), incident.id)
        await service.join(tx, person(team.bob), incident.id)
        await service.leave(tx, person(team.bob), incident.id)
        await service.leave(tx, person(team.bob), incident.id)
        with pytest.raises(Conflict, match="You are lead of INC-1"):
            await service.leave(tx, person(team.ada), incident.id)
        turnout = await queries.joined_counts(tx, [incident.id])
    assert (turnout[incident.id].joined, turnout[incident.id].asked) == (1, 1)
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("left", "self")}
    assert (await team.record(incident)).count("Bob left") == 1


async def test_a_role_is_given_passed_on_and_given_up(team: Team) -> None:
    """F041, F042, F043: whoever gets one joins."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        for user_id in (team.bob.id, team.bob.id, team.ada.id, None):
            await service.assign_role(tx, person(team.ada), incident.id, IncidentRole.COMMANDER, user_id)
        with pytest.raises(Invalid, match="who can sign in"):
            await service.assign_role(tx, person(team.ada), incident.id, IncidentRole.COMMUNICATOR, uuid4())
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("joined", "role")}
    assert (await team.record(incident))[-4:] == [
        "Bob joined",
        "Ada made Bob commander",
        "Ada took the role of commander",
        "Ada is no longer commander",
    ]


async def test_resolving_takes_the_alerts_along_and_stops_the_pages(team: Team) -> None:
    """F031, F032."""
    alert_id = await team.alert(paging=team.bob)
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [alert_id])
        await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)], "Help")
    async with team.db.begin() as tx:
        with pytest.raises(Invalid, match="Say what was done"):
            await service.resolve(tx, person(team.ada), incident.id, " ")
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Cleaned the disk.", if_version=1)
    async with team.db.begin() as tx:
        again = await service.resolve(tx, person(team.bob), incident.id, "", if_version=1)
        assert (again.resolution_note, again.version) == ("Cleaned the disk.", 2)
        alert = await alert_queries.get(tx, alert_id)
        assert (alert.status, alert.resolved_by) == ("resolved", "Ada")
        happened = await names(tx, incident.id)
    assert await team.run_states() == ["cancelled", "cancelled"]
    assert happened.count("incident.resolved") == 1
    assert "Ada resolved the incident and one alert with it" in await team.record(incident)


async def test_two_people_resolve_at_once(team: Team) -> None:
    """F031: the first note stays."""
    incident = await team.incident()

    async def resolve(user: User) -> str:
        async with team.db.begin() as tx:
            return (await service.resolve(tx, person(user), incident.id, f"By {user.name}.")).resolution_note

    notes = await asyncio.gather(resolve(team.ada), resolve(team.bob))
    assert notes[0] == notes[1]


async def test_closing_an_open_incident_resolves_it_first(team: Team) -> None:
    """F034."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        with pytest.raises(Invalid):
            await service.close(tx, person(team.ada), incident.id)
    async with team.db.begin() as tx:
        closed = await service.close(tx, person(team.ada), incident.id, "Done.")
        assert closed.resolved_at == closed.closed_at == tx.now
        await service.close(tx, person(team.ada), incident.id)
        with pytest.raises(Conflict):
            await service.resolve(tx, person(team.ada), incident.id, "x")
        assert (await names(tx, incident.id))[-2:] == ["incident.resolved", "incident.closed"]


async def test_a_resolved_incident_is_closed_without_another_note(team: Team) -> None:
    """F034."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
        closed = await service.close(tx, person(team.ada), incident.id)
        assert (closed.status, closed.resolution_note) == ("closed", "Done.")


async def test_a_false_alarm_takes_its_alerts_along(team: Team) -> None:
    """F035."""
    alert_id = await team.alert()
    incident = await team.incident(alert_id=alert_id)
    async with team.db.begin() as tx:
        await service.cancel(tx, person(team.ada), incident.id, CancelReason.FALSE_ALARM, note="A test.")
        await service.cancel(tx, person(team.ada), incident.id, CancelReason.OTHER)
        assert (await alert_queries.get(tx, alert_id)).status == "resolved"
        assert (await queries.get(tx, incident.id)).cancel_reason == "false_alarm"
        with pytest.raises(Conflict, match="Reopen it first"):
            await service.link_alerts(tx, person(team.ada), incident.id, [alert_id])
    assert (await team.record(incident))[-1] == "Ada cancelled the incident: a false alarm"


async def test_the_alerts_of_a_duplicate_move_to_the_incident_that_goes_on(team: Team) -> None:
    """F035, F074."""
    alert_id = await team.alert(paging=team.bob)
    main, double = await team.incident(), await team.incident(alert_id=alert_id, page_others=True)
    async with team.db.begin() as tx:
        with pytest.raises(Invalid, match="which incident"):
            await service.cancel(tx, person(team.ada), double.id, CancelReason.DUPLICATE)
    async with team.db.begin() as tx:
        await service.cancel(tx, person(team.ada), double.id, CancelReason.DUPLICATE, duplicate_of="INC-1")
        assert (await alert_queries.get(tx, alert_id)).incident_id == main.id
        assert (await queries.get(tx, double.id)).duplicate_of_id == main.id
    async with team.db.begin() as tx:
        with pytest.raises(Conflict, match="is cancelled itself"):
            await service.cancel(tx, person(team.ada), main.id, CancelReason.DUPLICATE, duplicate_of="INC-2")
    assert "Bob" in await team.responders(main)
    assert await team.run_states() == ["running"]
    assert (await team.record(double))[-1] == "Ada cancelled the incident: a duplicate of INC-1"


async def test_two_incidents_that_call_each_other_duplicates_do_not_deadlock(team: Team) -> None:
    """F035: both are locked in the order of their ids."""
    one, two = await team.incident(), await team.incident()

    async def cancel(it: Incident, other: Incident) -> None:
        async with team.db.begin() as tx:
            await service.cancel(tx, person(team.ada), it.id, CancelReason.DUPLICATE, duplicate_of=other.id)

    results = await asyncio.gather(cancel(one, two), cancel(two, one), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]


async def test_reopening_begins_another_round_and_keeps_the_first_in_the_record(team: Team) -> None:
    """F036."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.close(tx, person(team.ada), incident.id, "Rolled back.")
    async with team.db.begin() as tx:
        with pytest.raises(Invalid) as refused:
            await service.reopen(tx, person(team.bob), incident.id, " ")
        assert refused.value.errors[0].pointer == "#/reason"
        again = await service.reopen(tx, person(team.bob), incident.id, "It is back")
        await service.reopen(tx, person(team.bob), incident.id, "It is back")
        assert (again.status, again.round, again.resolution_note) == ("investigating", 1, "")
        assert (again.resolved_at, again.closed_at) == (None, None)
        event = (await queries.timeline(tx, incident.id, limit=1))[0]
    assert event.data["resolution_note"] == "Rolled back." and event.data["resolved_at"]
    assert event.data["round"] == 1


async def test_comments_stand_in_the_timeline(team: Team) -> None:
    """F075, F076: and can be shown alone."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.comment(tx, person(team.bob), "INC-1", "  Looking at the **disk**. ")
        for wrong in ("", " \n", "x" * 10_001):
            with pytest.raises(Invalid):
                await service.comment(tx, person(team.bob), "INC-1", wrong)
        await service.comment(tx, person(team.bob), "INC-1", "x" * 10_000)
    async with team.db.begin() as tx:
        comments = await queries.timeline(tx, incident.id, show="comments")
        assert [row.data["body"][:10] for row in comments] == ["x" * 10, "Looking at"]
        rest = await queries.timeline(tx, incident.id, show="events")
        assert [row.name for row in rest] == ["incident.responder_joined", "incident.declared"]
        older = await queries.timeline(tx, incident.id, before=comments[0].position, limit=1)
        assert older[0].position == comments[1].position


async def test_people_are_paged_from_an_incident(team: Team) -> None:
    """F049, F045."""
    incident = await team.incident()
    policy_id = await team.policy(team.bob, team.ada)
    async with team.db.begin() as tx:
        targets = [PageTarget("escalation_policy", policy_id), PageTarget("user", team.ada.id)]
        runs = await service.page(tx, person(team.ada), incident.id, [*targets, targets[0]], "The disk is full")
        assert len(runs) == 2
        for wrong in ([], [PageTarget("user", uuid4())], [PageTarget("escalation_policy", uuid4())]):
            with pytest.raises(Invalid):
                await service.page(tx, person(team.ada), incident.id, wrong)
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("paged", "paged")}
    record = await team.record(incident)
    assert "Ada paged Payments" in record and "Ada paged Ada" in record
    assert any(line.startswith("Bob was paged") for line in record)
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
    async with team.db.begin() as tx:
        with pytest.raises(Conflict):
            await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)])


async def test_answering_a_page_about_an_incident_joins_and_acknowledges_it(team: Team) -> None:
    """F029, F050: other runs go on, and a second answer changes nothing."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        targets = [PageTarget("user", team.bob.id), PageTarget("user", team.ada.id)]
        await service.page(tx, person(team.ada), incident.id, targets)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        with pytest.raises(Denied, match="somebody else"):
            await service.answer_page(tx, person(team.ada), page.id)
    async with team.db.begin() as tx:
        answered = await service.answer_page(tx, person(team.bob), page.id, "email")
        assert answered.state == "acknowledged"
    async with team.db.begin() as tx:
        again = await service.answer_page(tx, person(team.bob), page.id, "email")
        assert again.answered_at == answered.answered_at
        assert (await queries.get(tx, incident.id)).status == "investigating"
        assert (await names(tx, incident.id)).count("page.acknowledged") == 1
    assert (await team.responders(incident))["Bob"] == ("joined", "paged")
    assert sorted(await team.run_states()) == ["answered", "running"]
    assert "Bob acknowledged the page by e-mail" in await team.record(incident)


async def test_a_double_click_answers_once(team: Team) -> None:
    """F029."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)])
    page = await team.page_of(team.bob)

    async def click() -> str:
        async with team.db.begin() as tx:
            return (await service.answer_page(tx, person(team.bob), page.id, "email")).state

    assert await asyncio.gather(click(), click(), click()) == ["acknowledged"] * 3
    async with team.db.begin() as tx:
        happened = await names(tx, incident.id)
    assert happened.count("page.acknowledged") == happened.count("incident.acknowledged") == 1


async def test_acknowledging_an_incident_answers_ones_own_pages(team: Team) -> None:
    """F029, F050."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        targets = [PageTarget("user", team.bob.id), PageTarget("user", team.ada.id)]
        await service.page(tx, person(team.ada), incident.id, targets)
    async with team.db.begin() as tx:
        await service.acknowledge(tx, person(team.bob), incident.id)
    assert (await team.page_of(team.bob)).state == "acknowledged"
    assert (await team.page_of(team.ada)).state == "paging"


async def test_answering_a_page_about_an_alert_takes_the_alert_on(team: Team) -> None:
    """F029."""
    alert_id = await team.alert(paging=team.bob)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        answered = await service.answer_page(tx, person(team.bob), page.id, "email")
        alert = await alert_queries.get(tx, alert_id)
        assert (answered.state, alert.status, alert.acknowledged_by) == ("acknowledged", "acknowledged", "Bob")
    async with team.db.begin() as tx:
        await alerts.resolve(tx, person(team.ada), alert_id)
    async with team.db.begin() as tx:
        again = await service.answer_page(tx, person(team.bob), page.id, "email")
        assert (again.state, again.answered_at) == ("acknowledged", answered.answered_at)
    assert await team.run_states() == ["answered"]


async def test_answering_a_page_about_a_linked_alert_joins_its_incident(team: Team) -> None:
    """F045."""
    alert_id = await team.alert(paging=team.bob)
    incident = await team.incident(alert_id=alert_id, page_others=True)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        await service.answer_page(tx, person(team.bob), page.id)
    assert (await team.responders(incident))["Bob"] == ("joined", "linked_alert")


async def test_a_page_that_somebody_else_answered_stays_as_it_is(team: Team) -> None:
    """F029."""
    alert_id = await team.alert(paging=team.bob)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        await alerts.acknowledge(tx, person(team.ada), alert_id)
    async with team.db.begin() as tx:
        late = await service.answer_page(tx, person(team.bob), page.id)
        assert late.state == "cancelled"
        assert (await alert_queries.get(tx, alert_id)).acknowledged_by == "Ada"


async def test_a_page_is_declined(team: Team) -> None:
    """F045: the escalation goes on."""
    incident = await team.incident()
    policy_id = await team.policy(team.bob, team.ada)
    async with team.db.begin() as tx:
        await service.page(tx, person(team.ada), incident.id, [PageTarget("escalation_policy", policy_id)])
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        assert (await service.decline_page(tx, person(team.bob), page.id)).state == "declined"
        assert (await service.decline_page(tx, person(team.bob), page.id)).state == "declined"
    assert (await team.responders(incident))["Bob"] == ("declined", "paged")
    assert (await team.page_of(team.ada)).state == "paging"
    record = await team.record(incident)
    assert record.count("Bob declined the page") == record.count("Bob cannot help with this") == 1


async def test_a_page_is_passed_on_by_hand_and_later_steps_make_responders(team: Team) -> None:
    """F049, F045: the reaction to a page may run twice and late."""
    incident = await team.incident()
    policy_id = await team.policy(team.ada, team.bob)
    async with team.db.begin() as tx:
        await service.page(tx, person(team.ada), incident.id, [PageTarget("escalation_policy", policy_id)])
    first = await team.page_of(team.ada)
    async with team.db.begin() as tx:
        with pytest.raises(Denied):
            await service.escalate_page(tx, person(team.cleo), first.id)
    async with team.db.begin() as tx:
        assert (await service.escalate_page(tx, person(team.ada), first.id)).state == "no_answer"
    second = await team.page_of(team.bob)
    for _ in range(2):
        async with team.db.begin() as tx:
            await service.note_page(tx, second.id)
    assert (await team.responders(incident))["Bob"] == ("paged", "paged")
    async with team.db.begin() as tx:
        await service.decline_page(tx, person(team.bob), second.id)
    async with team.db.begin() as tx:
        await service.note_page(tx, second.id)
    assert (await team.responders(incident))["Bob"] == ("declined", "paged")


async def test_an_incident_is_found_by_number_public_id_and_id(team: Team) -> None:
    incident = await team.incident()
    async with team.db.begin() as tx:
        for ref in ("INC-1", "inc-1", public("inc", incident.id), incident.id):
            assert (await queries.get(tx, ref)).id == incident.id
        for ref in ("INC-2", "", "inc_x", "1", "\0", uuid4()):
            with pytest.raises(NotFound):
                await queries.get(tx, ref)
            with pytest.raises(NotFound):
                await queries.lock(tx, ref)


async def _many(db: Database, count: int) -> None:
    await db.pool.execute(
        """
        INSERT INTO incident (id, number, reference, title, severity, status, reporter_name, started_at, declared_at,
                              updated_at, resolution_note)
        SELECT gen_random_uuid(), n + 1000, 'INC-' || n + 1000, 'Incident ' || n, n % 5 + 1,
               CASE WHEN n % 10 = 0 THEN 'investigating' ELSE 'resolved' END, 'Ada', at, at, at, 'Done.'
        FROM generate_series(1, $1::int) n, LATERAL (SELECT now() - n / 3 * interval '1 hour' AS at)
        """,
        count,
    )


@pytest.mark.parametrize("sort", ["-declared_at", "declared_at", "severity", "-severity"])
async def test_the_list_pages_without_gaps_or_repeats(db: Database, sort: queries.Sort) -> None:
    """F113, F114: also where several have the same time and severity."""
    await _many(db, 50)
    seen: list[Incident] = []
    async with db.begin() as tx:
        whole = await queries.list_page(tx, sort=sort, limit=100)
        while page := await queries.list_page(tx, sort=sort, after=Place.of(seen[-1]) if seen else None, limit=7):
            seen += page
    assert [row.id for row in seen] == [row.id for row in whole]
    assert len(seen) == 50
    first, last = whole[0], whole[-1]
    match sort:
        case "-declared_at":
            assert first.declared_at > last.declared_at
        case "declared_at":
            assert first.declared_at < last.declared_at
        case "severity":
            assert (first.severity, last.severity) == (1, 5)
        case _:
            assert (first.severity, last.severity) == (5, 1)


async def test_the_list_is_filtered_and_searched(team: Team) -> None:
    """F114."""
    one = await team.incident(title="Disk 100% full", severity=1)
    two = await team.incident(team.bob, title="Search is slow", summary="Since the disk_move")
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), one.id, "Done.")
        await service.assign_role(tx, person(team.ada), two.id, IncidentRole.COMMANDER, team.ada.id)

    async def found(**filters: object) -> list[str]:
        async with team.db.begin() as tx:
            rows = await queries.list_page(tx, **filters)  # pyright: ignore[reportArgumentType]
            return [row.reference for row in rows]

    assert await found() == ["INC-2", "INC-1"]
    assert await found(statuses=[Status.RESOLVED]) == ["INC-1"]
    assert await found(statuses=[Status.RESOLVED, Status.DECLARED]) == ["INC-2", "INC-1"]
    assert await found(severities=[1, 2]) == ["INC-1"]
    assert await found(lead_ids=[team.bob.id]) == ["INC-2"]
    assert await found(commander_ids=[team.ada.id]) == ["INC-2"]
    assert await found(reporter_ids=[team.ada.id]) == ["INC-1"]
    assert await found(q="DISK") == ["INC-2", "INC-1"]
    assert await found(q="disk_m") == ["INC-2"]
    assert await found(q="0%") == ["INC-1"]
    assert await found(q="inc-2") == await found(q="#2") == await found(q="2") == ["INC-2"]
    assert await found(q="9" * 30) == await found(q="²") == await found(q="a\0b") == []
    assert await found(declared_from=two.declared_at) == ["INC-2"]
    assert await found(declared_to=two.declared_at) == ["INC-1"]
    assert await found(q="disk", severities=[5]) == []

    async with team.db.begin() as tx:
        counts = await queries.counts(tx)
    assert (counts.open, counts.total, counts.open_by_severity[3], counts.by_status[Status.RESOLVED]) == (1, 2, 1, 1)


async def test_twenty_thousand_incidents_are_listed_from_the_index(db: Database) -> None:
    """F113: the plan, not the clock, so that the test says the same on every machine."""
    await _many(db, 20_000)
    await db.pool.execute("ANALYZE incident")
    async with db.begin() as tx:
        open_ones = await queries.list_page(tx, statuses=[Status.INVESTIGATING], limit=25)
        assert len(open_ones) == 25
        connection = await tx.raw()
        plan = await connection.fetch(
            """
            EXPLAIN SELECT * FROM incident WHERE (declared_at, id) < ($1, $2)
            ORDER BY declared_at DESC, id DESC LIMIT 25
            """,
            open_ones[-1].declared_at,
            open_ones[-1].id,
        )
    assert any("incident_declared_at_idx" in row[0] for row in plan)
