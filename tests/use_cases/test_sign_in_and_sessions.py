"""Signing in by password, and how sessions live and end. What slows guessing down: see `test_guessing`."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from argon2 import PasswordHasher

from tests.use_cases.accounts import (
    BROWSER,
    CLI,
    IP,
    PASSWORD,
    actor_of,
    change,
    in_tx,
    last_event,
    make,
    pass_time,
    race,
    record,
)
from tocsin.db.engine import Database
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import BUILT_IN, Role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor
from tocsin.kit.errors import Conflict, NotFound, Unauthenticated


async def test_a_password_signs_in_and_a_cookie_says_who_it_is(db: Database) -> None:
    """Identity: sign-in."""
    ada = await make(db, "ada", Role.STAKEHOLDER, PASSWORD)
    user, cookie = await identity.sign_in(db, " ADA@example.org ", PASSWORD, IP, BROWSER, days=14)
    who = await actor_of(db, cookie)

    assert user.id == ada.id and who is not None
    assert (who.user_id, who.role, who.name) == (ada.id, Role.STAKEHOLDER, "Ada")
    assert who.access.organisation == BUILT_IN[Role.STAKEHOLDER]
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


@pytest.mark.usefixtures("strong_hashes")
async def test_an_old_hash_is_renewed_at_sign_in(db: Database) -> None:
    """Identity: passwords."""
    ada = await make(db, "ada")
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await db.pool.execute("UPDATE user_account SET password_hash = $1", old)
    for _ in range(2):
        await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    assert "m=19456,t=2" in (await in_tx(db, lambda tx: queries.user(tx, ada.id))).password_hash  # type: ignore[operator]


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


async def test_a_session_ends_in_the_end_however_much_it_is_used(db: Database) -> None:
    """F118: whoever got hold of a cookie does not keep it for ever; a shorter limit counts for those who are in."""
    ada = await make(db, "ada", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=2, most_days=5)

    async def use(most_days: int = 5) -> Actor | None:
        async with db.begin() as tx:
            return await identity.authenticate_session(tx, cookie, days=2, most_days=most_days)

    for day in (1, 2, 3, 4):
        await pass_time(db, timedelta(days=day))
        assert await use() is not None
    assert await use(most_days=4) is None
    assert await db.pool.fetchval("SELECT expires_at = created_at + interval '5 days' FROM session")
    await pass_time(db, timedelta(days=5))
    assert await use() is None
    assert await in_tx(db, lambda tx: queries.sessions_of(tx, ada.id)) == []


async def test_a_session_is_never_opened_for_longer_than_it_may_last(db: Database) -> None:
    """F118: a live stream that nobody touches ends then too."""
    ada = await make(db, "ada", password=PASSWORD)
    await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14, most_days=3)
    assert await db.pool.fetchval("SELECT expires_at = created_at + interval '3 days' FROM session")


async def test_signing_in_ends_the_session_that_the_browser_had(db: Database) -> None:
    """F118: of whomever it was, by password and by link; other browsers stay."""
    ada, bob = await make(db, "ada", password=PASSWORD), await make(db, "bob", password=PASSWORD)
    _, elsewhere = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    _, first = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    _, second = await identity.sign_in(db, bob.email, PASSWORD, IP, BROWSER, days=14, instead_of=first)
    assert await actor_of(db, first) is None
    link = await in_tx(db, lambda tx: identity.make_sign_in_link(tx, CLI, ada.id, timedelta(hours=1)))
    async with db.begin() as tx:
        _, third = await identity.sign_in_with_link(tx, link, IP, BROWSER, days=14, instead_of=second)
    assert await actor_of(db, second) is None
    assert await actor_of(db, elsewhere) is not None and await actor_of(db, third) is not None
    assert (await record(db)).count("user.session_revoked") == 2


async def test_a_sign_in_that_fails_ends_nothing(db: Database) -> None:
    """F118: somebody at the keyboard who guesses throws nobody out."""
    ada = await make(db, "ada", password=PASSWORD)
    _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
    with pytest.raises(Unauthenticated):
        await identity.sign_in(db, ada.email, "wrong", IP, BROWSER, days=14, instead_of=cookie)
    assert await actor_of(db, cookie) is not None


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
