"""What somebody tries who wants more than they were given, and what must not be refused to those who were."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from tests.use_cases.test_access import House, house
from tests.world import World
from tocsin.alerts import service as alerts
from tocsin.events.live import Seen
from tocsin.identity import service as identity
from tocsin.identity.access import P, Permission, ResourceKind
from tocsin.identity.access_queries import access
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, ApiToken
from tocsin.identity.service import Owners
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import CancelReason, IncidentRole, Status
from tocsin.incidents.service import Holder
from tocsin.incidents.sight import sight
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound
from tocsin.oncall import queries as oncall
from tocsin.oncall.escalation import PageTarget

__all__ = ["house"]


async def _office(house: House, *permissions: Permission) -> Actor:
    """Somebody with a role of the organisation's own."""
    async with house.world.db.begin() as tx:
        role = await identity.create_role(tx, house.world.root, name="Office", permissions=permissions)
    house.people["office"] = await house.world.person("office", role=role.key)
    return await house.who("office")


async def test_nobody_takes_over_an_account_that_may_do_more_by_a_team_or_a_grant(house: House) -> None:
    """F118, C8: by a link, a password, a token, an address or by switching it off; whatever its role says."""
    world = house.world
    async with world.db.begin() as tx:
        cleo = Holder("user", house.people["cleo"].id)
        await incidents.grant(
            tx, world.root, kind=ResourceKind.INCIDENT, resource_id=house.secret.id, role="responder", holder=cleo
        )
    seeing = (P.INCIDENT_VIEW, P.ALERT_VIEW, P.ONCALL_VIEW, P.USER_VIEW, P.USER_MANAGE)
    office = await _office(house, *seeing)
    for name in ("tea", "cleo"):
        id = house.people[name].id
        for take in (
            lambda tx, id=id: identity.make_sign_in_link(tx, office, id, timedelta(days=1)),
            lambda tx, id=id: identity.create_token(tx, office, user_id=id, name="t", scopes=()),
            lambda tx, id=id: identity.update_user(tx, office, id, UserChanges(email="mine@example.org")),
            lambda tx, id=id: identity.update_user(tx, office, id, UserChanges(is_active=False)),
        ):
            with pytest.raises(Denied, match="may do more than you"):
                async with world.db.begin() as tx:
                    await take(tx)
        with pytest.raises(Denied, match="may do more than you"):
            await identity.set_password(world.db, office, id, "a long new password")
    # One that is in a team and has no role there they may look after: they could be in it themselves.
    async with world.db.begin() as tx:
        await identity.update_user(tx, office, house.people["gil"].id, UserChanges(email="gil2@example.org"))


async def test_whoever_was_put_out_while_they_waited_does_not_come_back(house: House) -> None:
    """F118, C8: who leads a team is removed; their own change, which waited for that, is refused."""
    world, team = house.world, house.teams["payments"]
    lead = house.people["tea"].id
    async with world.db.begin() as tx:
        await identity.create_role(tx, world.root, name="Team lead", permissions=[P.TEAM_MANAGE])
        await identity.update_members(tx, world.root, team, {lead: "team-lead"})
    tea = await house.who("tea")

    async def comes_back() -> None:
        async with world.db.begin() as tx:
            await identity.update_members(tx, tea, team, {lead: "team-lead"})

    async with world.db.begin() as tx:
        await identity.update_members(tx, world.root, team, {})
        waiting = asyncio.create_task(comes_back())
        await _waits(world)
    with pytest.raises((Denied, NotFound)):
        await waiting
    assert not (await house.who("tea")).may(P.TEAM_MANAGE, on=None)


@pytest.mark.parametrize("taken", [UserChanges(role="guest"), UserChanges(is_active=False)])
async def test_an_administrator_who_is_none_any_more_changes_nobody(house: House, taken: UserChanges) -> None:
    """F118: of two who take the role from each other at once, the second has nothing left to take it with."""
    world = house.world
    await world.person("third", role="admin")
    house.people["eve"] = await world.person("eve", role="admin")
    ada, eve = await house.who("ada"), await house.who("eve")

    async def strikes_back() -> None:
        async with world.db.begin() as tx:
            await identity.update_user(tx, eve, house.people["ada"].id, UserChanges(role="guest"))

    async with world.db.begin() as tx:
        await identity.update_user(tx, ada, house.people["eve"].id, taken)
        waiting = asyncio.create_task(strikes_back())
        await _waits(world)
    with pytest.raises(Denied):
        await waiting


