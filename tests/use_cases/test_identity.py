"""People, set-up, sign-in, sessions, tokens, teams and idempotent requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from argon2 import PasswordHasher

from tocsin.db.engine import Database, Tx, decode_json
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import PERMISSIONS, Actor, Organisation, Role, User
from tocsin.identity.service import Stored
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound, Stale, TooMany, Unauthenticated
from tocsin.kit.ids import new_id

CLI = Actor.system("cli")
PASSWORD = "correct horse battery"
IP = "192.0.2.7"
BROWSER = "Firefox"
T = TypeVar("T")


async def make(db: Database, name: str, role: Role = Role.RESPONDER, password: str | None = None) -> User:
    async with db.begin() as tx:
        return await identity.create_user(
            tx, CLI, email=f"{name}@example.org", name=name.title(), role=role, password=password
        )


async def in_tx(db: Database, work: Callable[[Tx], Awaitable[T]]) -> T:
    async with db.begin() as tx:
        return await work(tx)


async def race(*work: Awaitable[Any]) -> tuple[list[Any], list[BaseException]]:
    """Run at once; returns what came out and what was raised."""
    results = await asyncio.gather(*work, return_exceptions=True)
    return [r for r in results if not isinstance(r, BaseException)], [
        r for r in results if isinstance(r, BaseException)
    ]


async def pass_time(db: Database, by: timedelta) -> None:
    """Move the database's clock, which is the only one that counts."""
    await db.pool.execute(
        "CREATE OR REPLACE FUNCTION tocsin_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"'SELECT clock_timestamp() + interval ''{by.total_seconds()} seconds'''"
    )


async def record(db: Database) -> list[str]:
    return [row["name"] for row in await db.pool.fetch("SELECT name FROM event ORDER BY position")]


async def last_event(db: Database) -> tuple[str, dict[str, Any]]:
    row = await db.pool.fetchrow("SELECT actor_name, data FROM event ORDER BY position DESC LIMIT 1")
    assert row is not None
    return row["actor_name"], decode_json(row["data"])


async def actor_of(db: Database, cookie: str) -> Actor | None:
    return await in_tx(db, lambda tx: identity.authenticate_session(tx, cookie, days=14))


async def actor_of_token(db: Database, secret: str) -> Actor | None:
    return await in_tx(db, lambda tx: identity.authenticate_token(tx, secret))


# Set-up


async def set_up(db: Database, token: str, name: str = "Ada") -> User:
    async with db.begin() as tx:
        return await identity.set_up(
            tx, token, organisation="Example", name=name, email=f"{name}@example.org", password=PASSWORD
        )


async def test_the_link_makes_the_first_administrator_once(db: Database) -> None:
    """Identity: set-up."""
    assert await in_tx(db, identity.needs_set_up)
    token = await in_tx(db, identity.make_set_up_link)
    ada = await set_up(db, token)

    assert (ada.role, ada.email, ada.is_active) == ("admin", "ada@example.org", True)
    assert not await in_tx(db, identity.needs_set_up)
    organisation = await in_tx(db, queries.organisation)
    assert organisation is not None and organisation.name == "Example"
    assert (await last_event(db))[0] == "Ada"
    with pytest.raises(Conflict, match="already"):
        await set_up(db, token, "Bob")
    with pytest.raises(Conflict, match="already"):
        await in_tx(db, identity.make_set_up_link)
    user, _ = await identity.sign_in(db, "ada@example.org", PASSWORD, IP, BROWSER, days=14)
    assert user.id == ada.id


async def test_a_new_link_replaces_the_earlier_one_and_a_day_ends_it(db: Database) -> None:
    """Identity: set-up."""
    earlier = await in_tx(db, identity.make_set_up_link)
    later = await in_tx(db, identity.make_set_up_link)
    for token in (earlier, "", "guess"):
        with pytest.raises(Unauthenticated):
            await set_up(db, token)
    await pass_time(db, timedelta(hours=24))
    with pytest.raises(Unauthenticated):
        await set_up(db, later)


async def test_a_wrong_field_does_not_use_the_link_up(db: Database) -> None:
    """Identity: set-up."""
    token = await in_tx(db, identity.make_set_up_link)
    with pytest.raises(Invalid):
        await set_up(db, token, "")
    assert (await set_up(db, token)).name == "Ada"


