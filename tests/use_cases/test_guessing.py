"""Guessing passwords: how far strangers get, and that they keep nobody out whom we know."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.processes import PATIENCE
from tests.use_cases.accounts import BROWSER, IP, PASSWORD, actor_of, actor_of_token, in_tx, make, pass_time, race
from tocsin.db.engine import Database
from tocsin.identity import hashing, queries
from tocsin.identity import service as identity
from tocsin.identity.guessing import Device
from tocsin.identity.hashing import Lane
from tocsin.identity.model import Actor
from tocsin.kit import crypto
from tocsin.kit.errors import Invalid, TooMany, Unauthenticated, Unavailable

# The package's function of this name hides its module.
sign_in_module = importlib.import_module("tocsin.identity.service.sign_in")
KNOWN_UNTIL = datetime(2999, 1, 1, tzinfo=UTC)


def attempt(
    db: Database, email: str, password: str = PASSWORD, ip: str = IP, device: Device | None = None
) -> Awaitable[object]:
    return identity.sign_in(db, email, password, ip, BROWSER, days=14, device=device)


async def fail(db: Database, email: str, number: int, ip: str = IP, device: Device | None = None) -> None:
    for _ in range(number):
        with pytest.raises(Unauthenticated):
            await attempt(db, email, "wrong", ip, device)


async def test_five_failures_of_one_network_make_it_wait_and_nobody_else(db: Database) -> None:
    """Identity: throttling; also many at once get five and no more."""
    ada = await make(db, "ada", password=PASSWORD)
    _, refused = await race(*(attempt(db, ada.email, f"guess {n}", f"192.0.2.{n}") for n in range(9)))
    assert sorted(type(e).__name__ for e in refused) == ["TooMany"] * 4 + ["Unauthenticated"] * 5
    with pytest.raises(TooMany) as caught:
        await attempt(db, "ADA@example.org")
    assert 0 < caught.value.retry_after <= 30
    await attempt(db, ada.email, ip="198.51.100.1")
    await pass_time(db, timedelta(seconds=31))
    await attempt(db, ada.email)


async def test_an_attempt_that_came_too_soon_is_not_counted(db: Database) -> None:
    """Identity: throttling; whoever presses again and again waits no longer for it."""
    ada = await make(db, "ada", password=PASSWORD)
    await fail(db, ada.email, 5)
    counted = await db.pool.fetch("SELECT * FROM sign_in_throttle ORDER BY key")
    for _ in range(3):
        with pytest.raises(TooMany):
            await attempt(db, ada.email)
    assert await db.pool.fetch("SELECT * FROM sign_in_throttle ORDER BY key") == counted


async def test_a_known_device_gets_in_whatever_strangers_do(db: Database) -> None:
    """Identity: device cookies; from the same network too, and an old one is a stranger again."""
    ada = await make(db, "ada", password=PASSWORD)
    for n in range(10):
        await fail(db, ada.email, 5, f"198.51.{n}.1")
    with pytest.raises(TooMany):
        await attempt(db, ada.email, ip="203.0.113.1")
    mine = Device(uuid4(), KNOWN_UNTIL)
    await attempt(db, ada.email, ip="198.51.1.1", device=mine)
    with pytest.raises(TooMany):
        await attempt(db, ada.email, device=Device(uuid4(), datetime(2000, 1, 1, tzinfo=UTC)))
    # A place in the sum of all strangers comes back every ten minutes.
    await pass_time(db, timedelta(minutes=10))
    await attempt(db, ada.email, ip="203.0.113.1")


async def test_a_known_device_that_guesses_is_slowed_down_by_itself(db: Database) -> None:
    """Identity: device cookies; a stolen one buys five guesses, and nobody else pays for them."""
    ada = await make(db, "ada", password=PASSWORD)
    mine, stolen = Device(uuid4(), KNOWN_UNTIL), Device(uuid4(), KNOWN_UNTIL)
    await fail(db, ada.email, 5, device=stolen)
    with pytest.raises(TooMany):
        await attempt(db, ada.email, device=stolen)
    await attempt(db, ada.email, device=mine)
    await attempt(db, ada.email)


async def test_a_success_forgets_what_its_network_failed_at_this_account(db: Database) -> None:
    """Identity: throttling; what other networks and other accounts failed stays."""
    ada, bob = await make(db, "ada", password=PASSWORD), await make(db, "bob", password=PASSWORD)
    for _ in range(3):
        await fail(db, ada.email, 4)
        await attempt(db, ada.email)
    await fail(db, bob.email, 5)
    await attempt(db, ada.email)
    with pytest.raises(TooMany):
        await attempt(db, bob.email)


async def test_a_network_that_tries_one_account_after_the_other_runs_out(db: Database) -> None:
    """Identity: throttling; fifty at once, then one every twenty seconds."""
    ada = await make(db, "ada", password=PASSWORD)
    for n in range(50):
        await fail(db, f"person{n}@example.org", 1, "2001:db8::1")
    with pytest.raises(TooMany) as caught:
        await attempt(db, ada.email, ip="2001:db8::2")
    assert caught.value.retry_after <= 20
    await attempt(db, ada.email, ip="2001:db8:0:1::1")
    await attempt(db, ada.email, ip="2001:db8::2", device=Device(uuid4(), KNOWN_UNTIL))


@pytest.mark.usefixtures("strong_hashes")
async def test_an_account_that_is_not_there_costs_the_same_work(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Identity: one hash is compared and the same is written, whoever is asked for."""
    ada, bob = await make(db, "ada", password=PASSWORD), await make(db, "bob")
    eve = await make(db, "eve", password=PASSWORD)
    await db.pool.execute("UPDATE user_account SET is_active = false WHERE id = $1", eve.id)
    compared: list[str] = []

    class Counting:
        def verify(self, stored: str, given: str) -> bool:
            compared.append(stored)
            return crypto_hasher.verify(stored, given)

        def check_needs_rehash(self, stored: str) -> bool:
            return crypto_hasher.check_needs_rehash(stored)

    crypto_hasher = crypto._hasher  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(crypto, "_hasher", Counting())
    told: set[tuple[str, str]] = set()
    for n, email in enumerate((ada.email, bob.email, eve.email, "nobody@example.org", "no address", "\ud800")):
        before = await db.pool.fetchval("SELECT count(*) FROM sign_in_throttle")
        with pytest.raises(Unauthenticated) as caught:
            await attempt(db, email, "wrong but long enough", f"198.51.{n}.1")
        told.add((caught.value.message, caught.value.code))
        assert len(compared) == n + 1 and "m=19456,t=2,p=1" in compared[-1]
        assert await db.pool.fetchval("SELECT count(*) FROM sign_in_throttle") == before + 3
    assert len(told) == 1


