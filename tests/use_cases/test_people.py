"""People: making accounts, listing, changing and deactivating them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.use_cases.accounts import (
    BROWSER,
    CLI,
    IP,
    PASSWORD,
    actor_of,
    actor_of_token,
    by_link,
    change,
    in_tx,
    last_event,
    make,
    race,
    record,
)
from tocsin.db.engine import Database
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import Role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound, Stale, Unauthenticated
from tocsin.kit.ids import new_id


async def test_only_administrators_create_people(db: Database) -> None:
    """F118."""
    bob = Actor.person(await make(db, "bob"))
    with pytest.raises(Denied):
        async with db.begin() as tx:
            await identity.create_user(tx, bob, email="eve@example.org", name="Eve", role="admin")


async def test_an_address_belongs_to_one_person_in_any_case(db: Database) -> None:
    """Identity: people."""
    ada = await make(db, "ada")
    with pytest.raises(Invalid) as caught:
        await make(db, "ADA")
    assert caught.value.errors[0].pointer == "#/email" and caught.value.errors[0].code == "taken"
    found = await in_tx(db, lambda tx: queries.user_by_email(tx, " Ada@EXAMPLE.org"))
    assert found is not None and found.id == ada.id
    assert await in_tx(db, lambda tx: queries.user_by_email(tx, "a\x00b")) is None

    bob = await make(db, "bob")
    with pytest.raises(Invalid, match="already"):
        await change(db, CLI, bob, UserChanges(email="ADA@example.org"))


async def test_of_two_people_with_one_address_at_once_one_is_created(db: Database) -> None:
    """Identity: people."""
    won, lost = await race(make(db, "ada"), make(db, "Ada"))
    assert len(won) == 1
    assert [type(e) for e in lost] == [Invalid]


async def test_people_are_listed_page_by_page(db: Database) -> None:
    """Identity: people."""
    made = [await make(db, name) for name in ("ada", "bob", "cyd")]
    await change(db, CLI, made[1], UserChanges(is_active=False))
    async with db.begin() as tx:
        first = await queries.users(tx, limit=2)
        rest = await queries.users(tx, after=first[-1].id)
        active = await queries.users(tx, active_only=True)
        by_id = await queries.users_by_id(tx, [made[0].id, new_id()])
        with pytest.raises(NotFound):
            await queries.user(tx, new_id())
    assert [u.name for u in first + rest] == ["Ada", "Bob", "Cyd"]
    assert [u.name for u in active] == ["Ada", "Cyd"]
    assert list(by_id) == [made[0].id]


async def test_the_record_shows_old_and_new_values(db: Database) -> None:
    """Identity: people."""
    ada = await make(db, "ada")
    after = await change(db, Actor.person(ada), ada, UserChanges(name="Ada L.", time_zone="Europe/Vienna"), 1)
    assert (after.name, after.time_zone, after.version) == ("Ada L.", "Europe/Vienna", 2)
    _, data = await last_event(db)
    assert data["changes"] == [
        {"field": "name", "old": "Ada", "new": "Ada L."},
        {"field": "time_zone", "old": "UTC", "new": "Europe/Vienna"},
    ]
    events = await record(db)
    assert (await change(db, Actor.person(ada), ada, UserChanges(name="Ada L."))).version == 2
    assert await record(db) == events


async def test_an_old_copy_changes_nothing(db: Database) -> None:
    """Identity: people."""
    ada = await make(db, "ada")
    await change(db, CLI, ada, UserChanges(name="New"), 1)
    with pytest.raises(Stale):
        await change(db, CLI, ada, UserChanges(name="Other"), 1)


@pytest.mark.parametrize(
    "changes", [UserChanges(role="admin"), UserChanges(is_active=False), UserChanges(email="x@example.org")]
)
async def test_nobody_gives_themselves_rights(db: Database, changes: UserChanges) -> None:
    """F118, F119: role, activity and address are the administrators'."""
    ada, bob = await make(db, "ada"), await make(db, "bob")
    with pytest.raises(Denied, match=r"user\.manage"):
        await change(db, Actor.person(ada), ada, changes)
    with pytest.raises(Denied):
        await change(db, Actor.person(ada), bob, UserChanges(name="X"))


@pytest.mark.parametrize("changes", [UserChanges(role="responder"), UserChanges(is_active=False)])
async def test_the_last_active_administrator_stays(db: Database, changes: UserChanges) -> None:
    """F119: somebody can always administer."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob", Role.ADMIN)
    await change(db, CLI, bob, UserChanges(is_active=False))
    with pytest.raises(Conflict, match="last active administrator"):
        await change(db, CLI, ada, changes)
    assert (await change(db, CLI, ada, UserChanges(name="Still here"))).role == "admin"


async def test_two_administrators_cannot_remove_each_other_at_once(db: Database) -> None:
    """F119: whoever comes second is no administrator any more by then."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob", Role.ADMIN)
    demote = UserChanges(role="responder")
    won, lost = await race(
        change(db, Actor.person(ada), bob, demote),
        change(db, Actor.person(bob), ada, demote),
    )
    assert len(won) == 1
    assert [type(e) for e in lost] == [Denied]


async def test_a_deactivation_ends_sessions_tokens_and_links(db: Database) -> None:
    """Identity: people."""
    ada = await make(db, "ada", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    async with db.begin() as tx:
        _, secret = await identity.create_token(tx, Actor.person(ada), user_id=ada.id, name="ci", scopes=[])
        link = await identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1))
    await change(db, CLI, ada, UserChanges(is_active=False))

    changed, *ended = (await record(db))[-4:]
    assert changed == "configuration.changed"
    assert ended == ["user.deactivated", "user.session_revoked", "configuration.deleted"]
    await change(db, CLI, ada, UserChanges(is_active=True))
    assert await actor_of(db, cookie) is None
    assert await actor_of_token(db, secret) is None
    with pytest.raises(Unauthenticated):
        await by_link(db, link)