async def _waits(world: World) -> None:
    """Wait until somebody waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(20):
        while not await world.db.pool.fetchval(query):  # noqa: ASYNC110  The database tells nobody.
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("scope", [P.INCIDENT_EDIT, P.INCIDENT_DECLARE, P.ALERT_EDIT, P.SOURCE_MANAGE, P.INCIDENT_PAGE])
async def test_a_token_acts_on_what_it_has_no_scope_to_read(house: House, scope: Permission) -> None:
    """F118: as in 0.1.0, one scope is enough to act by a name; it opens no list."""
    world = house.world
    ada = await house.who("ada")
    async with world.db.begin() as tx:
        await alerts.update_source(tx, ada, house.source.id, alerts.SourceChanges(owners=Owners([])))
        await incidents.update(tx, ada, house.secret.id, incidents.IncidentChanges(owners=Owners([])))
    who = await house.who("ada", scope)
    async with world.db.begin() as tx:
        match scope:
            case P.INCIDENT_EDIT:
                await incidents.join(tx, who, house.shared.reference)
                await incidents.comment(tx, who, house.shared.id, "On it.")
                await incidents.unlink_alert(tx, who, house.secret.id, house.alert.id)
                await incidents.link_alerts(tx, who, house.shared.id, [house.alert.id])
            case P.INCIDENT_DECLARE:
                await incidents.unlink_alert(tx, ada, house.secret.id, house.alert.id)
                await incidents.declare(tx, who, alert_id=house.alert.id)
            case P.ALERT_EDIT:
                await alerts.acknowledge(tx, who, house.alert.id)
                await alerts.open_by_hand(tx, who, source_id=house.source.id, title="By hand")
                await alerts.resolve_source_alerts(tx, who, house.source.id)
            case P.SOURCE_MANAGE:
                await alerts.update_source(tx, who, house.source.id, alerts.SourceChanges(name="Renamed"))
            case _:
                await incidents.page(tx, who, house.shared.id, [PageTarget("user", house.people["bob"].id)])
    async with world.db.begin() as tx:
        assert await incident_queries.listed(tx, who.access) == []


async def test_a_token_for_oneself_alone_answers_ones_own_pages(house: House) -> None:
    """F045, F118: `self.edit` is enough, also where the alert is in an incident and so more is answered at once."""
    sec = await house.who("sec", P.SELF_EDIT)
    async with house.world.db.begin() as tx:
        (page, _), *_ = await oncall.pages_of(tx, alert_ids=[house.alert.id])
        assert (await incidents.answer_page(tx, sec, page.id)).state == "acknowledged"
    assert (await house.world.again(house.alert)).status == "acknowledged"


async def test_a_scope_of_a_newer_version_allows_nothing_and_breaks_nothing(house: House) -> None:
    """A token that was made by a newer version beside this one is good for what both know."""
    async with house.world.db.begin() as tx:
        token, secret = await identity.create_token(
            tx, house.world.root, user_id=house.people["ada"].id, name="t", scopes=[P.INCIDENT_VIEW]
        )
    await house.world.db.pool.execute(
        "UPDATE api_token SET scopes = ARRAY['incident.view', 'weather.change'] WHERE id = $1", token.id
    )
    async with house.world.db.begin() as tx:
        who = await identity.authenticate_token(tx, secret)
        assert who is not None
        assert (who.may(P.INCIDENT_VIEW), who.may(P.INCIDENT_EDIT)) == (True, False)
        (await tx.session.get_one(ApiToken, token.id)).scopes = ["weather.change"]
    async with house.world.db.begin() as tx:
        who = await identity.authenticate_token(tx, secret)
        assert who is not None
        assert not any(who.access.may_somewhere(each) for each in Permission)


async def test_a_hidden_incident_answers_as_one_that_there_is_not(house: House) -> None:
    """C8: word by word, whatever is tried with it."""
    bob = await house.who("bob")
    for act in (
        lambda tx, ref: incidents.acknowledge(tx, bob, ref),
        lambda tx, ref: incidents.join(tx, bob, ref),
        lambda tx, ref: incidents.comment(tx, bob, ref, "x"),
        lambda tx, ref: incidents.cancel(tx, bob, house.public.id, CancelReason.DUPLICATE, duplicate_of=ref),
    ):
        said: list[str] = []
        for ref in (house.secret.reference, "INC-99"):
            with pytest.raises((NotFound, Invalid)) as caught:
                async with house.world.db.begin() as tx:
                    await act(tx, ref)
            said.append(caught.value.message.replace(ref, "…"))
        assert said[0] == said[1]


async def test_a_hidden_source_takes_no_alert_by_hand(house: House) -> None:
    """C8: knowing its id is not enough."""
    bob = await house.who("bob")
    with pytest.raises(NotFound):
        async with house.world.db.begin() as tx:
            await alerts.open_by_hand(tx, bob, source_id=house.source.id, title="In there")


async def test_the_story_of_an_alert_does_not_tell_of_an_incident_that_is_hidden(house: House) -> None:
    """C8, F020: neither its number nor its title, in the explanation and in the live stream."""
    world = house.world
    async with world.db.begin() as tx:
        await alerts.update_source(tx, world.root, house.source.id, alerts.SourceChanges(owners=Owners([])))
    ada, bob = await house.who("ada"), await house.who("bob")
    async with world.db.begin() as tx:
        await incidents.join(tx, ada, house.secret.id)
        await incidents.resolve(tx, ada, house.secret.id, "Locked out.")
    async with world.db.begin() as tx:
        assert house.secret.reference in repr(await incidents.explain_alert(tx, ada, house.alert.id))
        told = await incidents.explain_alert(tx, bob, house.alert.id)
        assert house.secret.reference not in repr(told)
        assert "resolved" in told.summary
        seen = await sight(tx, bob.access)
    passed = [seen.told(event) for event in await world.app.live.since((0, 0)) if seen.sees(event)]
    assert "alert.resolved" in [event.name for event in passed]
    assert all(event.incident_id != house.secret.id for event in passed)
    assert house.secret.reference not in repr(passed)


async def test_what_a_guest_of_a_team_may_see_reaches_their_stream(house: House) -> None:
    """C8: what a source of their team sends comes live, and what is taken from the team stops to."""
    world = house.world
    async with world.db.begin() as tx:
        await alerts.update_source(
            tx, world.root, house.source.id, alerts.SourceChanges(owners=Owners([house.teams["payments"]]))
        )
    gil = await house.who("gil")
    async with world.db.begin() as tx:
        seen = await sight(tx, gil.access)
    await world.signal({"key": "b", "title": "Another", "severity": "critical"}, house.source)
    events = await world.app.live.since((0, 0))
    assert any(seen.sees(event) for event in events if event.name == "alert.triggered")

    def of_shared(events: list[Seen]) -> list[bool]:
        return [seen.sees(event) for event in events if event.incident_id == house.shared.id]

    assert all(of_shared(events))
    async with world.db.begin() as tx:
        await incidents.update(tx, world.root, house.shared.id, incidents.IncidentChanges(owners=Owners([])))
    assert not any(of_shared(await world.app.live.since((0, 0))))


async def test_an_incident_with_a_hidden_alert_ends_as_any_other(house: House) -> None:
    """C8: who may cancel it may, whether or not they see each alert that is in it."""
    bob = await house.who("bob")
    async with house.world.db.begin() as tx:
        await incidents.update(
            tx, house.world.root, house.secret.id, incidents.IncidentChanges(owners=Owners([], is_private=False))
        )
        await incidents.join(tx, await house.who("ada"), house.secret.id)
    async with house.world.db.begin() as tx:
        done = await incidents.cancel(tx, bob, house.secret.id, CancelReason.DUPLICATE, duplicate_of=house.public.id)
        assert done.status == Status.CANCELLED
    assert (await house.world.again(house.alert)).incident_id == house.public.id


async def test_grants_are_listed_and_taken_back_as_far_as_their_things_and_teams_are_seen(house: House) -> None:
    """F116, C8: also by whoever manages access."""
    world = house.world
    async with world.db.begin() as tx:
        made: list[UUID] = []
        for thing, holder in (
            (house.secret, Holder("user", house.people["cleo"].id)),
            (house.shared, Holder("team", house.teams["security"])),
            (house.shared, Holder("user", house.people["cleo"].id)),
        ):
            grant = await incidents.grant(
                tx, world.root, kind=ResourceKind.INCIDENT, resource_id=thing.id, role="stakeholder", holder=holder
            )
            made.append(grant.id)
    office = await _office(house, P.INCIDENT_VIEW, P.ACCESS_MANAGE)
    ada = await house.who("ada")
    async with world.db.begin() as tx:
        assert [row.id for row in await incidents.list_grants(tx, ada)] == made
        assert [row.id for row in await incidents.list_grants(tx, office)] == made[2:]
        about = (ResourceKind.INCIDENT, house.shared.id)
        assert [row.id for row in await incidents.list_grants(tx, office, about)] == made[2:]
    for id in made[:2]:
        with pytest.raises(NotFound, match="no such grant"):
            async with world.db.begin() as tx:
                await incidents.revoke_grant(tx, office, id)


async def test_whoever_has_as_many_grants_as_there_can_be_gets_another_role_for_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F116: the limit counts things, not changes."""
    monkeypatch.setattr("tocsin.incidents.service.sharing.MOST_OF_ONE", 1)
    cleo = Holder("user", house.people["cleo"].id)
    for role in ("stakeholder", "responder"):
        async with house.world.db.begin() as tx:
            await incidents.grant(
                tx, house.world.root, kind=ResourceKind.INCIDENT, resource_id=house.shared.id, role=role, holder=cleo
            )
    assert (await house.who("cleo")).may(P.INCIDENT_EDIT, on=house.shared)


