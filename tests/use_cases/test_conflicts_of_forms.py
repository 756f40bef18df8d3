"""Two who have the same form open, of everything that is edited as a whole: only the same field is a conflict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from tests.races import behind
from tests.world import World
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.service.routes import RouteChanges
from tocsin.alerts.service.sources import SourceChanges
from tocsin.db.engine import Tx
from tocsin.identity import queries as identity_queries
from tocsin.identity import service as identity
from tocsin.identity.access_queries import lock_role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor
from tocsin.identity.service.organisation import OrganisationChanges
from tocsin.identity.service.owners import Owners
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.service import IncidentChanges
from tocsin.kit.changes import Copy, Seen, apart
from tocsin.kit.errors import Stale, Theirs
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.service.policies import PolicyChanges, StepDraft

Values = Mapping[str, Any]
Save = Callable[[Tx, Actor, Values, Copy], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One form: what it says when both open it, what each would write, how it is saved and how it stands."""

    shown: Values
    theirs: Values
    mine: Values
    save: Save
    stands: Callable[[Tx], Awaitable[tuple[int, Values]]]


async def _policy(world: World) -> Kind:
    carl, dora = await world.people("carl", "dora")
    policy = await world.policy([carl], name="Duty")

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        await oncall.update_policy(tx, who, policy.id, PolicyChanges(**values), if_version=copy)

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await oncall_queries.lock_policy(tx, policy.id)
        plan = (await oncall_queries.plans(tx, [policy.id]))[policy.id]
        steps = [StepDraft(list(step.user_ids), int(step.wait.total_seconds() / 60)) for step in plan.steps]
        about = {"name": kept.name, "description": kept.description, "repeat": kept.repeat, "steps": steps}
        return kept.version, about

    return Kind(
        {"name": "Duty", "description": "", "repeat": 0, "steps": [StepDraft([carl.id], 5)]},
        {"name": "Theirs", "description": "Theirs", "repeat": 1, "steps": [StepDraft([dora.id], 5)]},
        {"name": "Mine", "description": "Mine", "repeat": 2, "steps": [StepDraft([carl.id], 9)]},
        save,
        stands,
    )


async def _route(world: World) -> Kind:
    (carl,) = await world.people("carl")
    first, second = [await world.policy([carl], name=name) for name in ("First", "Second")]
    route = await world.route(first, "severity == 1", name="Core")

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        await alerts.update_route(tx, who, route, RouteChanges(**values), if_version=copy)

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await alert_queries.route(tx, route)
        fields = ("name", "condition", "escalation_policy_id", "is_enabled")
        return kept.version, {field: getattr(kept, field) for field in fields}

    shown = {"name": "Core", "condition": "severity == 1", "escalation_policy_id": first.id, "is_enabled": True}
    theirs = {"name": "Theirs", "condition": "severity == 2", "escalation_policy_id": second.id, "is_enabled": False}
    # A field of two values has no third one: there both want the same, which is no conflict.
    mine = {"name": "Mine", "condition": "severity == 3", "escalation_policy_id": None}
    return Kind(shown, theirs, mine, save, stands)


async def _source(world: World) -> Kind:
    source = await world.source()
    teams: dict[str, UUID] = {}
    for name in ("Theirs", "Mine"):
        async with world.db.begin() as tx:
            teams[name] = (await identity.create_team(tx, world.root, name=name)).id

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        owners = Owners(values["team_ids"], None)
        said = {name: value for name, value in values.items() if name != "team_ids"}
        await alerts.update_source(tx, who, source.id, SourceChanges(**said, owners=owners), if_version=copy)

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await alert_queries.source(tx, world.root.access.reach, source.id)
        fields = ("name", "close_after_hours", "hold_down_minutes", "team_ids")
        return kept.version, {field: getattr(kept, field) for field in fields}

    return Kind(
        {"name": "Generic", "close_after_hours": None, "hold_down_minutes": None, "team_ids": []},
        {"name": "Theirs", "close_after_hours": 1, "hold_down_minutes": 1, "team_ids": [teams["Theirs"]]},
        {"name": "Mine", "close_after_hours": 2, "hold_down_minutes": 2, "team_ids": [teams["Mine"]]},
        save,
        stands,
    )