async def test_of_two_set_ups_at_once_one_wins(db: Database) -> None:
    """Identity: set-up."""
    token = await in_tx(db, identity.make_set_up_link)
    won, lost = await race(set_up(db, token, "Ada"), set_up(db, token, "Bob"))
    assert len(won) == 1
    assert [type(e) for e in lost] == [Conflict]
    assert [u.id for u in await in_tx(db, queries.users)] == [won[0].id]


async def test_a_sign_in_link_does_not_set_up(db: Database) -> None:
    """Identity: set-up."""
    ada = await make(db, "ada")
    token = await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))
    with pytest.raises(Conflict):
        await set_up(db, token, "Bob")


# The organisation


async def test_incident_numbers_have_no_gaps_and_no_doubles(db: Database) -> None:
    """Identity: the organisation counts its incidents."""
    with pytest.raises(Conflict, match="set up"):
        await in_tx(db, identity.next_incident_number)
    await in_tx(db, lambda tx: identity.ensure_organisation(tx, "Example"))
    await in_tx(db, lambda tx: identity.ensure_organisation(tx, "Other"))
    won, lost = await race(*(in_tx(db, identity.next_incident_number) for _ in range(5)))
    assert lost == []
    assert sorted(won) == [(n, f"INC-{n}") for n in range(1, 6)]

    with pytest.raises(RuntimeError):
        async with db.begin() as tx:
            await identity.next_incident_number(tx)
            raise RuntimeError
    assert (await in_tx(db, identity.next_incident_number))[0] == 6
    organisation = await in_tx(db, queries.organisation)
    assert organisation is not None and organisation.name == "Example"


async def rename(db: Database, who: Actor, name: str, if_version: int | None = None) -> Organisation:
    async with db.begin() as tx:
        return await identity.rename_organisation(tx, who, name, if_version)


async def test_an_administrator_renames_the_organisation(db: Database) -> None:
    """Identity: the organisation; the record shows both names, an old copy changes nothing."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob")
    with pytest.raises(Conflict, match="set up"):
        await rename(db, Actor.person(ada), "Harbourline")
    await in_tx(db, lambda tx: identity.ensure_organisation(tx, "Example"))
    after = await rename(db, Actor.person(ada), "  Harbourline  Ferries ", 1)
    assert (after.name, after.version) == ("Harbourline Ferries", 2)
    who, data = await last_event(db)
    assert (who, data["kind"], data["title"]) == ("Ada", "organisation", "Harbourline Ferries")
    assert data["changes"] == [{"field": "name", "old": "Example", "new": "Harbourline Ferries"}]

    events = await record(db)
    assert (await rename(db, Actor.person(ada), "Harbourline Ferries", 2)).version == 2
    with pytest.raises(Stale, match="Somebody changed"):
        await rename(db, Actor.person(ada), "Other", 1)
    with pytest.raises(Denied):
        await rename(db, Actor.person(bob), "Other")
    with pytest.raises(Invalid) as caught:
        await rename(db, Actor.person(ada), " ")
    assert caught.value.errors[0].pointer == "#/name"
    assert await record(db) == events


async def test_all_processes_share_one_key_of_a_name(db: Database) -> None:
    """Identity: keys."""
    won, lost = await race(*(in_tx(db, lambda tx: identity.secret(tx, "links")) for _ in range(4)))
    assert lost == [] and len(set(won)) == 1 and len(won[0]) == 32
    assert await in_tx(db, lambda tx: identity.secret(tx, "links")) == won[0]
    assert await in_tx(db, lambda tx: identity.secret(tx, "other")) != won[0]


# People


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


async def change(db: Database, who: Actor, user: User, changes: UserChanges, if_version: int | None = None) -> User:
    async with db.begin() as tx:
        return await identity.update_user(tx, who, user.id, changes, if_version)


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
    """F119."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob", Role.ADMIN)
    demote = UserChanges(role="responder")
    won, lost = await race(
        change(db, Actor.person(ada), bob, demote),
        change(db, Actor.person(bob), ada, demote),
    )
    assert len(won) == 1
    assert [type(e) for e in lost] == [Conflict]


