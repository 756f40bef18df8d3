"""The keys of acknowledge links: changed while everything runs, and what that does to links that are on their way."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.processes import tocsin
from tests.races import behind
from tests.surfaces.test_web_acknowledge import link_of, paged
from tests.surfaces.web_client import browser
from tests.world import World
from tocsin.events import log
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.kit.crypto import KeyRing, read_signed_id, sign_id
from tocsin.kit.errors import Denied

VALID_FOR = timedelta(hours=48)
ID = UUID(int=7)
NOW = datetime(2031, 5, 1, tzinfo=UTC)


async def rotate(world: World, *, at_once: bool = False) -> int:
    async with world.db.begin() as tx:
        return await identity.rotate_link_key(tx, world.root, VALID_FOR, at_once=at_once)


async def status(world: World, link: str) -> int:
    async with browser(world) as web:
        return (await web.fetch(link)).status


async def answer(world: World, link: str) -> int:
    async with browser(world) as web:
        return (await web.send(link, {"do": "ack"})).status


def made(link: str) -> int:
    """Which key a link names."""
    token = link.rpartition("/")[2]
    return int.from_bytes(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[:4], "big")


async def test_links_on_their_way_outlive_a_new_key_by_their_own_time_and_no_longer(world: World) -> None:
    """F061, F118: nobody who was paged is left without an answer, and an old key is worthless in the end."""
    ada = await world.person("ada")
    _, link = await paged(world, ada)
    assert made(link) == 0
    await world.pass_time(timedelta(hours=1))
    assert await rotate(world) == 1
    await world.alert("Another", key="2")
    newer = link_of(world, ada)
    assert made(newer) > 0
    assert await status(world, link) == await status(world, newer) == 200
    await world.pass_time(timedelta(hours=47, minutes=30))
    assert await status(world, link) == 410
    await world.pass_time(timedelta(hours=49, minutes=1))
    # Its key counts no more: what it says cannot be believed any longer.
    assert await status(world, link) == 404


async def test_at_once_makes_every_earlier_link_worthless_and_the_next_page_has_a_good_one(world: World) -> None:
    """F118: by GET and by POST, in processes that have been running since before."""
    ada = await world.person("ada")
    alert, link = await paged(world, ada)
    assert await rotate(world, at_once=True) == 0
    assert await status(world, link) == 404
    await answer(world, link)
    assert (await world.again(alert)).status == "triggered"
    await world.alert("Another", key="2")
    newer = link_of(world, ada)
    assert newer != link and await answer(world, newer) == 303
    assert await rotate(world, at_once=True) == 0
    assert await status(world, newer) == 404
    assert await world.db.pool.fetchval("SELECT count(*) FROM secret WHERE name LIKE 'link%' AND value <> ''") == 1


async def test_a_process_that_starts_later_reads_the_same_keys(world: World) -> None:
    """F118: and does not make the first key anew once it is gone."""
    await rotate(world, at_once=True)
    async with world.db.begin() as tx:
        await identity.secret(tx, "link")
        assert list((await identity.link_keys(tx, VALID_FOR)).keys) != [0]
        assert len((await identity.link_keys(tx, VALID_FOR)).keys) == 1


async def test_two_at_once_make_two_keys(world: World) -> None:
    """F118: in the same second too; the second sees what the first made."""

    async def first(tx: object) -> None:
        await identity.rotate_link_key(tx, world.root, VALID_FOR, at_once=False)  # type: ignore[arg-type]

    assert await behind(world.db, first, rotate(world)) == 2
    async with world.db.begin() as tx:
        assert len((await identity.link_keys(tx, VALID_FOR)).keys) == 3


async def test_keys_that_are_over_are_deleted_by_the_next_change(world: World) -> None:
    """F118: what cannot be used any more is not kept, and the record says so."""
    assert await rotate(world) == 1
    await world.pass_time(timedelta(hours=49))
    assert await rotate(world) == 1
    async with world.db.begin() as tx:
        events = await log.newest_first(tx, names=("configuration.created", "configuration.deleted"), limit=10)
    about = [(event.name, event.data["title"]) for event in events if event.data["kind"] == "acknowledge_key"]
    assert [name for name, _ in about].count("configuration.created") == 2
    assert ("configuration.deleted", "the first") in about


async def test_not_everybody_may(world: World) -> None:
    """F118."""
    bob = await world.person("bob")
    with pytest.raises(Denied):
        async with world.db.begin() as tx:
            await identity.rotate_link_key(tx, Actor.person(bob), VALID_FOR, at_once=True)


async def test_the_command_says_what_becomes_of_links(world: World) -> None:
    """F118: `tocsin keys rotate`, beside a server that runs."""
    ada = await world.person("ada")
    _, link = await paged(world, ada)
    code, out, err = await tocsin("keys", "rotate", database_url=world.db.dsn)
    assert (code, out) == (0, "")
    assert "Earlier links are good for 48 hours at most." in err
    assert await status(world, link) == 200
    code, out, err = await tocsin("keys", "rotate", "--at-once", database_url=world.db.dsn)
    assert (code, out) == (0, "") and "No acknowledge link that was sent before works any more." in err
    assert await status(world, link) == 404


def test_a_ring_takes_what_it_signed_and_nothing_else() -> None:
    """F118: another purpose, another key under the same name, a token without a key, one that was cut or changed."""
    ring = KeyRing({0: b"a" * 32, 100: b"b" * 32}, VALID_FOR)
    token = ring.sign_id("ack", ID, NOW)
    assert ring.read_signed_id("ack", token, now=NOW - timedelta(hours=1)) == (ID, NOW, False)
    assert ring.read_signed_id("ack", token, now=NOW) == (ID, NOW, True)
    assert ring.read_signed_id("other", token, now=NOW) is None
    assert KeyRing({100: b"c" * 32}, VALID_FOR).read_signed_id("ack", token, now=NOW) is None
    assert ring.read_signed_id("ack", sign_id(b"b" * 32, "ack", ID, NOW), now=NOW) is None
    assert read_signed_id(b"b" * 32, "ack", token, now=NOW) is None
    assert ring.read_signed_id("ack", token[:-2], now=NOW) is None
    # The key's name is signed too: the old key's signature does not pass under the new one's name, or the other way.
    raw = base64.urlsafe_b64decode(token + "==")
    renamed = base64.urlsafe_b64encode(b"\0\0\0\0" + raw[4:]).decode().rstrip("=")
    assert ring.read_signed_id("ack", renamed, now=datetime.fromtimestamp(0, UTC)) is None
    assert "aaa" not in repr(ring)
