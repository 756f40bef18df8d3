"""API tokens: their scopes, who may make and revoke them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from tests.use_cases.accounts import CLI, actor_of_token, change, make, pass_time, record
from tocsin.db.engine import Database, Tx
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import BUILT_IN, Role
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import Actor, User
from tocsin.kit.errors import Denied, Invalid, NotFound


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
    assert who.access.organisation == {"incident.view", "incident.declare"}
    assert all_of_it.access.organisation == BUILT_IN[Role.RESPONDER]
    assert narrow[4:] not in str(await db.pool.fetch("SELECT * FROM api_token"))

    await change(db, CLI, ada, UserChanges(role="stakeholder"))
    who = await actor_of_token(db, narrow)
    assert who is not None and who.access.organisation == {"incident.view"}


async def test_a_token_of_no_scope_that_its_role_still_grants_may_nothing(db: Database) -> None:
    """F118: losing every scope is not the same as having named none."""
    ada = await make(db, "ada", Role.ADMIN)
    await make(db, "bob", Role.ADMIN)
    _, secret = await make_token(db, Actor.person(ada), ada, "user.manage")
    await change(db, CLI, ada, UserChanges(role="responder"))
    who = await actor_of_token(db, secret)
    assert who is not None and who.access.organisation == frozenset()


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


TAKE_OVER: dict[str, Callable[[Tx, Actor, User], Awaitable[object]]] = {
    "a new administrator": lambda tx, who, _: identity.create_user(
        tx, who, email="eve@example.org", name="Eve", role="admin", password="correct horse battery"
    ),
    "an administrator's link": lambda tx, who, ada: identity.make_sign_in_link(tx, who, ada.id, timedelta(hours=1)),
    "another role": lambda tx, who, ada: identity.update_user(tx, who, ada.id, UserChanges(role="responder")),
}


@pytest.mark.parametrize("work", TAKE_OVER.values(), ids=TAKE_OVER)
@pytest.mark.parametrize("own", [False, True], ids=["of another one", "of the token's own person"])
async def test_a_narrow_token_gets_hold_of_no_wider_account(
    db: Database, work: Callable[[Tx, Actor, User], Awaitable[object]], own: bool
) -> None:
    """F118: whoever finds a token that manages people is not an administrator by that."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob", Role.ADMIN)
    _, narrow = await make_token(db, Actor.person(ada), ada, "user.manage", "self.edit")
    _, wide = await make_token(db, Actor.person(ada), ada)
    for secret, may in ((narrow, False), (wide, True)):
        who = await actor_of_token(db, secret)
        assert who is not None
        async with db.begin() as tx:
            if may:
                await work(tx, who, ada if own else bob)
            else:
                with pytest.raises(Denied, match="may do more than you may"):
                    await work(tx, who, ada if own else bob)


@pytest.mark.parametrize("own", [False, True], ids=["of another one", "of the token's own person"])
async def test_a_narrow_token_sets_no_password_of_a_wider_account(db: Database, own: bool) -> None:
    """F118: the same for what opens its own transactions."""
    ada, bob = await make(db, "ada", Role.ADMIN), await make(db, "bob", Role.ADMIN)
    _, narrow = await make_token(db, Actor.person(ada), ada, "user.manage", "self.edit")
    _, wide = await make_token(db, Actor.person(ada), ada)
    theirs = (ada if own else bob).id
    who = await actor_of_token(db, narrow)
    assert who is not None
    with pytest.raises(Denied, match="may do more than you may"):
        await identity.set_password(db, who, theirs, "correct horse battery")
    who = await actor_of_token(db, wide)
    assert who is not None
    await identity.set_password(db, who, theirs, "correct horse battery")


async def test_a_narrow_token_still_looks_after_those_who_may_less(db: Database) -> None:
    """F118: making stakeholders is what a script is for."""
    ada = await make(db, "ada", Role.ADMIN)
    _, secret = await make_token(db, Actor.person(ada), ada, "user.manage", *BUILT_IN[Role.STAKEHOLDER])
    who = await actor_of_token(db, secret)
    assert who is not None
    async with db.begin() as tx:
        made = await identity.create_user(tx, who, email="sue@example.org", name="Sue", role="stakeholder")
        await identity.make_sign_in_link(tx, who, made.id, timedelta(hours=1))
        with pytest.raises(Denied):
            await identity.update_user(tx, who, made.id, UserChanges(role="responder"))


async def test_what_a_credential_is_now(db: Database) -> None:
    """F118: a stream asks it again and again, long after the request was let in."""
    ada = await make(db, "ada")
    id, secret = await make_token(db, Actor.person(ada), ada, "incident.view")
    who = await actor_of_token(db, secret)
    assert who is not None
    async with db.begin() as tx:
        assert await identity.still_good(tx, [who]) == {who}
    await change(db, CLI, ada, UserChanges(role="stakeholder"))
    async with db.begin() as tx:
        assert await identity.still_good(tx, [who]) == set()
        await identity.revoke_token(tx, Actor.person(ada), id)
        assert await identity.still_good(tx, [who]) == set()