async def test_a_deactivation_ends_sessions_tokens_and_links(db: Database) -> None:
    """Identity: people."""
    ada = await make(db, "ada", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    async with db.begin() as tx:
        _, secret = await identity.create_token(tx, Actor.person(ada), user_id=ada.id, name="ci", scopes=[])
        link = await identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1))
    await change(db, CLI, ada, UserChanges(is_active=False))

    assert (await record(db))[-3:] == ["configuration.changed", "user.session_revoked", "configuration.deleted"]
    await change(db, CLI, ada, UserChanges(is_active=True))
    assert await actor_of(db, cookie) is None
    assert await actor_of_token(db, secret) is None
    with pytest.raises(Unauthenticated):
        await by_link(db, link)


# Passwords


async def set_password(db: Database, who: Actor, user: User, new: str, current: str | None = None) -> User:
    async with db.begin() as tx:
        return await identity.set_password(tx, who, user.id, new, current)


async def test_a_new_password_needs_the_current_one_and_ends_other_sessions(db: Database) -> None:
    """Identity: passwords."""
    ada = await make(db, "ada", password=PASSWORD)
    _, here = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    _, elsewhere = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    who = await actor_of(db, here)
    assert who is not None
    for wrong in (None, "", "wrong", "\ud800"):
        with pytest.raises(Invalid) as caught:
            await set_password(db, who, ada, "another good one", wrong)
        assert caught.value.errors[0].pointer == "#/current"
    await set_password(db, who, ada, "another good one", PASSWORD)

    assert await actor_of(db, here) is not None
    assert await actor_of(db, elsewhere) is None
    with pytest.raises(Unauthenticated):
        await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    await identity.sign_in(db, ada.email, "another good one", IP, BROWSER, days=14)
    stored = await db.pool.fetchval("SELECT string_agg(data::text, '') FROM event")
    assert "another" not in stored and "argon2" not in stored