async def test_whoever_manages_people_learns_nothing_private_by_switching_somebody_off(house: House) -> None:
    """C8: what the person is needed for is counted, and not named."""
    world = house.world
    async with world.db.begin() as tx:
        (page, _), *_ = await oncall.pages_of(tx, alert_ids=[house.alert.id])
        await incidents.answer_page(tx, await house.who("sec"), page.id)
    office = await _office(house, P.INCIDENT_VIEW, P.ALERT_VIEW, P.USER_MANAGE)
    async with world.db.begin() as tx:
        named = await incidents.needs_of(tx, await house.who("ada"), house.people["sec"].id)
        masked = await incidents.needs_of(tx, office, house.people["sec"].id)
    assert [use.kind for use in named] == [use.kind for use in masked]
    assert {house.secret.reference, "Somebody is in"} <= {use.name for use in named}
    assert not {house.secret.reference, "Somebody is in"} & {use.name for use in masked}


@pytest.mark.parametrize("how", ["team", "grant", "role", "organisation"])
async def test_whoever_may_act_on_less_hands_over_what_they_had_by_it(house: House, how: str) -> None:
    """C8: put out of the team, the grant taken back, the role made smaller, or given a lesser one."""
    world, incident = house.world, house.shared
    async with world.db.begin() as tx:
        desk = await identity.create_role(
            tx, world.root, name="Desk", permissions=[P.INCIDENT_VIEW, P.INCIDENT_COMMENT]
        )
        held = IncidentRole.COMMUNICATOR
        name = {"team": "tea", "role": "tea", "grant": "cleo", "organisation": "com"}[how]
        id = house.people[name].id
        grant = None
        match how:
            case "role":
                await identity.update_members(tx, world.root, house.teams["payments"], {id: desk.key})
            case "grant":
                grant = await incidents.grant(
                    tx, world.root, kind=ResourceKind.INCIDENT, resource_id=incident.id, role="responder",
                    holder=Holder("user", id),
                )  # fmt: skip
            case _:
                pass
        await incidents.assign_roles(tx, world.root, incident.id, {held: id})
    await world.settle()
    async with world.db.begin() as tx:
        match how:
            case "team":
                await identity.update_members(tx, world.root, house.teams["payments"], {})
            case "grant":
                assert grant is not None
                await incidents.revoke_grant(tx, world.root, grant.id)
            case "role":
                await identity.update_role(
                    tx, world.root, desk.key, identity.RoleChanges(permissions=[P.INCIDENT_VIEW])
                )
            case _:
                await incidents.update_person(tx, world.root, id, UserChanges(role="stakeholder"), confirmed=True)
    await world.settle()
    async with world.db.begin() as tx:
        assert (await incident_queries.get(tx, world.root.access, incident.id)).communicator_id is None


