"""Who sees and may do what: by role, by team, by grant, and by having been asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from tests import races
from tests.world import World
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert, AlertSource
from tocsin.alerts.queries import Filter
from tocsin.db.engine import Tx
from tocsin.identity import service as identity
from tocsin.identity.access import P, ResourceKind
from tocsin.identity.access_queries import access
from tocsin.identity.model import Actor, User
from tocsin.identity.service import Owners
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident, IncidentRole
from tocsin.incidents.service import Holder
from tocsin.kit.errors import Denied, Invalid, NotFound
from tocsin.oncall.escalation import PageTarget
from tocsin.web.base.queries import surroundings


@dataclass
class House:
    """A private team that owns a source and an incident, an open one that owns another incident, and people."""

    world: World
    people: dict[str, User]
    teams: dict[str, UUID]
    source: AlertSource
    alert: Alert
    secret: Incident
    shared: Incident
    public: Incident

    async def who(self, name: str, *scopes: str) -> Actor:
        async with self.world.db.begin() as tx:
            user = self.people[name]
            return Actor.person(user, await access(tx, user.id), scopes=list(scopes))


@pytest.fixture
async def house(world: World) -> House:
    roles = {
        "ada": "admin",
        "bob": "responder",
        "sec": "responder",
        "cleo": "stakeholder",
        "gil": "guest",
        "tea": "stakeholder",
        "com": "communicator",
    }
    people = {name: await world.person(name, role=role) for name, role in roles.items()}
    source = await world.source()
    await world.route(await world.policy([people["sec"]]))
    async with world.db.begin() as tx:
        security = await identity.create_team(
            tx, world.root, name="Security", is_private=True, members={people["sec"].id: None}
        )
        payments = await identity.create_team(
            tx, world.root, name="Payments", members={people["tea"].id: "responder", people["gil"].id: None}
        )
    async with world.db.begin() as tx:
        await alerts.update_source(tx, world.root, source.id, alerts.SourceChanges(owners=Owners([security.id])))
    await world.signal({"key": "a", "title": "Somebody is in", "severity": "critical"}, source)
    await world.settle()
    async with world.db.begin() as tx:
        (alert,) = [row[0] for row in await alert_queries.listed(tx, world.root.access, Filter())]
        secret = await incidents.declare(tx, world.root, alert_id=alert.id, page_others=True)
        shared = await incidents.declare(tx, world.root, title="Refunds", owners=Owners([payments.id]))
        public = await incidents.declare(tx, world.root, title="Checkout is down")
    teams = {"security": security.id, "payments": payments.id}
    return House(world, people, teams, source, alert, secret, shared, public)


# Whom: the incidents and the alerts that they see.
_SEES = {
    "ada": ({"Somebody is in", "Refunds", "Checkout is down"}, {"Somebody is in"}),
    "sec": ({"Somebody is in", "Refunds", "Checkout is down"}, {"Somebody is in"}),
    "bob": ({"Refunds", "Checkout is down"}, set[str]()),
    "cleo": ({"Refunds", "Checkout is down"}, set[str]()),
    "gil": ({"Refunds"}, set[str]()),
    "tea": ({"Refunds", "Checkout is down"}, set[str]()),
}


@pytest.mark.parametrize("name", _SEES)
async def test_people_see_what_is_theirs_to_see_and_nothing_else(house: House, name: str) -> None:
    """F117, F119, C8: in lists, searches, counts and by name, what is hidden does not exist."""
    who, (theirs, alerts_seen) = await house.who(name), _SEES[name]
    async with house.world.db.begin() as tx:
        listed = {row.title for row in await incident_queries.listed(tx, who.access)}
        assert listed == theirs
        found = {row.title for row in await incident_queries.listed(tx, who.access, q="in")}
        assert found == {title for title in theirs if "in" in title.lower()}
        assert {row[0].title for row in await alert_queries.listed(tx, who.access, Filter())} == alerts_seen
        assert {row[0].title for row in await alert_queries.listed(tx, who.access, Filter(q="some"))} == alerts_seen
        assert (await alert_queries.counts(tx, who.access))["open"] == len(alerts_seen)
        assert sum((await alert_queries.linked_counts(tx, who.access, [house.secret.id])).values()) == len(alerts_seen)
        around = await surroundings(tx, who.access, house.people[name].id)
        assert around.badges["open_incidents"] == len(theirs)
        assert around.badges["waiting_alerts"] == len(alerts_seen)
        for incident in (house.secret, house.shared, house.public):
            for ref in (incident.id, incident.reference):
                if incident.title in theirs:
                    assert (await incident_queries.get(tx, who.access, ref)).id == incident.id
                else:
                    with pytest.raises(NotFound):
                        await incident_queries.get(tx, who.access, ref)
        if not alerts_seen:
            with pytest.raises(NotFound):
                await alert_queries.get(tx, who.access, house.alert.id)
            assert await alert_queries.of_incident(tx, who.access, house.secret.id) == []
            with pytest.raises(NotFound):
                await alert_queries.source(tx, who.access, house.source.id)


Act = Callable[[Tx, Actor, House], Awaitable[object]]
_ACTS: dict[str, Act] = {
    "comment": lambda tx, who, h: incidents.comment(tx, who, h.shared.id, "Seen."),
    "edit": lambda tx, who, h: incidents.update(tx, who, h.shared.id, incidents.IncidentChanges(title="Refunds fail")),
    "join": lambda tx, who, h: incidents.join(tx, who, h.shared.id),
    "resolve": lambda tx, who, h: incidents.resolve(tx, who, h.shared.id, "Done."),
    "edit elsewhere": lambda tx, who, h: incidents.update(
        tx, who, h.public.id, incidents.IncidentChanges(title="Checkout")
    ),
    "comment elsewhere": lambda tx, who, h: incidents.comment(tx, who, h.public.id, "Seen."),
    "declare": lambda tx, who, h: incidents.declare(tx, who, title="More"),
}
_MAY = {
    "ada": set(_ACTS),
    "bob": set(_ACTS),
    # A responder in the team that owns it, and a stakeholder everywhere else.
    "tea": {"comment", "edit", "join", "resolve"},
    "com": {"comment", "comment elsewhere", "declare"},
    "cleo": set[str](),
    "gil": set[str](),
}


@pytest.mark.parametrize("name", _MAY)
async def test_a_role_in_a_team_counts_for_what_the_team_owns(house: House, name: str) -> None:
    """F118, F119, C8: either axis grants, and the role in a team grants nowhere else."""
    who = await house.who(name)
    could: set[str] = set()
    for act, run in _ACTS.items():
        try:
            async with house.world.db.begin() as tx:
                await run(tx, who, house)
        except (Denied, NotFound):
            continue
        could.add(act)
    assert could == _MAY[name]


async def test_of_several_alerts_one_acts_on_those_that_ones_team_owns(house: House) -> None:
    """B5, F119: in one change of all, too; and who may act on none is told so at once."""
    world = house.world
    async with world.db.begin() as tx:
        theirs, other = [
            await alerts.create_source(tx, world.root, name=name, kind="generic") for name in ("Payments", "Search")
        ]
        owners = Owners([house.teams["payments"]])
        await alerts.update_source(tx, world.root, theirs.id, alerts.SourceChanges(owners=owners))
    for source in (theirs, other):
        await world.signal({"key": "b", "title": f"{source.name} is slow"}, source)
    await world.settle()
    async with world.db.begin() as tx:
        found = {row[0].source_id: row[0].id for row in await alert_queries.listed(tx, world.root.access, Filter())}
    ids = [found[theirs.id], found[other.id]]
    tea, cleo = await house.who("tea"), await house.who("cleo")
    verbs: tuple[alerts.Act, ...] = ("acknowledge", "resolve")
    for verb in verbs:
        async with world.db.begin() as tx:
            done, denied = await alerts.do_to_all(tx, tea, verb, ids)
        assert isinstance(done, alerts.Done) and done.is_new and isinstance(denied, Denied), verb
        with pytest.raises(Denied):
            async with world.db.begin() as tx:
                await alerts.do_to_all(tx, cleo, verb, ids)


@pytest.mark.parametrize("what", ["role", "resolve"])
async def test_of_several_incidents_one_acts_on_those_that_ones_team_owns(house: House, what: str) -> None:
    """B5, F119: each is looked at by itself; what one does not see is not there."""
    tea = await house.who("tea")
    change = incidents.GiveRole(IncidentRole.LEAD, house.people["tea"].id)
    if what == "resolve":
        async with house.world.db.begin() as tx:
            await incidents.change_all(tx, tea, change, [house.shared.reference])
        change = incidents.Resolve("Done.")
    refs = [house.shared.reference, house.public.reference, house.secret.reference]
    async with house.world.db.begin() as tx:
        done, denied, gone = await incidents.change_all(tx, tea, change, refs)
    assert isinstance(done, incidents.Changed) and done.is_new
    assert isinstance(denied, Denied) and isinstance(gone, NotFound)


async def test_what_becomes_private_while_one_waits_for_it_is_not_there_any_more(house: House) -> None:
    """B5, G04: who selected it when they could see it changes nothing of it."""
    bob = await house.who("bob")
    became: list[object] = []

    async def hide(tx: Tx) -> None:
        changes = incidents.IncidentChanges(owners=Owners([house.teams["security"]], is_private=True))
        await incidents.update(tx, house.world.root, house.public.id, changes)

    async def change(tx: Tx) -> None:
        became.extend(await incidents.change_all(tx, bob, incidents.ChangeSeverity(1), [house.public.reference]))

    await races.behind(house.world.db, hide, races.act(house.world, change))
    assert [type(each) for each in became] == [NotFound]


async def test_a_role_that_suits_some_of_several_incidents_is_given_in_those(house: House) -> None:
    """B5: only where it could be given in none is the act itself refused."""
    change = incidents.GiveRole(IncidentRole.LEAD, house.people["tea"].id)
    ada = await house.who("ada")
    async with house.world.db.begin() as tx:
        unfit, done = await incidents.change_all(tx, ada, change, [house.public.reference, house.shared.reference])
    assert isinstance(unfit, Invalid) and isinstance(done, incidents.Changed) and done.is_new
    with pytest.raises(Invalid, match="may not edit"):
        async with house.world.db.begin() as tx:
            await incidents.change_all(tx, ada, change, [house.public.reference])


async def test_a_grant_shows_one_thing_and_lets_act_on_it(house: House) -> None:
    """F116, C8: to one person or to a team, and it ends when it is taken back."""
    ada = await house.who("ada")
    for holder in (Holder("user", house.people["cleo"].id), Holder("team", house.teams["payments"])):
        name = "cleo" if holder.kind == "user" else "tea"
        async with house.world.db.begin() as tx:
            made = await incidents.grant(
                tx, ada, kind=ResourceKind.INCIDENT, resource_id=house.secret.id, role="responder", holder=holder
            )
        who = await house.who(name)
        async with house.world.db.begin() as tx:
            assert (
                await incidents.update(tx, who, house.secret.id, incidents.IncidentChanges(title=f"By {name}"))
            ).title == f"By {name}"
            assert not who.may(P.INCIDENT_EDIT)
            with pytest.raises(Denied):
                await incidents.update(tx, who, house.public.id, incidents.IncidentChanges(title="x"))
        async with house.world.db.begin() as tx:
            await incidents.revoke_grant(tx, ada, made.id)
        who = await house.who(name)
        with pytest.raises(NotFound):
            async with house.world.db.begin() as tx:
                await incidents.update(tx, who, house.secret.id, incidents.IncidentChanges(title="x"))


async def test_a_grant_for_a_source_shows_its_alerts_and_the_incidents_that_they_are_in(house: House) -> None:
    """F116, C8: the right hangs on what is affected."""
    async with house.world.db.begin() as tx:
        await incidents.grant(
            tx,
            house.world.root,
            kind=ResourceKind.ALERT_SOURCE,
            resource_id=house.source.id,
            role="responder",
            holder=Holder("user", house.people["gil"].id),
        )
    gil = await house.who("gil")
    async with house.world.db.begin() as tx:
        assert (await alerts.acknowledge(tx, gil, house.alert.id)).status == "acknowledged"
        assert {row.title for row in await incident_queries.listed(tx, gil.access)} == {"Somebody is in", "Refunds"}


async def test_whoever_is_asked_sees_and_answers_whatever_their_role(house: House) -> None:
    """F045, C8: a page is a grant, and what was seen by it stays seen."""
    gil = await house.who("gil")
    async with house.world.db.begin() as tx:
        with pytest.raises(NotFound):
            await incident_queries.get(tx, gil.access, house.secret.id)
    async with house.world.db.begin() as tx:
        await incidents.page(tx, house.world.root, house.secret.id, [PageTarget("user", gil.must_be_someone())])
    async with house.world.db.begin() as tx:
        assert (await incident_queries.get(tx, gil.access, house.secret.id)).id == house.secret.id
        assert [a.title for a in await alert_queries.of_incident(tx, gil.access, house.secret.id)] == ["Somebody is in"]
        await incidents.acknowledge(tx, gil, house.secret.id)
        with pytest.raises(Denied):
            await incidents.update(tx, gil, house.secret.id, incidents.IncidentChanges(title="Not theirs to change"))
        assert len(await incident_queries.listed(tx, gil.access)) == 2


async def test_nobody_hides_something_from_themselves(house: House) -> None:
    """Private is for the teams that own it: to give it to one that one is not in is refused."""
    bob = await house.who("bob")
    for owners in (Owners(is_private=True), Owners([house.teams["payments"]], is_private=True)):
        with pytest.raises(Invalid, match="see it yourself"):
            async with house.world.db.begin() as tx:
                await incidents.update(tx, bob, house.shared.id, incidents.IncidentChanges(owners=owners))
    with pytest.raises(Invalid, match="does not exist"):
        async with house.world.db.begin() as tx:
            await incidents.update(
                tx, bob, house.shared.id, incidents.IncidentChanges(owners=Owners([house.teams["security"]]))
            )


async def test_what_one_does_not_see_stays_with_its_team(house: House) -> None:
    """Whoever names other owners takes nothing from a team that they do not know of."""
    async with house.world.db.begin() as tx:
        both = Owners([house.teams["payments"], house.teams["security"]])
        await incidents.update(tx, house.world.root, house.shared.id, incidents.IncidentChanges(owners=both))
    tea = await house.who("tea")
    async with house.world.db.begin() as tx:
        after = await incidents.update(
            tx, tea, house.shared.id, incidents.IncidentChanges(owners=Owners([house.teams["payments"]]))
        )
        assert set(after.team_ids) == {house.teams["payments"], house.teams["security"]}


async def test_scopes_hide_what_they_do_not_name(house: House) -> None:
    """F118: a token sees no incident without `incident.view`, also not by a team, a grant or a page."""
    for scopes, seen in ((("alert.view",), 0), (("incident.view",), 2), (("incident.view", "private.view"), 3)):
        who = await house.who("ada", *scopes)
        async with house.world.db.begin() as tx:
            assert len(await incident_queries.listed(tx, who.access)) == seen


async def test_each_field_that_is_written_asks_for_its_own_right(house: House) -> None:
    """C8: whoever may edit and not resolve corrects no note on how it was resolved, on whatever surface."""
    async with house.world.db.begin() as tx:
        await incidents.join(tx, await house.who("ada"), house.public.id)
        await incidents.resolve(tx, house.world.root, house.public.id, "Rolled back.")
    who = await house.who("bob", P.INCIDENT_EDIT)
    async with house.world.db.begin() as tx:
        changes = incidents.IncidentChanges(title="Checkout was down")
        assert (await incidents.update(tx, who, house.public.id, changes)).title == "Checkout was down"
    with pytest.raises(Denied):
        async with house.world.db.begin() as tx:
            both = incidents.IncidentChanges(title="Mine", resolution_note="I was never there.")
            await incidents.update(tx, who, house.public.id, both)
    async with house.world.db.begin() as tx:
        kept = await incident_queries.get(tx, house.world.root.access, house.public.id)
        assert (kept.title, kept.resolution_note) == ("Checkout was down", "Rolled back.")