async def test_an_administrator_sets_a_password_without_the_current_one(db: Database) -> None:
    """F118."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob", password=PASSWORD)
    await set_password(db, Actor.person(ada), bob, "another good one")
    await identity.sign_in(db, bob.email, "another good one", IP, BROWSER, days=14)
    with pytest.raises(Denied):
        await set_password(db, Actor.person(bob), ada, "another good one")


async def test_an_administrator_proves_who_they_are_before_their_own_password_changes(db: Database) -> None:
    """Identity: passwords; a browser that was left open is not enough."""
    ada = await make(db, "ada", Role.ADMIN, PASSWORD)
    with pytest.raises(Invalid, match="current password"):
        await set_password(db, Actor.person(ada), ada, "another good one", "guess")
    await set_password(db, Actor.person(ada), ada, "another good one", PASSWORD)


async def test_a_password_that_an_administrator_sets_ends_that_persons_sessions_and_links(db: Database) -> None:
    """F118."""
    ada, bob = await make(db, "ada", Role.ADMIN, PASSWORD), await make(db, "bob", password=PASSWORD)
    _, theirs = await identity.sign_in(db, bob.email, PASSWORD, IP, BROWSER, days=14)
    _, mine = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    token = await link_of(db, bob)
    who = await actor_of(db, mine)
    assert who is not None
    await set_password(db, who, bob, "another good one")
    assert await actor_of(db, theirs) is None
    assert await actor_of(db, mine) is not None
    with pytest.raises(Unauthenticated):
        await by_link(db, token)


async def link_of(db: Database, user: User) -> str:
    return await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, user.id, timedelta(days=7)))


async def came_by_link(db: Database, user: User) -> Actor:
    _, cookie = await by_link(db, await link_of(db, user))
    who = await actor_of(db, cookie)
    assert who is not None
    return who


async def test_who_came_by_a_link_sets_a_new_password_without_the_forgotten_one(db: Database) -> None:
    """Identity: passwords; other sessions end, and the record has the change."""
    ada = await make(db, "ada", password=PASSWORD)
    _, elsewhere = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    who = await came_by_link(db, ada)
    await pass_time(db, timedelta(minutes=14))
    await set_password(db, who, ada, "another good one")

    assert await actor_of(db, elsewhere) is None
    assert [s.id for s in await in_tx(db, lambda tx: queries.sessions_of(tx, ada.id))] == [who.session_id]
    await identity.sign_in(db, ada.email, "another good one", IP, BROWSER, days=14)
    row = await db.pool.fetchrow(
        "SELECT actor_name, data FROM event WHERE data->>'kind' = 'user' ORDER BY position DESC"
    )
    assert row is not None and row["actor_name"] == "Ada"
    assert decode_json(row["data"])["changes"] == [{"field": "password", "old": None, "new": None}]


async def test_a_link_opens_one_change_of_the_password_in_its_own_session_for_a_quarter_of_an_hour(
    db: Database,
) -> None:
    """Identity: passwords."""
    ada, bob = await make(db, "ada", password=PASSWORD), await make(db, "bob", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    by_password = await actor_of(db, cookie)
    assert by_password is not None
    linked = await came_by_link(db, ada)
    for who in (by_password, Actor.person(ada), replace(linked, session_id=new_id())):
        with pytest.raises(Invalid, match="current password"):
            await set_password(db, who, ada, "another good one")
    with pytest.raises(Denied):
        await set_password(db, linked, bob, "another good one")

    await set_password(db, linked, ada, "another good one")
    with pytest.raises(Invalid, match="current password"):
        await set_password(db, linked, ada, "yet another one")

    late = await came_by_link(db, ada)
    await pass_time(db, timedelta(minutes=15))
    with pytest.raises(Invalid, match="Give your current password") as caught:
        await set_password(db, late, ada, "yet another one")
    assert caught.value.errors[0].pointer == "#/current"
    await set_password(db, late, ada, "yet another one", "another good one")


async def test_a_person_without_a_password_sets_the_first_one(db: Database) -> None:
    """Identity: passwords, after a sign-in by link."""
    ada = await make(db, "ada")
    await set_password(db, Actor.person(ada), ada, PASSWORD)
    await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)


# Sign-in


async def test_a_password_signs_in_and_a_cookie_says_who_it_is(db: Database) -> None:
    """Identity: sign-in."""
    ada = await make(db, "ada", Role.STAKEHOLDER, PASSWORD)
    user, cookie = await identity.sign_in(db, " ADA@example.org ", PASSWORD, IP, BROWSER, days=14)
    who = await actor_of(db, cookie)

    assert user.id == ada.id and who is not None
    assert (who.user_id, who.role, who.name) == (ada.id, Role.STAKEHOLDER, "Ada")
    assert who.permissions == PERMISSIONS[Role.STAKEHOLDER]
    (session,) = await in_tx(db, lambda tx: queries.sessions_of(tx, ada.id))
    assert (session.ip, session.user_agent, session.id) == (IP, BROWSER, who.session_id)
    assert await last_event(db) == ("Ada", {"ip": IP, "how": "password"})
    assert await actor_of(db, "") is None
    assert await actor_of(db, cookie + "x") is None


@pytest.mark.parametrize("email", ["nobody@example.org", "not an address", "n\x00l@example.org", "\ud800"])
async def test_an_unknown_address_is_refused_like_a_wrong_password(db: Database, email: str) -> None:
    """Identity: the answer does not say who has an account, and the record does not keep what was typed."""
    ada = await make(db, "ada", password=PASSWORD)
    with pytest.raises(Unauthenticated) as unknown:
        await identity.sign_in(db, email, PASSWORD, IP, BROWSER, days=14)
    assert await last_event(db) == ("sign-in", {"ip": IP})
    with pytest.raises(Unauthenticated) as wrong:
        await identity.sign_in(db, ada.email, "wrong", IP, BROWSER, days=14)
    assert await last_event(db) == ("Ada", {"ip": IP})
    assert (unknown.value.message, unknown.value.code) == (wrong.value.message, wrong.value.code)


async def test_deactivated_people_and_people_without_a_password_are_refused(db: Database) -> None:
    """Identity: sign-in."""
    ada, bob = await make(db, "ada", password=PASSWORD), await make(db, "bob")
    await change(db, CLI, ada, UserChanges(is_active=False))
    for email, password in ((ada.email, PASSWORD), (bob.email, ""), (bob.email, PASSWORD), (ada.email, "\ud800")):
        with pytest.raises(Unauthenticated):
            await identity.sign_in(db, email, password, IP, BROWSER, days=14)
    with pytest.raises(Conflict):
        await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))


async def test_ten_failures_stop_guessing_for_fifteen_minutes(db: Database) -> None:
    """Identity: throttling per address, also for the right password and from elsewhere."""
    ada = await make(db, "ada", password=PASSWORD)
    await make(db, "bob", password=PASSWORD)
    _, refused = await race(
        *(identity.sign_in(db, ada.email, f"guess {n}", f"10.0.0.{n}", "", days=14) for n in range(14))
    )
    assert sorted(type(e).__name__ for e in refused) == ["TooMany"] * 4 + ["Unauthenticated"] * 10

    with pytest.raises(TooMany) as caught:
        await identity.sign_in(db, "ADA@example.org", PASSWORD, "198.51.100.1", BROWSER, days=14)
    assert 0 < caught.value.retry_after <= 900
    await identity.sign_in(db, "bob@example.org", PASSWORD, "10.0.0.1", BROWSER, days=14)
    await pass_time(db, timedelta(minutes=15))
    await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)


async def test_a_success_forgives_the_address_its_failures(db: Database) -> None:
    """Identity: throttling."""
    ada = await make(db, "ada", password=PASSWORD)
    for _ in range(2):
        for _ in range(9):
            with pytest.raises(Unauthenticated):
                await identity.sign_in(db, ada.email, "wrong", IP, BROWSER, days=14)
        await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    counts = sorted(row["failures"] for row in await db.pool.fetch("SELECT failures FROM sign_in_throttle"))
    assert counts == [0, 18]


@pytest.mark.parametrize(
    ("spread", "other"),
    [("192.0.2.7", "192.0.2.8"), ("2001:db8::{}", "2001:db8:0:1::1"), ("::ffff:192.0.2.7", "::ffff:192.0.2.8")],
)
async def test_fifty_failures_stop_a_network(db: Database, spread: str, other: str) -> None:
    """Identity: throttling per network address; an IPv6 subscriber has many addresses and is one."""
    ada = await make(db, "ada", password=PASSWORD)
    await db.pool.execute("UPDATE sign_in_throttle SET failures = 0")
    with pytest.raises(Unauthenticated):
        await identity.sign_in(db, "x@example.org", "wrong", spread.format(1), BROWSER, days=14)
    await db.pool.execute("UPDATE sign_in_throttle SET failures = 50 WHERE failures = 1")
    with pytest.raises(TooMany):
        await identity.sign_in(db, ada.email, PASSWORD, spread.format(2), BROWSER, days=14)
    await identity.sign_in(db, ada.email, PASSWORD, other, BROWSER, days=14)


async def test_an_old_hash_is_renewed_at_sign_in(db: Database) -> None:
    """Identity: passwords."""
    ada = await make(db, "ada")
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await db.pool.execute("UPDATE user_account SET password_hash = $1", old)
    for _ in range(2):
        await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    assert "m=19456,t=2" in (await in_tx(db, lambda tx: queries.user(tx, ada.id))).password_hash  # type: ignore[operator]


async def by_link(db: Database, token: str) -> tuple[User, str]:
    async with db.begin() as tx:
        return await identity.sign_in_with_link(tx, token, IP, BROWSER, days=14)


async def test_a_link_signs_in_once(db: Database) -> None:
    """Identity: sign-in by link."""
    ada = await make(db, "ada")
    token = await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))
    user, cookie = await by_link(db, token)
    assert user.id == ada.id
    assert await actor_of(db, cookie) is not None
    for used in (token, "guess", ""):
        with pytest.raises(Unauthenticated):
            await by_link(db, used)


async def test_the_record_says_who_made_a_link_and_for_whom(db: Database) -> None:
    """Identity: sign-in by link; whoever holds it is that person, so its making is not a secret."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob")
    token = await in_tx(db, lambda tx: identity.make_sign_in_link(tx, Actor.person(ada), bob.id, timedelta(hours=1)))
    who, data = await last_event(db)
    assert (who, data["kind"], data["title"]) == ("Ada", "sign_in_link", "Bob")
    assert token not in str(data)
    with pytest.raises(Denied):
        await in_tx(db, lambda tx: identity.make_sign_in_link(tx, Actor.person(bob), bob.id, timedelta(hours=1)))