async def _person(world: World) -> Kind:
    (carl,) = await world.people("carl")

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        await identity.update_user(tx, who, carl.id, UserChanges(**values), if_version=copy)

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await identity_queries.user(tx, carl.id)
        return kept.version, {field: getattr(kept, field) for field in ("name", "email", "role", "time_zone")}

    return Kind(
        {"name": "Carl", "email": "carl@example.org", "role": "responder", "time_zone": "UTC"},
        {"name": "Theirs", "email": "theirs@example.org", "role": "communicator", "time_zone": "Europe/Oslo"},
        {"name": "Mine", "email": "mine@example.org", "role": "stakeholder", "time_zone": "Asia/Tokyo"},
        save,
        stands,
    )


async def _team(world: World) -> Kind:
    async with world.db.begin() as tx:
        team = await identity.create_team(tx, world.root, name="Core", description="")

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        await identity.update_team(tx, who, team.id, dict(values), if_version=copy)  # pyright: ignore[reportArgumentType]

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await identity_queries.lock_team(tx, world.root.access, team.id)
        return kept.version, {"name": kept.name, "description": kept.description}

    shown, theirs, mine = [{"name": name, "description": text} for name, text in (("Core", ""), ("A", "A"), ("B", "B"))]
    return Kind(shown, theirs, mine, save, stands)


async def _role(world: World) -> Kind:
    async with world.db.begin() as tx:
        await identity.create_role(tx, world.root, name="Reader", description="", permissions=["incident.view"])

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        await identity.update_role(tx, who, "reader", dict(values), if_version=copy)  # pyright: ignore[reportArgumentType]

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await lock_role(tx, "reader")
        return kept.version, {"name": kept.name, "description": kept.description, "permissions": kept.permissions}

    return Kind(
        {"name": "Reader", "description": "", "permissions": ["incident.view", "self.edit"]},
        {"name": "Theirs", "description": "Theirs", "permissions": ["alert.view", "self.edit"]},
        {"name": "Mine", "description": "Mine", "permissions": ["self.edit", "user.view"]},
        save,
        stands,
    )


async def _organisation(world: World) -> Kind:
    async with world.db.begin() as tx:
        before = OrganisationChanges(name="Acme", remind_after_hours=4, give_back_after_hours=8)
        await identity.update_organisation(tx, world.root, before)

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        await identity.update_organisation(tx, who, OrganisationChanges(**values), if_version=copy)

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await identity_queries.lock_organisation(tx)
        assert kept is not None
        fields = ("name", "remind_after_hours", "give_back_after_hours")
        return kept.version, {field: getattr(kept, field) for field in fields}

    return Kind(
        {"name": "Acme", "remind_after_hours": 4, "give_back_after_hours": 8},
        {"name": "Theirs", "remind_after_hours": 5, "give_back_after_hours": None},
        {"name": "Mine", "remind_after_hours": None, "give_back_after_hours": 9},
        save,
        stands,
    )


async def _contact_method(world: World) -> Kind:
    """Its address is no part of it: the record does not say what it was, so nobody knows who left it alone."""
    (carl,) = await world.people("carl")
    async with world.db.begin() as tx:
        added = await notifications.add_contact_method(
            tx,
            world.root,
            world.app.channels,
            user_id=carl.id,
            kind="webhook",
            address="https://hooks.example.org/carl",
            name="Hook",
        )

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        changes = notifications.MethodChanges(**values)
        await notifications.update_contact_method(
            tx, who, world.app.channels, user_id=carl.id, method_id=added.id, changes=changes, if_version=copy
        )

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await contact.lock_contact_method(tx, added.id, user_id=carl.id)
        return kept.version, {"name": kept.name, "format": kept.format}

    shown, theirs, mine = [
        {"name": name, "format": format} for name, format in (("Hook", "tocsin"), ("A", "slack"), ("B", "teams"))
    ]
    return Kind(shown, theirs, mine, save, stands)


async def _incident(world: World) -> Kind:
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.root, title="Down", summary="", severity=3, tags=["a"])

    async def save(tx: Tx, who: Actor, values: Values, copy: Copy) -> None:
        await incidents.update(tx, who, incident.reference, IncidentChanges(**values), if_version=copy)

    async def stands(tx: Tx) -> tuple[int, Values]:
        kept = await incident_queries.get(tx, world.root.access, incident.reference)
        return kept.version, {"title": kept.title, "summary": kept.summary, "tags": kept.tags}

    return Kind(
        {"title": "Down", "summary": "", "tags": ["a"]},
        {"title": "Theirs", "summary": "Theirs", "tags": ["b"]},
        {"title": "Mine", "summary": "Mine", "tags": ["a", "c"]},
        save,
        stands,
    )