async def test_nobody_gives_away_a_source_that_they_see_by_its_team_alone(house: House) -> None:
    """C8: who could not take it back is told so, as for incidents."""
    world = house.world
    async with world.db.begin() as tx:
        await identity.create_role(tx, world.root, name="Keeper", permissions=[P.SOURCE_MANAGE])
        payments, gil = house.teams["payments"], house.people["gil"].id
        await identity.update_members(tx, world.root, payments, {gil: "keeper"})
        await alerts.update_source(tx, world.root, house.source.id, alerts.SourceChanges(owners=Owners([payments])))
    who = await house.who("gil")
    with pytest.raises(Invalid, match="see it yourself"):
        async with world.db.begin() as tx:
            await alerts.update_source(tx, who, house.source.id, alerts.SourceChanges(owners=Owners([])))
    async with world.db.begin() as tx:
        assert (await access(tx, who.must_be_someone())).own_sources == {house.source.id}


async def test_a_page_of_something_hidden_is_neither_read_nor_hurried(house: House) -> None:
    """C8: also by somebody who knows its id and may page people."""
    bob, ada = await house.who("bob"), await house.who("ada")
    async with house.world.db.begin() as tx:
        (page, _), *_ = await oncall.pages_of(tx, alert_ids=[house.alert.id])
        assert (await incidents.read_page(tx, ada, page.id)).id == page.id
    for act in (incidents.read_page, incidents.escalate_page):
        with pytest.raises(NotFound):
            async with house.world.db.begin() as tx:
                await act(tx, bob, page.id)