async def test_of_two_sign_ins_by_one_link_one_gets_in(db: Database) -> None:
    """Identity: sign-in by link."""
    ada = await make(db, "ada")
    token = await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))
    won, lost = await race(by_link(db, token), by_link(db, token))
    assert len(won) == 1
    assert [type(e) for e in lost] == [Unauthenticated]


async def test_an_expired_link_and_the_set_up_link_do_not_sign_in(db: Database) -> None:
    """Identity: sign-in by link."""
    set_up_token = await in_tx(db, identity.make_set_up_link)
    ada = await make(db, "ada")
    token = await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))
    with pytest.raises(Unauthenticated):
        await by_link(db, set_up_token)
    await pass_time(db, timedelta(hours=1))
    with pytest.raises(Unauthenticated):
        await by_link(db, token)


# Sessions


async def test_use_keeps_a_session_alive_and_rest_ends_it(db: Database) -> None:
    """Identity: sessions."""
    ada = await make(db, "ada", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=2)

    async def use() -> Actor | None:
        async with db.begin() as tx:
            return await identity.authenticate_session(tx, cookie, days=2)

    await pass_time(db, timedelta(hours=47))
    assert await use() is not None
    await pass_time(db, timedelta(hours=94))
    assert await use() is not None
    await pass_time(db, timedelta(hours=142))
    assert await use() is None
    assert await in_tx(db, lambda tx: queries.sessions_of(tx, ada.id)) == []