KINDS: dict[str, Callable[[World], Awaitable[Kind]]] = {
    "policy": _policy,
    "route": _route,
    "source": _source,
    "person": _person,
    "team": _team,
    "role": _role,
    "organisation": _organisation,
    "contact method": _contact_method,
    "incident": _incident,
}


async def _stands(world: World, kind: Kind) -> tuple[int, Values]:
    async with world.db.begin() as tx:
        return await kind.stands(tx)


async def _save(world: World, kind: Kind, who: Actor, values: Values, copy: Copy) -> Stale | None:
    try:
        async with world.db.begin() as tx:
            await kind.save(tx, who, values, copy)
    except Stale as problem:
        return problem
    return None


@pytest.mark.parametrize("called", KINDS)
async def test_a_whole_form_is_refused_only_where_both_have_written(world: World, called: str) -> None:
    """A9: each field of theirs against each of mine; what I sent back as I saw it never undoes what they wrote."""
    ada, bob = [world.actor(await world.person(name, role="admin")) for name in ("ada", "bob")]
    kind = await KINDS[called](world)
    assert (await _stands(world, kind))[1] == kind.shown
    for their in kind.theirs:
        for my in kind.mine:
            assert await _save(world, kind, ada, kind.shown, None) is None
            seen, _ = await _stands(world, kind)
            theirs = {**kind.shown, their: kind.theirs[their]}
            mine = {**kind.shown, my: kind.mine[my]}
            assert await _save(world, kind, ada, theirs, Seen(seen)) is None
            now, _ = await _stands(world, kind)
            refused = await _save(world, kind, bob, mine, Seen(seen))
            assert (refused is not None) == (their == my), (their, my)
            if refused is None:
                assert (await _stands(world, kind))[1] == {**theirs, my: mine[my]}, (their, my)
                continue
            assert (await _stands(world, kind)) == (now, theirs), "refused, and yet something was saved"
            assert refused.version == now and len(refused.mine) == 1
            (told,) = refused.theirs
            assert told.who == "Ada" and told.fields.keys() == refused.mine.keys() and told.words.startswith("Ada ")
            # Set mine anyway: mine, and nothing else.
            assert await _save(world, kind, bob, mine, Seen(seen, told=now)) is None
            assert (await _stands(world, kind))[1] == {**theirs, my: mine[my]}


@pytest.mark.parametrize("called", KINDS)
async def test_setting_mine_anyway_undoes_nothing_else(world: World, called: str) -> None:
    """A9: they changed all of it, I one field: I overrule that one, and what came after I was told is refused again."""
    ada, bob = [world.actor(await world.person(name, role="admin")) for name in ("ada", "bob")]
    kind = await KINDS[called](world)
    seen, _ = await _stands(world, kind)
    my = next(iter(kind.mine))
    mine = {**kind.shown, my: kind.mine[my]}
    assert await _save(world, kind, ada, kind.theirs, Seen(seen)) is None
    refused = await _save(world, kind, bob, mine, Seen(seen))
    assert refused is not None and refused.version is not None
    told = refused.version
    assert await _save(world, kind, ada, {**kind.theirs, my: kind.shown[my]}, None) is None
    again = await _save(world, kind, bob, mine, Seen(seen, told=told))
    assert again is not None and len(again.theirs) == 2
    assert await _save(world, kind, bob, mine, Seen(seen, told=again.version or 0)) is None
    assert (await _stands(world, kind))[1] == {**kind.theirs, my: kind.mine[my]}


@pytest.mark.parametrize("called", KINDS)
async def test_an_exact_version_is_refused_for_any_other_field(world: World, called: str) -> None:
    """F119: `If-Match` is about all of it."""
    ada, bob = [world.actor(await world.person(name, role="admin")) for name in ("ada", "bob")]
    kind = await KINDS[called](world)
    seen, _ = await _stands(world, kind)
    first, *_, last = kind.mine
    assert await _save(world, kind, ada, {**kind.shown, last: kind.theirs[last]}, seen) is None
    refused = await _save(world, kind, bob, {**kind.shown, first: kind.mine[first]}, seen)
    assert refused is not None and refused.theirs[0].who == "Ada"