@pytest.mark.parametrize("email", ["ada@example.org", "nobody@example.org"])
async def test_the_brake_does_not_say_who_has_an_account(db: Database, email: str) -> None:
    """Identity: throttling."""
    await make(db, "ada", password=PASSWORD)
    await fail(db, email, 5)
    with pytest.raises(TooMany, match=r"^There were too many failed sign-ins\. Try again in \d+ seconds\.$"):
        await attempt(db, email)


@pytest.mark.parametrize("change", ["a new password", "deactivated"])
async def test_what_changes_while_the_password_is_compared_counts(
    db: Database, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Identity: the password that was right a moment ago opens nothing."""
    ada = await make(db, "ada", password=PASSWORD)
    compare = sign_in_module._compare
    loop = asyncio.get_running_loop()

    async def meanwhile() -> None:
        if change == "deactivated":
            await db.pool.execute("UPDATE user_account SET is_active = false")
        else:
            await identity.set_password(db, Actor.system("cli"), ada.id, "another good one")

    def held(stored: str | None, password: str) -> tuple[bool, str | None]:
        asyncio.run_coroutine_threadsafe(meanwhile(), loop).result(30)
        return compare(stored, password)

    monkeypatch.setattr(sign_in_module, "_compare", held)
    with pytest.raises(Unauthenticated):
        await attempt(db, ada.email)
    assert await in_tx(db, lambda tx: queries.sessions_of(tx, ada.id)) == []


async def test_wrong_current_passwords_slow_their_session_down_and_no_other(db: Database) -> None:
    """Identity: a browser that was left open guesses no faster than a stranger; also an API token does not."""
    ada = await make(db, "ada", password=PASSWORD)
    who: list[Actor] = []
    for _ in range(2):
        _, cookie = await identity.sign_in(db, ada.email, PASSWORD, IP, BROWSER, days=14)
        who += [found for found in [await actor_of(db, cookie)] if found is not None]
    _, secret = await in_tx(
        db, lambda tx: identity.create_token(tx, Actor.person(ada), user_id=ada.id, name="t", scopes=())
    )
    who += [found for found in [await actor_of_token(db, secret)] if found is not None]
    left_open, mine, token = who
    for guesser in (left_open, token):
        _, refused = await race(
            *(identity.set_password(db, guesser, ada.id, "another good one", f"guess {n}") for n in range(8))
        )
        assert sorted(type(e).__name__ for e in refused) == ["Invalid"] * 5 + ["TooMany"] * 3
        with pytest.raises(TooMany):
            await identity.set_password(db, guesser, ada.id, "another good one", PASSWORD)
    await attempt(db, ada.email)
    await identity.set_password(db, mine, ada.id, "another good one", PASSWORD)


async def test_all_sessions_and_tokens_together_guess_no_more_than_strangers_may(db: Database) -> None:
    """Identity: whoever holds a token makes more of them; the sum for the account is the same."""
    ada = await make(db, "ada", password=PASSWORD)
    guesses = 0
    for _ in range(14):
        _, secret = await in_tx(
            db, lambda tx: identity.create_token(tx, Actor.person(ada), user_id=ada.id, name="t", scopes=())
        )
        who = await actor_of_token(db, secret)
        assert who is not None
        for _ in range(4):
            try:
                await identity.set_password(db, who, ada.id, "another good one", "guess")
            except Invalid:
                guesses += 1
            except TooMany:
                pass
    assert guesses == 50


async def test_five_hundred_at_once_wait_in_a_queue_that_has_an_end(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Identity: three hashes at a time at most, no thread of the loop's own pool, and known devices beside it."""
    ada = await make(db, "ada", password=PASSWORD)
    names: set[str] = set()
    busy: list[int] = []
    running = 0
    compare = sign_in_module._compare

    def watched(stored: str | None, password: str) -> tuple[bool, str | None]:
        nonlocal running
        running += 1
        busy.append(running)
        names.add(threading.current_thread().name.rpartition("_")[0])
        try:
            return compare(stored, password)
        finally:
            running -= 1

    monkeypatch.setattr(sign_in_module, "_compare", watched)
    strangers = [attempt(db, f"p{n}@example.org", "wrong", f"10.{n // 250}.{n % 250}.1") for n in range(500)]
    known = [attempt(db, ada.email, device=Device(uuid4(), KNOWN_UNTIL)) for _ in range(20)]
    came, refused = await race(*strangers, *known)
    kinds = [type(e).__name__ for e in refused]
    assert len(came) == 20, "known devices do not queue behind strangers"
    assert kinds.count("Unauthenticated") == 41 and kinds.count("Unavailable") == 459
    assert max(busy) <= 3 and names == {"password-strangers", "password-known"}
    assert (hashing.STRANGERS.inside, hashing.STRANGERS.waiting, hashing.KNOWN.inside) == (0, 0, 0)


async def test_one_network_does_not_fill_the_queue_of_the_others(db: Database) -> None:
    """Identity: nor does one device, nor one person with many requests."""
    ada = await make(db, "ada", password=PASSWORD)
    flood = [attempt(db, f"p{n}@example.org", "wrong", "192.0.2.7") for n in range(60)]
    came, refused = await race(*flood, attempt(db, ada.email, ip="198.51.100.1"))
    assert len(came) == 1 and sum(isinstance(e, Unavailable) for e in refused) == 50


async def test_who_goes_away_while_waiting_leaves_no_place_behind() -> None:
    """Identity: the queue in front of the hashing threads."""
    lane = Lane("test", threads=1, most_waiting=3, most_of_one=5)
    gate = asyncio.Event()
    order: list[str] = []

    async def take(name: str) -> None:
        async with lane.turn(name):
            order.append(name)
            await gate.wait()

    tasks = [asyncio.create_task(take(name)) for name in ("first", "second", "third", "fourth")]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await take("fifth")
    tasks[1].cancel()
    gate.set()
    # The turn is handed on to somebody who goes away in the same moment.
    tasks[0].add_done_callback(lambda _: tasks[2].cancel())
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order[0] == "first" and "second" not in order and order[-1] == "fourth"
    assert (lane.inside, lane.waiting) == (0, 0)
    await take("sixth")


async def test_a_turn_that_is_handed_to_somebody_who_just_left_is_not_lost() -> None:
    """Identity: the queue in front of the hashing threads; otherwise a lane would fill up for good."""
    lane = Lane("test", threads=1, most_waiting=3, most_of_one=5)

    async def take(name: str) -> None:
        async with lane.turn(name):
            pass

    async with lane.turn("first"):
        second = asyncio.create_task(take("second"))
        await asyncio.sleep(0)
        assert lane.waiting == 1
    # The turn is the second one's now, who has not been told yet.
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    async with asyncio.timeout(PATIENCE):
        await take("third")
    assert (lane.inside, lane.waiting) == (0, 0)