async def test_last_seen_is_written_once_a_minute(db: Database) -> None:
    """Identity: sessions."""
    ada = await make(db, "ada", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    seen = "SELECT last_seen_at FROM session"
    before = await db.pool.fetchval(seen)
    await actor_of(db, cookie)
    assert await db.pool.fetchval(seen) == before
    await pass_time(db, timedelta(minutes=1))
    won, lost = await race(actor_of(db, cookie), actor_of(db, cookie), actor_of(db, cookie))
    assert lost == [] and None not in won
    assert await db.pool.fetchval(seen) > before


async def test_signing_out_ends_this_session_only(db: Database) -> None:
    """Identity: sessions."""
    ada = await make(db, "ada", password=PASSWORD)
    _, here = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    _, there = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    who = await actor_of(db, here)
    assert who is not None
    for _ in range(2):
        async with db.begin() as tx:
            await identity.sign_out(tx, who)
    assert await actor_of(db, here) is None
    assert await actor_of(db, there) is not None
    assert (await record(db)).count("user.session_revoked") == 1


async def test_a_session_is_revoked_by_its_person_or_an_administrator(db: Database) -> None:
    """F118."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob", password=PASSWORD)
    eve = await make(db, "eve")

    async def revoke(who: Actor, session_id: UUID) -> None:
        async with db.begin() as tx:
            await identity.revoke_session(tx, who, session_id)

    for who in (Actor.person(bob), Actor.person(ada)):
        _, cookie = await identity.sign_in(db, bob.email, PASSWORD, IP, BROWSER, days=14)
        (session,) = await in_tx(db, lambda tx: queries.sessions_of(tx, bob.id))
        with pytest.raises(NotFound):
            await revoke(Actor.person(eve), session.id)
        await revoke(who, session.id)
        assert await actor_of(db, cookie) is None
        with pytest.raises(NotFound):
            await revoke(who, session.id)


# Tokens


async def make_token(db: Database, who: Actor, user: User, *scopes: str) -> tuple[UUID, str]:
    async with db.begin() as tx:
        token, secret = await identity.create_token(tx, who, user_id=user.id, name="ci", scopes=scopes)
        return token.id, secret


async def test_a_token_acts_as_its_person_within_its_scopes(db: Database) -> None:
    """F118: scopes narrow; a lower role narrows further."""
    ada = await make(db, "ada")
    _, narrow = await make_token(db, Actor.person(ada), ada, "incident.view", "incident.declare")
    _, wide = await make_token(db, Actor.person(ada), ada)
    who, all_of_it = await actor_of_token(db, narrow), await actor_of_token(db, wide)
    assert who is not None and all_of_it is not None
    assert narrow.startswith("tcs_") and who.user_id == ada.id and who.token_id is not None
    assert who.permissions == {"incident.view", "incident.declare"}
    assert all_of_it.permissions == PERMISSIONS[Role.RESPONDER]
    assert narrow[4:] not in str(await db.pool.fetch("SELECT * FROM api_token"))

    await change(db, CLI, ada, UserChanges(role="stakeholder"))
    who = await actor_of_token(db, narrow)
    assert who is not None and who.permissions == {"incident.view"}


async def test_a_token_of_no_scope_that_its_role_still_grants_may_nothing(db: Database) -> None:
    """F118: losing every scope is not the same as having named none."""
    ada = await make(db, "ada", Role.ADMIN)
    await make(db, "bob", Role.ADMIN)
    _, secret = await make_token(db, Actor.person(ada), ada, "user.manage")
    await change(db, CLI, ada, UserChanges(role="responder"))
    who = await actor_of_token(db, secret)
    assert who is not None and who.permissions == frozenset()


async def test_tokens_are_for_oneself_unless_one_manages_people(db: Database) -> None:
    """F118."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob")
    with pytest.raises(Denied):
        await make_token(db, Actor.person(bob), ada)
    _, secret = await make_token(db, Actor.person(ada), bob)
    who = await actor_of_token(db, secret)
    assert who is not None and who.user_id == bob.id
    for scope in ("user.manage", "no.such"):
        with pytest.raises(Invalid) as caught:
            await make_token(db, Actor.person(ada), bob, scope)
        assert caught.value.errors[0].pointer == "#/scopes"