async def test_a_role_is_not_deleted_in_the_moment_in_which_it_is_given(house: House) -> None:
    """F119: whoever deletes it waits for whoever gives it, and is told then that somebody has it."""
    world = house.world
    async with world.db.begin() as tx:
        role = await identity.create_role(tx, world.root, name="Desk", permissions=[P.INCIDENT_VIEW])

    async def delete() -> None:
        async with world.db.begin() as tx:
            await identity.delete_role(tx, world.root, role.key)

    async with world.db.begin() as tx:
        await identity.update_user(tx, world.root, house.people["cleo"].id, UserChanges(role=role.key))
        waiting = asyncio.create_task(delete())
        await asyncio.wait({waiting, asyncio.create_task(_waits(world))}, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(Conflict, match="1 person"):
        await waiting


async def test_nobody_takes_away_a_role_that_may_do_more_than_they(house: House) -> None:
    """F118: neither in a team nor by a grant, be it by taking it or by giving a lesser one in its place."""
    world = house.world
    payments, bob = house.teams["payments"], house.people["bob"]
    async with world.db.begin() as tx:
        lead = await identity.create_role(tx, world.root, name="Team lead", permissions=[P.TEAM_MANAGE])
        lesser = await identity.create_role(tx, world.root, name="Editor", permissions=[P.INCIDENT_EDIT])
        members = {house.people["gil"].id: lead.key, bob.id: "responder", house.people["cleo"].id: lesser.key}
        await identity.add_members(tx, world.root, payments, members)
        held = await incidents.grant(
            tx,
            world.root,
            kind=ResourceKind.INCIDENT,
            resource_id=house.shared.id,
            role="responder",
            holder=Holder("user", house.people["com"].id),
        )
    gil, cleo = await house.who("gil"), await house.who("cleo")
    async with world.db.begin() as tx:
        for attempt in (
            lambda: identity.remove_member(tx, gil, payments, bob.id),
            lambda: identity.add_members(tx, gil, payments, {bob.id: None}),
            lambda: incidents.revoke_grant(tx, cleo, held.id),
        ):
            with pytest.raises(Denied):
                await attempt()
        with pytest.raises(Denied):
            await incidents.grant(
                tx,
                cleo,
                kind=ResourceKind.INCIDENT,
                resource_id=house.shared.id,
                role=lesser.key,
                holder=Holder("user", house.people["com"].id),
            )


async def test_the_record_of_a_thing_names_no_private_team(house: House) -> None:
    """F118: whoever sees it by another team reads its timeline; and what changes nothing is no change."""
    world, payments, security = house.world, house.teams["payments"], house.teams["security"]
    async with world.db.begin() as tx:
        both = incidents.IncidentChanges(owners=Owners([payments, security]))
        incident = await incidents.update(tx, world.root, house.shared.id, both)
        version = incident.version
    async with world.db.begin() as tx:
        # What they see of its owners is all that they say; the rest stays.
        same = incidents.IncidentChanges(owners=Owners([payments]))
        incident = await incidents.update(tx, await house.who("tea"), house.shared.id, same)
        assert (incident.version, set(incident.team_ids)) == (version, {payments, security})
    said = await world.db.pool.fetchval("SELECT string_agg(data::text, '') FROM event WHERE name = 'incident.updated'")
    assert "a private team" in said and "Security" not in said