@pytest.mark.parametrize("called", KINDS)
async def test_the_second_of_two_at_once_is_told_of_the_first(world: World, called: str) -> None:
    """A9: who waits for the lock sees what the first has written, and is refused or let through by that."""
    ada, bob = [world.actor(await world.person(name, role="admin")) for name in ("ada", "bob")]
    kind = await KINDS[called](world)
    seen, _ = await _stands(world, kind)
    first, *_, last = kind.mine
    theirs = {**kind.shown, first: kind.theirs[first]}

    async def begin(tx: Tx) -> None:
        await kind.save(tx, ada, theirs, Seen(seen))

    refused = await behind(
        world.db, begin, _save(world, kind, bob, {**kind.shown, first: kind.mine[first]}, Seen(seen))
    )
    assert refused is not None and refused.theirs[0].who == "Ada"

    seen, _ = await _stands(world, kind)
    both = {**theirs, last: kind.theirs[last]}

    async def go_on(tx: Tx) -> None:
        await kind.save(tx, ada, both, Seen(seen))

    assert (
        await behind(world.db, go_on, _save(world, kind, bob, {**theirs, first: kind.mine[first]}, Seen(seen))) is None
    )
    assert (await _stands(world, kind))[1] == {**both, first: kind.mine[first]}


async def test_where_the_record_does_not_say_what_was_there_nobody_is_overruled(world: World) -> None:
    """A9: an address stands in no record. Whoever sends an old one back is refused, and not taken for idle."""
    ada, bob = [world.actor(await world.person(name, role="admin")) for name in ("ada", "bob")]
    kind = await _contact_method(world)
    seen, _ = await _stands(world, kind)
    old = "https://hooks.example.org/carl"
    assert await _save(world, kind, ada, {"address": "https://hooks.example.org/theirs"}, Seen(seen)) is None
    refused = await _save(world, kind, bob, {"name": "Mine", "address": old}, Seen(seen))
    assert refused is not None and "address" in refused.theirs[0].words
    assert await _save(world, kind, bob, {"name": "Mine"}, Seen(seen)) is None


def test_what_was_sent_back_as_it_was_seen() -> None:
    """A9: the rule by itself. They wrote the title twice (versions 4, 5), and the address, which is no part of it."""
    newest = Theirs("Ada", None, "", {"title": "c"}, {"title": "b"}, 5)  # type: ignore[arg-type]
    older = Theirs("Ada", None, "", {"title": "b", "address": "changed"}, {"title": "a", "address": None}, 4)  # type: ignore[arg-type]
    table: list[tuple[Seen, dict[str, str | None], set[str], set[str]]] = [
        (Seen(3), {"title": "a"}, {"title"}, set()),
        (Seen(3), {"title": "x"}, set(), {"title"}),
        # What stood there in between I never saw, so I wrote it.
        (Seen(3), {"title": "b"}, set(), {"title"}),
        (Seen(3), {"title": "a", "summary": "x"}, {"title"}, set()),
        (Seen(3), {"address": "changed"}, set(), {"address"}),
        (Seen(3, told=4), {"title": "x", "address": "changed"}, set(), {"title"}),
        (Seen(3, told=5), {"title": "a"}, {"title"}, set()),
        (Seen(3, told=5), {"title": "x"}, set(), set()),
        (Seen(3), {}, set(), set()),
    ]
    for copy, wanted, left, both in table:
        assert apart(wanted, copy, [newest, older]) == (left, both), (copy, wanted)


async def test_a_template_is_not_lost_to_whoever_chose_another_format(world: World) -> None:
    """A9: I write the template; meanwhile they choose a format that has none. Neither is taken back in silence."""
    ada, bob = [world.actor(await world.person(name, role="admin")) for name in ("ada", "bob")]
    kind = await _contact_method(world)
    own = {"format": "template", "template": '{"say": {{ title|json }}}', "content_type": "application/json"}
    assert await _save(world, kind, ada, own, None) is None
    seen, _ = await _stands(world, kind)
    assert await _save(world, kind, ada, {"format": "slack"}, Seen(seen)) is None
    mine = {**own, "template": '{"said": {{ title|json }}}'}
    refused = await _save(world, kind, bob, mine, Seen(seen))
    assert refused is not None and refused.theirs[0].fields == {"format": "slack"}
    assert (await _stands(world, kind))[1]["format"] == "slack"
    assert await _save(world, kind, bob, mine, Seen(seen, told=refused.version or 0)) is None
    assert (await _stands(world, kind))[1]["format"] == "template"