async def test_a_token_cannot_make_a_stronger_one(db: Database) -> None:
    """F118."""
    ada = await make(db, "ada")
    _, secret = await make_token(db, Actor.person(ada), ada, "self.edit", "incident.view")
    who = await actor_of_token(db, secret)
    assert who is not None
    for scopes in ((), ("incident.edit",)):
        with pytest.raises(Denied):
            await make_token(db, who, ada, *scopes)
    await make_token(db, who, ada, "incident.view")


async def test_a_revoked_token_is_worth_nothing(db: Database) -> None:
    """Identity: tokens."""
    ada, eve = await make(db, "ada"), await make(db, "eve")
    token_id, secret = await make_token(db, Actor.person(ada), ada)

    async def revoke(who: Actor) -> None:
        async with db.begin() as tx:
            await identity.revoke_token(tx, who, token_id)

    with pytest.raises(NotFound):
        await revoke(Actor.person(eve))
    await revoke(Actor.person(ada))
    await revoke(CLI)
    assert (await record(db)).count("configuration.deleted") == 1
    for wrong in (secret, "tcs_", "tcs_guess", "", "Bearer"):
        assert await actor_of_token(db, wrong) is None
    async with db.begin() as tx:
        assert await queries.tokens_of(tx, ada.id) == []
        assert [t.id for t in await queries.tokens_of(tx, None, with_revoked=True)] == [token_id]


async def test_the_last_use_of_a_token_is_shown(db: Database) -> None:
    """Identity: tokens; written at most once a minute."""
    ada = await make(db, "ada")
    _, secret = await make_token(db, Actor.person(ada), ada)
    used = "SELECT last_used_at FROM api_token"
    assert await db.pool.fetchval(used) is None
    await actor_of_token(db, secret)
    first = await db.pool.fetchval(used)
    await actor_of_token(db, secret)
    assert first is not None and await db.pool.fetchval(used) == first
    await pass_time(db, timedelta(minutes=1))
    await actor_of_token(db, secret)
    assert await db.pool.fetchval(used) > first


# Teams


async def test_a_team_has_exactly_the_members_that_were_named(db: Database) -> None:
    """Identity: teams."""
    ada, bob, cyd = [await make(db, name) for name in ("ada", "bob", "cyd")]
    async with db.begin() as tx:
        team = await identity.create_team(tx, CLI, name="Payments", member_ids=[bob.id, ada.id])
        empty = await identity.create_team(tx, CLI, name="Search")
    async with db.begin() as tx:
        members = await queries.members(tx, [team.id, empty.id])
        assert [t.name for t in await queries.teams(tx)] == ["Payments", "Search"]
    assert {id: [u.name for u in people] for id, people in members.items()} == {team.id: ["Ada", "Bob"], empty.id: []}

    async with db.begin() as tx:
        after = await identity.update_members(tx, CLI, team.id, [cyd.id, bob.id])
    assert [u.name for u in after] == ["Bob", "Cyd"]
    _, data = await last_event(db)
    assert data["changes"] == [{"field": "members", "old": "Ada, Bob", "new": "Bob, Cyd"}]
    events = await record(db)
    async with db.begin() as tx:
        await identity.update_members(tx, CLI, team.id, [cyd.id, bob.id])
    assert await record(db) == events


