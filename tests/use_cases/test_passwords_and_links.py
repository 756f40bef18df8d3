"""Passwords, and the one-time links that sign in and replace a forgotten one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.races import held_at
from tests.use_cases.accounts import (
    BROWSER,
    CLI,
    IP,
    PASSWORD,
    actor_of,
    by_link,
    change,
    in_tx,
    last_event,
    make,
    pass_time,
    race,
)
from tocsin.db.engine import Database, decode_json
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import Role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.identity.service import people
from tocsin.kit.errors import Conflict, Denied, Invalid, Unauthenticated
from tocsin.kit.ids import new_id


async def set_password(db: Database, who: Actor, user: User, new: str, current: str | None = None) -> User:
    return await identity.set_password(db, who, user.id, new, current)


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
    """F110, identity: passwords; other sessions end, and the record has the change."""
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


@pytest.mark.parametrize("what", ["signed out", "ended by others", "deactivated"])
async def test_a_session_that_ends_while_the_password_is_hashed_sets_none(db: Database, what: str) -> None:
    """F110, F135, a race: what a link allowed has gone with its session."""
    ada = await make(db, "ada", password=PASSWORD)
    who = await came_by_link(db, ada)
    assert who.session_id is not None
    session_id = who.session_id
    async with held_at(people, "in_turn", set_password(db, who, ada, "another good one")) as setting:
        match what:
            case "signed out":
                await in_tx(db, lambda tx: identity.sign_out(tx, who))
            case "ended by others":
                await in_tx(db, lambda tx: identity.revoke_session(tx, CLI, session_id))
            case _:
                await change(db, CLI, ada, UserChanges(is_active=False))
    with pytest.raises(Invalid, match="Give your current password"):
        await setting
    await change(db, CLI, ada, UserChanges(is_active=True))
    await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)


async def test_of_two_new_passwords_by_one_link_the_first_counts(db: Database) -> None:
    """F110, a race: whoever came second is told, and what was set first is not overwritten unseen."""
    ada = await make(db, "ada", password=PASSWORD)
    who = await came_by_link(db, ada)
    async with held_at(people, "in_turn", set_password(db, who, ada, "the second one")) as second:
        await set_password(db, who, ada, "the first one")
    with pytest.raises(Conflict):
        await second
    await identity.sign_in(db, ada.email, "the first one", IP, BROWSER, days=14)


async def test_a_person_without_a_password_sets_the_first_one(db: Database) -> None:
    """Identity: passwords, after a sign-in by link."""
    ada = await make(db, "ada")
    await set_password(db, Actor.person(ada), ada, PASSWORD)
    await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)


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
    """F110, identity: sign-in by link; whoever holds it is that person, so its making is not a secret."""
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


@pytest.mark.parametrize("role", [Role.STAKEHOLDER, Role.RESPONDER])
async def test_nobody_sets_the_password_of_a_colleague(db: Database, role: Role) -> None:
    """Identity: passwords; not even of one with the same role, and whether that one has a password or not."""
    bob = await make(db, "bob", role=role, password=PASSWORD)
    _, cookie = await identity.sign_in(db, bob.email, PASSWORD, IP, BROWSER, days=14)
    who = await actor_of(db, cookie)
    assert who is not None
    for colleague in (await make(db, "ada", role=role, password=PASSWORD), await make(db, "cleo", role=role)):
        with pytest.raises(Denied):
            await set_password(db, who, colleague, "another good one", PASSWORD)
        assert (
            await in_tx(db, lambda tx, c=colleague: queries.user(tx, c.id))
        ).password_hash == colleague.password_hash