async def test_teams_are_refused_without_right_name_or_known_people(db: Database) -> None:
    """F118."""
    bob = Actor.person(await make(db, "bob"))
    await in_tx(db, lambda tx: identity.create_team(tx, CLI, name="Payments"))
    for who, name, ids, error in (
        (bob, "Search", [], Denied),
        (CLI, "Payments", [], Invalid),
        (CLI, "", [], Invalid),
        (CLI, "Search", [new_id()], Invalid),
    ):
        with pytest.raises(error):
            async with db.begin() as tx:
                await identity.create_team(tx, who, name=name, member_ids=ids)
    with pytest.raises(NotFound):
        async with db.begin() as tx:
            await identity.update_members(tx, CLI, new_id(), [])


# Idempotent requests


async def claim(db: Database, caller: UUID, digest: bytes = b"one") -> Stored | None:
    async with db.begin() as tx:
        return await identity.claim_idempotency(tx, caller, "key", digest)


async def complete(db: Database, caller: UUID, body: bytes = b"{}") -> None:
    async with db.begin() as tx:
        await identity.complete_idempotency(tx, caller, "key", 201, {"Location": "/x"}, body)


async def test_a_repeated_request_gets_the_first_answer(db: Database) -> None:
    """Identity: Idempotency-Key, kept 24 hours, each caller has its own keys."""
    caller = new_id()
    assert await claim(db, caller) is None
    await complete(db, caller)
    assert await claim(db, caller) == Stored(201, {"Location": "/x"}, b"{}")
    assert await claim(db, new_id()) is None
    await pass_time(db, timedelta(hours=24, seconds=1))
    assert await claim(db, caller, b"two") is None


async def test_a_key_is_for_one_request(db: Database) -> None:
    """Identity: Idempotency-Key; another body is refused, while running and afterwards."""
    caller = new_id()
    await claim(db, caller)
    for _ in range(2):
        with pytest.raises(Invalid) as caught:
            await claim(db, caller, b"two")
        assert (caught.value.status, caught.value.code) == (422, "idempotency.mismatch")
        await complete(db, caller)


async def test_of_two_equal_requests_at_once_one_runs(db: Database) -> None:
    """Identity: Idempotency-Key."""
    caller = new_id()
    won, lost = await race(claim(db, caller), claim(db, caller))
    assert won == [None]
    assert [(type(e), getattr(e, "code", "")) for e in lost] == [(Conflict, "idempotency.in_progress")]


async def test_an_abandoned_request_is_taken_over_by_one(db: Database) -> None:
    """Identity: Idempotency-Key; its first answer stays, also when the abandoned one answers after all."""
    caller = new_id()
    await claim(db, caller)
    await pass_time(db, timedelta(seconds=61))
    with pytest.raises(Invalid):
        await claim(db, caller, b"two")
    won, lost = await race(claim(db, caller), claim(db, caller))
    assert won == [None] and len(lost) == 1
    await complete(db, caller, b"first")
    await complete(db, caller, b"second")
    stored = await claim(db, caller)
    assert stored is not None and stored.body == b"first"


async def test_a_failed_request_can_be_tried_again_at_once(db: Database) -> None:
    """Identity: Idempotency-Key; an answer that was given is not forgotten."""
    caller = new_id()
    for _ in range(2):
        assert await claim(db, caller) is None
        await in_tx(db, lambda tx: identity.forget_idempotency(tx, caller, "key"))
    await claim(db, caller)
    await complete(db, caller)
    await in_tx(db, lambda tx: identity.forget_idempotency(tx, caller, "key"))
    assert await claim(db, caller) is not None


# Tidying up


async def test_the_sweep_removes_what_is_over_and_nothing_else(db: Database) -> None:
    """Identity: nothing that has expired is kept."""
    ada = await make(db, "ada", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=2)
    await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))
    await claim(db, new_id())

    async def left() -> list[int]:
        await in_tx(db, identity.sweep)
        tables = ("session", "one_time_link", "sign_in_throttle", "idempotency_key")
        return [await db.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]

    assert await left() == [1, 1, 2, 1]
    await pass_time(db, timedelta(hours=1))
    assert await left() == [1, 0, 0, 1]
    await pass_time(db, timedelta(hours=24))
    assert await left() == [1, 0, 0, 0]
    assert await actor_of(db, cookie) is not None
    await pass_time(db, timedelta(days=20))
    assert await left() == [0, 0, 0, 0]
